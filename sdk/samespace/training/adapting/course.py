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

import numpy as np

from ...errors import ConfigInvalid
from ...text import Role
from ...vectors import Float32
from ..finetuning.encoding import encode
from ..finetuning.model import load_plain
from ..finetuning.score_table import SUFFIX, ScoreTable
from ..finetuning.teachers import EncoderTeacher, ScoreFile, Teacher, open_teacher
from ..imitating.alignment import Alignment
from ..imitating.neighbours import drawn_together
from ..imitating.vector_table import VectorTable
from .bench import Scores, mean
from .distill import NEGATIVES, Candidates, Place, asked, first_windows, imitation_rows, mine
from .documents import Library
from .fusion import MIXTURES, Mixture
from .heldout import HeldOut, in_other_words
from .plan import Spending, steps_for
from .signals import SIGNALS, MadePair
from .stage import Stage, StageResult, Workshop, compare, harms, helps_in_other_words
from .verdict import Texts

LEAST_GAIN: Final = 0.002
"""Of nDCG@10 on the development questions: less is not worth another space."""
LEAST_PAIRS: Final = 24
_LIST_RATE: Final = 2.5
"""Of the rate on pairs: a list says more than a pair, and its gradient is smaller."""
_LISTS: Final = 2000
_LIST_BATCH: Final = 8
_BATCH: Final = 32
_VECTOR_RATE: Final = 5.0
"""Of the rate on pairs: a vector says most, and cannot be learned too well."""
_TABLE_BATCH, _TABLE_NEGATIVES = 24, 1
_TEMPERATURE: Final = 0.05
_LEAST_WORTH: Final = 0.005

Say = Callable[[str], None]


@dataclass
class Course:
    """Where an adaptation stands.

    Attributes:
        encoder: folder or name of the best encoder so far.
        scores: its, on the development questions.
        rate: highest learning rate on pairs.
        log: what people have asked, without judgements.
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
    log: Sequence[str] = ()
    tried: list[StageResult] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _base: Any = field(default=None, init=False)

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

    def learn(self, wanted: str, steps: int, cache: Path | None) -> None:
        """`distill`, and a note where a log of queries came to nothing."""
        self.distill(wanted, steps, cache)
        if self.log and not any(each.name.startswith("imitate") for each in self.tried):
            self.note(
                f"The {len(self.log)} queries of the log are not used: no vectors better than the base's were found."
            )

    def distill(self, wanted: str, steps: int, cache: Path | None) -> None:
        """Learn what is better than the base: *wanted*, the base with BM25 and neighbours, or both; nothing if all err.

        What vectors know is learned as vectors, what BM25 adds as scores, and what a cross-encoder says as lists.
        """
        yardstick = self.workshop.yardstick
        q, p = self._vectors(yardstick.queries, "query"), self._vectors(yardstick.passages, "passage")
        teacher = self._checked(wanted, q, p, cache) if wanted else None
        if teacher is not None and not isinstance(teacher, EncoderTeacher):
            self._learn_scores(teacher, None, steps)
            return
        mixture = self._mixture(teacher, q, p)
        if mixture is None:
            return
        by_vectors = teacher is not None or mixture.neighbours > 0
        if by_vectors:
            self._imitate(teacher, mixture, steps // 2 if mixture.words else steps)
        if mixture.words:
            self._learn_scores(teacher, mixture, steps // 2 if by_vectors else steps)

    def _vectors(self, texts: Sequence[str], role: Role) -> Float32:
        """The base's."""
        if self._base is None:
            self._base = load_plain(self.workshop.base)
        encoder = self.workshop.text_encoders[role]
        return encode(self._base, encoder, texts, role, bf16=self.workshop.precision == "bf16")

    def _imitate(self, teacher: EncoderTeacher | None, mixture: Mixture, steps: int) -> None:
        """One long stage on vectors: passages near their neighbours, and of both what the teacher makes of them."""
        rows = imitation_rows(self._training_sections(), self.held.train, self.workshop.text_encoders, self.log)
        rows = rows[: max(1, steps) * _BATCH]
        queries, passages = (list(dict.fromkeys(row[name] for row in rows)) for name in ("query", "passage"))
        q, p = self._seen_by(teacher, queries, passages, self._vectors(queries, "query"),
                             self._vectors(passages, "passage"))  # fmt: skip
        file = self.workshop.folder / f"guide{SUFFIX}"
        VectorTable.of(queries, q, passages, drawn_together(p, mixture.neighbours)).write(file)
        settings = {"loss": "imitate", "guide": str(file)}
        name = " + ".join(["imitate", _called(teacher), *_also(Mixture(0, mixture.neighbours))])
        stage = Stage(name, rows, settings, _VECTOR_RATE * self.rate)
        self._go(stage, steps_for(steps, len(rows), _BATCH), "vectors", by_words=False)

    def _learn_scores(self, teacher: Teacher | None, mixture: Mixture | None, steps: int) -> None:
        """One long stage on scores: of *mixture* in whole batches, or, where that is None, the teacher's in lists."""
        batch = _LIST_BATCH if mixture is None else _TABLE_BATCH
        pairs = asked(self.held.train, min(_LISTS, steps * batch))
        candidates = mine(pairs, self._training_sections(), self._vectors, self.workshop.text_encoders)
        if mixture is None:
            assert teacher is not None
            file, settings = self._lists(teacher, candidates)
        else:
            file, settings = self._table(teacher, mixture, candidates)
        settings |= {"loss": "listwise", "teacher": str(file), "temperature": _TEMPERATURE}
        name = " + ".join(["learn from " + _called(teacher), *_also(mixture)])
        rows = candidates.rows()
        self._go(Stage(name, rows, settings, _LIST_RATE * self.rate), steps_for(steps, len(rows), batch), "scores")

    def _seen_by(
        self, teacher: Teacher | None, queries: Sequence[str], passages: Sequence[str], q: Float32, p: Float32
    ) -> tuple[Float32, Float32]:
        """The vectors *q* and *p* of the base, mixed with a teacher's turned into their space."""
        if not isinstance(teacher, EncoderTeacher):
            return q, p
        with self.workshop.progress("the teacher reads", len(queries) + len(passages)) as advance:
            teacher.read(queries, passages, advance)
        their_q, their_p = teacher.vectors(queries, passages)
        alignment = Alignment.between(np.concatenate([their_q, their_p]), np.concatenate([q, p]))
        return alignment.mixed(their_q, q), alignment.mixed(their_p, p)

    def note(self, sentence: str) -> None:
        """Say it, and keep it for the report."""
        self.say(sentence)
        self.notes.append(sentence)

    def _go(self, stage: Stage, steps: int, name: str, *, by_words: bool = True) -> None:
        out = self.workshop.folder / name
        tried = self.workshop.run(self.encoder, stage, steps, self.scores, out)
        self.tried.append(tried)
        keep = self._helps(tried, by_words=by_words)
        self.say(f"{stage.name}: {_told(tried)}; {'kept' if keep else 'not kept'}")
        if keep:
            self.encoder, self.scores = str(out), tried.scores

    def _helps(self, tried: StageResult, *, by_words: bool = True) -> bool:
        """Whether a stage is kept; one that knows nothing of words may lose a little where words are shared least."""
        if tried.failed or tried.score - mean(self.scores) < LEAST_GAIN:
            return False
        if harms(tried.scores, self.scores, self.workshop.yardstick.texts):
            return False
        return not by_words or helps_in_other_words(tried.scores, self.scores)

    def _checked(self, wanted: str, q: Float32, p: Float32, cache: Path | None) -> Teacher | None:
        """The teacher, where it answers the development questions better than the base; None, with a note, else."""
        teacher, yardstick = open_teacher(wanted, cache), self.workshop.yardstick
        if isinstance(teacher, ScoreFile | ScoreTable):
            raise ConfigInvalid(key="teacher", reason=f"{wanted} is a file of scores; name a model")
        with self.workshop.progress("the teacher reads", len(yardstick.queries) + len(yardstick.passages)) as advance:
            teacher.read(yardstick.queries, yardstick.passages, advance)
            theirs, ours = yardstick.of_teacher(teacher, q, p)
        gain = compare(theirs, ours, yardstick.texts)
        told = f"{mean(theirs):.3f}, the base {mean(ours):.3f} on the development questions"
        if gain.mean <= 0 or mean(theirs) <= mean(ours) or not helps_in_other_words(theirs, ours):
            self.note(f"The teacher {Path(wanted).name} is no better than the base ({told}): it is not learned from.")
            return None
        self.say(f"teacher {Path(wanted).name}: {told}")
        return teacher

    def _mixture(self, teacher: EncoderTeacher | None, q: Float32, p: Float32) -> Mixture | None:
        """What of BM25 and neighbours goes with the teacher, or with the base; None where nothing helps that."""
        yardstick = self.workshop.yardstick
        alone = yardstick.of_vectors(q, p)
        seen = self._seen_by(teacher, yardstick.queries, yardstick.passages, q, p)
        looked = yardstick.of_mixtures(*seen, [each for each in MIXTURES if teacher is not None or each != Mixture()])
        texts = yardstick.texts
        sound = {mixture: scores for mixture, scores in looked.items() if _sound(mixture, scores, alone, texts)}
        if not sound:
            if teacher is not None:
                return Mixture()
            best = max(looked, key=lambda each: mean(looked[each]))
            self.note(
                f"The base with BM25 and neighbours ({best}: {mean(looked[best]):.3f}, alone {mean(alone):.3f} on the "
                "development questions) is no better, or worse for a kind of question or where questions have other "
                "words than their passages, as people's have: nothing is learned from it."
            )
            return None
        chosen = max(sound, key=lambda each: _worth(each, sound[each]))
        self.say(
            f"{' + '.join([_called(teacher), *_also(chosen)])}: {mean(sound[chosen]):.3f}, the base alone "
            f"{mean(alone):.3f} on the development questions"
        )
        return chosen

    def _table(self, teacher: Teacher | None, mixture: Mixture, candidates: Candidates) -> tuple[Path, dict[str, Any]]:
        """Scores of all queries and candidates, and how they are learned."""
        q, p = self._seen_by(teacher, candidates.queries, candidates.passages, candidates.q, candidates.p)
        file = self.workshop.folder / f"teacher{SUFFIX}"
        candidates.table(_called(teacher), mixture, q, p).write(file)
        return file, {
            "teacher_temperature": _TEMPERATURE,
            "negatives": _TABLE_NEGATIVES,
            "batch_size": _TABLE_BATCH,
            "mini_batch_size": _TABLE_BATCH * (_TABLE_NEGATIVES + 1),
        }

    def _lists(self, teacher: Teacher, candidates: Candidates) -> tuple[Path, dict[str, Any]]:
        """A teacher that reads pairs: what it says of the lists, and how it is learned from."""
        pairs = candidates.pairs()
        with self.workshop.progress("the teacher reads", len(candidates.queries) + len(candidates.passages)) as advance:
            teacher.read(candidates.queries, candidates.passages, advance)
            scores = teacher.scores(pairs)
        file = self.workshop.folder / "teacher.jsonl"
        with file.open("w", encoding="utf-8") as lines:
            for (query, passage), score in zip(pairs, scores, strict=True):
                line = json.dumps({"query": query, "passage": passage, "score": score}, ensure_ascii=False)
                lines.write(f"{line}\n")
        return file, {
            "teacher_temperature": _TEMPERATURE if teacher.cosines else 1.0,
            "negatives": NEGATIVES,
            "batch_size": _LIST_BATCH,
            "mini_batch_size": _LIST_BATCH * (NEGATIVES + 1),
        }

    def _training_sections(self) -> dict[Place, str]:
        return {
            (place, number): section.text
            for place, (document, part) in enumerate(zip(self.library.documents, self.held.parts, strict=True))
            if part == "train"
            for number, section in enumerate(document.sections)
        }


def cutter(workshop_encoders: Mapping[Role, Any]) -> Callable[[Sequence[str]], Sequence[str]]:
    """Passages to what of them is read in training."""
    return lambda texts: first_windows(texts, workshop_encoders["passage"], "passage")


def _called(teacher: Teacher | None) -> str:
    return "the base" if teacher is None else Path(teacher.name).name


def _also(mixture: Mixture | None) -> list[str]:
    return [] if mixture is None or mixture == Mixture() else [str(mixture)]


def _sound(mixture: Mixture, scores: Scores, alone: Scores, texts: Texts) -> bool:
    """Better than the base alone, and worse for no kind of question.

    BM25 flatters questions in the words of their passages, so it has to help the others too. Vectors do not.
    """
    better = mean(scores) > mean(alone) and not harms(scores, alone, texts)
    return better and (not mixture.words or helps_in_other_words(scores, alone))


def _worth(mixture: Mixture, scores: Scores) -> float:
    """nDCG@10 where questions have other words than their passages, less a little for each thing that is mixed in."""
    others = {name: each for name, each in scores.items() if in_other_words(name)}
    return mean(others or scores) - _LEAST_WORTH * ((mixture.words > 0) + (mixture.neighbours > 0))


def _told(tried: StageResult) -> str:
    if tried.failed:
        return f"{tried.pairs} pairs, failed: {tried.failed}"
    gain = tried.gain
    return (
        f"{tried.pairs} pairs, {tried.steps} steps, {100 * gain.mean:+.1f} points on the development questions "
        f"({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
    )
