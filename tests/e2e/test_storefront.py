"""The storefront in a real headless Chromium: eight playing clips, a stored click, another feed."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright

from cluster.pseudonym import Pseudonymiser
from cluster.settings import Settings
from serving.args import AppArgs
from serving.event_store import EventStore
from serving.run import serve_app
from tests.axe import violations
from tests.e2e.tiny_models import make_shop
from tests.e2e.tiny_shop import NAME
from tests.integration.test_serving_app import free_port

pytestmark = pytest.mark.browser

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_S = 120
"""Ceiling of every wait: reached only where something hangs, not where the machine is busy."""
VIEWER = "viewer-1"
TIMES = "Array.from(document.querySelectorAll('.card video'), (video) => video.currentTime)"
PRODUCTS = "Array.from(document.querySelectorAll('.card:not(.waiting)'), (card) => card.dataset.product)"
SOURCES = "Array.from(document.querySelectorAll('.card video'), (video) => new URL(video.src).pathname)"
AT_REST = "document.getAnimations().every((animation) => animation.playState !== 'running')"
LAYOUT_SHIFT = """new Promise((resolve) => {
    let sum = 0;
    const add = (entries) => { for (const entry of entries) if (!entry.hadRecentInput) sum += entry.value; };
    const observer = new PerformanceObserver((list) => add(list.getEntries()));
    observer.observe({type: "layout-shift", buffered: true});
    requestAnimationFrame(() => requestAnimationFrame(() => { add(observer.takeRecords()); resolve(sum); }));
})"""
"""Cumulative layout shift since the page was opened, without what follows a click."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium here; install it with `apt-get install chromium`")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings.load({"SHOPREEL_HOME": str(tmp_path_factory.mktemp("storefront"))})


@pytest.fixture(scope="module")
def base_url(settings: Settings, browser: Browser) -> Iterator[str]:
    _ = browser  # without a browser nothing needs to be served
    make_shop(settings)
    viewers = [{"id": VIEWER, "label": "Mia"}, {"id": "viewer-2", "label": "Tom"}]
    args = AppArgs.for_settings(settings, NAME, demo_viewers=viewers, generator_replicas={"num_cpus": 0.5})
    with serve_app(args.model_dump(), port=free_port()) as url:
        yield url


@pytest.fixture
def page(browser: Browser, base_url: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The storefront at the viewport size a test asks for; what the page complains of fails the test."""
    width, height = getattr(request, "param", (1440, 1000))
    tab = browser.new_page(viewport={"width": width, "height": height})
    complaints, foreign = [], []
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    tab.on("request", lambda sent: foreign.append(sent.url) if not sent.url.startswith(base_url) else None)
    tab.goto(base_url)
    tab.wait_for_selector(".card:not(.waiting)", timeout=PATIENCE_S * 1000)
    yield tab
    tab.close()
    assert complaints == []
    assert foreign == []


def wait_for(page: Page, condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}"
        page.wait_for_timeout(50)


def restyled(page: Page) -> bool:
    """Whether every card plays a clip in the viewer's look."""
    return all(path.startswith("/v1/clips/") for path in page.evaluate(SOURCES))


@pytest.mark.parametrize("page", [(1440, 1600)], indirect=True, ids=["all-eight-in-view"])
def test_eight_products_whose_clips_play(page: Page) -> None:
    """The page shows at once; clips in the viewer's look take the place of the originals as they are rendered."""
    assert len(set(page.evaluate(PRODUCTS))) == 8
    wait_for(page, lambda: restyled(page), "all eight clips in the look")
    before = page.evaluate(TIMES)
    assert len(before) == 8
    moved: set[int] = set()

    def all_moved() -> bool:
        moved.update(i for i, now in enumerate(page.evaluate(TIMES)) if now != before[i])
        return len(moved) == 8

    wait_for(page, all_moved, "all eight clips play")


def test_click_is_stored_and_the_next_feed_differs(page: Page, settings: Settings) -> None:
    store, viewer = EventStore(settings.event_store_url), Pseudonymiser.load(settings).of(VIEWER)
    before, stored = page.evaluate(PRODUCTS), store.count(viewer)
    wait_for(page, lambda: page.evaluate(TIMES)[1] > 0.1, "the second clip plays")
    assert page.query_selector("#notice:not([hidden])"), "a screen reader knows the region before it says something"
    page.click(".card >> nth=1")
    wait_for(page, lambda: page.evaluate(PRODUCTS) not in ([], before), "another feed")
    assert before[1] not in page.evaluate(PRODUCTS)
    events = {(event.product_id, event.event_type): event for event in store.history(viewer, 10)}
    assert store.count(viewer) == stored + 2
    assert (before[1], "click") in events
    assert events[before[1], "watch"].watch_seconds > 0
    assert page.inner_text("#notice").startswith("More like")


def test_a_clip_that_rests_is_not_watched_and_a_double_click_is_one_choice(page: Page, settings: Settings) -> None:
    """What a model learns watch times from is what was played, not how long the page was open."""
    store, viewer = EventStore(settings.event_store_url), Pseudonymiser.load(settings).of("viewer-2")
    page.click(".viewer >> nth=1")
    wait_for(page, lambda: restyled(page) and sum(page.evaluate(TIMES)[:1]) > 0.1, "Tom's first clip plays")
    stored = store.count(viewer)
    rested = page.evaluate("document.querySelector('.card video').pause(), performance.now()")
    wait_for(page, lambda: page.evaluate("performance.now()") > 2 * rested, "as long again as the page was open")
    product = page.evaluate(PRODUCTS)[0]
    page.dblclick(".card >> nth=0")
    wait_for(page, lambda: product not in page.evaluate(PRODUCTS), "another feed")
    events = store.history(viewer, 10)
    assert store.count(viewer) == stored + 2
    [watch] = [event for event in events if event.event_type == "watch" and event.product_id == product]
    assert 0 < watch.watch_seconds * 1000 < rested


def test_who_chooses_with_the_keyboard_goes_on_where_they_were(page: Page) -> None:
    before = page.evaluate(PRODUCTS)
    page.focus(".card-open >> nth=2")
    page.keyboard.press("Enter")
    wait_for(page, lambda: page.evaluate(PRODUCTS) not in ([], before), "another feed")
    assert page.evaluate("[...document.querySelectorAll('.card-open')].indexOf(document.activeElement)") == 2


def test_clips_arrive_where_their_events_were_refused_for_a_while(browser: Browser, base_url: str) -> None:
    """A server that is busy, or being started anew, refuses the stream; a browser would not ask again by itself."""
    tab = browser.new_page()
    tab.add_init_script("const wait = setTimeout; window.setTimeout = (work, ms) => wait(work, Math.min(ms, 10));")
    answers = iter([503, 429, 200])
    asked: list[int] = []

    def feed(route: Route) -> None:
        answer = route.fetch()
        clips = answer.json()
        for item in clips["items"]:
            item["clip"] |= {"status": "pending", "restyled": False, "url": item["product"]["clip_url"]}
        route.fulfill(response=answer, json={**clips, "events_url": "/v1/feed/late/events"})

    def events(route: Route) -> None:
        asked.append(next(answers, 503))
        clip = {"status": "ready", "restyled": True, "url": "/v1/clips/late", "style": "neon", "refused": []}
        news = json.dumps({"position": 0, "clip": {**clip, "cached": False, "reason": None}})
        body = f"event: ready\ndata: {news}\n\n" if asked[-1] == 200 else ""
        route.fulfill(status=asked[-1], content_type="text/event-stream", body=body)

    tab.route("**/v1/feed", feed)
    tab.route("**/events", events)
    tab.goto(base_url)
    wait_for(tab, lambda: tab.evaluate(SOURCES)[:1] == ["/v1/clips/late"], "the first clip")
    tags = "Array.from(document.querySelectorAll('.card:not(.waiting) .tag:not([hidden])'), (tag) => tag.textContent)"
    others = len(tab.evaluate(PRODUCTS)) - 1
    wait_for(tab, lambda: tab.evaluate(tags) == ["original"] * others, "the others are given up in the end")
    assert len(asked) == 9, "two refusals, the clip, and six refusals in a row after it"
    tab.close()


def test_without_motion_the_look_is_there_and_stands_still(browser: Browser, base_url: str) -> None:
    tab = browser.new_page(reduced_motion="reduce")
    tab.goto(base_url)
    posters = "Array.from(document.querySelectorAll('.card video'), (video) => new URL(video.poster).pathname)"
    wait_for(tab, lambda: [*{path[:10] for path in tab.evaluate(posters)}] == ["/v1/clips/"], "every card's look")
    with tab.expect_response("**/poster.jpg"):
        tab.click("#personalised")
    assert all(path.endswith("/poster.jpg") for path in tab.evaluate(posters))
    assert set(tab.evaluate(TIMES)) == {0}
    tab.close()


@pytest.mark.parametrize("route", ["**/v1/feed", "**/v1/storefront"])
def test_a_feed_that_does_not_arrive_can_be_asked_for_again(browser: Browser, base_url: str, route: str) -> None:
    tab = browser.new_page()
    tab.route(route, lambda asked: asked.abort())
    tab.goto(base_url)
    tab.wait_for_selector(".again button", timeout=PATIENCE_S * 1000)
    assert tab.inner_text("#headline") == "Your reel did not arrive"
    assert violations(tab) == []
    tab.unroute(route)
    tab.click(".again button")
    tab.wait_for_selector(".card:not(.waiting)", timeout=PATIENCE_S * 1000)
    assert tab.query_selector(".again") is None
    assert len(tab.query_selector_all(".viewer")) == 3
    tab.close()


@pytest.mark.parametrize("page", [(1440, 1000), (390, 844)], indirect=True, ids=["desktop", "phone"])
def test_a_product_is_looked_at_closely_with_the_keyboard(page: Page) -> None:
    """Why it is here, before and after, and the strength of the look; Escape leads back to where one was."""
    wait_for(page, lambda: restyled(page), "all clips in the look")
    page.focus(".more >> nth=1")
    page.keyboard.press("Enter")
    page.wait_for_selector(".detail[open]")
    assert page.inner_text(".detail h2") == page.inner_text(".card >> nth=1 >> .title")
    assert page.inner_text(".reasons")
    assert "generator/1" in page.text_content(".facts")
    clip = "getComputedStyle(document.querySelector('.after')).clipPath"
    half = page.evaluate(clip)
    page.focus(".split")
    page.keyboard.press("Home")
    assert page.evaluate(clip) != half
    source = "new URL(document.querySelector('.after').src).pathname"
    whole = page.evaluate(source)
    page.focus(".strength")
    page.keyboard.press("ArrowLeft")
    wait_for(page, lambda: page.evaluate(source) != whole, "the weaker look")
    assert page.evaluate(source).startswith("/v1/clips/")
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.wait_for_selector(".detail", state="detached")
    assert page.evaluate("[...document.querySelectorAll('.more')].indexOf(document.activeElement)") == 1


def test_switch_shows_the_original_clips(page: Page) -> None:
    wait_for(page, lambda: restyled(page), "all clips in the look")
    page.click("#personalised")
    assert all(path.endswith("/clip") for path in page.evaluate(SOURCES))
    page.click("#personalised")
    assert restyled(page)


def test_other_viewer_gets_another_feed(page: Page) -> None:
    assert [button.inner_text() for button in page.query_selector_all(".viewer")] == ["Mia", "Tom", "Someone new"]
    before = page.evaluate(PRODUCTS)
    page.click(".viewer >> nth=1")
    wait_for(page, lambda: page.evaluate(PRODUCTS) not in ([], before), "Tom's feed")
    assert page.get_attribute(".viewer >> nth=1", "aria-pressed") == "true"


@pytest.mark.parametrize("page", [(390, 844)], indirect=True, ids=["phone"])
def test_phone_has_two_columns_and_no_sideways_scrolling(page: Page) -> None:
    lefts: Any = page.evaluate(
        "Array.from(document.querySelectorAll('.card'), (card) => Math.round(card.getBoundingClientRect().left))"
    )
    assert len(set(lefts)) == 2
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("page", [(1440, 1000), (390, 844)], indirect=True, ids=["desktop", "phone"])
def test_axe_finds_nothing_and_nothing_shifts(page: Page, base_url: str) -> None:
    """Contrast, labels, roles and landmarks, on the page and on the API's description; while posters and clips arrive
    nothing on the page moves.
    """
    wait_for(page, lambda: restyled(page), "all clips in the look")
    # A card that is still fading in has less contrast than it will have.
    wait_for(page, lambda: page.evaluate(AT_REST), "the cards to have faded in")
    assert page.evaluate(LAYOUT_SHIFT) < 0.01
    assert violations(page) == []
    page.goto(f"{base_url}/docs")
    page.wait_for_selector(".route")
    assert violations(page) == []


def test_api_reference_lists_the_routes(page: Page, base_url: str) -> None:
    page.goto(f"{base_url}/docs")
    page.wait_for_selector(".route")
    routes = page.eval_on_selector_all(".route summary code", "(codes) => codes.map((code) => code.textContent)")
    assert {"/v1/feed", "/v1/clips", "/v1/events"} <= set(routes)
