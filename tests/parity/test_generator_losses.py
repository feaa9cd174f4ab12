"""Golden losses: a change that must not alter the computation leaves these curves as they are.

16 steps on one CPU thread, judges from step 8. Bits differ between CPUs, and an adversarial loop amplifies that (a
difference of 1e-7 in the luma of a frame is 0.2 % after 18 steps), so the terms are compared to 0.2 % or 2e-4. After a
change that is meant to alter them: `SHOPREEL_WRITE_GOLDEN=1 make test`.
"""

import os
from pathlib import Path

import pytest

from cluster.config import override
from tests.generator_tiny import TINY, Clips, Recorder, cpu_fabric
from trainables.generator.train import train
from trainables.runs.checkpoints import Checkpoints

GOLDEN = Path(__file__).parent / "losses" / "generator.txt"
TERMS = (
    "total",
    "style",
    "texture",
    "content",
    "edges",
    "temporal",
    "palette",
    "adversarial",
    "discriminator_frames",
    "penalty",
)


def test_the_losses_are_the_golden_ones(storage):
    sink = Recorder()
    config = override(TINY, ["steps=16", "checkpoint_every=16", "adversarial.start=0.5"])
    train(config, Clips(), cpu_fabric(), sink=sink, checkpoints=Checkpoints(storage, "runs/golden"))
    rows = [[line.get(f"loss/{term}", 0.0) for term in TERMS] for line in sink.lines]
    if os.environ.get("SHOPREEL_WRITE_GOLDEN"):
        lines = [" ".join(f"{value:.6f}" for value in row) for row in rows]
        GOLDEN.write_text("# " + " ".join(TERMS) + "\n" + "\n".join(lines) + "\n")
    header, *lines = GOLDEN.read_text().splitlines()
    assert header == "# " + " ".join(TERMS)
    assert len(lines) == len(rows)
    for step, (line, row) in enumerate(zip(lines, rows, strict=True)):
        golden = [float(value) for value in line.split()]
        assert row == pytest.approx(golden, rel=2e-3, abs=2e-4), f"step {step}"
