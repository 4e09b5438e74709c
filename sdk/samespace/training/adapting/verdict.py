"""The verdict: better, no better or worse than the base, by how much, and what it rests on. Pure.

Better    the mean is higher with p < 0.05, no kind of question is significantly worse, and those in other words than
          their passages are not worse on average; on made-up questions, the whole interval is above one point: less has
          been seen beside a loss on people's questions (benchmarks/LOG.md)
worse     the mean is lower with p < 0.05, or a kind of question is significantly worse
no better anything else: also a gain that chance could have made

What it leaves to others: the scores (`run`), writing or not (`run`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...evaluation import Comparison, paired_bootstrap
from .heldout import in_other_words, kind_of
from .signals import SIGNALS

BETTER: Final = "better"
NO_BETTER: Final = "no better"
WORSE: Final = "worse"
JUDGED: Final = "judged"
LEAST_MADE_UP: Final = 0.01
"""Of nDCG@10: what the lower end of the interval has to reach on questions that nobody asked."""
ASK_FOR: Final = 30
"""Real questions to ask for where there are none: enough to see a gain of five points about every other time."""

PerQuery = Mapping[str, npt.NDArray[np.float64]]
Texts = Mapping[str, Sequence[str]]
"""Kind of question -> its questions, in the order of the numbers."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the new encoder does beside its base on held-out questions.

    Attributes:
        word: `BETTER`, `NO_BETTER` or `WORSE`.
        overall: over all questions.
        kinds: of each kind of question, `JUDGED` for people's.
        other_words: over the questions that share few words with their passages; None where they are not told apart.
    """

    word: str
    overall: Comparison
    kinds: Mapping[str, Comparison]
    other_words: Comparison | None = None

    @property
    def by_people(self) -> bool:
        """Whether people asked the questions."""
        return set(self.kinds) == {JUDGED}

    def sentence(self) -> str:
        """The verdict for people."""
        found = self.overall
        harmed = [name for name, each in self.kinds.items() if each.worse]
        also = f"; worse on {' and '.join(harmed)}" if harmed and len(self.kinds) > 1 else ""
        if self.other_words is not None:
            also += f"; {100 * self.other_words.mean:+.1f} on the half in other words than their passages"
        return (
            f"{self.word[0].upper()}{self.word[1:]} than its base: {100 * found.mean:+.1f} points of "
            f"nDCG@10 on {found.queries} held-out questions (95 % interval {100 * found.low:+.1f} to "
            f"{100 * found.high:+.1f}, p = {found.p_value:.4f}; {found.wins} better, {found.losses} worse){also}."
        )

    def rests_on(self) -> str:
        """What the verdict rests on, for people."""
        if self.by_people:
            return f"It rests on {self.overall.queries} questions that people asked."
        says = {signal.name: signal.says.partition(",")[0] for signal in SIGNALS}
        counts = Counter[str]()
        for name, each in self.kinds.items():
            counts[says[kind_of(name)]] += each.queries
        kinds = ", ".join(f"{count} {name}" for name, count in counts.items())
        return (
            f"It rests on questions made of held-out documents ({kinds}), which nobody asked: people use other words. "
            f"Collect {ASK_FOR} real questions with their answers in the BEIR layout, and pass --judged FOLDER; "
            "without answers, judge the results: samespace judge."
        )

    def to_json(self) -> dict[str, Any]:
        """The plain form."""
        return {
            "word": self.word,
            "overall": self.overall.to_json(),
            "kinds": {name: each.to_json() for name, each in self.kinds.items()},
            "other_words": None if self.other_words is None else self.other_words.to_json(),
            "asked_by_people": self.by_people,
        }


def decide(new: PerQuery, base: PerQuery, texts: Texts) -> Verdict:
    """The verdict on two encoders' nDCG@10 of the same questions, by kind.

    Args:
        texts: a text that is asked twice, of one kind or of two, is one question.
    """
    kinds = {name: together(new, base, [name], texts) for name in base}
    overall = together(new, base, list(base), texts)
    others = [name for name in base if in_other_words(name)]
    other_words = together(new, base, others, texts) if others else None
    parts = [*kinds.values(), overall, *([other_words] if other_words else [])]
    if any(each.worse for each in parts):
        return Verdict(WORSE, overall, kinds, other_words)
    sure = set(base) == {JUDGED} or overall.low >= LEAST_MADE_UP
    better = overall.better and sure and (other_words is None or other_words.mean >= 0)
    return Verdict(BETTER if better else NO_BETTER, overall, kinds, other_words)


def together(new: PerQuery, base: PerQuery, names: Sequence[str], texts: Texts) -> Comparison:
    """The kinds called *names* as one set of questions, of which equal *texts* are drawn together.

    A kind may have more texts than numbers, where only its first questions were asked.
    """
    first, second = (np.concatenate([each[name] for name in names]) for each in (new, base))
    asked = [text for name in names for text in texts[name][: len(base[name])]]
    return paired_bootstrap(first, second, texts=asked)
