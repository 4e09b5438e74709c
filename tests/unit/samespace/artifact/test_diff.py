"""Two artifacts are the same space, the same rebuilt, or different; and it is said what differs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from click.testing import CliRunner

from samespace.artifact import open_artifact
from samespace.artifact.compare import compare
from samespace.cli import cli
from samespace.exporting.package import export_artifact
from samespace.model.checkpoint import Overrides, load_checkpoint


def test_an_artifact_is_the_same_as_its_copy(tiny_artifact: Path, tmp_path: Path) -> None:
    """A copy differs in nothing, and its probes agree to the last bit."""
    copy = open_artifact(shutil.copytree(tiny_artifact, tmp_path / "copy"))
    found = compare(open_artifact(tiny_artifact), copy)
    assert (found.verdict, found.space, found.beside) == ("same", (), ())
    assert found.probes is not None and found.probes.worst == 1.0


def test_a_rename_is_the_same_space(tiny_checkpoint: Path, tiny_artifact: Path, tmp_path: Path) -> None:
    """Another name is named, and nothing else."""
    renamed = export_artifact(load_checkpoint(tiny_checkpoint), tmp_path / "out", name="renamed").artifact
    found = compare(open_artifact(tiny_artifact), renamed)
    assert found.verdict == "same" and [part for part, _ in found.beside] == ["name"]


def test_a_retrained_encoder_is_another_space_however_near(
    tiny_checkpoint: Path, tiny_artifact: Path, tmp_path: Path
) -> None:
    """One byte of one weight: the probes agree to .999 and better, and it is still another space."""
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "near"))
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[-1000] ^= 1
    (folder / "model.safetensors").write_bytes(data)
    near = export_artifact(load_checkpoint(folder), tmp_path / "out").artifact
    found = compare(open_artifact(tiny_artifact), near)
    assert found.verdict == "different" and [part for part, _ in found.space] == ["weights"]
    assert "1 of" in found.space[0][1]
    assert found.probes is not None and found.probes.worst > 0.999


def test_a_prompt_and_the_limit_are_named(tiny_checkpoint: Path, tiny_artifact: Path, tmp_path: Path) -> None:
    """What differs in the recipe is shown with both values."""
    changed = load_checkpoint(tiny_checkpoint, Overrides(query_prompt="query: ", token_limit=30))
    artifact = export_artifact(changed, tmp_path / "out").artifact
    texts = [text for part, text in compare(open_artifact(tiny_artifact), artifact).space if part == "recipe"]
    assert any("token_limit: 32 and 30" in text for text in texts) and any("query: " in text for text in texts)


def test_the_command_says_it_with_its_exit_code(tiny_artifact: Path, other_artifact: Path) -> None:
    """0 for the same space, 1 for different ones; both ids are in the answer."""
    same = CliRunner().invoke(cli, ["diff", str(tiny_artifact), str(tiny_artifact)])
    assert same.exit_code == 0 and "The same space" in same.stdout
    different = CliRunner().invoke(cli, ["diff", str(tiny_artifact), str(other_artifact), "--json"])
    value = json.loads(different.stdout)
    assert different.exit_code == 1 and value["verdict"] == "different"
    assert value["space_ids"] == [open_artifact(each).space_id for each in (tiny_artifact, other_artifact)]
