"""The course of an adaptation: signals are tried, those that help are trained on, then a teacher is learned from.

Each stage begins at the best encoder so far, and is kept only where the development questions are answered better
after it and no kind of them significantly worse.

What it leaves to others: running a stage (`stage`), the lists (`distill`), the budget (`plan`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ...errors import ConfigInvalid
from ...text import Role
from ...vectors import Float32
from ..finetuning.encoding import encode
from ..finetuning.model import load_plain
from ..finetuning.teachers import ScoreFile, Teacher, open_teacher
from .bench import Scores, mean
from .distill import NEGATIVES, Candidates, asked, first_windows, mine
from .documents import Library
from .heldout import HeldOut
from .plan import Spending, steps_for
from .signals import SIGNALS, MadePair
from .stage import Stage, StageResult, Workshop, compare, harms, helps_in_other_words

LEAST_GAIN: Final = 0.002
"""Of nDCG@10 on the development questions: less is not worth another space."""
LEAST_PAIRS: Final = 24
_LIST_RATE: Final = 2.5
"""Of the rate on pairs: a list says more than a pair, and its gradient is smaller."""
_LISTS: Final = 2000
_LIST_BATCH: Final = 8
_TEMPERATURE: Final = 0.05
AGREEMENT: Final = "BM25 and the base together"

Say = Callable[[str], None]


@dataclass
class Course:
    """Where an adaptation stands.

    Attributes:
        encoder: folder or name of the best encoder so far.
        scores: its, on the development questions.
        rate: highest learning rate on pairs.
        tried: every stage so far.
        notes: what the report has to say besides, as sentences.
    """

    workshop: Workshop
    held: HeldOut
    library: Library
    encoder: str
    scores: Scores
    say: Say
    rate: float
    tried: list[StageResult] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def signals(self) -> list[str]:
        """Signals with pairs enough to try, those nearest to questions first."""
        return [signal.name for signal in SIGNALS if len(self.held.train[signal.name]) >= LEAST_PAIRS]

    def stage(self, name: str, pairs: Sequence[MadePair]) -> Stage:
        """Pairs as the rows of a contrastive stage."""
        rows = [{"query": pair.query, "passage": pair.passage} for pair in pairs]
        return Stage(name, rows, {"negatives": 0, "temperature": _TEMPERATURE}, self.rate)

    def try_signals(self, spending: Spending) -> list[str]:
        """The signals that help, each by itself, in short runs from the base."""
        helpful = []
        for name in self.signals()[: spending.kinds]:
            stage = self.stage(name, self.held.train[name])
            tried = self.workshop.run(self.encoder, stage, spending.trial, self.scores)
            self.tried.append(tried)
            keep = self._helps(tried)
            self.say(f"{name}: {_told(tried)}; {'helps' if keep else 'switched off'}")
            helpful += [name] * keep
        if left := self.signals()[spending.kinds :]:
            self.note(f"Not tried within the budget: {', '.join(left)}.")
        return helpful

    def train_pairs(self, names: Sequence[str], steps: int) -> None:
        """One long stage on all pairs of *names*."""
        pairs = [pair for name in names for pair in self.held.train[name]]
        stage = self.stage(" + ".join(names), pairs)
        self._go(stage, steps_for(steps, len(pairs), 32), "pairs")

    def distill(self, wanted: str, steps: int, cache: Path | None) -> None:
        """One long stage on what a teacher says: *wanted*, or the agreement of BM25 and the base; none if both err."""
        model = load_plain(self.workshop.base)

        def vectors(texts: Sequence[str], role: Role) -> Float32:
            encoder = self.workshop.text_encoders[role]
            return encode(model, encoder, texts, role, bf16=self.workshop.precision == "bf16")

        yardstick = self.workshop.yardstick
        q, p = vectors(yardstick.queries, "query"), vectors(yardstick.passages, "passage")
        teacher = self._checked(wanted, q, p, cache) if wanted else None
        if teacher is None and not self._agreement_helps(q, p):
            return
        pairs = asked(self.held.train, _LISTS)
        candidates = mine(pairs, self._training_passages(), vectors, self.workshop.text_encoders)
        file = self.workshop.folder / "teacher.jsonl"
        said = candidates.agreed() if teacher is None else self._said(teacher, candidates)
        file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in said), encoding="utf-8")
        cosines = teacher is None or teacher.cosines
        settings: dict[str, Any] = {
            "loss": "listwise",
            "teacher": str(file),
            "teacher_temperature": _TEMPERATURE if cosines else 1.0,
            "temperature": _TEMPERATURE,
            "negatives": NEGATIVES,
            "batch_size": _LIST_BATCH,
            "mini_batch_size": _LIST_BATCH * (NEGATIVES + 1),
        }
        name = f"learn from {AGREEMENT if teacher is None else Path(teacher.name).name}"
        rows = candidates.rows()
        self._go(Stage(name, rows, settings, _LIST_RATE * self.rate), steps_for(steps, len(rows), _LIST_BATCH), "lists")

    def note(self, sentence: str) -> None:
        """Say it, and keep it for the report."""
        self.say(sentence)
        self.notes.append(sentence)

    def _go(self, stage: Stage, steps: int, name: str) -> None:
        out = self.workshop.folder / name
        tried = self.workshop.run(self.encoder, stage, steps, self.scores, out)
        self.tried.append(tried)
        keep = self._helps(tried)
        self.say(f"{stage.name}: {_told(tried)}; {'kept' if keep else 'not kept'}")
        if keep:
            self.encoder, self.scores = str(out), tried.scores

    def _helps(self, tried: StageResult) -> bool:
        if tried.failed or tried.score - mean(self.scores) < LEAST_GAIN:
            return False
        return helps_in_other_words(tried.scores, self.scores) and not harms(tried.scores, self.scores)

    def _checked(self, wanted: str, q: Float32, p: Float32, cache: Path | None) -> Teacher | None:
        """The teacher, where it answers the development questions better than the base; None, with a note, else."""
        teacher, yardstick = open_teacher(wanted, cache), self.workshop.yardstick
        if isinstance(teacher, ScoreFile):
            raise ConfigInvalid(key="teacher", reason=f"{wanted} is a file of scores; name a model")
        with self.workshop.progress("the teacher reads", len(yardstick.queries) + len(yardstick.passages)) as advance:
            teacher.read(yardstick.queries, yardstick.passages, advance)
            theirs, ours = yardstick.of_teacher(teacher, q, p)
        gain = compare(theirs, ours)
        told = f"{mean(theirs):.3f}, the base {mean(ours):.3f} on the development questions"
        if gain.mean <= 0 or mean(theirs) <= mean(ours) or not helps_in_other_words(theirs, ours):
            self.note(f"The teacher {Path(wanted).name} is no better than the base ({told}): it is not learned from.")
            return None
        self.say(f"teacher {Path(wanted).name}: {told}")
        return teacher

    def _agreement_helps(self, q: Float32, p: Float32) -> bool:
        together = self.workshop.yardstick.of_agreement(q, p)
        alone = self.workshop.yardstick.of_vectors(q, p)
        if together is None:
            self.note("BM25 is not installed (extra eval), so that there is no teacher without a model.")
            return False
        told = f"{mean(together):.3f}, the base alone {mean(alone):.3f} on the development questions"
        if mean(together) <= mean(alone):
            self.note(f"{AGREEMENT} are no better than the base ({told}): nothing is learned from them.")
            return False
        if not helps_in_other_words(together, alone):
            self.note(
                f"{AGREEMENT} ({told}) are worse where questions have other words than their passages, as people's "
                "have: nothing is learned from them."
            )
            return False
        self.say(f"{AGREEMENT}: {told}")
        return True

    def _said(self, teacher: Teacher, candidates: Candidates) -> list[Mapping[str, Any]]:
        pairs = candidates.pairs()
        with self.workshop.progress("the teacher reads", len(candidates.queries) + len(candidates.passages)) as advance:
            teacher.read(candidates.queries, candidates.passages, advance)
            scores = teacher.scores(pairs)
        return [
            {"query": query, "passage": passage, "score": score}
            for (query, passage), score in zip(pairs, scores, strict=True)
        ]

    def _training_passages(self) -> list[str]:
        texts = [
            section.text
            for document, part in zip(self.library.documents, self.held.parts, strict=True)
            if part == "train"
            for section in document.sections
        ]
        return list(dict.fromkeys(texts))


def cutter(workshop_encoders: Mapping[Role, Any]) -> Callable[[Sequence[str]], Sequence[str]]:
    """Passages to what of them is read in training."""
    return lambda texts: first_windows(texts, workshop_encoders["passage"], "passage")


def _told(tried: StageResult) -> str:
    if tried.failed:
        return f"{tried.pairs} pairs, failed: {tried.failed}"
    gain = tried.gain
    return (
        f"{tried.pairs} pairs, {tried.steps} steps, {100 * gain.mean:+.1f} points on the development questions "
        f"({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
    )
