"""`shopreel evaluate generator`: tiny models on tiny clips; the figures of baselines are known."""

import io
import json
import shutil
import statistics
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from cluster.cli import evaluate
from cluster.cli.evaluate import _tables
from cluster.errors import InputError
from tests.enhance_tiny import TINY as TINY_ENHANCE
from tests.generator_tiny import TINY, Clips
from trainables.data.dataset import Dataset
from trainables.generator.enhance import enhancer
from trainables.generator.enhance import evaluation as enhance
from trainables.generator.enhance.network import EnhanceNetwork
from trainables.generator.generate import clip_maker
from trainables.generator.repair import evaluation as repair
from trainables.generator.repair.baselines import BASELINES
from trainables.generator.repair.repairer import Repairer
from trainables.generator.restyle.network import RestyleNetwork
from trainables.generator.restyle.presets import preset_image
from trainables.generator.restyle.restyler import save_bundle
from trainables.generator.scoring import generate, restyle
from trainables.generator.scoring.colour import colour_transfer, covariance_transfer
from trainables.generator.scoring.features import ScoringFeatures
from trainables.generator.scoring.floor import stored
from trainables.generator.scoring.material import material_of_dataset, material_of_folders
from trainables.generator.scoring.report import Evaluation, Material, evaluate_bundles
from trainables.generator.scoring.style import StyleMeasure
from trainables.generator.scoring.trainings import with_means
from trainables.generator.starter import starter_bundle

MODES = ("faithful", "vivid")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_bundle(RestyleNetwork(TINY.network), TINY.network, folder, {})
    return folder


@pytest.fixture
def clips(tmp_path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    for number, clip in enumerate(Clips(2, size=64)):
        np.save(folder / f"square-{number}.npy", clip)
    return folder


def run(*arguments: str | Path) -> dict:
    """Evaluate; returns the JSON that was written, raises what the command raises."""
    out = Path(arguments[0])
    words = ["generator", *map(str, arguments[1:]), "--out", str(out), "--device", "cpu"]
    result = CliRunner().invoke(evaluate.app, words)
    if result.exception:
        raise result.exception
    assert Image.open(out / "sheet.png").size[0] > 100
    return json.loads((out / "evaluation.json").read_text())


def textured(count: int, seed: int = 0) -> list[np.ndarray]:
    """Smooth coloured noise that drifts, uint8 (3, 64, 64, 3)."""
    rng = np.random.default_rng(seed)
    clips = []
    for _ in range(count):
        coarse = Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8))
        wide = np.asarray(coarse.resize((80, 64), Image.Resampling.BICUBIC))
        clips.append(np.stack([wide[:, 3 * t : 3 * t + 64] for t in range(3)]))
    return clips


def test_colour_transfers_reach_the_moments_of_the_picture():
    rng = np.random.default_rng(0)
    clip = rng.normal(120, 15, (3, 40, 40, 3)).clip(0, 255).astype(np.uint8)
    mixing = np.array([[1, 0.5, 0], [0, 1, 0.3], [0.2, 0, 1]])
    picture = (rng.normal(0, 12, (50, 50, 3)) @ mixing + [100, 130, 150]).clip(0, 255).astype(np.uint8)
    wanted = picture.reshape(-1, 3)
    for method in (colour_transfer, covariance_transfer):
        found = method(clip, picture).reshape(-1, 3)
        np.testing.assert_allclose(found.mean(0), wanted.mean(0), atol=0.5)
        np.testing.assert_allclose(found.std(0), wanted.std(0), atol=0.5)
    np.testing.assert_allclose(np.cov(found.T), np.cov(wanted.T), atol=6)


def test_baselines_of_restyling_have_their_known_figures():
    source, look = textured(1)[0], preset_image("vintage", 96)
    style = StyleMeasure(ScoringFeatures())
    rows = {
        name: restyle.measure(style, method(source, look), source, look) for name, method in restyle.BASELINES.items()
    }
    unstyled = {"style_distance": 1, "texture_distance": 1, "sobel_correlation": 1, "ssim": 1, "temporal_error": 0}
    assert rows["identity"] == pytest.approx(unstyled | {"static_flicker": rows["identity"]["static_flicker"]})
    assert rows["colour transfer"]["style_distance"] < 1
    assert rows["50 % blend"]["style_distance"] < rows["colour transfer"]["style_distance"]
    assert rows["50 % blend"]["sobel_correlation"] < 0.9 < rows["colour transfer"]["sobel_correlation"]
    assert min(row["style_distance"] for row in rows.values()) == rows[restyle.FLOOR]["style_distance"] < 0.6


def test_sets_of_clips_compare_as_they_should():
    """Half of one distribution against the other half, and what spoils it."""
    real, other = textured(12), textured(12, seed=1)
    seen: list[int] = []

    def make(count: int, seed: int) -> list[np.ndarray]:
        seen.append(seed)
        return other[:count] if seed else real[:count]

    rows = generate.compare({"model": make}, real, ScoringFeatures(), known_clips=real, seeds=(1, 2))
    assert seen == [1, 2]
    model, noise, frozen = rows["model"], rows["pure noise"], rows["real, first frame frozen"]
    assert abs(model["appearance_kernel"]) < noise["appearance_kernel"] / 5
    assert frozen["motion_magnitude"] == 0 and frozen["motion_kernel"] > 5 * abs(model["motion_kernel"])
    assert model["coverage"] > 0.5 > noise["coverage"]
    assert model["motion_magnitude"] == pytest.approx(1, abs=0.3) and model["diversity"] == pytest.approx(1, abs=0.3)
    assert rows["model, deviation"]["appearance_kernel"] == 0
    assert set(rows["model"]) == set(generate.MEASURES)


def test_what_is_real_and_spoilt_is_no_nearer_than_fresh_clips_are():
    """Held against its own originals a shuffled clip would look more real than real ones do."""
    real = textured(24)
    rows = generate.compare({"model": lambda count, seed: real[:count]}, real, ScoringFeatures(), seeds=(0,))
    floor, shuffled = rows[generate.FLOOR], rows["real, frames shuffled"]
    for name in ("appearance_kernel", "appearance_frechet", "precision", "recall", "coverage", "diversity"):
        assert shuffled[name] == pytest.approx(floor[name], rel=1e-3, abs=1e-3)
    assert shuffled["motion_kernel"] > abs(floor["motion_kernel"])


def test_frechet_distances_of_all_rows_are_of_sets_of_one_size():
    """Clips as real as the real ones score as the floor does, not lower for being more."""
    rows = generate.compare({"model": textured}, textured(24, seed=9), ScoringFeatures(), seeds=(1, 2))
    for name in generate.FRECHET:
        assert rows["model"][name] == pytest.approx(rows[generate.FLOOR][name], rel=0.2)


def test_copies_of_training_clips_are_found():
    features = ScoringFeatures()
    real, known = (generate.describe(features, textured(8, seed)) for seed in (0, 1))
    copied = generate.compare_sets(real, known, known)
    assert copied["nearest_known"] == pytest.approx(0, abs=1e-3) == copied["closest_known"]
    assert generate.compare_sets(real, real, known)["nearest_known"] == pytest.approx(1)


def test_restyling_is_reported_with_every_baseline(tmp_path, bundle, clips):
    said = run(tmp_path / "out", "--task", "restyle", "--in", clips, "--model", bundle, "--most-styles", "2")
    assert [row["method"] for row in said["rows"]] == [*restyle.BASELINES, "model"]
    assert said["model"] == "generator/tiny" and said["clips"] == ["square-0", "square-1"]
    assert set(said["rows"][0]) == {"method", *said["measures"]}
    floor = next(row for row in said["rows"] if row["method"] == restyle.STORED_SOURCE)
    assert 0.9 < floor["sobel_correlation"] < 1 and 0 < floor["temporal_error"] < 1


def test_held_out_products_of_a_dataset_are_measured(tmp_path, bundle, storage, monkeypatch):
    made = {f"p{number}": clip for number, clip in enumerate(Clips(12, size=64))}
    monkeypatch.setattr(Dataset, "open", lambda storage, name: Shop(name, made))
    said = run(tmp_path / "out", "--task", "restyle", "--data", "shop", "--model", bundle, "--most-styles", "1")
    assert 1 <= len(said["clips"]) < 12 and set(said["clips"]) < set(made)


def test_of_long_clips_only_what_is_measured_stays_in_memory(tmp_path):
    np.save(tmp_path / "film.npy", np.zeros((50, 32, 32, 3), np.uint8))
    shop = Shop("shop", {f"p{number}": np.zeros((50, 32, 32, 3), np.uint8) for number in range(2)})
    folders, dataset = material_of_folders([tmp_path], {}, 9, tmp_path), material_of_dataset(shop, {}, 9, known=True)
    for clip in (*folders.clips, *folders.known, *dataset.clips, *dataset.known):
        assert len(clip) == 16 and clip.base is None


class Shop:
    """Stands in for a dataset."""

    def __init__(self, name: str, clips: dict[str, np.ndarray]) -> None:
        self.name, self._clips = name, clips

    def clip_products(self) -> list[str]:
        return list(self._clips)

    def clip(self, name: str):
        return type("Clip", (), {"frames_THWC": self._clips[name]})


def test_generation_is_reported_over_three_seeds(tmp_path, bundle, monkeypatch):
    for number, clip in enumerate(textured(12)):
        (tmp_path / "real").mkdir(exist_ok=True)
        np.save(tmp_path / "real" / f"{number}.npy", clip)

    class Maker:
        seeds: list[int] = []

        @classmethod
        def from_bundle(cls, folder, device):
            return cls()

        def make(self, count, seed, *, size, frames):
            assert (size, frames) == (64, 3)
            self.seeds.append(seed)
            return textured(count, seed + 10)

    monkeypatch.setattr(clip_maker, "ClipMaker", Maker)
    said = run(tmp_path / "out", "--task", "generate", "--in", tmp_path / "real", "--model", bundle)
    assert set(Maker.seeds) == {0, 1, 2}
    methods = [row["method"] for row in said["rows"]]
    assert methods == [generate.FLOOR, *generate.SPOILT, "model", "model, deviation"]
    material = Material(clips=textured(12), names=list("abcdefghijkl"), sources=[""] * 12)
    found = evaluate_bundles("generate", {"x": bundle, "y": bundle}, material)
    means = [f"model, {kind} of 2 trainings" for kind in ("mean", "deviation")]
    models = ["model, x", "model, x, deviation", "model, y", "model, y, deviation"]
    assert [row["method"] for row in found.rows] == [generate.FLOOR, *generate.SPOILT, *models, *means]


def test_repairs_are_reported_by_source_and_damage(tmp_path, clips):
    said = run(tmp_path / "out", "--task", "repair", "--in", clips, "--most-clips", "1")
    assert {row["method"] for row in said["rows"]} == {*BASELINES, repair.FLOOR, "repair"}
    assert {"identity", "nearest frame", "telea"} < BASELINES.keys()
    assert {row["source"] for row in said["rows"]} == {"clips", "all"}
    assert said["model"] == "generator-repair/starter" and all(0 < row["psnr"] <= 60 for row in said["rows"])
    psnr = {row["method"]: row["psnr"] for row in said["rows"] if row["source"] == row["damage"] == "all"}
    assert psnr["identity"] < 15 < psnr["nearest frame"] < psnr["repair"]


def test_every_measure_of_repair_and_enhancement_has_its_floor_in_the_table():
    """The clean clip as stored, beside itself: nearly perfect, but not by definition."""
    material = Material(clips=textured(1), names=["drift"], sources=["s"])
    for task, floor in (("repair", repair.FLOOR), ("enhance", enhance.FLOOR)):
        found = evaluate_bundles(task, {"starter": starter_bundle(task)}, material)
        rows = [row for row in found.rows if row["method"] == floor]
        assert rows and all("floor: " in text for text in found.measures.values())
        for row in rows:
            assert all(np.isfinite(row[name]) for name in found.measures)
            assert 30 < row["psnr"] < 60 and 0.9 < row["ssim"] < 1
    assert row["sharpness"] == pytest.approx(1, abs=0.1) and 0 < row["perceptual_share"] < 0.5


def test_the_floor_is_what_the_clips_command_stores():
    clip = Clips(1, size=33)[0]
    assert stored(clip).shape == clip.shape and 0 < np.abs(stored(clip).astype(int) - clip).mean() < 3
    flat = np.full((2, 64, 64, 3), 255, np.uint8)
    assert enhance.measure(stored(flat), flat)["psnr"] == 60, "one clip matched exactly leaves a mean a number"


@pytest.fixture(scope="module")
def trainings(tmp_path_factory) -> list[Path]:
    """Three of one task that differ in their seed alone; two folders have one name."""
    folders = [tmp_path_factory.mktemp(f"seed-{seed}") / ("last" if seed else "first") for seed in range(3)]
    for seed, folder in enumerate(folders):
        torch.manual_seed(seed)
        network = EnhanceNetwork(TINY_ENHANCE.network)
        with torch.no_grad():
            for weights in network.parameters():
                weights += 0.02 * torch.randn_like(weights)
        enhancer.save_bundle(network, TINY_ENHANCE.network, folder, {})
    return folders


def test_several_trainings_have_a_row_each_their_mean_and_their_deviation(tmp_path, trainings):
    np.save(tmp_path / "drift.npy", textured(1)[0])
    several = [word for folder in trainings for word in ("--model", folder)]
    said = run(tmp_path / "all", "--task", "enhance", "--in", tmp_path, *several)
    names = ["generator-enhance/first", *(f"{folder.parent.name}/last" for folder in trainings[1:])]
    assert said["models"] == names and "model" not in said
    rows = {row["method"]: row for row in said["rows"]}
    own = [[f"{mode}, {of}" for of in (*names, "mean of 3 trainings", "deviation of 3 trainings")] for mode in MODES]
    assert list(rows) == [*enhance.BASELINES, enhance.FLOOR, *own[0], *own[1]]
    for mode in MODES:
        values = [rows[f"{mode}, {name}"]["psnr"] for name in names]
        assert rows[f"{mode}, mean of 3 trainings"]["psnr"] == pytest.approx(np.mean(values))
        assert rows[f"{mode}, deviation of 3 trainings"]["psnr"] == pytest.approx(statistics.stdev(values))
        assert len(set(values)) == 3
    alone = run(tmp_path / "one", "--task", "enhance", "--in", tmp_path, "--model", trainings[1])
    for row in alone["rows"]:
        named = row["method"] if row["method"] in rows else f"{row['method']}, {names[1]}"
        assert row == rows[named] | {"method": row["method"]}


def test_one_training_named_twice_is_refused(tmp_path, trainings, clips):
    copy = shutil.copytree(trainings[0], tmp_path / "copy")
    with pytest.raises(InputError, match="first and .*copy have the same weights; name trainings with different seeds"):
        run(tmp_path / "out", "--task", "enhance", "--in", clips, "--model", trainings[0], "--model", copy)


def test_means_over_trainings_are_of_one_source_and_damage():
    rows = [
        {"source": source, "damage": "hole", "method": method, "clips": 2, "psnr": psnr, "flicker": float("nan")}
        for source, psnrs in (("a", (1.0, 20.0, 22.0)), ("b", (2.0, 30.0, 36.0)))
        for method, psnr in zip(("telea", "repair, x", "repair, y"), psnrs, strict=True)
    ]
    found = with_means(rows, ("repair",), ("x", "y"), ("psnr", "flicker"))
    assert [row["psnr"] for row in found] == pytest.approx([1, 20, 22, 21, 2**0.5, 2, 30, 36, 33, 3 * 2**0.5])
    assert found[3]["method"] == "repair, mean of 2 trainings" and found[3]["source"] == "a" and found[3]["clips"] == 2
    assert np.isnan(found[3]["flicker"])


def test_a_repairer_is_read_once_and_onto_the_device_asked_for(tmp_path, clips, monkeypatch):
    read, asked = Repairer.from_bundle.__func__, []

    def from_bundle(cls, folder, device="cpu"):
        asked.append(device)
        return read(cls, folder)

    monkeypatch.setattr(Repairer, "from_bundle", classmethod(from_bundle))
    names = [path.stem for path in sorted(clips.iterdir())]
    material = Material(clips=[np.load(clips / f"{name}.npy")[:3] for name in names], names=names, sources=names)
    evaluate_bundles("repair", {"starter": starter_bundle("repair")}, material, device="cuda")
    assert asked == ["cuda"]


def test_a_file_in_the_place_of_the_folder_is_refused_before_anything_is_measured(tmp_path):
    (tmp_path / "report").write_text("")
    with pytest.raises(InputError, match="--out .*report is a file; name a folder"):
        run(tmp_path / "report", "--task", "repair", "--in", tmp_path / "nowhere")


def test_a_table_too_wide_for_the_terminal_goes_on_below_with_every_number_whole():
    measures = dict.fromkeys(generate.MEASURES, "")
    rows = [{"method": "real, first frame frozen"} | dict.fromkeys(measures, 1234.5)]
    sheet = Image.new("RGB", (1, 1))
    found = Evaluation(task="generate", models=["m"], clips=["a"], measures=measures, rows=rows, sheet=sheet)
    console = Console(width=80, file=io.StringIO())
    for table in _tables(found, console.width):
        console.print(table)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80 and "…" not in text
    assert text.count("1234.500") == len(measures) and text.count("real, first frame frozen") > 1
    assert len(_tables(found, 300)) == 1


def test_a_models_long_name_is_folded_and_leaves_every_number_whole():
    name = "a-long-name-of-a-run-that-somebody-gave-it/2026-11-30-with-all-settings/bundle"
    rows = [{"source": "turntables", "damage": "scratches", "method": f"repair, {name}", "psnr": 1234.5, "ssim": 0.75}]
    sheet = Image.new("RGB", (1, 1))
    found = Evaluation(task="repair", models=[name, "b"], clips=["a"], measures={}, rows=rows, sheet=sheet)
    console = Console(width=80, file=io.StringIO())
    for table in _tables(found, console.width):
        console.print(table)
    text = console.file.getvalue()
    assert "…" not in text and "2 trainings" in text
    assert all(whole in text for whole in ("turntables", "scratches", "1234.500", "0.750"))


def test_what_a_task_does_not_use_is_refused_and_a_clip_too_small_is_named(tmp_path, bundle, clips):
    for task, option in (("repair", "--styles"), ("enhance", "--known")):
        with pytest.raises(InputError, match=f"{option}.*{task}"):
            run(tmp_path / "out", "--task", task, "--in", clips, option, clips)
    np.save(clips / "thumb.npy", Clips(1, size=24)[0])
    with pytest.raises(InputError, match="sides of 32 pixels and more; leave out thumb"):
        run(tmp_path / "out", "--task", "restyle", "--in", clips, "--model", bundle)


def test_what_cannot_be_measured_is_refused(tmp_path, bundle, clips):
    with pytest.raises(InputError, match="either --data"):
        run(tmp_path / "out", "--task", "restyle", "--model", bundle)
    with pytest.raises(InputError, match="task 'dance'"):
        run(tmp_path / "out", "--task", "dance", "--in", clips)
    with pytest.raises(InputError, match="clips of one frame"):
        Material(clips=[np.zeros((1, 64, 64, 3), np.uint8)], names=["still"], sources=["x"])
