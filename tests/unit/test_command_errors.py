"""What the command line prints of an error is its own text, whatever is in it; where it looks for servers."""

from __future__ import annotations

import io
import os
import sys
import threading
from http.server import HTTPServer, SimpleHTTPRequestHandler

import httpx
import pytest

from cluster.cli import main, tune
from cluster.errors import InputError, StorageError
from tuning.config import SweepConfig
from tuning.generator.subject import SUBJECT
from tuning.outcome import SweepResult, TrialOutcome
from tuning.sweep import planned

TEXTS = ['pip install "shopreel[otel]"', "/data/[old]/x.csv does not exist", "no closing [/x] for it"]


@pytest.mark.parametrize("text", TEXTS)
def test_an_error_keeps_its_brackets(text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    def fails() -> None:
        raise InputError(text)

    monkeypatch.setattr(main, "app", fails)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == InputError.exit_code
    assert capsys.readouterr().err == f"error: {text}\n"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql://shop:s3cr3t@db:5432/mlflow", "postgresql://shop:***@db:5432/mlflow"),
        ("s3://KEY:s3cr3t@bucket/prefix?region=eu", "s3://KEY:***@bucket/prefix?region=eu"),
        ("http://mlflow:5000/x", "http://mlflow:5000/x"),
        ("s3://bucket/a:b@c", "s3://bucket/a:b@c"),
    ],
)
def test_an_error_shows_no_password_of_a_store(uri: str, shown: str) -> None:
    assert str(StorageError(f"no answer from {uri}: down")) == f"no answer from {shown}: down"


def test_what_is_told_of_a_sweep_keeps_its_brackets_and_paths_in_one_piece(capsys: pytest.CaptureFixture) -> None:
    settings = dict.fromkeys((axis.name for axis in SUBJECT.space), 1.0)
    common = {"settings": settings, "steps": 4, "running": 1.0, "seconds": 9.0, "run_id": "r"}
    failed = TrialOutcome(name="s-000", status="failed", objective=None, error=TEXTS[1], **common)
    best = TrialOutcome(name="s-001", status="finished", objective=0.9, error=None, **common)
    result = SweepResult(
        name="s", parent_run_id="p", trials=(failed, best), best=best,
        best_config_path=f"/data/{80 * 'x'}/[old]/best.yaml", report_path="/data/[old]/report.html",
    )  # fmt: skip
    tune._tell(result, planned(SUBJECT, SweepConfig(steps=4)))
    printed = capsys.readouterr().out
    for text in (TEXTS[1], result.best_config_path, result.report_path):
        assert text in printed


@pytest.mark.parametrize(("before", "after"), [("", ""), ("intern.example", "intern.example,"), ("*", "*")])
def test_a_server_on_this_machine_is_asked_without_the_proxy(
    before: str, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where only a proxy leads out, as in many offices, the demo and `status` still reach the server beside them."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name in ("http_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9" if name == "http_proxy" else before)
    with HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        answering = threading.Thread(target=server.handle_request, daemon=True)
        answering.start()
        url = f"http://127.0.0.1:{server.server_port}/no-such-file"
        monkeypatch.setattr(main, "app", lambda: httpx.get(url, timeout=5))
        main.main()
        answering.join()
    assert os.environ["no_proxy"].startswith(after)


def test_a_sign_that_the_terminal_cannot_show_ends_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    monkeypatch.setattr(main, "app", lambda: print("autumn → generator/1"))
    main.main()
    sys.stdout.flush()
    assert sys.stdout.buffer.getvalue() == b"autumn ? generator/1\n"
