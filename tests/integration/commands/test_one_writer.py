"""Two commands with one output: the second is told at once, and nothing of the first is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from fakes.holder import holding
from samespace.cli import cli
from samespace.errors import OutputBusy
from samespace_weaviate.migration.bridge import BridgeTerms, bridge

pytestmark = pytest.mark.integration

# Arguments of each command that works for long before it writes; OUT is held, and nothing else needs to exist.
COMMANDS = {
    "quickstart": ["--out", "OUT"],
    "doctor data": ["nothing", "--html", "OUT"],
    "doctor data ": ["nothing", "--write-splits", "OUT"],
    "adapt": ["nothing", "--out", "OUT"],
    "train": ["CONFIG", "--out", "OUT"],
    "train-head": ["nothing", "nothing", "--out", "OUT"],
    "train-head ": ["vectors", "nothing", "--out", "OUT"],
    "vocab extend": ["nothing", "nothing", "--out", "OUT"],
    "pretrain": ["nothing", "DATA", "--out", "OUT"],
    "align": ["nothing", "nothing", "--data", "nothing", "--out", "OUT"],
    "export": ["nothing", "OUT"],
    "transform": ["nothing", "--data", "nothing", "--out", "OUT"],
    "combine": ["nothing", "nothing", "--out", "OUT"],
    "embed": ["DATA", "--out", "OUT", "--encoder", "0" * 64],
    "provider pin": ["openai:model", "--out", "OUT", "--yes"],
    "weaviate audit": ["Article", "--encoder", "nothing", "--html", "OUT"],
}
# These have a journal, which is locked itself (`tests/unit/samespace_weaviate/access/test_access_journal.py`); the
# report of `bridge` is below.
JOURNALS = {"weaviate import", "weaviate migrate", "weaviate move", "weaviate repair", "weaviate bridge"}


def leaves(command: click.Command, path: str = "") -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None
        yield from leaves(inner, f"{path} {name}".strip())


def test_no_command_with_an_output_is_left_out() -> None:
    """Whatever takes the path of something that it writes is in the table, or has a journal."""
    words = (
        "Output folder",
        "Output file",
        "Write the report",
        "Write splits",
        "Path prefix",
        "Journal",
        "File of the fitted map",
    )
    found = {
        path
        for path, command in leaves(cli)
        for each in command.params
        if each.name == "out" or str(getattr(each, "help", "")).startswith(words)
    }
    assert found - {name.strip() for name in COMMANDS} - JOURNALS == set()
    assert {name.strip() for name in COMMANDS} <= found


@pytest.mark.parametrize("name", COMMANDS)
def test_an_output_that_is_being_written_is_refused_at_once(name: str, tmp_path: Path) -> None:
    """Before anything is read, and with the number of the process that writes it."""
    out, config, data = tmp_path / "out", tmp_path / "train.toml", tmp_path / "texts.jsonl"
    config.write_text('base = "nothing"\ndata = "nothing"\n')
    data.write_text('{"id": "1", "text": "one"}\n')
    stand_in = {"OUT": str(out), "CONFIG": str(config), "DATA": str(data)}
    with holding(out) as other:
        arguments = [*name.split(), *(stand_in.get(each, each) for each in COMMANDS[name])]
        result = CliRunner().invoke(cli, arguments)
        assert isinstance(result.exception, OutputBusy), (result.exception, result.output)
        assert f"process {other.pid} is writing it" in str(result.exception)
    assert sorted(tmp_path.iterdir()) == [data, config]


def test_a_bridge_holds_its_map(tmp_path: Path) -> None:
    """Before the collection is asked for anything."""
    path = tmp_path / "Article.bridge.npz"
    with holding(path), pytest.raises(OutputBusy):
        bridge(None, "Article", None, BridgeTerms(path))  # type: ignore[arg-type]


def test_two_trainings_of_one_output(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """The second is refused in a sentence; killed, the first leaves nothing that keeps a third from training."""
    pytest.importorskip("sentence_transformers", reason="needs the extra train")
    data, out = tmp_path / "pairs.jsonl", tmp_path / "models" / "mine"
    words = [f"word{number}" for number in range(48)]
    data.write_text("".join(f'{{"query": "{word}", "positive": "{word} text {word}"}}\n' for word in words))
    config = tmp_path / "train.toml"
    config.write_text(
        f'base = "{tiny_checkpoint}"\ndata = "{data}"\nepochs = 1\nbatch_size = 16\nmini_batch_size = 8\n'
        "learning_rate = 1e-3\nscore_splits = []\n"
    )
    command = [sys.executable, "-m", "samespace", "train", str(config), "--out", str(out), "--no-doctor"]
    lock = out.with_name(".mine.lock")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        deadline = time.monotonic() + 120
        while not (lock.exists() and lock.read_text()) and first.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(first.pid, signal.SIGSTOP)  # in the middle of it, for as long as the second takes
        second = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert second.returncode == 1
        assert second.stderr.strip().splitlines()[-1] == (
            f"error: {out}: process {first.pid} is writing it; wait for it to end, or name another output"
        )
        first.kill()
    assert lock.exists() and not out.exists()
    third = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert third.returncode == 0, third.stderr
    assert (out / "run.json").is_file() and [each.name for each in out.parent.iterdir()] == ["mine"]
