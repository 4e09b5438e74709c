"""What strangers wrote is printed, and not obeyed by the terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fakes.models.forgery import forge_manifest
from samespace.artifact import open_artifact
from samespace.cli.console import echo, one_line, say, table, wrapped
from samespace.errors import ManifestInvalid
from samespace.text import printable

HOSTILE = "title\x1b]0;owned\x07 \x9b31m \u202etxt.exe\r"


def test_control_characters_are_escaped_wherever_they_reach_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """ESC, C1 codes, carriage returns and marks that turn the direction of writing."""
    say(HOSTILE)
    echo(HOSTILE)
    echo(table(["name"], [[HOSTILE]]))
    echo(one_line(HOSTILE))
    echo(wrapped(HOSTILE))
    printed = "".join(capsys.readouterr())
    assert not set("\x1b\x07\x9b\u202e\r") & set(printed)
    assert "\\u001b" in printed


def test_json_stays_json() -> None:
    """The escapes are those of JSON, so nothing that a program reads is changed."""
    value = {"name": "a\x9b\u202eb"}
    assert json.loads(printable(json.dumps(value, ensure_ascii=False))) == value


def test_ordinary_texts_are_left_alone() -> None:
    text = "naïve 日本 🙂\tand\nlines"
    assert printable(text) == text


@pytest.mark.parametrize("name", ["a\x1b[2Jb", "two\nlines", "a\u202eb"])
def test_a_manifest_with_control_characters_in_its_name_is_refused(
    name: str, tiny_artifact: Path, tmp_path: Path
) -> None:
    import shutil

    folder = Path(shutil.copytree(tiny_artifact, tmp_path / "artifact"))
    forge_manifest(folder, lambda value: value.update(name=name))
    with pytest.raises(ManifestInvalid, match="has control characters"):
        open_artifact(folder)
