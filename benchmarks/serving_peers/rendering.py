"""What every server does with a request: a clip restyled by the starter network, eager, checked, encoded.

Dims: T frames, H height, W width.
"""

from __future__ import annotations

from typing import Any

import numpy as np

FRAMES, SIDE, FPS = 8, 128, 12.0


class Rendering:
    """One product's clip in a preset, as strongly as asked: the work of the product's generator replica."""

    def __init__(self) -> None:
        import torch

        from trainables.data.sample import shop
        from trainables.data.video import DecodeOptions, decode_clip
        from trainables.generator.restyle.presets import preset_codes
        from trainables.generator.restyle.restyler import Restyler
        from trainables.generator.starter import starter_bundle
        from trainables.generator.usability.gate import UsabilityGate

        torch.set_num_threads(1)
        options = DecodeOptions(num_frames=FRAMES, size=SIDE, fps=FPS, span="whole", max_dead_seconds=0)
        self._clips = {
            product["product_id"]: decode_clip(shop.clip_path(product["product_id"]), options).frames_THWC
            for product in shop.products()[:4]
        }
        self._codes = preset_codes()
        self._restyler, self._gate = Restyler.from_bundle(starter_bundle("restyle")), UsabilityGate()

    def __call__(self, body: dict[str, Any]) -> bytes:
        """MP4 of `product_id` in `style` at `strength`."""
        from trainables.data.video import encode_mp4

        frames_THWC = self._clips[body["product_id"]]
        code = self._codes[body["style"]][None]
        made = self._restyler.restyle([frames_THWC], code, np.array([body["strength"]], np.float32))[0]
        verdict = self._gate.check(made, frames_THWC)
        return encode_mp4(made if verdict.usable else frames_THWC, FPS)
