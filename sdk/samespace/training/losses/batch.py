"""What one step brings to the loss: model inputs of both roles, and what belongs together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ...text import PROMPT_MASK


def model_inputs(ids: Tensor, mask: Tensor) -> dict[str, Any]:
    """Ids and mask of one role as sentence-transformers' models take them.

    They are told how many tokens of the prompt pooling leaves out, where `text.pad` has them in the mask.
    """
    unpooled = int((mask == PROMPT_MASK).sum(dim=1).max())
    if not unpooled:
        return {"input_ids": ids, "attention_mask": mask}
    return {"input_ids": ids, "attention_mask": (mask > 0).to(mask.dtype), "prompt_length": unpooled}


@dataclass(frozen=True, slots=True)
class Side:
    """The distinct texts of one role in a batch, and the windows that stand for them.

    Attributes:
        ids, mask: (windows, longest) int64; the shortest first.
        parts: (texts, windows) float32; what each window's vector counts in each text's.
        keys: (texts,) int64, the same for the same text in every process.
        groups: (texts,) int64, see `masking.Known.groups`.
        guide: (texts, dim) float32, unit rows of another encoder; None where there is none.
    """

    ids: Tensor
    mask: Tensor
    parts: Tensor
    keys: Tensor
    groups: Tensor
    guide: Tensor | None = None

    def inputs(self) -> dict[str, Any]:
        """What the model takes; a dict of its own for each call, because modules write into it."""
        return model_inputs(self.ids, self.mask)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Side:
        """The same on *device*."""
        return replace(self, **_moved(self, device, non_blocking))


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """A batch of examples.

    Attributes:
        query, passage: their texts; passages are those of the examples and their negatives.
        queries, passages: (examples,) int64, rows of the texts that each example pairs.
        weights, labels: (examples,) float32.
        rivals: (examples,) int64, row of the negative that a teacher has scored; -1 for none.
        margins: (examples,) float32, how far the teacher has the passage above the rival.
        candidates, scores: (examples, most) int64 and float32, as `pairs.BatchPairs` has them; None without a teacher.
    """

    query: Side
    passage: Side
    queries: Tensor
    passages: Tensor
    weights: Tensor
    labels: Tensor
    rivals: Tensor
    margins: Tensor
    candidates: Tensor | None = None
    scores: Tensor | None = None

    def to(self, device: torch.device | str, non_blocking: bool = False) -> TrainingBatch:
        """The same on *device*; the trainer's loader calls it too."""
        return replace(self, **_moved(self, device, non_blocking))


def _moved(value: Side | TrainingBatch, device: torch.device | str, non_blocking: bool) -> dict[str, Any]:
    parts = {name: getattr(value, name) for name in value.__slots__}
    return {name: part.to(device, non_blocking=non_blocking) for name, part in parts.items() if part is not None}
