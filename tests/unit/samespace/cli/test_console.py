"""What strangers wrote is printed, and not obeyed by the terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fakes.models.forgery import forge_manifest
from samespace.artifact import open_artifact
from samespace.cli.console import echo, one_line, progress, say, table, wrapped
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


@pytest.mark.parametrize(
    ("total", "said"), [(2560, "texts: 2573, done"), (2573, "texts: 2573 of 2573, done"), (0, "texts: 2573, done")]
)
def test_a_total_that_was_passed_is_not_told(total: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """ "2573 of 2560" was printed once."""
    with progress("texts", total) as advance:
        advance(2560)
        advance(13)
    assert capsys.readouterr().err.splitlines() == [said]


@pytest.mark.parametrize("columns", [20, 40, 120])
def test_a_bar_fits_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of any width, with what is done right to the end; nothing goes to stdout."""
    import io

    from rich.text import Text

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, plain = Terminal(), io.StringIO()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr("sys.stdout", plain)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    with progress("a label of some length", 2560) as advance:
        advance(2560)
        advance(13)
    lines = Text.from_ansi(terminal.getvalue().replace("\r", "\n")).plain.splitlines()
    assert lines and max(map(len, lines)) <= columns
    assert "2573/2573" in lines[-1]
    assert "2573/2560" not in "".join(lines) and plain.getvalue() == ""
