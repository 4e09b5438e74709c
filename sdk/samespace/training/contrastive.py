"""InfoNCE over in-batch negatives, with gradients that are cached so that a batch may be larger than memory.

Texts reach the model through `samespace.text`, the path of export and server, so a model is trained on the very
ids that it will be asked with.

What it leaves to others: the loop (`trainer`), the loss itself (sentence-transformers).
What it gives up: the end of long texts. A text is cut to its first window; see `query_max_tokens`.

Source: van den Oord et al. 2018, arXiv:1807.03748; gradient caching: Gao et al. 2021, arXiv:2101.06983.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ..text import Role, TextEncoder, Window, pad

ROLE_OF_COLUMN: Mapping[str, Role] = {"query": "query", "positive": "passage"}
"""The columns of the training data, in the order that the loss wants them."""


@dataclass
class PairCollator:
    """Rows of texts to padded model inputs, as the trainer of sentence-transformers wants them.

    Rows are put in the order of the passages' lengths: the loss does not depend on the order within a batch, and
    the mini-batches then hold texts of like length, with little padding.

    Attributes:
        text_encoders: the text path of each role, with the training limits.
        cut: texts of each role that were longer than its limit, counted as they come by.
    """

    text_encoders: Mapping[Role, TextEncoder]
    valid_label_columns: Sequence[str] = ()
    cut: dict[Role, int] = field(default_factory=lambda: {"query": 0, "passage": 0})

    def __call__(self, rows: Sequence[Mapping[str, str]]) -> dict[str, Any]:
        columns = {
            column: self._windows([row[column] for row in rows], role) for column, role in ROLE_OF_COLUMN.items()
        }
        order = sorted(range(len(rows)), key=lambda row: len(columns["positive"][row].ids))
        batch: dict[str, Any] = {"return_loss": True}
        for column, windows in columns.items():
            ids, mask = pad([windows[row] for row in order])  # each (rows, longest), int64
            batch[f"{column}_input_ids"] = torch.from_numpy(ids)
            batch[f"{column}_attention_mask"] = torch.from_numpy(mask)
        return batch

    def _windows(self, texts: Sequence[str], role: Role) -> list[Window]:
        tokenized = self.text_encoders[role].tokenize(texts, role)
        self.cut[role] += sum(len(text.windows) > 1 for text in tokenized)
        return [text.windows[0] for text in tokenized]


def info_nce(
    model: nn.Module, *, temperature: float, symmetric: bool, mini_batch_size: int, batch_size: int
) -> nn.Module:
    """The loss for (query, positive) batches.

    loss_i = -log( exp(s_ii / t) / sum_j exp(s_ij / t) ) with s the cosines of query i and passage j; if *symmetric*
    the mean of that and of the same over queries for each passage. Where *mini_batch_size* is below *batch_size*
    the gradient is cached: the same gradient for one more forward pass.
    """
    from sentence_transformers.sentence_transformer.losses import (
        CachedMultipleNegativesRankingLoss,
        MultipleNegativesRankingLoss,
    )

    options: dict[str, Any] = {
        "scale": 1 / temperature,
        "directions": ("query_to_doc", "doc_to_query") if symmetric else ("query_to_doc",),
        "partition_mode": "per_direction",
    }
    loss: nn.Module
    if mini_batch_size < batch_size:
        loss = CachedMultipleNegativesRankingLoss(model, mini_batch_size=mini_batch_size, **options)
    else:
        loss = MultipleNegativesRankingLoss(model, **options)
    return loss
