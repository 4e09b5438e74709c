"""What runs elsewhere calls the same make targets, and each of them exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def _steps(workflow: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=[each.stem for each in WORKFLOWS])
def test_make_does_the_work(workflow: Path) -> None:
    """Every target that is called exists, and Python's tools are called by make alone."""
    commands = [step["run"] for step in _steps(workflow) if "run" in step]
    called = {target for command in commands for target in re.findall(r"\bmake ([a-z-]+)", command)}
    assert called and called <= TARGETS
    for command in commands:
        assert not re.search(r"\b(pytest|ruff|mypy|pip|uv)\b", command), command


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=[each.stem for each in WORKFLOWS])
def test_rights_are_the_least(workflow: Path) -> None:
    """Read alone, unless a job says otherwise; actions are named with a version."""
    assert yaml.safe_load(workflow.read_text(encoding="utf-8"))["permissions"] == {"contents": "read"}
    for step in _steps(workflow):
        assert "uses" not in step or re.search(r"@(v\d|release/v\d)", step["uses"]), step


def test_the_help_of_make_names_real_targets() -> None:
    """What the Makefile's head tells of can be called."""
    told = set(re.findall(r"^# make ([a-z-]+) ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"try", "quickstart", "matrix", "release", "check"} <= told <= TARGETS


def test_hooks_are_programs_of_the_environment() -> None:
    """pre-commit runs what `make check` runs, in the versions of constraints.txt."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for hook in hooks:
        program = hook["entry"].split()[0]
        assert program.startswith(".venv/bin/") and f"$(BIN)/{Path(program).name}" in makefile
