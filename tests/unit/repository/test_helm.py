"""docker/helm: renders to what docker/kubernetes.yaml says, and to valid objects for other values."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from fakes.deployment import DOCKER, manifests
from samespace import __version__

CHART = DOCKER / "helm"
TEMPLATE = (CHART / "templates" / "server.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def helm() -> str:
    """The program that HELM names, or of the path."""
    found = os.environ.get("HELM") or shutil.which("helm")
    if found is None:
        pytest.skip("helm is not installed: set HELM to the program")
    return found


def rendered(helm: str, *settings: str) -> list[dict[str, Any]]:
    """The chart's objects, as `helm template` gives them."""
    command = [helm, "template", "samespace", str(CHART), *(word for each in settings for word in ("--set", each))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def _key(entry: dict[str, Any]) -> tuple[str, str]:
    return entry["kind"], entry["metadata"]["name"]


def test_it_is_linted(helm: str) -> None:
    """By helm itself; a warning is an error."""
    done = subprocess.run([helm, "lint", "--strict", str(CHART)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout


def test_it_renders_to_the_manifest_beside_it(helm: str) -> None:
    """Every object, key by key: what is tested of the one holds for the other."""
    assert sorted(rendered(helm), key=_key) == sorted(manifests(), key=_key)


def test_other_values_give_valid_objects(helm: str) -> None:
    """By Kubernetes' own schemas, and each value arrives."""
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    objects = rendered(
        helm, "artifact.claim=mine", "cpu=4", "memory=2Gi", "tokens.secret=keys", "arguments={--build,int8}",
        "image.repository=r.example.org/s", "image.tag=9", "replicas.least=3", "monitoringNamespace=watch",
    )  # fmt: skip
    for each in objects:
        kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)
    kinds = {_key(each): each for each in objects}
    assert not [kind for kind, _ in kinds if kind == "PersistentVolumeClaim"]
    pod = kinds["Deployment", "samespace"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["args"][-4:] == ["--threads", "4", "--build", "int8"] and container["image"] == "r.example.org/s:9"
    assert container["resources"]["limits"] == {"cpu": "4", "memory": "2Gi"}
    assert container["envFrom"] == [{"secretRef": {"name": "keys"}}]
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == "mine"
    assert kinds["HorizontalPodAutoscaler", "samespace"]["spec"]["minReplicas"] == 3


def test_two_releases_do_not_share_names(helm: str) -> None:
    """Names and labels are the release's."""
    command = [helm, "template", "second", str(CHART)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    objects = [each for each in yaml.safe_load_all(done.stdout) if each]
    assert objects and all(each["metadata"]["name"].startswith("second") for each in objects)
    assert "name: samespace" not in re.sub(r"{name: samespace_queued_tokens}", "", done.stdout)


def test_every_value_is_there_and_used() -> None:
    """Without helm: what the template reads is in values.yaml, and nothing in it is read by nobody."""
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    known = {f"{key}.{inner}" for key, part in values.items() if isinstance(part, dict) for inner in part}
    known |= {key for key, part in values.items() if not isinstance(part, dict)}
    assert set(re.findall(r"\.Values\.([\w.]+)", TEMPLATE)) == known


def test_its_version_is_the_packages() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["appVersion"] == __version__ == chart["version"]
