"""Where a clip comes from, written into its MP4: that it is generated, by which model, from which product and look.

Two container tags carry it: `comment`, a JSON object that any player or `ffprobe -show_format` shows, and
`digital_source_type`, a term of the IPTC NewsCodes "digital source type" as C2PA and the labelling laws use them.

Dims: T frames, H height, W width, 3 RGB.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cluster.errors import InputError
from trainables.data.video import read_metadata

FORMAT = "shopreel-provenance/1"
IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SOURCE_TYPES = {
    "original": "",
    "restyle": "trainedAlgorithmicMedia",
    "generate": "trainedAlgorithmicMedia",
    "repair": "compositeWithTrainedAlgorithmicMedia",
    "enhance": "algorithmicallyEnhanced",
}
"""Term of the IPTC vocabulary for what each task makes; a product's own clip claims none."""
MAX_LENGTH = 300
"""Most characters kept of a product's or look's name."""
LABEL = "AI-generated"


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What is said of one clip."""

    task: str
    """restyle, repair, enhance, generate, or original for a product's own clip."""
    model: str | None = None
    """Version that made it, as `generator/3`; None for an original."""
    product: str | None = None
    """Catalogue key of the product shown, or `upload:` and a hash of the file; None for a clip of no product."""
    look: str | None = None
    """The look asked for, in words; None where there is none."""
    refused: tuple[str, ...] = ()
    """Why the generated clip was not shown and this original is."""

    def __post_init__(self) -> None:
        if self.task not in SOURCE_TYPES:
            raise InputError(f"provenance.task is {self.task!r}; choose one of {', '.join(SOURCE_TYPES)}")
        if self.generated and not self.model:
            raise InputError("provenance.model is missing; name the model version that made the clip")

    @property
    def generated(self) -> bool:
        """Whether a model made or changed the pictures."""
        return self.task != "original"

    def metadata(self) -> dict[str, str]:
        """Container tags for `encode_mp4`."""
        said = {name: value for name, value in asdict(self).items() if value}
        said = {name: value[:MAX_LENGTH] if isinstance(value, str) else value for name, value in said.items()}
        said = {"format": FORMAT, "generated": self.generated, **said}
        if not self.generated:
            return {"comment": json.dumps(said)}
        source_type = IPTC + SOURCE_TYPES[self.task]
        return {
            "comment": json.dumps({**said, "digitalSourceType": source_type}),
            "digital_source_type": source_type,
        }


def read_provenance(source: bytes | str | Path) -> Provenance | None:
    """What an MP4 says of itself; None where it says nothing in this format. Raises InputError for what is no video."""
    try:
        said = json.loads(read_metadata(source).get("comment", ""))
    except json.JSONDecodeError:
        return None
    if not isinstance(said, dict) or said.get("format") != FORMAT or said.get("task") not in SOURCE_TYPES:
        return None
    names = {name: said.get(name) for name in ("model", "product", "look")}
    refused = said.get("refused", [])
    if any(value is not None and not isinstance(value, str) for value in names.values()) or not isinstance(
        refused, list
    ):
        return None
    if said["task"] != "original" and not names["model"]:
        return None
    return Provenance(task=said["task"], refused=tuple(str(reason) for reason in refused), **names)


def with_label(frames_THW3: np.ndarray, text: str = LABEL) -> np.ndarray:
    """The clip with a small visible label in its lower left corner, the same in every frame; uint8 (T, H, W, 3)."""
    height, width = frames_THW3.shape[1:3]
    font = ImageFont.load_default(size=max(8, round(min(height, width) / 14)))
    pad = max(2, round(min(height, width) / 64))
    left, top, right, bottom = font.getbbox(text)
    box = (pad, height - pad - (bottom - top) - 2 * pad, pad + (right - left) + 2 * pad, height - pad)
    labelled = []
    for frame in frames_THW3:
        picture = Image.fromarray(frame)
        shade = Image.new("L", picture.size, 0)
        ImageDraw.Draw(shade).rounded_rectangle(box, radius=pad, fill=150)
        picture.paste((0, 0, 0), mask=shade)
        ImageDraw.Draw(picture).text((box[0] + pad - left, box[1] + pad - top), text, fill=(255, 255, 255), font=font)
        labelled.append(np.asarray(picture))
    return np.stack(labelled)
