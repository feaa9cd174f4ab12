"""Runs and metric curves on a real MLflow SQLite store and, where the server is away, on a port nobody listens to."""

import http.server
import logging
import pickle
import socket
import threading

import pytest
from mlflow import MlflowClient
from PIL import Image

from cluster import metric_sink
from cluster.errors import NotFoundError, StorageError
from cluster.metric_sink import MlflowSink
from cluster.settings import Settings
from cluster.tracking import TrackedRun, code_version, ensure_experiment, flatten

LINEAGE = {"data_name": "shop", "data_hash": "abc", "code_version": "1"}


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> Settings:
    """One store for the module: making its tables takes seconds."""
    return Settings.load({"SHOPREEL_HOME": str(tmp_path_factory.mktemp("home"))})


@pytest.fixture(scope="module")
def client(settings) -> MlflowClient:
    ensure_experiment(settings)
    return MlflowClient(settings.tracking_uri)


@pytest.fixture
def away(monkeypatch) -> str:
    """URI of a tracking server that is not there."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_a_run_keeps_params_curves_images_lineage_and_ends_finished(settings, client):
    params = {"steps": 3, "loss": {"content_weight": 0.5}} | {f"p{i}": i for i in range(150)}
    with TrackedRun(settings, "vivid", kind="generator", params=params, lineage=LINEAGE) as run:
        for step in range(3):
            run.log_metrics({"loss": 3.0 - step}, step=step)
        run.log_image("contact-sheet", Image.new("RGB", (4, 4)))
    kept = client.get_run(run.run_id)
    assert (kept.info.status, kept.info.run_name) == ("FINISHED", "vivid")
    assert kept.data.params["loss.content_weight"] == "0.5"
    assert len(kept.data.params) == 152
    assert {key: kept.data.tags[key] for key in LINEAGE} == LINEAGE
    assert [(m.step, m.value) for m in client.get_metric_history(run.run_id, "loss")] == [(0, 3.0), (1, 2.0), (2, 1.0)]
    assert [item.path for item in client.list_artifacts(run.run_id)] == ["contact-sheet.png"]
    assert kept.info.artifact_uri.startswith(f"file://{settings.storage_root}/artifacts/")


def test_a_child_run_points_at_its_parent(settings, client):
    with TrackedRun(settings, "sweep", kind="sweep", params={}, lineage={}) as parent:
        child = TrackedRun(settings, "t", kind="generator", parent_run_id=parent.run_id, params={}, lineage={})
        with child:
            pass
    assert client.get_run(child.run_id).data.tags["mlflow.parentRunId"] == parent.run_id


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        pytest.param(ValueError("loss is NaN"), "FAILED", "ValueError: loss is NaN", id="failure"),
        pytest.param(KeyboardInterrupt(), "KILLED", None, id="ctrl-c"),
    ],
)
def test_a_run_that_breaks_off_says_why(settings, client, error, status, reason):
    run = TrackedRun(settings, "broken", kind="generator", params={}, lineage={})
    with pytest.raises(type(error)), run:
        raise error
    kept = client.get_run(run.run_id)
    assert (kept.info.status, kept.data.tags.get("failure")) == (status, reason)


def test_a_run_goes_on_under_its_id(settings, client):
    with TrackedRun(settings, "long", kind="generator", params={"steps": 3}, lineage={}) as run:
        run.log_metrics({"loss": 2.0}, step=1)
    params = {"steps": 3, "seed": 1}
    with TrackedRun(settings, "long", kind="generator", run_id=run.run_id, params=params, lineage={}) as again:
        again.log_metrics({"loss": 1.0}, step=2)
    assert again.run_id == run.run_id
    assert [m.step for m in client.get_metric_history(run.run_id, "loss")] == [1, 2]
    assert client.get_run(run.run_id).data.params == {"steps": "3", "seed": "1"}


def test_a_run_that_ends_well_after_all_no_longer_says_why_it_broke_off(settings, client):
    run = TrackedRun(settings, "again", kind="generator", params={}, lineage={})
    with pytest.raises(ValueError, match="loss is NaN"), run:
        raise ValueError("loss is NaN")
    with TrackedRun(settings, "again", kind="generator", run_id=run.run_id, params={}, lineage={}):
        pass
    kept = client.get_run(run.run_id)
    assert (kept.info.status, kept.data.tags.get("failure")) == ("FINISHED", None)


def test_a_run_that_the_store_does_not_have_cannot_go_on(settings, client):
    """Deleted, or begun in another store: not taken for a server that is away."""
    with TrackedRun(settings, "gone", kind="generator", params={}, lineage={}) as run:
        pass
    client.delete_run(run.run_id)
    for run_id, state in ((run.run_id, "deleted"), ("0" * 32, "unknown")):
        again = TrackedRun(settings, "gone", kind="generator", run_id=run_id, params={}, lineage={})
        said = f"'gone' goes on as MLflow run {run_id}, which is {state} at sqlite.*another --run name"
        with pytest.raises(NotFoundError, match=said), again:
            pass


def test_a_pickled_sink_logs_into_the_same_run(settings, client):
    with TrackedRun(settings, "workers", kind="generator", params={}, lineage={}) as run:
        sink = pickle.loads(pickle.dumps(MlflowSink(settings.tracking_uri, run.run_id)))  # noqa: S301
        for step in range(2500):
            sink.log(step, {"loss": float(step)})
        sink.close()
    assert sink.unsent == 0
    assert [m.value for m in client.get_metric_history(run.run_id, "loss")] == [float(step) for step in range(2500)]


def test_steps_that_a_killed_process_had_sent_are_not_sent_again(settings, client):
    """Another process logs them anew, at another time of day; a training that goes back on purpose does count twice."""
    with TrackedRun(settings, "resumed", kind="generator", params={}, lineage={}) as run:
        first = MlflowSink(settings.tracking_uri, run.run_id)
        for step in range(1, 7):
            first.log(step, {"loss": float(step), "rate": 0.1})
        first.close()
        again = MlflowSink(settings.tracking_uri, run.run_id)
        for step in [*range(1, 10), 9]:
            again.log(step, {"loss": float(step), "rate": 0.1})
        again.close()
    for name in ("loss", "rate"):
        steps = [point.step for point in client.get_metric_history(run.run_id, name)]
        assert [step for step in steps if step != 9] == list(range(1, 9))
    assert [point.value for point in client.get_metric_history(run.run_id, "loss")][-1] == 9.0


def test_a_training_that_goes_back_over_steps_of_a_killed_process_counts_twice(settings, client):
    """Also where both passes are sent in one call: the first is the killed process's, the second is new."""
    with TrackedRun(settings, "back", kind="generator", params={}, lineage={}) as run:
        killed = MlflowSink(settings.tracking_uri, run.run_id)
        killed.log(1, {"loss": 1.0})
        killed.close()
        again = MlflowSink(settings.tracking_uri, run.run_id, flush_seconds=3600)
        for step, value in ((1, 1.0), (2, 2.0), (1, 0.5), (2, 0.25)):
            again.log(step, {"loss": value})
        again.close()
    assert sorted(point.value for point in client.get_metric_history(run.run_id, "loss")) == [0.25, 0.5, 1.0, 2.0]


def test_a_metric_that_mlflow_refuses_costs_no_other_metric(settings, client, caplog):
    with TrackedRun(settings, "refused", kind="generator", params={}, lineage={}) as run:
        for step in range(1, 4):
            run.log_metrics({"loss": float(step), "a*b": 0.0} | ({} if step < 3 else {"late": 1.0}), step=step)
    assert [point.value for point in client.get_metric_history(run.run_id, "loss")] == [1.0, 2.0, 3.0]
    assert [point.step for point in client.get_metric_history(run.run_id, "late")] == [3]
    assert [record.getMessage().split(",")[0] for record in caplog.records if "refuses" in record.message] == [
        f"MLflow refuses metric 'a*b' of run {run.run_id}"
    ]


def test_a_value_that_is_not_finite_is_kept_as_such(settings, client):
    with TrackedRun(settings, "nan", kind="generator", params={}, lineage={}) as run:
        run.log_metrics({"loss": float("nan")}, step=0)
    (point,) = client.get_metric_history(run.run_id, "loss")
    assert point.value != point.value


def test_a_server_that_is_away_warns_once_and_keeps_the_metrics(away, caplog, monkeypatch):
    """log() never raises and never waits; what the server has not confirmed stays in the buffer, in order."""
    monkeypatch.setattr(metric_sink, "CLOSE_SECONDS", 0)
    sink = MlflowSink(away, "0" * 32, flush_seconds=0.01)
    answered = threading.Event()
    flush = sink._flush

    def counted() -> bool:
        sent = flush()
        counted.times += 1
        if counted.times == 3:
            answered.set()
        return sent

    counted.times = 0
    sink._flush = counted
    with caplog.at_level(logging.WARNING, "cluster.metric_sink"):
        for step in range(5):
            sink.log(step, {"loss": float(step)})
        assert answered.wait(60)
        sink._closing.set()
        sink._thread.join()
    assert sink.unsent == 5
    assert [record.getMessage().split(",")[0] for record in caplog.records] == [f"MLflow at {away} is away"]


def test_a_sink_that_is_closed_while_the_server_hangs_leaves_no_thread_behind(away, monkeypatch, caplog):
    monkeypatch.setattr(metric_sink, "CLOSE_SECONDS", 0)
    sink = MlflowSink(away, "0" * 32, flush_seconds=0.01)
    asked, lets_go = threading.Event(), threading.Event()

    def hanging(_batch) -> None:
        asked.set()
        assert lets_go.wait(60)
        raise OSError("timed out")

    monkeypatch.setattr(sink, "_send", hanging)
    sink.log(1, {"loss": 1.0})
    thread = sink._thread
    assert asked.wait(60)
    sink.close()
    assert "lacks 1 metric values" in caplog.text
    lets_go.set()
    thread.join(20)
    assert not thread.is_alive()


def test_metrics_kept_while_the_server_was_away_are_sent_when_it_is_back(away):
    sink = MlflowSink(away, "0" * 32, flush_seconds=3600)
    sink.log(1, {"loss": 1.5})
    assert not sink._flush()
    received: list[bytes] = []

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802
            self.answer()

        def do_POST(self) -> None:  # noqa: N802
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.answer()

        def answer(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", int(away.rsplit(":", 1)[1])), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sink.log(2, {"loss": 1.25})
        sink.close()
        server.shutdown()
    (body,) = received
    assert body.index(b"1.5") < body.index(b"1.25")
    assert sink.unsent == 0


def test_a_run_on_a_server_that_is_away_does_not_begin(away, tmp_path):
    settings = Settings.load({"SHOPREEL_HOME": str(tmp_path)}, tracking_uri=away)
    run = TrackedRun(settings, "x", kind="generator", params={}, lineage={})
    with pytest.raises(StorageError, match="no answer from MLflow at http://127.0.0.1"), run:
        pass


@pytest.mark.timeout(60)
def test_a_database_that_is_away_is_named_at_once(away, tmp_path):
    """MLflow itself tries for most of an hour."""
    database = away.replace("http://", "postgresql+psycopg://shopreel@")
    settings = Settings.load({"SHOPREEL_HOME": str(tmp_path)}, tracking_uri=f"{database}/mlflow")
    run = TrackedRun(settings, "x", kind="generator", params={}, lineage={})
    with pytest.raises(StorageError, match="cannot open the tracking store postgresql.*refused"), run:
        pass


def test_the_code_version_is_the_commit_or_what_a_job_was_given(monkeypatch):
    code_version.cache_clear()
    found = code_version()
    assert len(found.removesuffix("+dirty")) == 40 or found[0].isdigit()
    monkeypatch.setenv("SHOPREEL_CODE_VERSION", "given")
    code_version.cache_clear()
    assert code_version() == "given"
    code_version.cache_clear()


def test_nested_settings_become_dotted_names():
    assert flatten({"a": {"b": 1, "c": {"d": (1, 2)}}, "e": None}) == {"a.b": "1", "a.c.d": "(1, 2)", "e": "None"}
