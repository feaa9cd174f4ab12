"""Ranges, conditional requests and content negotiation over clip bytes."""

from __future__ import annotations

import pytest

from serving import media, posters
from serving.media import Span, UnsatisfiableRangeError
from serving.problems import Problem

DATA = bytes(range(100))


@pytest.mark.parametrize(
    ("header", "span"),
    [
        pytest.param(None, None, id="no-header"),
        pytest.param("bytes=0-9", Span(0, 10), id="first-ten"),
        pytest.param("bytes=90-", Span(90, 100), id="open-end"),
        pytest.param("bytes=-10", Span(90, 100), id="last-ten"),
        pytest.param("bytes=-1000", Span(0, 100), id="suffix-longer-than-the-clip"),
        pytest.param("bytes=95-200", Span(95, 100), id="end-clamped"),
        pytest.param("bytes=9-3", None, id="reversed-is-ignored"),
        pytest.param("bytes=-", None, id="empty-is-ignored"),
        pytest.param("bytes=0-1,5-6", None, id="several-ranges-get-the-whole"),
        pytest.param("items=0-9", None, id="other-unit-is-ignored"),
    ],
)
def test_range_header_selects_bytes(header: str | None, span: Span | None) -> None:
    assert media.parse_range(header, 100) == span


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=500-600", "bytes=-0"])
def test_range_outside_is_unsatisfiable(header: str) -> None:
    with pytest.raises(UnsatisfiableRangeError):
        media.parse_range(header, 100)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, False),
        ('"a"', True),
        ('W/"a"', True),
        ('"b", "a"', True),
        ("*", True),
        ('"b"', False),
        ("a", False),
    ],
)
def test_if_none_match_names_the_tag(header: str | None, expected: bool) -> None:
    assert media.matches(header, '"a"') is expected


def respond(**headers: str):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return media.respond(DATA, tag="a", media_type="video/mp4", headers=named, cache_control="private")


CHROME_PAGE = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8"
SAFARI_IMAGE = "image/webp,image/avif,video/*;q=0.8,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5"
FIREFOX_VIDEO = "video/webm,video/ogg,video/*;q=0.9,application/ogg;q=0.7,audio/*;q=0.6,*/*;q=0.5"


@pytest.mark.parametrize(
    ("accept", "poster"),
    [
        pytest.param("image/avif,image/webp,*/*;q=0.8", True, id="an-image-in-chrome"),
        pytest.param(SAFARI_IMAGE, True, id="an-image-in-safari"),
        pytest.param(FIREFOX_VIDEO, False, id="a-video"),
        pytest.param(CHROME_PAGE, False, id="an-address-opened-in-a-browser"),
        pytest.param("IMAGE/WEBP", True, id="capitals"),
        pytest.param("image/webp; q=0, */*", False, id="anything-but-a-picture"),
        pytest.param("video/mp4;q=0.5, image/webp", True, id="rather-a-picture"),
        pytest.param("video/mp4, image/webp;q=0.9", False, id="rather-a-video"),
        pytest.param("image/webp;q=nan", True, id="no-quality-value"),
        pytest.param("*/*", False, id="anything"),
        pytest.param("", False, id="nothing"),
    ],
)
def test_a_poster_is_for_whoever_would_rather_have_a_picture(accept: str, poster: bool) -> None:
    assert posters.wanted({"accept": accept}) is poster


def test_whole_clip_carries_tag_length_and_range_support() -> None:
    answer = respond()
    assert (answer.status_code, answer.body) == (200, DATA)
    assert answer.headers["etag"] == '"a"'
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-length"] == "100"


def test_part_names_its_place_in_the_whole() -> None:
    answer = respond(range="bytes=10-19")
    assert (answer.status_code, answer.body) == (206, DATA[10:20])
    assert answer.headers["content-range"] == "bytes 10-19/100"


def test_known_tag_wins_over_range_and_sends_nothing() -> None:
    answer = respond(range="bytes=0-1", if_none_match='"a"')
    assert (answer.status_code, answer.body) == (304, b"")


@pytest.mark.parametrize(("if_range", "status"), [('"a"', 206), ('"old"', 200)])
def test_if_range_of_another_version_gets_the_whole(if_range: str, status: int) -> None:
    assert respond(range="bytes=0-1", if_range=if_range).status_code == status


def test_unsatisfiable_range_tells_the_size() -> None:
    with pytest.raises(Problem) as caught:
        respond(range="bytes=100-")
    assert caught.value.status_code == 416
    assert caught.value.headers["content-range"] == "bytes */100"
