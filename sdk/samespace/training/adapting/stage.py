"""One stage of training on pairs or on a teacher's lists, and how far along it is best to go.

A stage begins at an encoder, trains some steps, and looks at mixtures of the result with its beginning: on few made-up
pairs the whole way is seldom the best place (Wortsman et al. 2021, arXiv:2109.01903). What is no better than the
beginning is forgotten.

What it leaves to others: which pairs (`signals`), the lists (`distill`), the questions (`bench`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ...errors import TrainingFailed
from ...evaluation import Comparison
from ...model.checkpoint import Checkpoint, load_checkpoint
from ...progress import Progress
from ...text import Role, TextEncoder
from ..finetuning.config import TrainingConfig
from ..finetuning.encoding import training_path
from ..finetuning.loop import Alarmed, fit
from ..finetuning.model import load_plain, mixtures, save_model
from ..finetuning.setup import Setup, prepare
from .bench import Scores, Yardstick, mean
from .heldout import in_other_words
from .verdict import Texts, together

QUERY_TOKENS, PASSAGE_TOKENS = 64, 128
SHARES: Final = (1.0, 0.5)


@dataclass(frozen=True, slots=True)
class Stage:
    """What is trained on.

    Attributes:
        name: for people.
        rows: JSON rows of the trainer's data: query, passage, and negatives where there are any.
        settings: keys of `TrainingConfig` that differ from those of all stages.
        rate: highest learning rate.
    """

    name: str
    rows: Sequence[Mapping[str, Any]]
    settings: Mapping[str, Any]
    rate: float


@dataclass(frozen=True, slots=True)
class StageResult:
    """What came of a stage.

    Attributes:
        share: of the trained weights in the mixture that was best, the rest being those of the beginning.
        scores: of that mixture on the development questions.
        gain: against the beginning, over all questions.
        seconds: of training alone.
        failed: why it came to nothing; "" where it did.
    """

    name: str
    pairs: int
    steps: int
    share: float
    scores: Scores
    gain: Comparison
    seconds: float
    failed: str = ""

    @property
    def score(self) -> float:
        """The mean over the kinds."""
        return mean(self.scores)

    def to_json(self) -> dict[str, Any]:
        """The plain form."""
        return {
            "name": self.name,
            "pairs": self.pairs,
            "steps": self.steps,
            "share": self.share,
            "dev": {name: float(each.mean()) for name, each in self.scores.items()},
            "gain": self.gain.to_json(),
            "training_s": round(self.seconds, 1),
            "failed": self.failed,
        }


@dataclass
class Workshop:
    """Where stages are run.

    Attributes:
        base: the encoder that all began with.
        folder: for what is in the making.
        yardstick: development questions.
        text_encoders: the base's text path with the limits of training.
        clock: seconds, for what is told of speed.
    """

    base: str
    folder: Path
    yardstick: Yardstick
    text_encoders: Mapping[Role, TextEncoder]
    seed: int
    progress: Progress
    precision: str = "auto"
    clock: Callable[[], float] = time.perf_counter
    _number: int = field(default=0, init=False)

    def prepared(self, beginning: str, stage: Stage) -> Setup:
        """The trainer's setup for *stage* from *beginning*."""
        self._number += 1
        data = self.folder / f"data-{self._number}"
        data.mkdir()
        with (data / "train.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in stage.rows)
        common: dict[str, Any] = {
            "data": data,
            "out": self.folder / "unused",
            "base": beginning,
            "seed": self.seed,
            "batch_size": 32,
            "mini_batch_size": 32,
            "symmetric": False,
            "mask": "equal",
            "score_splits": (),
            "held_out_splits": (),
            **{f"{role}_max_tokens": each.recipe.token_limit for role, each in self.text_encoders.items()},
            "on_collapse": "warn",
            "checkpoint_every": 0,
            "precision": self.precision,
        }
        setup = prepare(TrainingConfig(**(common | dict(stage.settings))))
        self.precision = setup.precision
        return setup

    def run(self, beginning: str, stage: Stage, steps: int, before: Scores, out: Path | None = None) -> StageResult:
        """Train *stage* for *steps* from *beginning*, whose scores are *before*; the best mixture goes to *out*."""
        setup, began = self.prepared(beginning, stage), self.clock()
        try:
            fit(setup.plan(stage.rate, steps=steps), self.progress)
        except (TrainingFailed, Alarmed) as error:
            seconds, unchanged = self.clock() - began, compare(before, before, self.yardstick.texts)
            return StageResult(stage.name, len(stage.rows), steps, 0.0, before, unchanged, seconds, str(error))
        seconds = self.clock() - began
        share, scores, model = self._best(setup.model, load_plain(beginning), SHARES)
        gain = compare(scores, before, self.yardstick.texts)
        if out is not None:
            save_model(model, out, setup.checkpoint.folder_tokenizer, beginning)
        return StageResult(stage.name, len(stage.rows), steps, share, scores, gain, seconds)

    def scores(self, model: Any) -> Scores:
        """On the development questions."""
        return self.yardstick.of_model(model, self.text_encoders, bf16=self.precision == "bf16")

    def mixed(self, ending: str, shares: Sequence[float], out: Path) -> tuple[float, Scores]:
        """The best mixture of the model at *ending* with the base, in *out*: its share, and its scores."""
        share, scores, model = self._best(load_plain(ending), load_plain(self.base), shares)
        save_model(model, out, load_checkpoint(self.base).folder_tokenizer, self.base)
        return share, scores

    def _best(self, trained: Any, start: Any, shares: Sequence[float]) -> tuple[float, Scores, Any]:
        """The mixture that is best on the development questions."""
        looked = [(share, self.scores(model), model) for share, model in mixtures(trained, start, shares)]
        return max(looked, key=lambda each: mean(each[1]))


def reading(checkpoint: Checkpoint) -> dict[Role, TextEncoder]:
    """The text path of *checkpoint*, cut to what is read in training."""
    limits: Mapping[Role, int] = {"query": QUERY_TOKENS, "passage": PASSAGE_TOKENS}
    return {role: training_path(checkpoint, limit) for role, limit in limits.items()}


def compare(scores: Scores, before: Scores, texts: Texts) -> Comparison:
    """All questions of all kinds, each beside itself."""
    return together(scores, before, list(before), texts)


def helps_in_other_words(scores: Scores, before: Scores) -> bool:
    """Whether questions in other words than their passages' are answered at least as well as before, on average."""
    names = [name for name in before if in_other_words(name)]
    return not names or mean({name: scores[name] for name in names}) >= mean({name: before[name] for name in names})


def harms(scores: Scores, before: Scores, texts: Texts) -> str:
    """The kind of question that is significantly worse than before; "" for none."""
    for name in before:
        against = together(scores, before, [name], texts)
        if against.worse:
            return name
    return ""
