"""Ranges and conditional requests over clip bytes."""

from __future__ import annotations

import pytest

from serving import media
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
