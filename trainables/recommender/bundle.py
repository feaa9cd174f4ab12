"""The recommender at rest: arrays in safetensors; ids, names and settings in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from cluster.config import from_dict, to_dict
from cluster.errors import InputError
from trainables.bundle import read_bundle, write_bundle
from trainables.recommender.cold.alignment import AlignedContent
from trainables.recommender.model import ItemModel
from trainables.recommender.settings import RecommenderTrainConfig
from trainables.recommender.taste import Looks

_ARRAYS = ("item_rows", "content_nD", "viewers_n", "popularity_n", "trend_n", "style_codes_nS")
_ALIGNED = ("past_nR", "target_nR")
_SPARSE = ("item_item_data", "item_item_indices", "item_item_indptr")
RANKER = "ranker."
"""Prefix of the tensors that belong to the ranker of impressions, where a bundle carries one."""


def save_model(
    model: ItemModel, folder: Path, card: dict[str, Any], ranker_parts: Mapping[str, np.ndarray] | None = None
) -> None:
    """Write a bundle folder; the card is for people, the rest brings the model back bit for bit.

    `ranker_parts` are the arrays of a ranker, by name, for a bundle that carries one.
    """
    names = tuple(model.looks.preset_codes)
    tensors = {name: getattr(model, name) for name in _ARRAYS}
    tensors |= _matrix_tensors(model.item_item_mm)
    if model.aligned is not None:
        tensors |= {name: getattr(model.aligned, name) for name in _ALIGNED}
    tensors["preset_codes_PS"] = np.stack([np.asarray(model.looks.preset_codes[name], np.float32) for name in names])
    tensors["looks_mean_S"], tensors["looks_covariance_SS"] = model.looks.mean, model.looks.covariance
    tensors |= {RANKER + name: array for name, array in (ranker_parts or {}).items()}
    config = {
        "product_ids": list(model.product_ids),
        "categories": list(model.categories),
        "presets": list(names),
        "content_scale": model.content_scale,
        "trained_until_ms": model.trained_until_ms,
        "learned_until_ms": model.learned_until_ms,
        "counts": model.counts,
        "settings": to_dict(model.config),
    }
    write_bundle(folder, kind="recommender", tensors=tensors, config=config, card=card)


def load_model(folder: Path) -> ItemModel:
    """Read and check a bundle folder; errors name the folder and what is wrong with it."""
    bundle = read_bundle(folder, kind="recommender")
    tensors, config = bundle.tensors, bundle.config
    try:
        codes = dict(zip(config["presets"], tensors["preset_codes_PS"], strict=True))
        model = ItemModel(
            **{name: tensors[name] for name in _ARRAYS},
            item_item_mm=_matrix(tensors),
            aligned=AlignedContent(*(tensors[name] for name in _ALIGNED)) if _ALIGNED[0] in tensors else None,
            product_ids=tuple(config["product_ids"]),
            categories=tuple(config["categories"]),
            content_scale=float(config["content_scale"]),
            looks=Looks(codes, tensors["looks_mean_S"], tensors["looks_covariance_SS"]),
            config=from_dict(RecommenderTrainConfig, config["settings"]),
            trained_until_ms=int(config["trained_until_ms"]),
            learned_until_ms=int(config["learned_until_ms"]),
            counts=config["counts"],
        )
    except (KeyError, ValueError) as error:
        raise InputError(f"bundle {folder}: {error} is missing or wrong; train again") from error
    rows = {len(model.popularity_n), *(len(tensors[name]) for name in _ALIGNED if name in tensors)}
    if rows != {len(model.product_ids)} or model.item_item_mm.shape[0] != len(model.item_rows):
        raise InputError(f"bundle {folder}: its arrays and its product ids differ in length; fetch it again")
    return model


def load_ranker_parts(folder: Path) -> dict[str, np.ndarray] | None:
    """Arrays of the ranker in a bundle folder, by name; None where it carries none."""
    tensors = read_bundle(folder, kind="recommender").tensors
    return {name.removeprefix(RANKER): array for name, array in tensors.items() if name.startswith(RANKER)} or None


def _matrix_tensors(matrix: np.ndarray | sparse.csr_array) -> dict[str, np.ndarray]:
    if sparse.issparse(matrix):
        return dict(zip(_SPARSE, (matrix.data, matrix.indices, matrix.indptr), strict=True))
    return {"item_item_mm": matrix}


def _matrix(tensors: Mapping[str, np.ndarray]) -> np.ndarray | sparse.csr_array:
    if "item_item_mm" in tensors:
        return tensors["item_item_mm"]
    data, indices, indptr = (tensors[name] for name in _SPARSE)
    return sparse.csr_array((data, indices, indptr), shape=(len(indptr) - 1, len(indptr) - 1))
