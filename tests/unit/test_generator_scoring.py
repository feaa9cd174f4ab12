import numpy as np
import pytest
from PIL import Image, ImageFilter

from cluster.errors import InputError
from tests.media import textured_photo
from trainables.data.camera import CameraOptions, photo_clip
from trainables.generator.restyle.presets import preset_image
from trainables.generator.scoring import features as scoring_features
from trainables.generator.scoring.features import APPEARANCE_DIM, ScoringFeatures
from trainables.generator.scoring.perceptual import perceptual_distance
from trainables.generator.scoring.style import StyleMeasure, colour_free, fitted


@pytest.fixture(scope="module")
def features() -> ScoringFeatures:
    return ScoringFeatures()


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    return photo_clip(np.asarray(textured_photo()), "seed", CameraOptions(num_frames=4, size=64))[0]


@pytest.fixture(scope="module")
def style() -> np.ndarray:
    return preset_image("vintage", 128)


def test_no_number_depends_on_the_batch(features, clip, monkeypatch):
    together = features.of_clips([clip])
    monkeypatch.setattr(scoring_features, "BATCH_PIXELS", 64 * 64)
    for value, alone in zip(together, features.of_clips([clip]), strict=True):
        assert value.shape == (1, APPEARANCE_DIM)
        np.testing.assert_allclose(value, alone, atol=2e-4)


def test_a_frozen_clip_has_no_motion_and_a_shuffled_one_has_the_same_appearance(features, clip):
    appearance, motion = features.of_clips([clip, clip[:1].repeat(4, 0), clip[[0, 3, 1, 2]]])
    assert motion[1].max() < 1e-4 * motion[0].max()
    np.testing.assert_allclose(appearance[0], appearance[2], atol=1e-4)
    assert np.abs(motion[2] - motion[0]).mean() > 0.05 * motion[0].mean()


def test_frames_that_cannot_be_scored_are_refused(features, clip):
    with pytest.raises(InputError, match="32 × 32"):
        features.maps(clip[:, :16])
    with pytest.raises(InputError, match="64 × 64"):
        features.appearance(clip[:, :63])
    with pytest.raises(InputError, match="2 frames"):
        features.of_clips([clip[:1]])


def test_style_distance_is_one_for_the_source_and_zero_for_the_picture_itself(features, clip, style):
    measure = StyleMeasure(features)
    painting = fitted(style, (64, 64)).repeat(4, 0)
    for distance in (measure.distance, measure.texture_distance):
        assert distance(clip, clip, style) == 1
        assert distance(painting, clip, style) == pytest.approx(0, abs=1e-4)


def test_a_colour_transfer_moves_the_style_distance_but_not_the_texture_part(features, clip, style):
    measure = StyleMeasure(features)
    mean, deviation = clip.mean((0, 1, 2)), clip.std((0, 1, 2))
    recoloured = (clip - mean) / deviation * style.std((0, 1)) + style.mean((0, 1))
    recoloured = recoloured.clip(0, 255).round().astype(np.uint8)
    assert measure.distance(recoloured, clip, style) < 0.95
    assert measure.texture_distance(recoloured, clip, style) > 0.93
    darker = (clip * 0.6 + 10).round().astype(np.uint8)
    assert measure.texture_distance(darker, clip, style) == pytest.approx(1, abs=0.03)


def test_colour_free_frames_share_mean_and_contrast(clip):
    first, second = colour_free(clip), colour_free((clip * 0.5 + 60).astype(np.uint8))
    assert first.mean() == pytest.approx(128, abs=1) and first.std() == pytest.approx(48, abs=2)
    assert np.abs(first.astype(int) - second).mean() < 1.5


def test_perceptual_distance_grows_with_blur_and_is_symmetric(features, clip):
    def blurred(radius: float) -> np.ndarray:
        return np.stack([np.asarray(Image.fromarray(frame).filter(ImageFilter.GaussianBlur(radius))) for frame in clip])

    assert perceptual_distance(features, clip, clip) == 0
    near, far = (perceptual_distance(features, clip, blurred(radius)) for radius in (1, 4))
    assert 0 < near < far < 2 * len(scoring_features.TAPS)
    assert perceptual_distance(features, blurred(4), clip) == pytest.approx(far, rel=1e-5)
