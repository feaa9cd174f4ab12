"""The storefront of a server that asks for keys, in a real headless Chromium; no Ray, models are fakes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from cluster.pseudonym import Pseudonymiser
from cluster.storage import Storage
from serving.catalogue import Catalogue
from serving.door.gate import COOKIE
from serving.door.keys import KeyStore
from serving.door.ring import KeyRing
from tests.e2e.test_storefront import FLAGS, PATIENCE_S
from tests.e2e.tiny_shop import make_dataset
from tests.live_server import over_http
from tests.serving_site import KEY, make_site

pytestmark = pytest.mark.browser


@pytest.fixture
def keys(tmp_path: Path) -> KeyStore:
    return KeyStore(f"sqlite:///{tmp_path}/events.db")


@pytest.fixture
def base_url(tmp_path: Path, keys: KeyStore) -> Iterator[str]:
    storage = Storage(str(tmp_path / "shopreel"))
    catalogue = Catalogue(make_dataset(storage, Pseudonymiser(KEY)))
    site = make_site(catalogue, storage, f"sqlite:///{tmp_path}/events.db", ring=KeyRing(keys))
    with over_http(site.app) as url:
        yield url


def test_the_page_asks_for_a_key_and_shows_the_shop_with_it(base_url: str, keys: KeyStore) -> None:
    """A wrong key is named as such; a right one opens the shop, posters included, and stays for the next visit."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium here; install it with `apt-get install chromium`")
    text, _ = keys.create("page", ["read", "write-events", "render"])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_S * 1000)
        page.goto(base_url)
        page.wait_for_selector("dialog.key[open]")
        for wrong, fault in (("no key", "looks like"), (text[:-1] + "?", "looks like"), (text[:-1], "not valid")):
            page.fill("#key-text", wrong)
            page.click(".key-open")
            page.wait_for_selector(f"#key-fault:has-text('{fault}')")
        page.fill("#key-text", text)
        page.keyboard.press("Enter")
        page.wait_for_selector(".card:not(.waiting)", state="attached")
        assert page.query_selector("dialog.key") is None
        poster = page.get_attribute(".card:not(.waiting) video", "poster")
        assert page.evaluate("url => fetch(url).then((answer) => answer.status)", poster) == 200
        cookie = next(cookie for cookie in page.context.cookies() if cookie["name"] == COOKIE)
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        assert text not in page.evaluate("JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage}])")
        page.reload()
        page.wait_for_selector(".card:not(.waiting)", state="attached")
        assert page.query_selector("dialog.key") is None
        browser.close()
