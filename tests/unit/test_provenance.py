"""Every generated MP4 says so, in tags that other programs read."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest

from cluster.errors import InputError
from trainables.data.video import DecodeOptions, decode_clip, encode_mp4, read_metadata
from trainables.generator.provenance import IPTC, Provenance, read_provenance, with_label

FRAMES = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
RESTYLED = Provenance(task="restyle", model="generator/3", product="mug-01", look="neon 75 % · ink 25 %")


def test_provenance_comes_back_from_the_file(tmp_path: Path) -> None:
    data = encode_mp4(FRAMES, 12.0, metadata=RESTYLED.metadata())
    path = tmp_path / "clip.mp4"
    path.write_bytes(data)
    assert read_provenance(data) == read_provenance(path) == RESTYLED


def test_other_programs_read_the_tags() -> None:
    """PyAV stands for every reader of container tags; the value is JSON with the IPTC term."""
    with av.open(io.BytesIO(encode_mp4(FRAMES, 12.0, metadata=RESTYLED.metadata()))) as container:
        tags = dict(container.metadata)
    said = json.loads(tags["comment"])
    assert said["generated"] is True
    assert (said["model"], said["product"], said["task"]) == ("generator/3", "mug-01", "restyle")
    assert said["digitalSourceType"] == tags["digital_source_type"] == IPTC + "trainedAlgorithmicMedia"


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
def test_ffprobe_reads_the_tags(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(encode_mp4(FRAMES, 12.0, metadata=RESTYLED.metadata()))
    shown = subprocess.run(
        ["ffprobe", "-v", "error", "-show_format", "-of", "json", str(path)], capture_output=True, check=True
    )
    assert json.loads(json.loads(shown.stdout)["format"]["tags"]["comment"])["model"] == "generator/3"


def test_an_original_claims_no_generation() -> None:
    original = Provenance(task="original", product="mug-01", refused=("flickers: 9.1 grey levels, at most 3",))
    data = encode_mp4(FRAMES, 12.0, metadata=original.metadata())
    assert read_provenance(data) == original
    assert json.loads(read_metadata(data)["comment"])["generated"] is False
    assert "digital_source_type" not in read_metadata(data)


@pytest.mark.parametrize(
    ("task", "term"),
    [
        ("generate", "trainedAlgorithmicMedia"),
        ("repair", "compositeWithTrainedAlgorithmicMedia"),
        ("enhance", "algorithmicallyEnhanced"),
    ],
)
def test_each_task_has_its_term(task: str, term: str) -> None:
    assert Provenance(task=task, model="starter").metadata()["digital_source_type"] == IPTC + term


def test_metadata_changes_no_picture() -> None:
    options = DecodeOptions(num_frames=4, size=64, max_dead_seconds=0)
    plain = decode_clip(encode_mp4(FRAMES, 12.0), options).frames_THWC
    tagged = decode_clip(encode_mp4(FRAMES, 12.0, metadata=RESTYLED.metadata()), options).frames_THWC
    np.testing.assert_array_equal(plain, tagged)


@pytest.mark.parametrize(
    "comment",
    [
        "",
        "a shop's own comment",
        "[1]",
        '{"format": "other"}',
        '{"format": "shopreel-provenance/1", "task": "restyle"}',
        '{"format": "shopreel-provenance/1", "task": "restyle", "model": 3}',
    ],
)
def test_foreign_or_broken_comments_are_no_provenance(comment: str) -> None:
    assert read_provenance(encode_mp4(FRAMES, 12.0, metadata={"comment": comment})) is None


def test_a_generated_clip_must_name_its_model() -> None:
    with pytest.raises(InputError, match=r"provenance\.model"):
        Provenance(task="restyle")
    with pytest.raises(InputError, match=r"provenance\.task"):
        Provenance(task="dream", model="generator/1")


def test_no_video_is_an_input_error() -> None:
    with pytest.raises(InputError):
        read_provenance(b"no video")


@pytest.mark.parametrize("size", [64, 128, 256])
def test_label_is_small_still_and_in_the_corner(size: int) -> None:
    frames = np.full((3, size, size, 3), 128, np.uint8)
    labelled = with_label(frames)
    changed = (labelled != frames).any(-1)
    assert labelled.shape == frames.shape
    assert (changed[0] == changed[2]).all()
    assert 0.01 < changed.mean() < 0.2
    assert not changed[:, : size // 2].any()
    assert labelled.max() > 220
    assert (frames == 128).all()
