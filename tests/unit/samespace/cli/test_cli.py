"""The command line: quick help everywhere, errors in one sentence, missing extras named with their pip line."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from samespace.cli import COMMANDS, cli
from samespace.cli.console import progress, table
from samespace.errors import BuildUnavailable, SamespaceError

HELP_S = 0.5  # of CPU: how long it takes by the clock is the machine's other work
# What a base install does not have: a command's --help has to work without any of it.
ABSENT = (
    "torch", "transformers", "sentence_transformers", "onnx", "onnxruntime", "openvino", "weaviate", "grpc",
    "uvloop", "httptools", "bm25s", "datasets", "datasketch", "pyarrow", "ray",
)  # fmt: skip
BASE_INSTALL = f"import sys; sys.modules.update(dict.fromkeys({ABSENT!r})); from samespace.cli import main; main()"
SUBCOMMANDS = [[name] for name in COMMANDS] + [["weaviate", name] for name in ("create", "import", "search", "check")]
SUBCOMMANDS += [
    ["doctor", "data"],
    ["vocab", "extend"],
    *(["spaces", name] for name in ("list", "load", "unload", "default")),
]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`samespace` in a process in which nothing but the base install can be imported."""
    return subprocess.run(
        [sys.executable, "-c", BASE_INSTALL, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def cpu_of_children_s() -> float:
    """CPU seconds of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture(scope="module")
def help_s() -> float:
    """Half a second of CPU or, on a slow machine, three times what the base install's own libraries take to import."""
    times = []
    for _ in range(3):
        before = cpu_of_children_s()
        subprocess.run([sys.executable, "-c", "import click, numpy, tokenizers"], check=True)
        times.append(cpu_of_children_s() - before)
    return max(HELP_S, 3 * min(times))


@pytest.mark.parametrize("command", [[], *SUBCOMMANDS], ids=" ".join)
def test_help_is_quick_and_needs_no_extra(command: list[str], help_s: float) -> None:
    """--help of every command works on a base install in under half a second (best of three: the machine is shared)."""
    times = []
    for _ in range(3):
        before = cpu_of_children_s()
        result = run(*command, "--help")
        times.append(cpu_of_children_s() - before)
        assert result.returncode == 0, result.stderr
        assert "Usage: samespace" in result.stdout
        if command and command != ["weaviate"]:
            assert "Example:" in result.stdout
        if times[-1] < help_s:
            break
    assert min(times) < help_s


def test_the_overview_says_what_the_commands_say() -> None:
    """The line of the lazy table is the first line of the command's own help."""
    context = click.Context(cli)
    for name, (_, line) in COMMANDS.items():
        command = cli.get_command(context, name)
        assert command is not None and command.help is not None
        assert command.help.strip().splitlines()[0] == line


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (["train", str(Path(__file__).parents[4] / "recipes" / "stackfaq.toml")], "pip install 'samespace[train]'"),
        (["export", "model", "out"], "pip install 'samespace[train]'"),
        (["serve", "artifact"], "pip install 'samespace[server]'"),
        (["spaces", "list"], "pip install 'samespace[rpc]'"),
        (["embed", "in.csv", "--out", "out", "--encoder", "artifact"], "pip install 'samespace[arrow]'"),
        (["weaviate", "check"], "pip install 'samespace[weaviate]'"),
        (["quickstart"], "pip install 'samespace[train]'"),
    ],
)
def test_a_missing_extra_is_named_with_its_pip_line(command: list[str], line: str) -> None:
    """Exit code 1, one sentence, no traceback."""
    result = run(*command)
    assert result.returncode == 1 and line in result.stderr and "Traceback" not in result.stderr


def test_inspect_and_verify_an_artifact(tiny_artifact: Path) -> None:
    """inspect --json has the space id, dims and builds; verify ends with the space id and 0."""
    runner = CliRunner()
    shown = runner.invoke(cli, ["inspect", str(tiny_artifact), "--json"], catch_exceptions=False)
    value = json.loads(shown.stdout)
    assert len(value["space_id"]) == 64 and value["dims"] == 32 and value["builds"][0]["name"] == "fp32"
    text = runner.invoke(cli, ["inspect", str(tiny_artifact)], catch_exceptions=False)
    assert value["space_id"] in text.stdout
    verified = runner.invoke(cli, ["verify", str(tiny_artifact)], catch_exceptions=False)
    assert verified.exit_code == 0 and f"verified: space {value['space_id']}" in verified.stdout
    assert "Fastest here" in verified.stderr


def test_verify_names_what_is_fastest_here(capsys: pytest.CaptureFixture[str]) -> None:
    """By the time of the probes, of the builds that are right."""
    from samespace.cli.artifacts.verify import _tell_fastest

    _tell_fastest("", {("fp32", "openvino"): 300, ("fp32", "onnxruntime"): 100})
    assert "probes: fp32 on onnxruntime" in capsys.readouterr().err


def test_verify_is_a_function_that_sees_another_space(tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Builds whose probes come out wrong here are in the answer, and `require` refuses them."""
    from samespace.runtime import verification

    found = verification.verify_artifact(str(tiny_artifact))
    found.require()
    assert all(build.right for build in found.builds()) and found.files > 3
    monkeypatch.setattr(verification, "probe_vectors", lambda artifact, *_: np.roll(artifact.probes().vectors, 1, 0))
    with pytest.raises(SamespaceError, match="compute other vectors here than they should"):
        verification.verify_artifact(str(tiny_artifact)).require()
    monkeypatch.setattr(verification, "open_session", lambda *_: (_ for _ in ()).throw(BuildUnavailable(
        wanted="fp32", available=(), reason="nothing is installed")))  # fmt: skip
    with pytest.raises(SamespaceError, match="no build can be run here"):
        verification.verify_artifact(str(tiny_artifact)).require()


def test_an_error_is_one_sentence(tmp_path: Path) -> None:
    """What a user did wrong comes without a traceback, with exit code 1."""
    result = run("inspect", str(tmp_path / "nowhere"))
    assert result.returncode == 1
    assert (
        result.stderr.startswith("error: ") and "no such folder" in result.stderr and "Traceback" not in result.stderr
    )


def test_a_mistyped_command_is_suggested() -> None:
    """What is near a command is answered with its name; what is near none, with no guess."""
    assert "Did you mean 'export'?" in CliRunner().invoke(cli, ["exprt"]).output
    assert "Did you mean" not in CliRunner().invoke(cli, ["zzz"]).output


def test_tables_align() -> None:
    """The first column to the left, the others to the right."""
    assert table(["a", "bb"], [["ccc", "1"]]) == "a    bb\n---  --\nccc   1"


@pytest.mark.parametrize(("total", "told"), [(10, "objects: 8 of 10, done"), (0, "objects: 8, done")])
def test_progress_tells_a_total_only_where_it_is_known(
    total: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a log: what is done, of how many if that is known."""
    with progress("objects", total) as advance:
        advance(8)
    assert capsys.readouterr().err.splitlines() == [told]
