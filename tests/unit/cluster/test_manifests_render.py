"""Manifests rendered from one description: checked whole, for every shape of cluster."""

import json
import os
import subprocess
import sys

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.serve.schema import ServeDeploySchema
from typer.testing import CliRunner

from cluster.cli.main import app
from cluster.cli.manifests import command_error
from cluster.config import override
from cluster.errors import InputError
from cluster.manifests.check import check_manifests
from cluster.manifests.description import ClusterDescription
from cluster.manifests.metrics import own_metrics
from cluster.manifests.render import MANIFESTS, render
from serving.metrics import Metrics
from tests.conftest import REPOSITORY


def described(*settings: str) -> ClusterDescription:
    return override(ClusterDescription(), settings)


def objects(description: ClusterDescription) -> dict[str, dict]:
    """The Kubernetes objects by kind, the job of a training for RayJob."""
    texts = render(description)
    texts.pop("rayjob-tune")
    documents = [part for text in texts.values() for part in yaml.safe_load_all(text)]
    return {part["kind"]: part for part in documents if "kind" in part}


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param([], id="defaults"),
        pytest.param(["gpus=0"], id="no GPUs"),
        pytest.param(["gpus=8", "service.gpus_per_replica=0.5", "train.workers=4"], id="shared GPUs"),
        pytest.param(["queue=null", "token_secret=null"], id="neither Kueue nor tokens"),
        pytest.param(
            ["ray_up.provider=local", "ray_up.head_ip=10.0.0.1", "ray_up.worker_ips=[10.0.0.2]"], id="own machines"
        ),
        pytest.param(["image=registry.example.com:5000/shops/shopreel:0.1.0"], id="an image that names no Ray"),
    ],
)
def test_what_is_rendered_has_no_problems(settings):
    texts = {f"{name}.yaml": text for name, text in render(described(*settings)).items()}
    assert set(texts) == {f"{name}.yaml" for name in MANIFESTS}
    assert [str(problem) for problem in check_manifests(texts, command_error)] == []


def test_no_work_lands_on_the_head_and_the_groups_follow_the_gpus():
    """The head offers no CPU; every replica asks for some; without GPUs there is no GPU group."""
    parts = objects(described("gpus=3"))
    for spec in (parts["RayCluster"]["spec"], parts["RayService"]["spec"]["rayClusterConfig"]):
        assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
        assert spec["autoscalerOptions"]["version"] == "v2"
        assert [group["groupName"] for group in spec["workerGroupSpecs"]] == ["cpu", "gpu"]
        assert spec["workerGroupSpecs"][1]["maxReplicas"] == 3
    without = objects(described("gpus=0"))["RayCluster"]["spec"]
    assert [group["groupName"] for group in without["workerGroupSpecs"]] == ["cpu"]


def test_a_cluster_s_nodes_can_reach_each_other():
    """The settings of a Ray on one machine, which keep it on loopback, do not reach a cluster."""
    head = objects(described())["RayCluster"]["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    variables = {item["name"]: item["value"] for item in head["env"]}
    assert variables["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "1"
    assert "RAY_AUTH_MODE" not in variables
    assert variables["SHOPREEL_HOME"] == "s3://shopreel"


def test_a_job_ends_its_cluster_with_and_without_kueue():
    """After success, failure and a deadline, which KubeRay calls Failed without a jobStatus FAILED."""
    queued = objects(described())["RayJob"]
    assert queued["metadata"]["labels"] == {"kueue.x-k8s.io/queue-name": "shopreel"}
    assert queued["spec"]["backoffLimit"] == 3
    assert queued["spec"]["activeDeadlineSeconds"] == 86_400
    assert queued["spec"]["shutdownAfterJobFinishes"] is True
    assert queued["spec"]["ttlSecondsAfterFinished"] == 3_600
    assert "deletionStrategy" not in queued["spec"]  # it would go before, and know no deadline
    free = objects(described("queue=null", "train.keep_s=60"))["RayJob"]
    assert "labels" not in free["metadata"]
    rules = [(rule["policy"], rule["condition"]) for rule in free["spec"]["deletionStrategy"]["deletionRules"]]
    for status in ({"jobStatus": "SUCCEEDED"}, {"jobDeploymentStatus": "Failed"}):
        assert ("DeleteWorkers", status | {"ttlSeconds": 0}) in rules
        assert ("DeleteCluster", status | {"ttlSeconds": 60}) in rules


KUBERAY_SUBMITTER = "ray job submit --no-wait --submission-id 1a2b -- {entrypoint} ; echo followed"
"""The shell line around an entrypoint, as KubeRay 1.6 writes it in K8sJobMode (common/job.go)."""


@pytest.mark.parametrize(
    ("name", "begun", "ran"),
    [
        pytest.param(
            "train", False, ["train generator --data shop --workers 1 --run cluster --start starter"], id="train"
        ),
        pytest.param("tune", True, ["tune generator --resume cluster"], id="a sweep that was begun"),
        pytest.param(
            "tune",
            False,
            ["tune generator --resume cluster", "tune generator --data shop --trials 16 --name cluster"],
            id="a sweep with nothing to take up",
        ),
    ],
)
def test_all_of_a_job_s_entrypoint_is_the_job_and_a_retry_takes_up_what_was_begun(tmp_path, name, begun, ran):
    """KubeRay's submitter is a shell; nothing of the entrypoint runs in it, everything in the job's own shell."""
    entrypoint = yaml.safe_load(render(described())[f"rayjob-{name}"])["spec"]["entrypoint"]
    programs = {
        "ray": f'#!{sys.executable}\nimport shlex, sys\nopen("job", "w").write(shlex.join(sys.argv[7:]))\n',
        "shopreel": f"#!/bin/sh\necho $* >> ran\ncase $* in *--resume*) exit {int(not begun)};; esac\n",
    }
    for program, text in programs.items():
        (tmp_path / program).write_text(text)
        (tmp_path / program).chmod(0o755)
    settings = {"cwd": tmp_path, "env": os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}, "check": True}
    subprocess.run(["bash", "-ec", KUBERAY_SUBMITTER.format(entrypoint=entrypoint)], **settings)
    assert not (tmp_path / "ran").exists()
    subprocess.run((tmp_path / "job").read_text(), shell=True, **settings)
    assert (tmp_path / "ran").read_text().splitlines() == ran


def test_the_service_upgrades_beside_the_old_cluster_and_survives_its_head():
    spec = objects(described("redis.address=redis.shops:6380"))["RayService"]["spec"]
    assert spec["upgradeStrategy"] == {"type": "NewCluster"}
    options = spec["rayClusterConfig"]["gcsFaultToleranceOptions"]
    assert options["redisAddress"] == "redis.shops:6380"
    assert options["redisPassword"]["valueFrom"]["secretKeyRef"] == {"name": "shopreel-redis", "key": "password"}
    config = ServeDeploySchema.model_validate(yaml.safe_load(spec["serveConfigV2"]))
    assert config.applications[0].route_prefix == "/"


def test_prometheus_shows_a_key_that_may_read_where_the_application_asks_for_one():
    """Heads and workers, which Ray answers for, ask for none."""
    text = render(described("monitoring.secret=scrape", "monitoring.key=token"))["monitoring"]
    monitors = [part["spec"] for part in yaml.safe_load_all(text) if part["kind"].endswith("Monitor")]
    endpoints = [end for spec in monitors for end in spec.get("endpoints", spec.get("podMetricsEndpoints"))]
    (shown,) = [end["authorization"] for end in endpoints if "authorization" in end]
    assert [end["port"] for end in endpoints if "authorization" in end] == ["serve"]
    assert shown == {"type": "Bearer", "credentials": {"name": "scrape", "key": "token"}}


def test_ray_up_takes_its_file():
    config = prepare_config(yaml.safe_load(render(described("gpus=2"))["ray-up"]))
    validate_config(config)
    assert config["available_node_types"]["head"]["resources"]["CPU"] == 0


def test_the_head_of_own_machines_can_log_in_to_its_workers():
    """Ray copies the key that the file names to the head; the image has what it starts workers with."""
    own = ["ray_up.provider=local", "ray_up.head_ip=10.0.0.1", "ray_up.worker_ips=[10.0.0.2]"]
    config = prepare_config(yaml.safe_load(render(described(*own, "ray_up.ssh_private_key=~/.ssh/shop"))["ray-up"]))
    validate_config(config)
    assert config["auth"] == {"ssh_user": "ubuntu", "ssh_private_key": "~/.ssh/shop"}
    (packages,) = [line for line in (REPOSITORY / "Dockerfile").read_text().splitlines() if "apt-get install" in line]
    assert {"openssh-client", "rsync"} <= set(packages.split())


def test_the_dashboard_shows_every_metric_that_the_code_declares():
    """What the code declares is what a replica exports, and none of it is left out."""
    panels = json.loads(objects(described())["ConfigMap"]["data"]["shopreel.json"])["panels"]
    queries = " ".join(target["expr"] for panel in panels for target in panel.get("targets", []))
    for metric in own_metrics():
        assert any(name in queries for name in metric.exported), metric.name
    assert len({panel["id"] for panel in panels}) == len(panels)
    types = {
        line.split()[2]: line.split()[3]
        for line in Metrics().text("replica").decode().splitlines()
        if line.startswith(("# TYPE shopreel_", "# TYPE http_server_")) and "_created " not in line
    }
    declared = {metric.exported[0].removesuffix("_bucket"): metric.kind for metric in own_metrics()}
    assert types.items() <= {name: "gauge" if kind == "info" else kind for name, kind in declared.items()}.items()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("gpus=-1", "gpus is -1"),
        ("name=Shop", "name is 'Shop'"),
        ("cpu_workers.memory=16GB", "cpu_workers.memory is '16GB'"),
        ("cpu_workers.min_replicas=9", "cpu_workers.min_replicas is 9"),
        ("train.workers=4", "train.workers is 4; set it to at most gpus"),
        ("service.gpus_per_replica=2", "service.gpus_per_replica is 2"),
        ("stores.event_store=postgresql://me:secret@db/shop", "stores.event_store holds a password"),
        ("ray_up.provider=local", "set ray_up.head_ip"),
        ("imge=x", "unknown setting imge"),
    ],
)
def test_a_wrong_setting_is_named(setting, message):
    with pytest.raises(InputError, match=message):
        described(setting)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    result = CliRunner().invoke(app, ["manifests", "render", "--only", "ray-up", "--out", str(tmp_path / "file")])
    assert isinstance(result.exception, InputError)
    assert str(result.exception).startswith(f"--out {tmp_path / 'file'} cannot be written: ")


def test_render_and_check_on_the_command_line(tmp_path):
    """What `render --out` writes, `check` accepts; a mistake in it gives exit code 2 and one line."""
    run = CliRunner().invoke
    folder = tmp_path / "manifests"
    image = "registry.example.com/shopreel:0.1.0-ray2.60.0"
    assert (
        run(app, ["manifests", "render", "--set", f"image={image}", "--set", "gpus=4", "--out", str(folder)]).exit_code
        == 0
    )
    assert f"image: {image}" in (folder / "rayservice.yaml").read_text()
    assert run(app, ["manifests", "check", str(folder)]).exit_code == 0
    broken = folder / "raycluster.yaml"
    broken.write_text(broken.read_text().replace("minReplicas: 0", "minReplicas: -2", 1))
    result = run(app, ["manifests", "check", str(folder)])
    assert result.exit_code == 2
    assert f"{broken}:" in result.stdout
    printed = run(app, ["manifests", "render", "--only", "raycluster"])
    assert [part["kind"] for part in yaml.safe_load_all(printed.stdout)] == ["RayCluster"]
    described_by = run(app, ["manifests", "settings", "--set", "gpus=4"])
    (tmp_path / "cluster.yaml").write_text(described_by.stdout)
    assert run(app, ["manifests", "check", "--config", str(tmp_path / "cluster.yaml")]).exit_code == 0
