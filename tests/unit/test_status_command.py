"""`shopreel status`, and the figures it shows."""

from __future__ import annotations

import math
import time
from types import SimpleNamespace

import httpx
import pytest
from fastapi import Response
from typer.testing import CliRunner

from cluster.cli.main import app
from cluster.cli.status import _read as read
from cluster.errors import InputError, NotFoundError, ShopreelError
from serving.figures import REQUESTS, Reading
from serving.metrics import Metrics
from serving.problems import Problem
from tests.serving_site import Site


def reading(metrics: Metrics, at_s: float) -> Reading:
    return Reading(metrics.text("a").decode(), at_s)


def test_rates_quantiles_and_shares_between_two_readings() -> None:
    metrics = Metrics()
    metrics.requests.labels("GET", "/old", "200").observe(0.001)
    before = reading(metrics, 10.0)
    for seconds, status in [(0.02, "200")] * 97 + [(4.0, "200"), (0.02, "429"), (0.02, "503")]:
        metrics.requests.labels("POST", "/v1/feed", status).observe(seconds)
    (route,) = reading(metrics, 15.0).routes_since(before)
    assert (route.name, route.per_second) == ("POST /v1/feed", 20.0)
    assert (route.failed, route.refused) == (0.01, 0.01)
    assert (route.p50_s, route.p99_s) == (0.025, 0.025)


def test_a_server_that_began_anew_is_counted_from_its_start() -> None:
    old, new = Metrics(), Metrics()
    old.feeds.labels("false").inc(100)
    new.feeds.labels("false").inc(3)
    assert reading(new, 2.0).since(reading(old, 1.0), "shopreel_feeds_total") == 3


def test_nothing_observed_has_no_mean() -> None:
    empty = reading(Metrics(), 1.0)
    assert math.isnan(empty.mean_since(empty, REQUESTS))


def test_status_shows_versions_routes_and_cache(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        site("POST", "/v1/feed", json={"viewer": "x", "k": 3})

    speak_to(site, monkeypatch)
    shown = CliRunner().invoke(app, ["status", "--once"], env={"COLUMNS": "140"})
    assert shown.exit_code == 0, shown.output
    for text in ("ready", "generator/3", "POST /v1/feed", "50% hits", "0% degraded"):
        assert text in shown.output
    site.generator.failure = RuntimeError("no GPU")
    monkeypatch.setattr(site.generator, "ready", _not_up)
    assert CliRunner().invoke(app, ["status", "--once"]).exit_code == 1


def speak_to(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands reach the site over HTTP as it is in process."""

    def over_asgi(request: httpx.Request) -> httpx.Response:
        sent = {"content": request.content, "headers": request.headers}
        answer = site(request.method, request.url.raw_path.decode(), **sent)
        return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)

    client = httpx.Client
    monkeypatch.setattr(httpx, "Client", lambda **kw: client(**kw, transport=httpx.MockTransport(over_asgi)))


def test_rollout_to_a_version_on_trial_and_back(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    speak_to(site, monkeypatch)
    run = CliRunner().invoke
    assert run(app, ["rollout", "to", "generator/4"]).output == "serving generator/4\n"
    trial = run(app, ["rollout", "to", "generator/5", "--share", "0.25"])
    assert trial.output == "serving generator/4, generator/5 on trial for 25% of viewers\n"
    assert "generator/5 on trial for 25%" in run(app, ["status", "--once"], env={"COLUMNS": "140"}).output
    assert run(app, ["rollout", "back"]).output == "serving generator/4\n"
    assert run(app, ["rollout", "back"]).output == "serving generator/3\n"
    site.generator.failure = NotFoundError("generator has no version 9; versions: 3, 4, 5")
    assert "versions: 3, 4, 5" in str(run(app, ["rollout", "to", "generator/9"]).exception)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(Problem(503, "the database does not answer").response(), "the database does not answer", id="503"),
        pytest.param(Problem(429, "too many requests").response(), "too many requests", id="429"),
        pytest.param(Response("<h1>Oops</h1>", 502), "answered 502 Bad Gateway, by something in front", id="proxy"),
        pytest.param(
            Response("<h1>Hi</h1>", 200, media_type="text/html"),
            "with a web page: it is no shopreel",
            id="another site",
        ),
    ],
)
@pytest.mark.parametrize("command", [["status", "--once"], ["rollout", "report"], ["rollout", "back"]])
def test_an_answer_other_than_success_is_one_line(
    monkeypatch: pytest.MonkeyPatch, command: list[str], answer: Response, said: str
) -> None:
    answer_all_with(answer, monkeypatch)
    failed = CliRunner().invoke(app, command).exception
    assert isinstance(failed, ShopreelError)
    assert said in str(failed)


def answer_all_with(answer: Response, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands reach a server that answers every request so."""

    def answered(_: httpx.Request) -> httpx.Response:
        return httpx.Response(answer.status_code, content=answer.body, headers=dict(answer.headers))

    client = httpx.Client
    monkeypatch.setattr(httpx, "Client", lambda **kw: client(**kw, transport=httpx.MockTransport(answered)))


@pytest.mark.parametrize(("looks", "shown"), [(1, "a replica restarts"), (2, "generator/3")], ids=["away", "back"])
def test_status_goes_on_after_a_look_that_failed(
    site: Site, monkeypatch: pytest.MonkeyPatch, looks: int, shown: str
) -> None:
    speak_to(site, monkeypatch)
    taken: list[bool] = []

    def failing_once(client: httpx.Client) -> Reading:
        if len(taken) == 1:
            raise ShopreelError("a replica restarts")
        return read(client)

    def wait(_: float) -> None:
        taken.append(True)
        if len(taken) > looks:
            raise KeyboardInterrupt

    monkeypatch.setattr("cluster.cli.status._read", failing_once)
    monkeypatch.setattr("cluster.cli.status.time", SimpleNamespace(sleep=wait, monotonic=time.monotonic))
    assert shown in CliRunner().invoke(app, ["status"], env={"COLUMNS": "140"}).output


async def _not_up() -> bool:
    raise Problem(503, "the generator does not answer; try again")


def test_a_key_that_no_header_can_carry_is_named() -> None:
    failed = CliRunner().invoke(app, ["status", "--once"], env={"SHOPREEL_API_KEY": "…"}).exception
    assert isinstance(failed, InputError)
    assert "SHOPREEL_API_KEY" in str(failed)


def test_no_server_is_one_line_with_the_fix() -> None:
    failed = CliRunner().invoke(app, ["status", "--url", "http://127.0.0.1:9", "--once"])
    assert "shopreel serve" in str(failed.exception)
