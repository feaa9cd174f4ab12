"""A training refuses what it cannot end well before anything is started or recorded."""

import pytest

from cluster.config import override
from cluster.errors import InputError
from tests.generate_tiny import TINY as GENERATE
from tests.tiny_shop import make_tiny_shop
from trainables.generator.job import run_training


def refused(settings, storage, said, config, **arguments):
    """Starting a run with these arguments raises `said` and leaves no run behind."""
    with pytest.raises(InputError, match=said):
        run_training(settings, "tiny", "run", config, workers=1, use_ray=False, **arguments)
    assert not storage.list("runs")


def test_too_few_held_out_products_to_measure_on(settings, storage):
    make_tiny_shop(storage, products=2, viewers=0)
    said = "'tiny' holds out 1 of 2 products; generate is measured on 2 at least: import more"
    refused(settings, storage, said, override(GENERATE, ["steps=1"]))
