"""A sweep's report in a real headless Chromium."""

from __future__ import annotations

import shutil

import pytest
from playwright.sync_api import sync_playwright

from tests.e2e.test_storefront import FLAGS
from tests.unit.test_tuning import outcomes
from trainables.runs.folder import RunFolder
from trainables.runs.sinks import StatsSink
from tuning.config import SweepConfig
from tuning.generator.subject import SUBJECT
from tuning.report import report
from tuning.sweep import planned

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("width", [pytest.param(390, id="phone"), pytest.param(1280, id="desktop")])
def test_the_report_opens_without_an_error_and_asks_for_nothing(storage, tmp_path, width):
    """One file is all there is to it: every plot is drawn, nothing is fetched, nothing is said on the console."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium here; install it with `apt-get install chromium`")
    trials = outcomes(6)
    for trial in trials[:3]:
        sink = StatsSink(RunFolder(storage, trial.name), 5)
        for step in range(1, 11):
            sink.log(step, {"loss/style": 2.0 / step, "loss/edges": 0.5, "learning_rate": 1e-3})
        sink.close()
    best = min(trials[:6], key=lambda trial: trial.objective)
    file = tmp_path / "report.html"
    file.write_text(report(storage, SUBJECT, planned(SUBJECT, SweepConfig(name="spring")), trials, best))
    said, asked = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(file.as_uri())
        drawn = page.evaluate("Array.from(document.images, (image) => image.complete && image.naturalWidth > 100)")
        heading = page.inner_text("h1")
        browser.close()
    assert heading == "Sweep spring"
    assert drawn == [True] * 5
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
