"""A training refuses what it cannot end well before anything is started or recorded."""

import pytest

from cluster.config import override
from cluster.errors import InputError, NotFoundError
from tests.enhance_tiny import TINY as ENHANCE
from tests.generate_tiny import TINY as GENERATE
from tests.generator_tiny import TINY as RESTYLE
from tests.tiny_shop import make_tiny_shop
from trainables.bundle import read_bundle, write_bundle
from trainables.generator.enhance.enhancer import save_bundle
from trainables.generator.enhance.network import EnhanceNetwork
from trainables.generator.job import run_training
from trainables.generator.start import check_start


@pytest.fixture
def bundle(tmp_path):
    save_bundle(EnhanceNetwork(ENHANCE.network), ENHANCE.network, tmp_path / "bundle", {})
    return tmp_path / "bundle"


def refused(settings, storage, said, config, **arguments):
    """Starting a run with these arguments raises `said` and leaves no run behind."""
    with pytest.raises(InputError, match=said):
        run_training(settings, "tiny", "run", config, workers=1, use_ray=False, **arguments)
    assert not storage.list("runs")


def test_too_few_held_out_products_to_measure_on(settings, storage):
    make_tiny_shop(storage, products=2, viewers=0)
    said = "'tiny' holds out 1 of 2 products; generate is measured on 2 at least: import more"
    refused(settings, storage, said, override(GENERATE, ["steps=1"]))


def test_a_start_that_cannot_be_begun_with(settings, storage, tmp_path, bundle):
    make_tiny_shop(storage, products=2, viewers=0)
    refused(settings, storage, "does 'enhance', not 'restyle'", RESTYLE, start=bundle)
    wider = override(ENHANCE, ["network.widths=[8, 8, 16]"])
    said = r"bundle: its network has another size .* network.widths \(\(8, 8, 8\) → \(8, 8, 16\)\)"
    refused(settings, storage, said, wider, start=bundle)
    with pytest.raises(NotFoundError, match="no bundle at .*typo"):
        run_training(settings, "tiny", "run", ENHANCE, workers=1, use_ray=False, start=tmp_path / "typo")
    assert not storage.list("runs")


def test_bundles_of_before_may_be_begun_with(tmp_path, bundle):
    """Their settings are not all those of now."""
    now = read_bundle(bundle, kind="generator")
    config = now.config | {"network": now.config["network"] | {"vivid_blocks": 1}}
    write_bundle(tmp_path / "old", kind="generator", tensors=now.tensors, config=config, card={})
    assert check_start(tmp_path / "old", ENHANCE) == check_start(bundle, ENHANCE)


def test_looks_for_a_task_that_learns_none(settings, storage, tmp_path):
    make_tiny_shop(storage, products=2, viewers=0)
    refused(settings, storage, "enhance does not; leave --styles out", ENHANCE, styles=str(tmp_path))


def test_a_name_that_ray_cannot_take(settings, storage):
    """It would come out as `'ascii' codec can't encode characters` of Ray's controller, after the start of Ray."""
    make_tiny_shop(storage, products=2, viewers=0)
    with pytest.raises(InputError, match="run 'größe': on Ray the letters of a run's name are a to z; give it another"):
        run_training(settings, "tiny", "größe", RESTYLE, workers=1)
    assert not storage.list("runs")
