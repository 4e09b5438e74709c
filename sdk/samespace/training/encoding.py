"""Vectors from the model in training: what mining, the rate probe and the checks need in the middle of a run.

Texts are cut to the training limits, as in training. What is scored in the end goes another way: the whole text
path and, where that is faster, an exported graph (`outcome`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from ..text import Role, TextEncoder, pad

_MINI_BATCH: Final = 32
_TOKENIZED_AT_ONCE: Final = 4096

Float = npt.NDArray[np.float32]


def encode(model: Any, text_encoder: TextEncoder, texts: Sequence[str], role: Role, *, bf16: bool = False) -> Float:
    """Unit vectors of *texts*, (texts, dim); without dropout, whatever mode the model is in."""
    windows = []
    for start in range(0, len(texts), _TOKENIZED_AT_ONCE):
        windows += [each.windows[0] for each in text_encoder.tokenize(texts[start : start + _TOKENIZED_AT_ONCE], role)]
    order = sorted(range(len(windows)), key=lambda row: len(windows[row].ids))  # like lengths: little padding
    device, training = next(model.parameters()).device, model.training
    parts = []
    model.eval()
    try:
        for start in range(0, len(order), _MINI_BATCH):
            chosen = [windows[row] for row in order[start : start + _MINI_BATCH]]
            ids, mask = (torch.from_numpy(part).to(device) for part in pad(chosen))
            with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                made = model({"input_ids": ids, "attention_mask": mask})["sentence_embedding"]
            parts.append(torch.nn.functional.normalize(made.float(), dim=1).cpu().numpy())
    finally:
        model.train(training)
    vectors = np.concatenate(parts)
    found = np.empty_like(vectors)
    found[order] = vectors
    return found


def reciprocal_rank(
    model: Any,
    text_encoders: Mapping[Role, TextEncoder],
    queries: Sequence[str],
    passages: Sequence[str],
    own: Sequence[int],
    *,
    bf16: bool = False,
) -> float:
    """Mean 1 / rank of passage own[i] for query i among all *passages*: a quick development score, in (0, 1]."""
    q = encode(model, text_encoders["query"], queries, "query", bf16=bf16)
    p = encode(model, text_encoders["passage"], passages, "passage", bf16=bf16)
    scores = q @ p.T  # (queries, passages)
    right = scores[np.arange(len(own)), list(own)]
    if not np.isfinite(scores).all():
        return 0.0
    return float((1 / (1 + (scores > right[:, None]).sum(axis=1) + _ties(scores, right))).mean())


def _ties(scores: Float, right: Float) -> npt.NDArray[np.float64]:
    """Half of the passages that score the same: vectors that have all become one rank nothing first."""
    return np.asarray(((scores == right[:, None]).sum(axis=1) - 1) / 2)
