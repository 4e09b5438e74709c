"""Commands in the documentation: every `samespace` line is parsed, README's and the tutorials' blocks are run."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
import pytest

from fakes.doc_pages import ENDS_WITH_ERROR, ROOT, SECOND_TERMINAL, TUTORIALS, Block, blocks, commands, pages, spans
from samespace.cli import cli

SHELLS = ("", "sh")
READY_S = 120
OTHERS_OPTIONS = frozenset({"--help", "--run-slow", "--max-restarts", "--disable-usage-stats", "--target"})
"""Options in the text that belong to docker, torchrun, ray or pytest."""


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_line_is_one_that_the_program_takes(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each `samespace ...` of a block goes through click's own parser: commands, options, values and arguments."""
    monkeypatch.chdir(tmp_path)
    for block in blocks(page):
        if block.language in SHELLS:
            for arguments in commands(block):
                _parse(block, arguments)


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_in_the_text_exists(page: Path) -> None:
    """A command named in a sentence exists with the options that stand beside it; so does an option by itself."""
    every = {option for command in _every(cli) for option in _options(command)} | OTHERS_OPTIONS
    every = every.union(*(_benchmark_options(script.name) for script in (ROOT / "benchmarks").glob("*.py")))
    for span in spans(page):
        words = span.split()
        if words[0] == "samespace" and len(words) > 1 and words[1] != "...":
            command, rest = _command(words[1:])
            asked = {word.partition("=")[0] for word in rest if word.startswith("--")}
            assert asked <= _options(command) | {"--help"}, f"{page}: `{span}`"
        elif words[0].startswith("--") and page.parent.name != "decisions":
            asked = {word.partition("=")[0] for word in words if word.startswith("--")}
            assert asked <= every, f"{page}: `{span}` is no option of any command"


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_benchmark_in_the_text_exists(page: Path) -> None:
    """`python benchmarks/NAME.py --option` names a script that has the option, in sentences and in blocks."""
    for line in page.read_text(encoding="utf-8").splitlines():
        for script, rest in re.findall(r"python benchmarks/([\w]+\.py)([^#`|]*)", line):
            asked = set(re.findall(r"(?<!\S)--[\w-]+", rest))
            assert asked <= _benchmark_options(script) | {"--help"}, f"{page}: {line}"


def test_the_parser_of_this_test_finds_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command, an option and a value that do not exist are each noticed, also behind a variable or in a pipe."""
    monkeypatch.chdir(tmp_path)
    for line in (
        "samespace sreve a",
        "A=b samespace serve a --prot 1",
        "x | samespace weaviate create A --encoder a --route nobody",
        "torchrun -m samespace train",
        "SPACE=$(samespace inspect --jsno a)",
    ):
        block = Block(ROOT / "README.md", 1, "", "", line)
        found = list(commands(block))
        assert len(found) == 1, line
        with pytest.raises(AssertionError):
            _parse(block, found[0])


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_make_targets_exist(page: str) -> None:
    """Each `make` line of the two pages is a target that make knows. (Running `make test` from here would not end.)"""
    lines = [line for block in blocks(ROOT / page) if block.language == "sh" for line in block.text.splitlines()]
    assert lines and all(line.startswith("make ") for line in lines), (
        "a block of other commands needs a test of its own"
    )
    for line in lines:
        target = line.split()[1]
        ran = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 0, f"{line}: {ran.stderr}"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_quickstart_of_the_readme(tmp_path: Path) -> None:
    """`make quickstart` ends with its table; with this environment in place of a new one, and without Weaviate."""
    place = Path(sys.prefix)
    command = ["make", "quickstart", f"VENV={place}", "-o", str(place / ".installed")]
    command.append(f"ARGS=--weaviate off --out {tmp_path / 'quickstart'}")
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1700, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert "fine-tuned" in ran.stdout


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_the_first_tutorial(tmp_path: Path) -> None:
    """Every block of the page, in order, does what the page says."""
    said = _follow(TUTORIALS / "first-encoder.md", tmp_path)
    assert "is not better than its base" in said


@pytest.mark.weaviate
@pytest.mark.integration
@pytest.mark.timeout(900)
def test_the_second_tutorial(tmp_path: Path) -> None:
    """The same for the page about Weaviate, with the one that WEAVIATE_URL names, which has to run on this machine."""
    if not os.environ.get("WEAVIATE_URL"):
        pytest.skip("no Weaviate: set WEAVIATE_URL (and WEAVIATE_GRPC_PORT) to one on this machine")
    page = TUTORIALS / "pinned-collection.md"
    try:
        said = _follow(page, tmp_path)
    finally:
        _drop("CoffeeManual")
    assert "finer grind" in said


def _follow(page: Path, folder: Path) -> str:
    """Run the blocks of *page* in *folder*, which has the files of the tutorials; gives all that was printed."""
    shutil.copytree(TUTORIALS, folder / "docs" / "tutorials")
    http, grpc = _free_port(), _free_port()
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    said: list[str] = []
    with ExitStack() as servers:
        for block in blocks(page):
            text = re.sub(r"\b8080\b", str(http), re.sub(r"\b8081\b", str(grpc), block.text))
            if block.title == SECOND_TERMINAL:
                options = ["--http-port", str(http), "--grpc-port", str(grpc)]
                servers.enter_context(_serving([*text.split(), *options], folder, environment, f"localhost:{grpc}"))
                continue
            if block.language not in ("sh", "python"):
                assert not list(commands(block)), f"{block.place}: commands that nobody runs; begin the block with sh"
                continue
            program = ["bash", "-euo", "pipefail", "-c"] if block.language == "sh" else [sys.executable, "-c"]
            ran = subprocess.run(
                [*program, text], cwd=folder, env=environment, capture_output=True, text=True, timeout=800, check=False
            )
            expected = 1 if block.title == ENDS_WITH_ERROR else 0
            assert ran.returncode == expected, (
                f"{block.place}: {ran.returncode}\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}"
            )
            said += [ran.stdout, ran.stderr]
    return "\n".join(said)


@contextmanager
def _serving(command: list[str], folder: Path, environment: dict[str, str], address: str) -> Iterator[None]:
    with (
        (folder / "server.log").open("wb") as log,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log) as server,
    ):
        try:
            ends = time.monotonic() + READY_S
            while subprocess.run(
                ["samespace", "health", address], env=environment, capture_output=True, check=False
            ).returncode:
                assert server.poll() is None, (folder / "server.log").read_text()[-2000:]
                assert time.monotonic() < ends, "the server is not ready"
            yield
        finally:
            server.terminate()


def _drop(name: str) -> None:
    from samespace_weaviate import Store
    from samespace_weaviate.access.address import NoWeaviate, find_weaviate

    found = find_weaviate("url", os.environ)
    assert not isinstance(found, NoWeaviate), found
    with Store.open(found, None) as store:
        store.delete_collection(name)


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port: int = opened.getsockname()[1]
        return port


def _parse(block: Block, arguments: list[str]) -> None:
    """Raise an AssertionError where click rejects *arguments*; files that have to exist are made where one stands."""
    try:
        command, rest = _command(arguments)
        command.make_context(command.name, list(rest))
    except click.BadParameter as error:
        missing = re.search(r"(File|Directory) '(\w[^']*)' does not exist", error.message)
        if missing is None or Path(missing[2]).exists():
            raise AssertionError(f"{block.place}: samespace {' '.join(arguments)}: {error.format_message()}") from error
        made = Path(missing[2])
        made.parent.mkdir(parents=True, exist_ok=True)
        made.mkdir() if missing[1] == "Directory" else made.touch()
        _parse(block, arguments)
    except (click.ClickException, AssertionError) as error:
        said = error.format_message() if isinstance(error, click.ClickException) else error
        raise AssertionError(f"{block.place}: samespace {' '.join(arguments)}: {said}") from error
    except click.exceptions.Exit:  # --help
        return


def _command(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that *words* begin with, and the words behind it."""
    command: click.Command = cli
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, f"no command {words[0]!r} in {command.name}"
        command, words = found, words[1:]
    return command, words


def _every(group: click.Group) -> Iterator[click.Command]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield command
        if isinstance(command, click.Group):
            yield from _every(command)


def _options(command: click.Command) -> set[str]:
    return {
        option for each in command.params for option in (*each.opts, *each.secondary_opts) if option.startswith("--")
    }


def _benchmark_options(script: str) -> set[str]:
    """The options that a script of benchmarks/ declares, as its source says."""
    source = (ROOT / "benchmarks" / script).read_text(encoding="utf-8")
    return set(re.findall(r"""add_argument\(\s*["'](--[\w-]+)""", source))
