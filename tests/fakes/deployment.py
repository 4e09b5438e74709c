"""What docker/ and plugin_config/templates hold, read as values for tests."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
TEMPLATES = ROOT / "plugin_config" / "templates"
DOCKERFILE = DOCKER / "Dockerfile"
COMPOSE = sorted([*TEMPLATES.glob("compose*.yaml"), *DOCKER.glob("compose*.yaml")])
DASHBOARD = DOCKER / "grafana-dashboard.json"
RULES = DOCKER / "prometheus-rules.yaml"


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile, in the stage that it belongs to."""

    stage: str
    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """As a list: JSON where it is written so."""
        return json.loads(self.text) if self.text.startswith("[") else shlex.split(self.text)


def dockerfile() -> list[Instruction]:
    """Every instruction, comments left out and lines joined."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found, stage = [], ""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if not line.strip():
            continue
        name, _, rest = line.partition(" ")
        if name == "FROM":
            stage = rest.split(" AS ")[1]
        found.append(Instruction(stage, name, rest.strip()))
    return found


def stage_of(stage: str) -> list[Instruction]:
    """The instructions of a stage with those of the stages that it is built on, these first."""
    instructions = [each for each in dockerfile() if each.stage == stage]
    (base,) = [each.text.split(" AS ")[0] for each in instructions if each.name == "FROM"]
    return [*(stage_of(base) if base.isidentifier() else []), *instructions]


def compose(file: Path) -> dict[str, Any]:
    """A compose file."""
    loaded: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return loaded


def manifests() -> list[dict[str, Any]]:
    """The objects of the Kubernetes manifest."""
    return list(yaml.safe_load_all((DOCKER / "kubernetes.yaml").read_text(encoding="utf-8")))


def manifest(kind: str, name: str = "samespace") -> dict[str, Any]:
    """One of them."""
    (found,) = [each for each in manifests() if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


def dashboard() -> dict[str, Any]:
    """Grafana's dashboard."""
    loaded: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return loaded


def alerts() -> list[dict[str, Any]]:
    """Prometheus' alerts."""
    return [rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]
