"""`shopreel manifests check` refuses what would not work on a cluster, and says where it stands."""

import re
from importlib.metadata import metadata

import pytest
import yaml

from cluster.cli.manifests import command_error
from cluster.errors import InputError
from cluster.manifests.check import check_manifests, read_manifests
from cluster.manifests.description import ClusterDescription
from cluster.manifests.render import render
from tests.conftest import REPOSITORY
from tests.unit.cluster.planting import check, line_of, plant

TWO_APPLICATIONS = """applications:
      - name: other
        import_path: serving.app:build
        route_prefix: /
        args: {data: shop, storage_root: s3://b, tracking_uri: http://m, event_store_url: sqlite:///e}
        deployments:
          - {name: ingress, ray_actor_options: {num_cpus: 1}}
          - {name: recommender, ray_actor_options: {num_cpus: 1}}
"""


@pytest.mark.parametrize(
    ("file", "right", "wrong", "at", "message"),
    [
        pytest.param(
            *("raycluster.yaml", "maxReplicas:", "maxReplica:", "maxReplica:"),
            "spec.workerGroupSpecs[1].maxReplica: unknown field; did you mean maxReplicas?",
            id="a typo in a field",
        ),
        pytest.param(
            *("rayservice.yaml", "- name: recommender", "- name: recomender", "recomender"),
            "the application has no deployment recomender; did you mean recommender?",
            id="an unknown deployment",
        ),
        pytest.param(
            *("rayservice.yaml", "    nvidia.com/gpu: '1'", "    example.com/nic: '1'", "num_gpus"),
            "a replica of generator asks for 1.0 GPU, but no worker group has any",
            id="GPU asked but no GPU group",
        ),
        pytest.param(
            *("raycluster.yaml", "minReplicas: 0", "minReplicas: 5", "minReplicas: 5"),
            "spec.workerGroupSpecs[1].minReplicas: is 5, above maxReplicas (2)",
            id="min above max",
        ),
        pytest.param(
            *("rayjob-train.yaml", "-ray2.60.0", "-ray2.59.0", "-ray2.59.0"),
            "holds Ray 2.59.0, but rayVersion is 2.60.0",
            id="image version is not the library's",
        ),
        pytest.param(
            *("rayservice.yaml", "applications:\n", TWO_APPLICATIONS, "route_prefix: /"),
            "/ is also the route_prefix of the application in line",
            id="two equal routes",
        ),
        pytest.param(
            *("rayjob-tune.yaml", "- name: ray-worker", "- image: other", "- image: other"),
            "spec.rayClusterSpec.workerGroupSpecs[0].template.spec.containers[0].name: is missing",
            id="a container without its name",
        ),
        pytest.param(
            *("raycluster.yaml", "memory: 32Gi", "memory: 32GB", "memory: 32GB"),
            "is no quantity; write 32Gi (powers of 1024) or 32G (powers of 1000)",
            id="a bad quantity",
        ),
        pytest.param(
            *("rayjob-train.yaml", "replicas: 1", "replicas: -1", "replicas: -1"),
            "spec.rayClusterSpec.workerGroupSpecs[0].replicas: is -1: input should be greater than or equal to 0",
            id="a negative replica count",
        ),
        pytest.param(
            *("rayservice.yaml", "name: shopreel-redis", "name: shopreel-reddis", "name: shopreel-reddis"),
            "no Secret shopreel-reddis is among the manifests",
            id="a dangling secret",
        ),
    ],
)
def test_a_planted_mistake_is_named_with_its_file_and_line(rendered, file, right, wrong, at, message):
    texts = plant(rendered, file, right, wrong)
    if file == "rayservice.yaml" and "gpu" in right:  # limits and requests name the resource
        texts = plant(texts, file, right, wrong)
    found = [problem for problem in check({file: texts[file]}) if message in problem]
    line = line_of(texts[file], at)
    assert found and found[0].startswith(f"{file}:{line}: "), found


def test_a_group_without_containers_is_a_missing_container(rendered):
    cluster = yaml.safe_load(rendered["raycluster.yaml"])
    cluster["spec"]["workerGroupSpecs"][0]["template"]["spec"]["containers"] = []
    del cluster["spec"]["headGroupSpec"]["template"]["spec"]["containers"]
    text = yaml.safe_dump(cluster)
    problems = check({"c.yaml": text})
    assert any("workerGroupSpecs[0].template.spec.containers: is empty" in problem for problem in problems)
    assert any("headGroupSpec.template.spec.containers: is missing" in problem for problem in problems)
    empty = line_of(text, "containers: []")
    assert any(problem.startswith(f"c.yaml:{empty}: ") for problem in problems)


def test_all_mistakes_of_all_files_are_named_at_once(rendered):
    texts = plant(rendered, "raycluster.yaml", "maxReplicas:", "maxReplica:")
    texts = plant(texts, "raycluster.yaml", "memory: 8Gi", "memory: 8 Gi")
    texts = plant(texts, "rayservice.yaml", "route_prefix: /", "route_prefix: shop")
    texts = plant(texts, "rayjob-train.yaml", "train generator", "train genrator")
    files = [problem.partition(":")[0] for problem in check(texts)]
    assert {"raycluster.yaml", "rayservice.yaml", "rayjob-train.yaml"} == set(files)
    assert files.count("raycluster.yaml") >= 3  # the typo, the field that is missing now, the quantity
    assert files == sorted(files)


@pytest.mark.parametrize(
    ("file", "right", "wrong", "message"),
    [
        pytest.param(
            *("rayjob-train.yaml", "--workers 1", "--worker 1"), "No such option: --worker", id="a job's option"
        ),
        pytest.param(
            *("rayjob-tune.yaml", "tune generator --data", "tune generators --data"),
            "no command 'generators'",
            id="the second command of a job",
        ),
        pytest.param(
            *("rayjob-train.yaml", "--run cluster", "--run cluster; shopreel data list"),
            "KubeRay's submitter takes ; for itself, the job ends there; write sh -c '…'",
            id="two commands of which one is the job",
        ),
        pytest.param(
            *("rayservice.yaml", "ingress_replicas:", "ingres_replicas:"),
            "the application takes no such argument; did you mean ingress_replicas?",
            id="an argument of the application",
        ),
        pytest.param(
            *("rayservice.yaml", "route_prefix:", "route_prefx:"),
            "Ray Serve knows no such field; did you mean route_prefix?",
            id="a field of Serve",
        ),
        pytest.param(
            *("rayservice.yaml", "num_cpus: 1", "num_cpus: 0"),
            "asks for neither CPU nor GPU, so Ray may put it on the head",
            id="a replica for the head",
        ),
        pytest.param(
            *("rayservice.yaml", "max_replicas: 2", "max_replicas: 9"),
            "up to 9 replicas of generator ask for 1.0 GPU each; the worker groups have room for 2",
            id="more replicas than GPUs",
        ),
        pytest.param(
            *("rayservice.yaml", "min_replicas: 1", "min_replicas: 7"),
            "generator.max_replicas is 2; set it to min_replicas (7) or more",
            id="fewer replicas at most than at least",
        ),
        pytest.param(
            *("rayservice.yaml", "serving.app:build", "serving.app:bild"),
            "serving.app:bild is not in shopreel; the application is serving.app:build",
            id="an import path",
        ),
        pytest.param(
            *("rayservice.yaml", "name: serve\n", "name: http\n"),
            "needs a port with the name serve",
            id="the serve port",
        ),
        pytest.param(
            *("raycluster.yaml", "rayVersion: 2.60.0", "rayVersion: 2.59.0"),
            "shopreel 0.1.0 needs Ray",
            id="rayVersion",
        ),
        pytest.param(
            *("ray-up.yaml", "shopreel:0.1.0-ray2.60.0", "shopreel:latest"), "tells no version", id="an image at latest"
        ),
        pytest.param(
            *("raycluster.yaml", "value: '1'", "value: 1"), "input should be a valid string", id="a number for text"
        ),
        pytest.param(
            *("rayjob-tune.yaml", "ttlSecondsAfterFinished: 3600", "ttlSecondsAfterFinished: -1"),
            "input should be greater than or equal to 0",
            id="a negative time",
        ),
        pytest.param(
            *("rayjob-tune.yaml", "shutdownAfterJobFinishes: true", "shutdownAfterJobFinishes: false"),
            "Kueue admits a job only with spec.shutdownAfterJobFinishes: true",
            id="a job that Kueue refuses",
        ),
        pytest.param(
            *("rayjob-tune.yaml", "    rayVersion:", "    enableInTreeAutoscaling: true\n    rayVersion:"),
            "Kueue reserves a fixed size",
            id="an autoscaled job in a queue",
        ),
        pytest.param(
            *("monitoring.yaml", "ray_node_mem_used{", "ray_node_memory_used{"),
            "nothing exports ray_node_memory_used; did you mean ray_node_mem_used?",
            id="a metric nobody exports",
        ),
        pytest.param(
            *("monitoring.yaml", "port: dash-metrics", "port: dashmetrics"), "did you mean dash-metrics?", id="a port"
        ),
        pytest.param(
            *("raycluster.yaml", "kind: RayCluster", "kind: RayClutser"), "did you mean RayCluster?", id="kind"
        ),
        pytest.param(
            *("raycluster.yaml", "  rayVersion:", "  rayVersion: 2.60.0\n  rayVersion:"),
            "is given twice; the first is in line",
            id="a key given twice",
        ),
        pytest.param(*("raycluster.yaml", "spec:\n", "spec: {\n"), "not valid YAML", id="not YAML"),
        pytest.param(
            *("ray-up.yaml", "idle_timeout_minutes", "idle_timeout"), "did you mean idle_timeout_minutes?", id="ray up"
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(rendered, file, right, wrong, message):
    texts = plant(rendered, file, right, wrong)
    problems = check(texts if file == "monitoring.yaml" else {file: texts[file]})
    assert any(problem.startswith(f"{file}:") and message in problem for problem in problems), problems


WORKERS_FIRST = "{policy: DeleteWorkers, condition: {jobStatus: FAILED, ttlSeconds: 60}}"
POLICIES = "{onSuccess: {policy: DeleteCluster}, onFailure: {policy: %s}}"


def deleted_by(strategy: str, shut_down: str = "false") -> str:
    """A training's RayJob with this deletionStrategy."""
    text = render(ClusterDescription(queue=None))["rayjob-train"]
    fields = f"shutdownAfterJobFinishes: {shut_down}\n  deletionStrategy: {strategy}\n"
    return re.sub(r"deletionStrategy:\n(?:    .*\n)+", fields, text)


@pytest.mark.parametrize(
    ("strategy", "shut_down", "message"),
    [
        pytest.param(
            f"{{deletionRules: [{WORKERS_FIRST}]}}",
            *("false", "its cluster stays; write jobDeploymentStatus: Failed"),
            id="rules that miss a deadline",
        ),
        pytest.param(
            POLICIES % "DeleteCluster",
            *("true", "its cluster stays; leave deletionStrategy to shutdownAfterJobFinishes"),
            id="policies that miss a deadline",
        ),
        pytest.param(
            POLICIES % "DeleteNone", "true", "does not go with shutdownAfterJobFinishes", id="none, and shut down"
        ),
        pytest.param(
            f"{{deletionRules: [{WORKERS_FIRST}, {WORKERS_FIRST.replace('Workers', 'Cluster').replace('60', '30')}]}}",
            *("false", "the times of FAILED are out of order"),
            id="the cluster before its workers",
        ),
        pytest.param(
            f"{{deletionRules: [{WORKERS_FIRST}, {WORKERS_FIRST}]}}",
            *("false", "FAILED has two rules for DeleteWorkers"),
            id="two rules for one thing",
        ),
        pytest.param(
            f"{{deletionRules: [{WORKERS_FIRST.replace('FAILED', 'FAILED, jobDeploymentStatus: Failed')}]}}",
            *("false", "needs jobStatus or jobDeploymentStatus, one of them"),
            id="both statuses",
        ),
        pytest.param(
            f"{{deletionRules: [{WORKERS_FIRST}]}}",
            *("true", "KubeRay takes either this or deletionStrategy.deletionRules"),
            id="rules, and shut down",
        ),
    ],
)
def test_a_deletion_that_kuberay_refuses_or_that_leaves_the_cluster_is_named(strategy, shut_down, message):
    text = deleted_by(strategy, shut_down)
    lines = [line_of(text, key) for key in ("deletionStrategy:", "shutdownAfterJobFinishes:")]
    problems = check({"j.yaml": text})
    assert any(
        problem.startswith(f"j.yaml:{line}: ") and message in problem for problem in problems for line in lines
    ), problems


def test_a_deletion_that_covers_every_end_of_a_job_is_right():
    assert check({"j.yaml": deleted_by(POLICIES % "DeleteNone")}) == []
    failed = WORKERS_FIRST.replace("jobStatus: FAILED", "jobDeploymentStatus: Failed")
    assert check({"j.yaml": deleted_by(f"{{deletionRules: [{failed}]}}")}) == []


def test_a_problem_inside_the_serve_configuration_has_the_line_of_the_file(rendered):
    texts = plant(rendered, "rayservice.yaml", "num_cpus: 1\n", "num_cpu: 1\n")
    line = line_of(texts["rayservice.yaml"], "num_cpu: 1")
    where = "spec.serveConfigV2.applications[0].deployments[1].ray_actor_options.num_cpu"
    assert any(problem.startswith(f"rayservice.yaml:{line}: {where}: ") for problem in check(texts))


def test_a_secret_among_the_manifests_must_have_the_key():
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: shopreel-redis}\nstringData: {passwrd: x}\n"
    texts = {"raycluster.yaml": render(ClusterDescription())["raycluster"].replace(",shopreel-redis", "")}
    assert [problem for problem in check(texts) if "no Secret shopreel-redis" in problem]
    problems = check(texts | {"secret.yaml": secret})
    assert len(problems) == 1
    assert "Secret shopreel-redis has no key password; it has: passwrd" in problems[0]
    assert check(texts | {"secret.yaml": secret.replace("passwrd", "password")}) == []


def test_a_secret_must_be_where_it_is_used_and_hold_the_token_there():
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: shopreel-ray-token, namespace: %s}\nstringData: {%s: x}\n"
    job = render(ClusterDescription())["rayjob-train"].replace(",shopreel-ray-token", "")
    line = line_of(job, "secretName: shopreel-ray-token")
    (elsewhere,) = check({"j.yaml": job, "secret.yaml": secret % ("default", "auth_token")})
    assert elsewhere.startswith(f"j.yaml:{line}: ")
    assert "Secret shopreel-ray-token is in namespace default, not in shopreel" in elsewhere
    (no_token,) = check({"j.yaml": job, "secret.yaml": secret % ("shopreel", "token")})
    assert no_token.startswith(f"j.yaml:{line}: ")
    assert "has no key auth_token; it has: token" in no_token
    assert check({"j.yaml": job, "secret.yaml": secret % ("shopreel", "auth_token")}) == []


def test_what_others_make_or_have_may_be_left_out(rendered):
    """A config map made elsewhere, the one of every namespace, and the clusters that monitors watch."""
    assert check({"monitoring.yaml": rendered["monitoring.yaml"]}) == []
    cluster = yaml.safe_load(rendered["raycluster.yaml"])
    pod = cluster["spec"]["headGroupSpec"]["template"]["spec"]
    pod["volumes"] = [{"name": name, "configMap": {"name": name}} for name in ("shop-ca", "kube-root-ca.crt")]
    pod["volumes"][1]["name"] = "root-ca"
    (problem,) = check({"c.yaml": yaml.safe_dump(cluster)})
    assert "no ConfigMap shop-ca is among the manifests" in problem
    cluster["metadata"]["annotations"]["shopreel.io/external-config-maps"] = "shop-ca"
    assert check({"c.yaml": yaml.safe_dump(cluster)}) == []


def test_the_secret_that_prometheus_shows_must_be_known(rendered):
    texts = plant(rendered, "monitoring.yaml", "name: shopreel-metrics", "name: shopreel-metric")
    assert any("no Secret shopreel-metric is among the manifests" in problem for problem in check(texts))


@pytest.mark.parametrize("wrong", ["[]", "{}", "null", "7", ".nan", "x"])
def test_a_value_of_any_wrong_form_is_a_problem_and_no_crash(rendered, wrong):
    """Lists, mappings and numbers in places where rules look for names and numbers."""
    service, job = rendered["rayservice.yaml"], rendered["rayjob-tune.yaml"]
    for key in ("route_prefix", "name", "num_cpus", "args", "deployments", "containers", "groupName", "rayVersion"):
        service = re.sub(rf"(?m)^( *(?:- )?{key}:)(?: .*)?$", rf"\1 {wrong}", service, count=1)
        found = check({"s.yaml": service})
    assert found
    for key in ("onFailure", "entrypoint", "labels", "workerGroupSpecs", "kind"):
        job = re.sub(rf"(?m)^( *{key}:).*\n(?:\1  .*\n)*", rf"\1 {wrong}\n", job, count=1)
        found = check({"j.yaml": job})
    assert found


@pytest.mark.parametrize(
    ("file", "right", "wrong", "message"),
    [
        ("rayservice.yaml", "- name: recommender", "- ingress\n          - name: recommender", "must be a mapping"),
        ("rayservice.yaml", "name: shopreel-redis", "name: [shopreel-redis]", "input should be a valid string"),
        ("monitoring.yaml", "name: shopreel-metrics", "name: {of: prometheus}", "input should be a valid string"),
        ("raycluster.yaml", "nvidia.com/gpu: '1'", f"nvidia.com/gpu: {10**30}", "above the limit of 1"),
    ],
)
def test_a_value_of_a_wrong_form_is_named_where_others_look_it_up(rendered, file, right, wrong, message):
    problems = check({file: plant(rendered, file, right, wrong)[file]})
    assert any(problem.startswith(f"{file}:") and message in problem for problem in problems), problems


def test_versions_of_a_dockerfile_must_be_those_of_the_library(tmp_path):
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text(
        "FROM python:3.9-slim\n"
        'LABEL org.opencontainers.image.version="0.0.9"\n'
        "RUN pip install torch==2.0.0\n"
        "FROM rayproject/ray:2.40.0-py311\n"
    )
    (tmp_path / "constraints.txt").write_text("torch==2.13.0\n")
    texts, dockerfiles = read_manifests([tmp_path])
    assert texts == {}
    problems = [str(problem) for problem in check_manifests(texts, command_error, dockerfiles)]
    assert [problem.removeprefix(f"{dockerfile}:")[:2] for problem in problems] == ["1:", "2:", "3:", "4:"]
    assert "torch==2.0.0 is not the 2.13.0 of constraints.txt" in problems[2]


def test_a_path_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(InputError, match="nowhere does not exist"):
        read_manifests([tmp_path / "nowhere"])


def test_a_path_with_nothing_to_check_is_an_error_and_not_a_success(tmp_path):
    (tmp_path / "shop.yaml.j2").write_text("kind: RayCluster")
    (tmp_path / "Dockerfiles").mkdir()
    for path in (tmp_path, tmp_path / "shop.yaml.j2"):
        with pytest.raises(InputError, match=f"{path} holds nothing to check"):
            read_manifests([path])


def test_the_dockerfile_of_this_repository_fits_the_library():
    """Versions agree, it holds every extra, and the image runs as the number that the manifests ask for."""
    dockerfile = REPOSITORY / "Dockerfile"
    assert check_manifests({}, command_error, [dockerfile]) == []
    lines = dockerfile.read_text().splitlines()
    (installed,) = re.findall(r"\.\[(.*)]", dockerfile.read_text())
    assert {*installed.split(","), "dev"} == set(metadata("shopreel").get_all("Provides-Extra"))
    pod = yaml.safe_load(render(ClusterDescription())["raycluster"])["spec"]["headGroupSpec"]["template"]["spec"]
    assert f"USER {pod['securityContext']['runAsUser']}" in lines
