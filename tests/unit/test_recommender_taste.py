import numpy as np
import pytest

from tests.recommender_log import DAY_MS, PRESETS, START_MS, preset_codes
from trainables.data.style_code import CODE_DIM
from trainables.recommender.history import HistoryEvent
from trainables.recommender.taste import Looks, aesthetic_vector, effective_count, look_for, viewer_look

CODES = preset_codes()
RNG = np.random.default_rng(11)
CATALOGUE = {f"p{i}": RNG.normal(0, 0.6, CODE_DIM).astype(np.float32) for i in range(60)}


def watched(product: str, style: str | None = None, share: float = 1.0, at_ms: int = START_MS, kind: str = "watch"):
    return HistoryEvent(product, kind, at_ms, 10 * share, 10.0, style)


def looks_of_presets() -> Looks:
    codes = np.stack(list(CODES.values()))
    return Looks(CODES, codes.mean(0), np.cov(codes.T, bias=True))


def looks_of_catalogue() -> Looks:
    codes = np.stack(list(CATALOGUE.values()))
    return Looks(CODES, codes.mean(0), np.cov(codes.T, bias=True))


def vector(history, now_ms=START_MS, half_life=30.0):
    return aesthetic_vector(history, CATALOGUE, CODES, now_ms, half_life)


def test_it_is_the_mean_code_of_what_was_finished():
    history = [watched("p0"), watched("p1"), watched("p2", share=0.3)]
    np.testing.assert_allclose(vector(history), (CATALOGUE["p0"] + CATALOGUE["p1"]) / 2, rtol=1e-5)


def test_an_event_in_a_named_look_counts_with_the_preset_s_code():
    np.testing.assert_allclose(vector([watched("p0", "neon")]), CODES["neon"], rtol=1e-6)


def test_likes_and_purchases_count_clicks_and_impressions_do_not():
    for kind in ("like", "purchase"):
        np.testing.assert_allclose(vector([watched("p3", kind=kind)]), CATALOGUE["p3"], rtol=1e-6)
    assert vector([watched("p3", kind="click"), watched("p4", kind="impression")]) is None


def test_older_watches_fade_by_the_half_life():
    history = [watched("p0", at_ms=START_MS - 30 * DAY_MS), watched("p1")]
    np.testing.assert_allclose(vector(history), (CATALOGUE["p0"] + 2 * CATALOGUE["p1"]) / 3, rtol=1e-5)


def test_a_viewer_who_comes_back_after_a_century_still_has_a_taste():
    now = START_MS + 36_500 * DAY_MS
    np.testing.assert_allclose(vector([watched("p0")], now, 1.0), CATALOGUE["p0"], rtol=1e-6)


@pytest.mark.parametrize("years", [45, 88])
def test_a_viewer_who_finished_nothing_for_decades_still_has_a_look(years):
    """What they finished has faded to 1e-165 and less, beside a watch of today that they broke off."""
    long_ago = START_MS - years * 365 * DAY_MS
    history = [watched("p0", "ink", at_ms=long_ago), watched("p1", "ink", at_ms=long_ago), watched("p2", share=0.1)]
    np.testing.assert_allclose(vector(history), CODES["ink"], rtol=1e-6)
    look = viewer_look(history, CATALOGUE, looks_of_presets(), START_MS, 30.0)
    assert np.isfinite(look.code).all()
    assert look.nearest == "ink"


def test_nothing_known_gives_no_vector_and_the_default_look():
    assert vector([]) is None
    assert vector([watched("unknown product")]) is None
    look = look_for(None, looks_of_presets())
    assert (look.nearest, look.weights) == ("minimal", {"minimal": 1.0})
    np.testing.assert_array_equal(look.code, CODES["minimal"])


@pytest.mark.parametrize("preset", PRESETS)
def test_a_viewer_of_one_look_gets_mostly_that_look(preset):
    """Half of what they finish is in their look, the rest in any: the plain mean alone would be a mush of six."""
    rng = np.random.default_rng(PRESETS.index(preset))
    history = [watched("p0", preset if rng.random() < 0.5 else PRESETS[rng.integers(6)]) for _ in range(20)]
    look = viewer_look(history, CATALOGUE, looks_of_presets(), START_MS, 30)
    assert look.nearest == preset
    assert look.weights[preset] > 0.8
    assert sum(look.weights.values()) == pytest.approx(1)


def test_one_finished_watch_is_enough_to_lean():
    look = viewer_look([watched("p0", "ink")], CATALOGUE, looks_of_presets(), START_MS, 30)
    assert look.nearest == "ink"
    assert look.weights["ink"] > 0.6


def test_looks_differ_between_viewers_of_a_log_without_looks():
    rng = np.random.default_rng(5)
    names = list(CATALOGUE)
    looks = looks_of_catalogue()
    found = []
    for _ in range(120):
        history = [watched(names[i]) for i in rng.choice(len(names), 15)]
        found.append(viewer_look(history, CATALOGUE, looks, START_MS, 30))
    count = {preset: sum(look.nearest == preset for look in found) for preset in PRESETS}
    assert min(count.values()) >= 120 * 0.05, count
    codes = np.stack([look.code for look in found])
    presets = np.stack(list(CODES.values()))
    assert codes.std(0).mean() > 0.5 * presets.std(0).mean()


def test_more_evidence_makes_the_look_more_decided():
    looks = looks_of_catalogue()
    aesthetic = looks.mean + 0.02 * (CODES["sport"] - np.mean(list(CODES.values()), 0))
    weights = [look_for(aesthetic, looks, count).weights.get("sport", 0) for count in (1, 10, 100)]
    assert weights == sorted(weights)
    assert weights[-1] > weights[0]


def test_a_log_of_one_single_code_still_gives_a_look():
    code = CATALOGUE["p0"]
    looks = Looks(CODES, code, np.zeros((CODE_DIM, CODE_DIM), np.float32))
    look = look_for(code, looks, 5.0)
    assert np.isfinite(look.code).all()
    assert sum(look.weights.values()) == pytest.approx(1)


def test_the_effective_count_of_equal_weights_is_their_number():
    assert effective_count(np.ones(7)) == pytest.approx(7)
    assert effective_count(np.array([1.0, 1e-9])) == pytest.approx(1)
    assert effective_count(np.full(7, 1e-200)) == pytest.approx(7)
    assert effective_count(np.zeros(0)) == 0.0


def test_what_is_shown_most_is_not_taken_for_a_taste():
    """Eight of ten clips came in neon and were mostly skipped; both in ink were finished."""
    history = [watched("p0", "neon", share=1.0 if i < 3 else 0.1) for i in range(16)]
    history += [watched("p0", "ink")] * 3
    assert viewer_look(history, CATALOGUE, looks_of_presets(), START_MS, 30).nearest == "ink"


def test_a_clip_watched_through_three_times_counts_three_times():
    history = [watched("p0", "neon", share=3.0), watched("p1", "ink")]
    np.testing.assert_allclose(vector(history), (3 * CODES["neon"] + CODES["ink"]) / 4, rtol=1e-5)
    endless = [watched("p0", "neon", share=500.0), watched("p1", "ink")]
    np.testing.assert_allclose(vector(endless), vector(history), rtol=1e-5)
