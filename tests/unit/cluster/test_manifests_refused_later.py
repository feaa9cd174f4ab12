"""`shopreel manifests check` names what Kubernetes, KubeRay and `ray start` would refuse when it is too late."""

import pytest
import yaml

from tests.unit.cluster.planting import check, line_of, plant


@pytest.mark.parametrize(
    ("file", "right", "wrong", "message"),
    [
        pytest.param(
            *(
                "raycluster.yaml",
                "  name: shopreel\n",
                "  name: 1shop.eu\n",
                "is 1shop.eu; KubeRay takes lower-case letters",
            ),
            id="a name KubeRay refuses",
        ),
        pytest.param(
            *("raycluster.yaml", "rayStartParams: {}", "rayStartParams: {num_gpus: '1'}"),
            "ray start has no option --num_gpus; did you mean num-gpus?",
            id="an option of ray start",
        ),
        pytest.param(
            *("raycluster.yaml", "name: dash-metrics", "name: as-metrics", "as-metrics is also the name in line"),
            id="a port's name given twice",
        ),
        pytest.param(
            *("raycluster.yaml", "- name: SHOPREEL_HOME", "- name: SHOPREEL_EVENT_STORE"),
            "SHOPREEL_EVENT_STORE is also the name in line",
            id="a variable given twice",
        ),
        pytest.param(
            *(
                "raycluster.yaml",
                "memory: 32Gi",
                "memroy: 32Gi",
                "Kubernetes knows no resource memroy; did you mean memory?",
            ),
            id="a resource",
        ),
        pytest.param(
            *(
                "raycluster.yaml",
                "nvidia.com/gpu: '1'",
                "nvidia.com/gpu: '0'",
                "needs a limit, and a request that equals it",
            ),
            id="fewer GPUs asked for than the limit",
        ),
        pytest.param(
            *("raycluster.yaml", "runAsUser: 1000", "runAsUser: 0", "is 0, which is root, beside runAsNonRoot"),
            id="root",
        ),
        pytest.param(
            *("raycluster.yaml", "redisAddress: redis:6379", "redisAddress: ''", "is needed, such as redis:6379"),
            id="no Redis",
        ),
        pytest.param(
            *(
                "raycluster.yaml",
                "redisAddress:",
                "backend: rocksdb\n    redisAddress:",
                "belongs to Redis; take it out",
            ),
            id="two stores of the head's state",
        ),
        pytest.param(
            *(
                "rayjob-train.yaml",
                "submissionMode: K8sJobMode\n  backoffLimit: 3",
                "submissionMode: InteractiveMode\n  backoffLimit: 3",
            ),
            "goes neither with clusterSelector nor with InteractiveMode",
            id="retries of an interactive job",
        ),
        pytest.param(
            *(
                "rayjob-train.yaml",
                "entrypoint: shopreel",
                "entrypoint: shopreal",
                "no program shopreal; did you mean shopreel?",
            ),
            id="a program",
        ),
        pytest.param(
            *("rayjob-train.yaml", "--workers 1", "--workers 8", "asks for 8 workers, the cluster has 1 GPUs"),
            id="more workers than the cluster has",
        ),
        pytest.param(
            *("rayjob-train.yaml", "kueue.x-k8s.io/queue-name:", "kueue.x-k8s.io/queue:"),
            "did you mean kueue.x-k8s.io/queue-name?",
            id="the label of the queue",
        ),
        pytest.param(
            *(
                "rayjob-train.yaml",
                "queue-name: shopreel",
                "queue-name: shop reel",
                "is 'shop reel': string should match",
            ),
            id="the value of a label",
        ),
        pytest.param(
            *("rayjob-train.yaml", "    rayVersion:", "    upgradeStrategy: {type: Recreate}\n    rayVersion:"),
            "KubeRay takes it in a RayCluster alone",
            id="the upgrade of a job's cluster",
        ),
        pytest.param(
            *(
                "rayservice.yaml",
                "type: NewCluster",
                "type: NewClusterWithIncrementalUpgrade",
                "needs clusterUpgradeOptions",
            ),
            id="an upgrade without its options",
        ),
        pytest.param(
            *("rayservice.yaml", "containerPort: 8000", "containerPort: 8001"),
            "is 8001, but Serve listens on 8000 (http_options.port)",
            id="a port nobody listens on",
        ),
        pytest.param(
            *(
                "rayservice.yaml",
                "      host: 0.0.0.0",
                "      host: 127.0.0.1",
                "is reached from inside the pod alone",
            ),
            id="a Serve that no other pod reaches",
        ),
        pytest.param(
            *(
                "ray-up.yaml",
                "head_node_type: head",
                "head_node_type: heads",
                "heads is not among available_node_types",
            ),
            id="the head's type of ray up",
        ),
        pytest.param(
            *("ray-up.yaml", "min_workers: 0", "min_workers: 5", "is 5, above the max_workers (2)"), id="min of ray up"
        ),
        pytest.param(
            *(
                "ray-up.yaml",
                "--num-cpus=0",
                "--num-cpu=0",
                "ray start has no option --num-cpu; did you mean num-cpus?",
            ),
            id="a command of ray up",
        ),
    ],
)
def test_what_kubernetes_or_ray_would_refuse_later_is_named_with_its_line(rendered, file, right, wrong, message):
    texts = plant(rendered, file, right, wrong)
    planted = tuple(f"{file}:{line_of(texts[file], words.strip())}: " for words in wrong.strip().splitlines())
    problems = check({file: texts[file]})
    assert any(problem.startswith(planted) and message in problem for problem in problems), problems


def test_what_a_hand_adds_to_a_manifest_may_stand(rendered):
    """Fields of Kubernetes, KubeRay and the Prometheus operator that render does not write."""
    cluster, monitor = (
        yaml.safe_load(rendered[name].partition("---\n")[0]) for name in ("raycluster.yaml", "monitoring.yaml")
    )
    cluster["metadata"]["finalizers"] = ["shops.example.com/billing"]
    head, (cpu, gpu) = cluster["spec"]["headGroupSpec"], cluster["spec"]["workerGroupSpecs"]
    head["template"]["spec"] |= {
        "priorityClassName": "high", "hostAliases": [{"ip": "10.0.0.9", "hostnames": ["mlflow"]}],
        "shareProcessNamespace": True, "dnsConfig": {"nameservers": ["10.0.0.2"]}, "nodeName": "node-7",
        "initContainers": [{"name": "proxy", "image": "envoy:v1.30", "restartPolicy": "Always", "tty": True}],
    }  # fmt: skip
    cpu["template"]["spec"]["volumes"] = [{"name": "pod", "downwardAPI": {"items": []}}]
    gpu |= {"idleTimeoutSeconds": 600, "priority": 5, "labels": {"pool": "l4"}, "numOfHosts": 1}
    gpu["rayStartParams"] = {
        "object-store-memory": "8000000000",
        "dashboard-agent-listen-port": "52365",
        "block": "true",
    }
    monitor["spec"] |= {"targetLimit": 20, "attachMetadata": {"node": True}, "scrapeProtocols": ["PrometheusText0.0.4"]}
    monitor["spec"]["endpoints"][0] |= {"honorTimestamps": False, "followRedirects": True}
    assert check({"cluster.yaml": yaml.safe_dump(cluster), "monitor.yaml": yaml.safe_dump(monitor)}) == []
