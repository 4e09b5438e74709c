"""docker/kubernetes.yaml: valid by the schemas of Kubernetes, and right in what schemas do not see."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from fakes.deployment import DOCKER, manifest, manifests
from samespace_server.settings import Limits, Settings

LABELS = {"app.kubernetes.io/name": "samespace"}
OLDEST = "1.30"  # `lifecycle.preStop.sleep`


def pod() -> dict[str, Any]:
    found: dict[str, Any] = manifest("Deployment")["spec"]["template"]["spec"]
    return found


def container() -> dict[str, Any]:
    (found,) = pod()["containers"]
    return found


@pytest.mark.parametrize("version", [OLDEST, ""], ids=["oldest", "newest"])
def test_every_object_is_valid(version: str) -> None:
    """By the schema of the oldest version that we name and of the newest one known; an unknown key is an error."""
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    wanted = version or kubernetes_validate.latest_version()
    for each in manifests():
        kubernetes_validate.validate(each, wanted, strict=True)


def test_the_pod_is_restricted() -> None:
    """What the Pod Security Standard "restricted" asks for, and a root file system that cannot be written."""
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert pod()["securityContext"]["runAsUser"] >= 10_000
    assert pod()["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod()["automountServiceAccountToken"] is False
    assert {next(iter(set(volume) - {"name"})) for volume in pod()["volumes"]} <= {
        "persistentVolumeClaim", "emptyDir", "secret", "configMap",
    }  # fmt: skip


def test_selectors_find_the_pods() -> None:
    """Services, budget, policy and spread select what the template is labelled with."""
    deployment = manifest("Deployment")["spec"]
    assert deployment["template"]["metadata"]["labels"] == LABELS
    assert deployment["selector"]["matchLabels"] == LABELS
    for each in (manifest("Service"), manifest("Service", "samespace-grpc")):
        assert each["spec"]["selector"] == LABELS
    assert manifest("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == LABELS
    assert manifest("NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == LABELS
    for spread in pod()["topologySpreadConstraints"]:
        assert spread["labelSelector"]["matchLabels"] == LABELS


def test_ports_are_those_of_the_server() -> None:
    """Every named port exists, and the numbers are those of the command line and of the server's defaults."""
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
    arguments = container()["args"]
    assert ports == {"http": Settings.__dataclass_fields__["http_port"].default, "grpc": 8081}
    for name, port in ports.items():
        assert arguments[arguments.index(f"--{name}-port") + 1] == str(port)
    for each in manifests():
        if each["kind"] == "Service":
            for port in each["spec"]["ports"]:
                assert ports[port["targetPort"]] == port["port"]
    for rule in manifest("NetworkPolicy")["spec"]["ingress"]:
        assert {port["port"] for port in rule["ports"]} <= set(ports)
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container()[probe]["httpGet"]["port"] in ports


def test_probes_ask_what_they_are_for() -> None:
    """Ready for traffic, live for restarts: a server that is loading or busy is not killed."""
    assert container()["startupProbe"]["httpGet"]["path"] == "/.well-known/ready"
    assert container()["readinessProbe"]["httpGet"]["path"] == "/.well-known/ready"
    assert container()["livenessProbe"]["httpGet"]["path"] == "/.well-known/live"


def test_there_is_time_to_drain() -> None:
    """The grace period holds the pause before SIGTERM, the whole drain, and some seconds to leave."""
    pause_s = container()["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod()["terminationGracePeriodSeconds"] >= pause_s + Limits().drain_timeout_ms / 1000 + 5


def test_programs_see_all_addresses() -> None:
    """The service for gRPC is headless, so that clients balance; the other one has one address, for Weaviate."""
    assert manifest("Service", "samespace-grpc")["spec"]["clusterIP"] == "None"
    assert "clusterIP" not in manifest("Service")["spec"]


def test_replicas_belong_to_the_autoscaler() -> None:
    """It finds the deployment, keeps at least two, and one of them survives the draining of a node."""
    scaler = manifest("HorizontalPodAutoscaler")["spec"]
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "samespace"}
    assert "replicas" not in manifest("Deployment")["spec"]
    assert scaler["minReplicas"] > manifest("PodDisruptionBudget")["spec"]["minAvailable"] >= 1


def test_threads_are_the_cores_that_are_asked_for() -> None:
    """The server sees the cores of the node: without this, it would start far too many threads."""
    arguments, resources = container()["args"], container()["resources"]
    assert arguments[arguments.index("--threads") + 1] == resources["requests"]["cpu"] == resources["limits"]["cpu"]


def test_the_adapter_offers_what_the_autoscaler_wants() -> None:
    """Its rule has the name of the autoscaler's metric."""
    (rule,) = yaml.safe_load((DOCKER / "prometheus-adapter.yaml").read_text(encoding="utf-8"))["rules"]["custom"]
    (metric,) = manifest("HorizontalPodAutoscaler")["spec"]["metrics"]
    assert rule["name"]["as"] == metric["pods"]["metric"]["name"]
    assert rule["seriesQuery"].startswith(rule["name"]["as"] + "{")
