"""What a start says while its replicas wait."""

import threading

import pytest
from ray import serve
from ray.serve.exceptions import RayServeException

from serving import waiting


def test_a_start_goes_on_when_serve_cannot_be_asked_what_it_waits_for(monkeypatch, caplog):
    asked = threading.Event()

    def no_answer():
        asked.set()
        raise RayServeException("the controller is gone")

    monkeypatch.setattr(waiting, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(serve, "status", no_answer)
    with pytest.raises(RuntimeError, match="of the start itself"), waiting.said_aloud("shop"):
        assert asked.wait(30)
        raise RuntimeError("of the start itself")
    assert "cannot ask Serve what the start of shop waits for: the controller is gone" in caplog.messages
