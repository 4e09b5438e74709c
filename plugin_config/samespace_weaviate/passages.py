"""Passages out of files: a BEIR folder, or a JSONL file of objects with "_id" or "id", "text", and perhaps "title"."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from samespace.errors import DataInvalid

from .objects import Passage


def corpus_file(path: Path | str) -> Path:
    """The file that *path* means: itself, or the corpus of a BEIR folder.

    Raises:
        DataInvalid: there is no such file.
    """
    file = Path(path)
    if file.is_dir():
        file = file / "corpus.jsonl"
    if not file.is_file():
        raise DataInvalid(path=str(file), reason="no such file; expected a JSONL file or a BEIR folder")
    return file


def count_passages(path: Path | str) -> int:
    """How many lines the file has, for a progress bar."""
    with corpus_file(path).open("rb") as file:
        return sum(1 for line in file if line.strip())


def read_passages(path: Path | str) -> Iterator[Passage]:
    """The passages of a file, one line at a time; the text is the title, a blank, and the text, as BEIR has it.

    Raises:
        DataInvalid: a line is not what it has to be, with its number.
    """
    file = corpus_file(path)
    with file.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _passage(line, f"{file}, line {number}")


def _passage(line: str, where: str) -> Passage:
    try:
        entry: Any = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataInvalid(path=where, reason=f"is not JSON: {error.msg}") from error
    if not isinstance(entry, dict):
        raise DataInvalid(path=where, reason='expected an object with "_id" and "text"')
    name, text, title = (
        entry.pop("_id", None) or entry.pop("id", None),
        entry.pop("text", None),
        entry.get("title") or "",
    )
    if not isinstance(name, str | int) or not isinstance(text, str) or not isinstance(title, str):
        raise DataInvalid(path=where, reason='expected a string "_id" (or "id") and a string "text"')
    rest = {key: value for key, value in entry.items() if isinstance(value, str) and value and key != "id"}
    return Passage(str(name), f"{title} {text}".strip(), rest)
