"""The questions, the two lists of each in a blind order, and a file of what was answered.

Which encoder stands on the left follows from a digest of a secret seed and the question, so that it is the same again
when the form is opened anew, and nobody can tell. Questions whose lists are equal are not asked: they say nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ...errors import DataInvalid
from ...folders import whole_file
from .evidence import Evidence

LEFT, RIGHT, NEITHER = "left", "right", "neither"
CHOICES: Final = (LEFT, RIGHT, NEITHER)


@dataclass(frozen=True, slots=True)
class Matter:
    """One question with what both encoders find, best first."""

    question: str
    base: tuple[str, ...]
    new: tuple[str, ...]


@dataclass
class Ballot:
    """What is asked, and what was answered.

    Attributes:
        about: what is compared, as the file says it: an answer to something else does not count.
        matters: in the order of asking; those with equal lists are left out.
        file: of answers, written after each.
    """

    about: Mapping[str, str]
    matters: Sequence[Matter]
    file: Path
    seed: str = ""
    answers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.equal = sum(matter.base == matter.new for matter in self.matters)
        self.matters = [matter for matter in self.matters if matter.base != matter.new]
        if not self.file.is_file():
            return
        try:
            kept: dict[str, Any] = json.loads(self.file.read_text(encoding="utf-8"))
            about, seed = dict(kept["about"]), str(kept["seed"])
            answers = {str(question): str(choice) for question, choice in kept["answers"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataInvalid(path=str(self.file), reason=f"is no file of answers: {error}") from error
        if about != dict(self.about):
            raise DataInvalid(
                path=str(self.file), reason=f"has answers about {about}, not {dict(self.about)}; name another"
            )
        self.seed, self.answers = seed, answers

    def sides(self, matter: Matter) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What stands on the left and on the right."""
        return (matter.new, matter.base) if self._new_is_left(matter.question) else (matter.base, matter.new)

    def next(self) -> Matter | None:
        """What to ask now; None where it is decided or all is answered."""
        if self.evidence().decided:
            return None
        return next((matter for matter in self.matters if matter.question not in self.answers), None)

    def answer(self, question: str, choice: str) -> None:
        """Keep an answer; a second one to the same question, and one to no question, count for nothing."""
        if choice in CHOICES and question not in self.answers and any(m.question == question for m in self.matters):
            self.answers[question] = choice
            self.write()

    def evidence(self) -> Evidence:
        """What the answers say, in the order in which they came."""
        found = Evidence()
        for question, choice in self.answers.items():
            preferred = 0 if choice == NEITHER else 1 if (choice == LEFT) == self._new_is_left(question) else -1
            found = found.after(preferred)
        return found

    def write(self) -> None:
        """The file: answers, and what they come to."""
        evidence = self.evidence()
        record = {
            "about": dict(self.about),
            "seed": self.seed,
            "answers": self.answers,
            "equal_lists": self.equal,
            "verdict": {"word": evidence.word, "wins": evidence.wins, "losses": evidence.losses, "ties": evidence.ties,
                        "p_value": evidence.p_value, "sentence": evidence.sentence()},
        }  # fmt: skip
        with whole_file(self.file) as file:
            file.write(json.dumps(record, ensure_ascii=False, indent=1).encode("utf-8"))

    def _new_is_left(self, question: str) -> bool:
        digest = hashlib.blake2b(f"{self.seed}\n{question}".encode("utf-8", "surrogatepass"), digest_size=1)
        return digest.digest()[0] < 128
