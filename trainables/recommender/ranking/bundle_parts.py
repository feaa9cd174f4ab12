"""A ranker as arrays, and back; nothing is a pickle.

The trees are LightGBM's text models as bytes; what is no array is JSON as bytes, under `config`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import lightgbm
import numpy as np
import torch

from cluster.config import from_dict, to_dict
from cluster.errors import InputError
from trainables.recommender.ranking.attributes import AttributeEncoder
from trainables.recommender.ranking.calibration import Calibration
from trainables.recommender.ranking.config import RankerConfig
from trainables.recommender.ranking.facts import FactEncoders
from trainables.recommender.ranking.network import MixtureOfExperts, Network
from trainables.recommender.ranking.ranker import Ranker, RankMap


def to_tensors(ranker: Ranker) -> dict[str, np.ndarray]:
    """Arrays by name; `from_tensors` gives the same scores to the last bit."""
    tensors = {
        f"trees.{name}": _bytes(booster.model_to_string(num_iteration=-1)) for name, booster in ranker.trees.items()
    }
    tensors |= {f"intercepts.{name}": values for name, values in ranker.intercepts.items()}
    tensors |= {f"calibration.{name}": one.offset_S for name, one in ranker.calibrations.items()}
    tensors |= {"rank_map.from": ranker.rank_map.from_K, "rank_map.to": ranker.rank_map.to_K}
    config: dict[str, Any] = {
        "settings": to_dict(ranker.config),
        "surfaces": list(ranker.surfaces),
        "categories": list(ranker.encoders.categories),
        "attributes": {
            side: {"numeric": list(encoder.numeric), "kinds": {name: list(k) for name, k in encoder.kinds.items()}}
            for side, encoder in (("product", ranker.encoders.product), ("viewer", ranker.encoders.viewer))
        },
        "feature_names": list(ranker.feature_names),
        "network_share": ranker.network_share,
        "calibrations": {name: [one.slope, one.intercept] for name, one in ranker.calibrations.items()},
        "rank_share": ranker.rank_map.share,
        "product_ids": list(ranker.product_ids),
        "trained_until_ms": ranker.trained_until_ms,
        "counts": ranker.counts,
        "metrics": ranker.metrics,
        "network": None,
    }
    if ranker.network is not None:
        network = ranker.network
        for number, module in enumerate(network.modules):
            weights = module.state_dict().items()
            tensors |= {f"networks.{number}.{name}": value.float().numpy() for name, value in weights}
        tensors |= {"network_mean": network.mean_D, "network_scale": network.scale_D}
        if network.vectors_nV is not None:
            tensors["product_vectors"] = network.vectors_nV
        targets = list(network.modules[0].heads)
        config["network"] = {"places": list(network.places), "targets": targets, "count": len(network.modules)}
    tensors["config"] = _bytes(json.dumps(config, sort_keys=True))
    return tensors


def from_tensors(tensors: Mapping[str, np.ndarray]) -> Ranker:
    """The ranker again; raises InputError where something is missing."""
    try:
        return _read(tensors, json.loads(tensors["config"].tobytes()))
    except (KeyError, ValueError, RuntimeError, lightgbm.basic.LightGBMError) as error:
        raise InputError(f"the bundle's ranker: {error} is missing or wrong; train again") from error


def _read(tensors: Mapping[str, np.ndarray], config: Mapping[str, Any]) -> Ranker:
    surfaces = tuple(config["surfaces"])
    encoders = {
        side: AttributeEncoder(tuple(one["numeric"]), {name: tuple(k) for name, k in one["kinds"].items()})
        for side, one in config["attributes"].items()
    }
    return Ranker(
        config=from_dict(RankerConfig, config["settings"]),
        surfaces=surfaces,
        encoders=FactEncoders(encoders["product"], encoders["viewer"], tuple(config["categories"])),
        feature_names=tuple(config["feature_names"]),
        trees={
            name: lightgbm.Booster(model_str=text.tobytes().decode())
            for name, text in _group(tensors, "trees.").items()
        },
        network=_network(tensors, config["network"], len(surfaces) + 1, len(config["product_ids"])),
        network_share=dict(config["network_share"]),
        intercepts=_group(tensors, "intercepts."),
        product_ids=tuple(config["product_ids"]),
        rank_map=RankMap(tensors["rank_map.from"], tensors["rank_map.to"], float(config["rank_share"])),
        calibrations={
            name: Calibration(*config["calibrations"][name], offsets)
            for name, offsets in _group(tensors, "calibration.").items()
        },
        trained_until_ms=int(config["trained_until_ms"]),
        counts=dict(config["counts"]),
        metrics=dict(config["metrics"]),
    )


def _network(
    tensors: Mapping[str, np.ndarray], config: Mapping[str, Any] | None, surfaces: int, products: int
) -> Network | None:
    """The mixtures; bundles from before there were several have one, without attention."""
    if config is None:
        return None
    mean_D, vectors_nV = tensors["network_mean"], tensors.get("product_vectors")
    if vectors_nV is not None and len(vectors_nV) != products:
        raise ValueError(f"product_vectors (of {len(vectors_nV)} products, not {products})")
    directions = 0 if vectors_nV is None else vectors_nV.shape[1]
    prefixes = [f"networks.{number}." for number in range(config["count"])] if "count" in config else ["network."]
    modules = []
    for prefix in prefixes:
        module = MixtureOfExperts(len(mean_D), surfaces, tuple(config["targets"]), directions)
        weights = {name: torch.from_numpy(value.copy()) for name, value in _group(tensors, prefix).items()}
        module.load_state_dict(weights)
        modules.append(module.eval().double())
    surface, length = config["places"]
    return Network(tuple(modules), mean_D, tensors["network_scale"], (surface, length), vectors_nV)


def _bytes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8).copy()


def _group(tensors: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
