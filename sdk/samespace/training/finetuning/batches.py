"""Which examples make a batch, and the inputs and negatives that a batch brings to the loss.

Batches are random: were they grouped by length, the length would tell the negatives from the right answer. Within
a batch the windows are sorted by length, so that the mini-batches that go through the model hold little padding;
the loss does not depend on that order. A long text is trained by its first windows, as many as are allowed: by the
vector that they make together, which is the one that the text has when it is served.

Two examples that share a text, or of which one answers the other, are put into different batches as long as there is
room.

Everything random follows from seed and epoch, so that a run that is resumed sees what the first would have seen.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import BatchSampler

from ...text import Role, TextEncoder, pad
from ..data.examples import Examples
from ..losses.batch import Side, TrainingBatch
from ..losses.masking import Known

BATCH: Final = "batch"
Guide = Callable[[Sequence[str], Role], npt.NDArray[np.float32]]
"""Unit vectors of another encoder, (texts, dim)."""
Taught = Callable[[Sequence[tuple[str, str]]], Sequence[float | None]]
"""A teacher's scores of (query, passage) pairs; None for what it has not scored."""


class Batches(BatchSampler):
    """Rows of examples in batches of nearly equal size, anew for each epoch.

    Args:
        queries, passages: (examples,) int64, what must not be in a batch twice: groups of `masking.Known`.
        batch_size: examples of a batch, at most.
        multiple: the number of batches is a multiple of this: each process gets as many.
    """

    def __init__(
        self,
        queries: npt.NDArray[np.int64],
        passages: npt.NDArray[np.int64],
        batch_size: int,
        *,
        seed: int,
        multiple: int = 1,
    ) -> None:
        self.queries, self.passages, self.examples_each, self.seed, self.multiple = (
            queries, passages, batch_size, seed, multiple,
        )  # fmt: skip
        # accelerate hands batches out to processes one by one only where they may be of any size, which this says.
        self.batch_size = None  # type: ignore[assignment]
        self.drop_last, self.epoch = False, 0

    def set_epoch(self, epoch: int) -> None:
        """Which epoch the next iteration is; the trainer's call."""
        self.epoch = epoch

    def __len__(self) -> int:
        return max(1, math.ceil(len(self.queries) / self.examples_each / self.multiple)) * self.multiple

    def __iter__(self) -> Iterator[list[int]]:
        count, total = len(self), len(self.queries)
        room = [total // count + (batch < total % count) for batch in range(count)]
        batches: list[list[int]] = [[] for _ in range(count)]
        taken: list[set[tuple[str, int]]] = [set() for _ in range(count)]
        order = np.random.default_rng([self.seed, self.epoch]).permutation(total).tolist()
        for turn, row in enumerate(order):
            marks = {("q", int(self.queries[row])), ("p", int(self.passages[row]))}
            in_turn = chain(range(turn % count, count), range(turn % count))  # all fill alike, so that all have room
            fallback = -1
            for chosen in in_turn:
                if len(batches[chosen]) < room[chosen]:
                    if taken[chosen].isdisjoint(marks):
                        break
                    fallback = chosen if fallback < 0 else fallback
            else:
                # Every batch with room has the text already: the mask keeps it from being a negative of itself.
                chosen = fallback
            batches[chosen].append(row)
            taken[chosen] |= marks
        yield from batches


@dataclass
class Negatives:
    """The negatives of each example: the data's own, those that were mined, and which of them a step takes.

    Attributes:
        own: of each example, as the data gives them.
        per_example: how many a step takes.
        corpus: what is mined in.
        mined: query text -> rows of the corpus; replaced whenever negatives are mined anew.
    """

    own: Sequence[Sequence[str]]
    per_example: int
    seed: int
    corpus: Sequence[str] = ()
    mined: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def draw(self, row: int, query: str, epoch: int) -> list[str]:
        """What example *row* brings in *epoch*: some of the data's own and some mined ones, without repeats."""
        mined = (self.corpus[place] for place in self.mined.get(query, ()))
        candidates = list(dict.fromkeys([*self.own[row], *mined]))
        if len(candidates) <= self.per_example:
            return candidates
        drawn = np.random.default_rng([self.seed, epoch, row]).choice(len(candidates), self.per_example, replace=False)
        return [candidates[place] for place in sorted(drawn)]


@dataclass
class Collator:
    """Rows of examples to a `TrainingBatch`: model inputs, and what the loss has to know of them.

    Each distinct text of the batch is there once.

    Attributes:
        text_encoders: the text path of each role, with the training limits.
        windows: of a long passage, that are trained; a query has one.
        teacher: scores the pairs and their negatives; None where there is none.
        whole: whether the teacher is asked about every passage of a batch, and not only about an example's own.
        guide: another encoder, for `guide`.
        epoch: set by the loop.
        cut: texts of each role that had more windows than are trained, counted as they come by.
    """

    examples: Examples
    text_encoders: Mapping[Role, TextEncoder]
    negatives: Negatives
    known: Known
    teacher: Taught | None = None
    whole: bool = False
    guide: Guide | None = None
    windows: int = 1
    epoch: int = 0
    cut: dict[Role, int] = field(default_factory=lambda: {"query": 0, "passage": 0})
    valid_label_columns: Sequence[str] = ()

    def __call__(self, rows: Sequence[Mapping[str, int]]) -> dict[str, TrainingBatch]:
        """The trainer's call, which looks for keys."""
        return {BATCH: self.batch([row["row"] for row in rows])}

    def batch(self, rows: Sequence[int]) -> TrainingBatch:
        """The batch of the examples *rows*."""
        examples = self.examples
        drawn = [self.negatives.draw(row, examples.queries[row], self.epoch) for row in rows]
        queries = list(dict.fromkeys(examples.queries[row] for row in rows))
        passages = list(
            dict.fromkeys([*(examples.passages[row] for row in rows), *(text for texts in drawn for text in texts)])
        )
        place_q, place_p = ({text: place for place, text in enumerate(texts)} for texts in (queries, passages))
        return TrainingBatch(
            query=self._side(queries, "query", 1, self.known.queries),
            passage=self._side(passages, "passage", self.windows, self.known.passages),
            queries=torch.tensor([place_q[examples.queries[row]] for row in rows]),
            passages=torch.tensor([place_p[examples.passages[row]] for row in rows]),
            weights=torch.tensor([examples.weights[row] for row in rows], dtype=torch.float32),
            labels=torch.tensor([examples.labels[row] for row in rows], dtype=torch.float32),
            **self._taught(rows, drawn, place_p),
        )

    def _side(self, texts: Sequence[str], role: Role, most: int, groups: Mapping[str, int]) -> Side:
        """Model inputs of the first *most* windows of each text, shortest first, and what is known of the texts."""
        tokenized = self.text_encoders[role].tokenize(texts, role)
        self.cut[role] += sum(len(text.windows) > most for text in tokenized)
        windows = [(place, window) for place, text in enumerate(tokenized) for window in text.windows[:most]]
        windows.sort(key=lambda each: len(each[1].ids))
        parts = torch.zeros(len(texts), len(windows))
        for column, (place, window) in enumerate(windows):
            parts[place, column] = max(1, window.content)
        ids, mask = pad([window for _, window in windows])  # each (windows, longest), int64
        return Side(
            ids=torch.from_numpy(ids),
            mask=torch.from_numpy(mask),
            parts=parts,
            keys=_keys(texts),
            groups=torch.from_numpy(self.known.groups(texts, groups)),
            guide=None if self.guide is None else torch.from_numpy(self.guide(texts, role)),
        )

    def _taught(
        self, rows: Sequence[int], drawn: Sequence[Sequence[str]], place: Mapping[str, int]
    ) -> dict[str, Tensor]:
        """What the teacher says of each example's passage and its negatives, as `TrainingBatch` has it."""
        if self.teacher is None:
            return {"rivals": torch.full((len(rows),), -1), "margins": torch.zeros(len(rows))}
        others = list(place) if self.whole else []
        pairs = [
            [
                (self.examples.queries[row], text)
                for text in dict.fromkeys([self.examples.passages[row], *negatives, *others])
            ]
            for row, negatives in zip(rows, drawn, strict=True)
        ]
        said = iter(self.teacher([pair for each in pairs for pair in each]))
        width = max(map(len, pairs))
        candidates, scores = torch.full((len(rows), width), -1), torch.zeros(len(rows), width)
        for example, asked in enumerate(pairs):
            answers = [(place[passage], score) for (_, passage), score in zip(asked, said, strict=False)]
            scored = [(row, score) for row, score in answers if score is not None]
            if answers[0][1] is not None and len(scored) > 1:  # without the passage's own score nothing is compared
                candidates[example, : len(scored)] = torch.tensor([row for row, _ in scored])
                scores[example, : len(scored)] = torch.tensor([score for _, score in scored])
        if width == 1:
            return {"rivals": torch.full((len(rows),), -1), "margins": torch.zeros(len(rows)), "candidates": candidates,
                    "scores": scores}  # fmt: skip
        margins = torch.where(candidates[:, 1] >= 0, scores[:, 0] - scores[:, 1], 0.0)
        return {"rivals": candidates[:, 1], "margins": margins, "candidates": candidates, "scores": scores}


def _keys(texts: Sequence[str]) -> Tensor:
    """(texts,) int64; the same for the same text in every process."""
    digests = [hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest() for text in texts]
    return torch.tensor([int.from_bytes(each, "little", signed=True) for each in digests])
