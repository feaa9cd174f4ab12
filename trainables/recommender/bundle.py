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
_FINITE = ("content_nD", "viewers_n", "popularity_n", "trend_n")
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
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"bundle {folder}: {error} is missing or wrong; train again") from error
    if fault := _fault(model):
        raise InputError(f"bundle {folder}: {fault}; train again, or fetch it again")
    return model


def _fault(model: ItemModel) -> str | None:
    """What does not fit together in a bundle, so that it is told when it is read and not by the first viewer."""
    n, m = len(model.product_ids), len(model.item_rows)
    codes = model.looks.codes.shape[1]
    aligned = model.aligned or AlignedContent(model.content_nD, model.content_nD)
    shapes = {
        "categories": (len(model.categories),) == (n,),
        "item_item": model.item_item_mm.shape == (m, m),
        **{name: getattr(model, name).shape == (n,) for name in ("viewers_n", "popularity_n", "trend_n")},
        "content_nD": model.content_nD.ndim == 2 and len(model.content_nD) == n,
        "past_nR and target_nR": aligned.past_nR.ndim == 2 and aligned.past_nR.shape == aligned.target_nR.shape,
        "target_nR": len(aligned.target_nR) == n,
        "style_codes_nS": model.style_codes_nS.shape == (n, codes),
        "looks_mean_S": model.looks.mean.shape == (codes,),
        "looks_covariance_SS": model.looks.covariance.shape == (codes, codes),
    }
    if wrong := [name for name, fits in shapes.items() if not fits]:
        return f"{wrong[0]} is not as long as its products or matrix want it"
    if len(set(model.product_ids)) < n:
        return "product_ids has an id twice"
    rows = model.item_rows
    if m and (rows.min() < 0 or rows.max() >= n or (np.diff(rows) <= 0).any()):
        return "item_rows are not rows of its products in ascending order"
    matrix = model.item_item_mm.data if sparse.issparse(model.item_item_mm) else model.item_item_mm
    finite = {"item_item": matrix, **{name: getattr(model, name) for name in _FINITE}}
    finite |= {"past_nR": aligned.past_nR, "target_nR": aligned.target_nR, "content_scale": model.content_scale}
    if wrong := [name for name, values in finite.items() if not np.isfinite(values).all()]:
        return f"{wrong[0]} holds values that are not finite"
    return None


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
    matrix = sparse.csr_array((data, indices, indptr), shape=(len(indptr) - 1, len(indptr) - 1))
    matrix.check_format()
    return matrix
