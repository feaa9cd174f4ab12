"""How soon the storefront plays its first clip, and whether anything on it moves meanwhile, in a real Chromium.

    python -m benchmarks.storefront_first_clip --rounds 5

Serves a tiny shop on 127.0.0.1 and opens `/` in a fresh browser each round, at desktop and phone width: from the
start of the navigation to the first video whose time moves, seconds, and cumulative layout shift. Exit code 1 where the
median is 2 s or more, or the shift 0.01 or more.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile

from playwright.sync_api import Browser, sync_playwright

from cluster.runtime import export_environment
from cluster.settings import Settings
from serving.args import AppArgs
from serving.run import serve_app
from tests.e2e.test_storefront import FLAGS, LAYOUT_SHIFT
from tests.e2e.tiny_models import make_shop
from tests.e2e.tiny_shop import NAME
from tests.waiting import free_port

WIDTHS = {"desktop": (1440, 1000), "phone": (390, 844)}
WANTED_S, MOST_SHIFT = 2.0, 0.01
WATCH = """
window.firstClip = new Promise((resolve) => {
    const look = () => {
        const playing = Array.from(document.querySelectorAll("video")).some((video) => video.currentTime > 0);
        playing ? resolve(performance.now()) : requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
});
"""


def first_clip(browser: Browser, base_url: str, size: tuple[int, int]) -> tuple[float, float]:
    """Seconds until the first clip plays, and the layout shift until then, in a browser that knows nothing yet."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]})
    context.add_init_script(WATCH)
    page = context.new_page()
    page.goto(base_url)
    seconds = page.evaluate("window.firstClip") / 1000
    shift = page.evaluate(LAYOUT_SHIFT)
    context.close()
    return seconds, shift


def main() -> int:
    """Print the figures; 1 where they are too large."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("there is no chromium here; install it with `apt-get install chromium`")
    export_environment()
    failed = False
    with tempfile.TemporaryDirectory(prefix="shopreel-storefront") as home:
        settings = Settings.load({"SHOPREEL_HOME": home})
        make_shop(settings)
        args = AppArgs.for_settings(settings, NAME, demo_viewers=[{"id": "viewer-1", "label": "Mia"}])
        with serve_app(args.model_dump(), port=free_port()) as base_url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            for name, size in WIDTHS.items():
                rounds = [first_clip(browser, base_url, size) for _ in range(options.rounds)]
                seconds = [round(taken, 2) for taken, _ in rounds]
                shift = max(moved for _, moved in rounds)
                median = statistics.median(seconds)
                failed |= median >= WANTED_S or shift >= MOST_SHIFT
                print(f"{name}: first clip plays after {median} s (rounds {seconds}); layout shift {shift:.4f}")
            browser.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
