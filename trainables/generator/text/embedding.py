"""Text embeddings from a packaged table of token vectors (wordllama, 256 numbers a token): no network, no torch.

The files of the package `wordllama` are read directly, as safetensors and a tokenizer description: nothing is
unpickled, nothing is looked up elsewhere, and importing the package (which reconfigures logging) is not needed.

Dims: N texts, E = 256 numbers of an embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from cluster.errors import InputError

EMBEDDING_DIM = 256
WEIGHTS = "weights/l2_supercat_256.safetensors"
TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"
MAX_CHARACTERS = 4000
"""A longer text is cut."""


class TextEmbedder:
    """Mean of a text's token vectors, scaled to length 1."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        for name in (WEIGHTS, TOKENIZER):
            if not (folder / name).is_file():
                raise InputError(f"{folder / name} is missing; install wordllama again")
        self._table_VE = load_file(folder / WEIGHTS)["embedding.weight"].astype(np.float32)
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """(N, E) float32 of length 1; a text without a token gives zeros."""
        encoded = self._tokenizer.encode_batch([text[:MAX_CHARACTERS] for text in texts], add_special_tokens=False)
        means = np.zeros((len(encoded), EMBEDDING_DIM), np.float32)
        for row, tokens in enumerate(encoded):
            if tokens.ids:
                means[row] = self._table_VE[tokens.ids].mean(0)
        return means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-6)


@lru_cache(maxsize=1)
def text_embedder() -> TextEmbedder:
    """The packaged model, read once (a third of a second) when it is first asked for."""
    spec = find_spec("wordllama")
    if spec is None or not spec.submodule_search_locations:
        raise InputError("text needs the package wordllama; install it (pip install wordllama)")
    return TextEmbedder(Path(spec.submodule_search_locations[0]))
