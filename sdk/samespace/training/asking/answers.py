"""What a generator has answered: a file of JSON lines, one written as each answer comes.

A run that is killed, or whose generator dies, goes on where it was. A line that is half written is passed over.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...text import digest_texts


@dataclass
class Answers:
    """Questions of passages.

    Attributes:
        file: None to keep nothing.
    """

    file: Path | None
    _known: dict[str, list[str]] = field(default_factory=dict, init=False)
    _torn: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if self.file is None or not self.file.is_file():
            return
        text = self.file.read_text(encoding="utf-8", errors="replace")
        self._torn = bool(text) and not text.endswith("\n")
        for line in text.splitlines():
            try:
                row = json.loads(line)
                self._known[str(row["passage"])] = [str(question) for question in row["questions"]]
            except (ValueError, KeyError, TypeError):
                continue

    @staticmethod
    def of(folder: Path, *asked: str) -> Answers:
        """The file in *folder* for a server, a model and a prompt; another prompt has another file."""
        return Answers(folder / f"{_digest(asked)}.jsonl")

    def known(self, passage: str) -> list[str] | None:
        """The questions of *passage*; None where it was not asked about."""
        return self._known.get(_digest([passage]))

    def add(self, passage: str, questions: Sequence[str]) -> None:
        """Keep them; without a file where the disk does not want one."""
        key = _digest([passage])
        self._known[key] = list(questions)
        if self.file is None:
            return
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self.file.open("a", encoding="utf-8") as file:
                file.write(
                    "\n" * self._torn
                    + json.dumps({"passage": key, "questions": list(questions)}, ensure_ascii=True)
                    + "\n"
                )
            self._torn = False
        except OSError:
            self.file = None


def _digest(texts: Sequence[str]) -> str:
    digest = hashlib.sha256()
    digest_texts(digest, texts)
    return digest.hexdigest()[:32]
