"""Where a clip is damaged, found without a mask: missing, frozen and corrupted frames, static logo boxes, scratches.

Every test is against the clip's own motion, so that a clip at rest, a flat backdrop or a turning product is no damage.
Dims: T frames, H height, W width, C = 3 channels.
"""

from __future__ import annotations

import numpy as np

from trainables.generator.repair.detect_boxes import logo_boxes
from trainables.generator.repair.detect_frames import corrupted_frames, frozen_frames, missing_frames
from trainables.generator.repair.detect_lines import scratches
from trainables.generator.repair.motion import luma


def detect_damage(frames_THWC: np.ndarray) -> np.ndarray:
    """bool (T, H, W), true where a clip uint8 (T, H, W, 3) is damaged. Sound clips come back all false but for rare
    alarms; damage that moves with the product, or overlays that let it through, are not found.
    """
    luma_THW = np.stack([luma(frame) for frame in frames_THWC])
    mask = np.zeros(luma_THW.shape, bool)
    lost = missing_frames(luma_THW)
    lost |= frozen_frames(luma_THW, lost)
    lost |= corrupted_frames(luma_THW, lost)
    if lost.all():
        return mask
    sound = np.flatnonzero(~lost)
    mask[sound] |= logo_boxes(luma_THW[sound])
    mask[sound] |= scratches(frames_THWC[sound], mask[sound])
    mask[lost] = True
    return mask
