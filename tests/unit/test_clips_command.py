"""`shopreel clips`: folders of files through the tasks, with tiny or stand-in models."""

import json
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from cluster.cli import clips
from cluster.errors import InputError, NotFoundError
from tests.generator_tiny import TINY, Clips
from tests.media import photo_bytes, textured_photo
from trainables.data.video import decode_whole, encode_mp4
from trainables.generator.batch.files import read_clip, write_clip
from trainables.generator.batch.models import choose_device, choose_model
from trainables.generator.batch.plans import plan_enhance, plan_generate, plan_repair
from trainables.generator.batch.work import run_jobs
from trainables.generator.provenance import Provenance, read_provenance
from trainables.generator.restyle.network import RestyleNetwork
from trainables.generator.restyle.restyler import Restyler, save_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_bundle(RestyleNetwork(TINY.network), TINY.network, folder, {})
    return folder


@pytest.fixture
def shop(tmp_path) -> Path:
    """Two arrays and a film as inputs, two pictures as looks, and four pairs."""
    (tmp_path / "in").mkdir()
    (tmp_path / "looks").mkdir()
    for name, clip in zip(("mug", "odd.name"), Clips(2), strict=True):
        np.save(tmp_path / "in" / f"{name}.npy", clip)
    (tmp_path / "in" / "film.mp4").write_bytes(encode_mp4(Clips(3, size=64, frames=7)[2], 10))
    (tmp_path / "looks" / "dots.png").write_bytes(photo_bytes(textured_photo(), "PNG"))
    (tmp_path / "looks" / "lines.webp").write_bytes(photo_bytes(textured_photo(seed=1), "WEBP"))
    (tmp_path / "pairs.csv").write_text("clip,style\nmug,dots\nmug,lines\nodd.name,dots\nfilm,lines\n")
    return tmp_path


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(clips.app, [str(argument) for argument in arguments])


def restyle(shop: Path, bundle: Path, *more: str) -> Result:
    folders = ("--in", shop / "in", "--pairs", shop / "pairs.csv", "--styles", shop / "looks", "--out", shop / "out")
    return call("restyle", *folders, "--model", bundle, "--device", "cpu", *more)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_restyle_writes_a_file_a_pair_in_the_form_size_and_length_of_its_clip(shop, bundle):
    assert restyle(shop, bundle).exit_code == 0
    assert names(shop / "out") == ["film__lines.mp4", "mug__dots.npy", "mug__lines.npy", "odd.name__dots.npy"]
    restyled, source = np.load(shop / "out" / "mug__dots.npy"), np.load(shop / "in" / "mug.npy")
    assert restyled.shape == source.shape and restyled.dtype == np.uint8
    assert not np.array_equal(restyled, np.load(shop / "out" / "mug__lines.npy"))
    film = read_clip(shop / "out" / "film__lines.mp4")
    assert film.frames_THWC.shape == (7, 64, 64, 3) and film.fps == 10
    said = read_provenance(shop / "out" / "film__lines.mp4")
    assert (said.task, said.model, said.product, said.look) == ("restyle", "generator/tiny", "film", "lines")


def test_a_banner_is_restyled_and_checked_too(shop, bundle):
    """Eight times as wide as high, or more."""
    np.save(shop / "in" / "mug.npy", np.ascontiguousarray(Clips(1, size=160)[0][:2, :16]))
    (shop / "pairs.csv").write_text("clip,style\nmug,dots\n")
    assert restyle(shop, bundle).exit_code == 0
    assert np.load(shop / "out" / "mug__dots.npy").shape == (2, 16, 160, 3)


def test_no_strength_gives_the_clip_itself(shop, bundle):
    assert restyle(shop, bundle, "--strength", "0", "--format", "npy").exit_code == 0
    assert np.array_equal(np.load(shop / "out" / "mug__dots.npy"), np.load(shop / "in" / "mug.npy"))
    assert np.array_equal(np.load(shop / "out" / "film__lines.npy"), decode_whole(shop / "in" / "film.mp4")[0])


def test_a_preset_stands_in_for_a_picture_of_that_name(shop, bundle):
    (shop / "pairs.csv").write_text("clip,style\nmug,neon\n")
    assert restyle(shop, bundle).exit_code == 0
    assert names(shop / "out") == ["mug__neon.npy"]


def test_what_is_whole_is_left_and_what_is_cut_off_is_made_again(shop, bundle):
    restyle(shop, bundle)
    kept, cut, film = (shop / "out" / name for name in ("mug__dots.npy", "mug__lines.npy", "film__lines.mp4"))
    np.save(kept, np.zeros((8, 48, 48, 3), np.uint8))
    wanted, wanted_film = cut.read_bytes(), film.read_bytes()
    cut.write_bytes(wanted[: len(wanted) // 2])
    film.write_bytes(wanted_film[: len(wanted_film) // 2])
    again = restyle(shop, bundle)
    assert again.exit_code == 0 and "2 made, 2 already there" in again.output
    assert not np.load(kept).any() and cut.read_bytes() == wanted and decode_whole(film)[0].shape == (7, 64, 64, 3)
    restyle(shop, bundle, "--overwrite")
    assert np.load(kept).any()


def test_bad_files_are_named_and_the_others_are_done(shop, bundle):
    np.save(shop / "in" / "float.npy", np.zeros((4, 32, 32, 3)))
    (shop / "in" / "cut.mp4").write_bytes((shop / "in" / "film.mp4").read_bytes()[:900])
    (shop / "in" / "text.npy").write_text("no array")
    np.save(shop / "in" / "objects.npy", np.array([{}]), allow_pickle=True)
    np.savez(shop / "in" / "archive", frames=Clips(1)[0])
    (shop / "in" / "archive.npz").rename(shop / "in" / "archive.npy")
    (shop / "in" / "header.npy").write_bytes((shop / "in" / "mug.npy").read_bytes().replace(b"}", b"(", 1))
    (shop / "looks" / "broken.png").write_bytes(b"")
    bad = (
        "float,dots",
        "cut,dots",
        "text,dots",
        "objects,dots",
        "archive,dots",
        "header,dots",
        "nowhere,dots",
        "mug,nothing",
        "mug,broken",
        "mug,../x",
    )
    (shop / "pairs.csv").write_text("clip,style\n" + "\n".join((*bad, "mug,dots")) + "\n")
    result = restyle(shop, bundle)
    assert isinstance(result.exception, InputError) and "10 of 11 clips failed" in str(result.exception)
    assert names(shop / "out") == ["mug__dots.npy"]
    for name in ("float.npy must be uint8", "cut.mp4", "objects.npy", "'nowhere'"):
        assert name in result.output
    for name in ("text.npy", "archive.npy", "header.npy"):
        assert f"{name} is no NumPy array" in result.output
    for name in ("'nothing'", "broken.png is empty", "'../x'"):
        assert name in result.output


def test_a_name_with_an_accent_is_found_however_it_is_spelled(shop, bundle):
    one, two = (unicodedata.normalize(form, "décor") for form in ("NFC", "NFD"))
    np.save(shop / "in" / f"{two}.npy", Clips(1)[0])
    (shop / "pairs.csv").write_text(f"clip,style\n{one},dots\n")
    assert restyle(shop, bundle).exit_code == 0
    assert names(shop / "out") == [f"{one}__dots.npy"]
    plan, _ = plan_repair(None, "generator-repair/1", shop / "in", None, shop / "mended")
    assert shop / "mended" / f"{two}.npy" in [job.out for job in plan], "a result is called as its clip is"


def test_two_pairs_of_one_name_do_not_take_each_others_place(shop, bundle):
    np.save(shop / "in" / "mug__dots.npy", Clips(1)[0])
    (shop / "looks" / "dots__lines.png").write_bytes(photo_bytes(textured_photo(), "PNG"))
    (shop / "pairs.csv").write_text("clip,style\nmug__dots,lines\nmug,dots__lines\n")
    result = restyle(shop, bundle)
    assert isinstance(result.exception, InputError) and "1 of 2 clips failed" in str(result.exception)
    assert "mug,dots__lines and mug__dots,lines give one name" in result.output


def test_a_name_with_two_files_is_ambiguous(shop, bundle):
    np.save(shop / "in" / "film.npy", Clips(1)[0])
    result = restyle(shop, bundle)
    assert "film.mp4, film.npy" in result.output and len(names(shop / "out")) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("product,look\na,b\n", "no column clip, style"),
        ("clip;style\na;b\n", "clip, style"),
        ("clip,style\n", "has no rows"),
    ],
)
def test_a_table_without_its_columns_or_rows_is_refused(shop, bundle, text, message):
    (shop / "pairs.csv").write_text(text)
    assert message in str(restyle(shop, bundle).exception)


def test_the_folder_of_inputs_is_never_written_into(shop, bundle):
    folders = ("--in", shop / "in", "--pairs", shop / "pairs.csv", "--styles", shop / "looks", "--out", shop / "in")
    result = call("restyle", *folders, "--model", bundle)
    assert isinstance(result.exception, InputError) and "folder of the inputs" in str(result.exception)


def test_a_file_in_the_place_of_the_results_is_told_before_anything_is_made(shop, bundle):
    (shop / "out").write_text("mine")
    assert "out is" in str(restyle(shop, bundle).exception)
    with pytest.raises(InputError, match="out, a file; name a folder"):
        plan_repair(Darker(), "generator-repair/1", shop / "in", None, shop / "out")
    maker = Numbers()
    with pytest.raises(InputError, match="out, a file; name a folder"):
        generating(maker, shop / "out", 2)
    assert maker.made == []


def test_options_that_do_not_exist_are_refused(shop, bundle):
    assert "mp4 or npy" in str(restyle(shop, bundle, "--format", "gif").exception)
    with pytest.raises(InputError, match="auto, cpu or cuda"):
        choose_device("tpu")
    with pytest.raises(InputError, match="none of starter"):
        choose_model("repair", "recommender@champion")


def test_generator_stands_for_the_registered_model_of_the_task(settings):
    for reference in ("generator@champion", "generator-repair/3"):
        with pytest.raises(NotFoundError, match="no model 'generator-repair' is registered"):
            choose_model("repair", reference)


def test_results_not_fit_to_be_shown_are_named_and_kept(shop, bundle):
    black = Image.new("RGB", (64, 64))
    (shop / "looks" / "dots.png").write_bytes(photo_bytes(black, "PNG"))
    result = restyle(shop, bundle)
    assert result.exit_code == 0 and "mug__dots is not fit to be shown" in result.output
    assert "mug__dots.npy" in names(shop / "out")
    assert "not fit" not in restyle(shop, bundle, "--overwrite", "--no-check").output


class Darker:
    """Stands in for a repairer: what the mask names turns black."""

    def repair(self, frames_THWC: np.ndarray, mask_THW: np.ndarray | None) -> np.ndarray:
        mask_THW = np.ones(frames_THWC.shape[:3], bool) if mask_THW is None else mask_THW
        return np.where(mask_THW[..., None], 0, frames_THWC).astype(np.uint8)


def test_repair_takes_masks_by_name_and_names_those_that_do_not_fit(shop):
    (shop / "masks").mkdir()
    mask = np.zeros((8, 48, 48), np.uint8)
    mask[2, 10:20] = 255
    np.save(shop / "masks" / "mug.npy", mask)
    np.save(shop / "masks" / "odd.name.npy", mask[:3])
    outcome = run_jobs(
        *plan_repair(Darker(), "generator-repair/1", shop / "in", shop / "masks", shop / "out"), overwrite=False
    )
    assert outcome.made == ["mug"]
    reasons = dict(outcome.failed)
    assert "needs (8, 48, 48)" in reasons["odd.name"] and "film.npy cannot be read" in reasons["film"]
    mended, source = np.load(shop / "out" / "mug.npy"), np.load(shop / "in" / "mug.npy")
    assert np.array_equal(mended[mask == 0], source[mask == 0]) and not mended[mask > 0].any()


def test_repair_without_masks_hands_over_none(shop):
    outcome = run_jobs(*plan_repair(Darker(), "generator-repair/1", shop / "in", None, shop / "out"), overwrite=False)
    assert len(outcome.made) == 3 and not np.load(shop / "out" / "mug.npy").any()


class Doubler:
    """Stands in for an enhancer."""

    def enhance(self, frames_THWC, scale, mode, *, brightness, contrast):
        return frames_THWC.repeat(scale, 1).repeat(scale, 2)


def test_enhance_keeps_length_and_doubles_the_size_also_of_odd_films(shop):
    write_clip(shop / "in" / "odd.mp4", Clips(1, size=33, frames=3)[0], 25, Provenance(task="original"))
    plan = plan_enhance(Doubler(), "generator-enhance/1", shop / "in", shop / "out", scale=2)
    assert len(run_jobs(*plan, overwrite=False).made) == 4
    assert np.load(shop / "out" / "mug.npy").shape == (8, 96, 96, 3)
    doubled = read_clip(shop / "out" / "odd.mp4")
    assert doubled.frames_THWC.shape == (3, 66, 66, 3) and doubled.fps == 25
    plan = plan_enhance(Doubler(), "generator-enhance/1", shop / "in", shop / "same", scale=1)
    run_jobs(*plan, overwrite=False)
    assert read_clip(shop / "same" / "odd.mp4").frames_THWC.shape == (3, 33, 33, 3)
    assert read_provenance(shop / "same" / "odd.mp4").task == "enhance"


def test_light_that_no_clip_can_be_given_is_said_once(shop):
    with pytest.raises(InputError, match="brightness is 2"):
        plan_enhance(Doubler(), "generator-enhance/1", shop / "in", shop / "out", brightness=2.0)


class Numbers:
    """Stands in for a clip maker: clip n is grey level seed + n. It makes no mugs, and is interrupted at clip 3."""

    def __init__(self) -> None:
        self.made = []

    def make(self, count, seed, *, kind, text, size, frames, first=0):
        if kind == "mug":
            raise InputError("kind 'mug' is none of lamp")
        if first == 3:
            raise KeyboardInterrupt
        self.made += range(first, first + count)
        return [np.full((frames, size, size, 3), seed + number, np.uint8) for number in range(first, first + count)]


def generating(maker: Numbers, out: Path, count: int, kind: str | None = None):
    return plan_generate(
        maker, "generator-generate/1", out, count=count, seed=7, kind=kind, size=64, frames=4, format="npy"
    )


def test_generate_names_clips_by_seed_and_number_and_goes_on_where_it_stopped(tmp_path):
    maker = Numbers()
    run_jobs(*generating(maker, tmp_path, 2), overwrite=False)
    outcome = run_jobs(*generating(maker, tmp_path, 3), overwrite=False)
    assert outcome.skipped == ["clip-7-0000", "clip-7-0001"] and outcome.made == ["clip-7-0002"]
    assert np.load(tmp_path / "clip-7-0002.npy").tolist() == np.full((4, 64, 64, 3), 9).tolist()
    assert maker.made == [0, 1, 2]


def test_what_was_generated_before_an_interruption_is_kept(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run_jobs(*generating(Numbers(), tmp_path, 5), overwrite=False)
    assert names(tmp_path) == [f"clip-7-000{number}.npy" for number in range(3)]


def test_a_kind_that_cannot_be_made_is_said_once(tmp_path):
    with pytest.raises(InputError, match="'mug' is none of lamp"):
        generating(Numbers(), tmp_path, 5, kind="mug")


def test_a_film_is_read_whole_at_its_own_size_and_rate(tmp_path):
    frames = np.stack([np.full((38, 50, 3), level, np.uint8) for level in range(0, 250, 10)])
    path = tmp_path / "film.mp4"
    path.write_bytes(encode_mp4(frames, 30000 / 1001, crf=5))
    film = read_clip(path)
    assert film.frames_THWC.shape == frames.shape and film.fps == pytest.approx(30000 / 1001)
    assert np.abs(film.frames_THWC.astype(int) - frames).max() <= 3


def test_restyling_from_a_bundle_starts_neither_ray_nor_mlflow(shop, bundle):
    folders = ("--in", shop / "in", "--pairs", shop / "pairs.csv", "--styles", shop / "looks", "--out", shop / "out")
    arguments = ["restyle", *map(str, folders), "--model", str(bundle)]
    code = (
        "import json, sys; from cluster.cli.clips import app; "
        f"app({arguments!r}, standalone_mode=False); "
        "print(json.dumps([name for name in ('ray', 'mlflow', 'fastapi') if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_the_restyler_of_a_bundle_is_what_the_command_runs(shop, bundle):
    from trainables.data.photos import read_photo
    from trainables.data.style_code import style_code

    restyle(shop, bundle)
    look = style_code(read_photo((shop / "looks" / "dots.png").read_bytes(), "dots").rgb_HWC)
    alone = Restyler.from_bundle(bundle).restyle([np.load(shop / "in" / "mug.npy")], look[None])[0]
    assert np.array_equal(np.load(shop / "out" / "mug__dots.npy"), alone)
