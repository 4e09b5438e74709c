"""Small training sets of random words, for tests of losses and batches."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from samespace.model.checkpoint import load_checkpoint
from samespace.training.data.examples import Examples
from samespace.training.finetuning.batches import Collator, Negatives
from samespace.training.losses.masking import known_pairs

LETTERS = "abcdefgh"


def texts(count: int, seed: int = 3) -> list[str]:
    random = Random(seed)
    return [" ".join("".join(random.choices(LETTERS, k=5)) for _ in range(2 + row % 5)) for row in range(count)]


def make_examples(queries: list[str], passages: list[str], negatives: list[tuple[str, ...]] | None = None) -> Examples:
    count, names = len(queries), tuple(map(str, range(len(queries))))
    given = tuple(negatives or [()] * count)
    return Examples(
        queries=tuple(queries),
        passages=tuple(passages),
        negatives=given,
        labels=(1.0,) * count,
        weights=(1.0,) * count,
        query_ids=names,
        passage_ids=names,
        negative_ids=given,
    )


def make_collator(examples: Examples, checkpoint: Path, **more: Any) -> Collator:
    encoder = load_checkpoint(checkpoint).text_encoder
    known = more.pop("known", None) or known_pairs(zip(examples.queries, examples.passages, strict=True))
    negatives = more.pop("negatives", None) or Negatives(examples.negatives, 2, seed=1)
    return Collator(examples, {"query": encoder, "passage": encoder}, negatives, known, **more)
