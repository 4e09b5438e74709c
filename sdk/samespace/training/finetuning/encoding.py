"""Vectors from the model in training: what mining, the rate probe and the checks need in the middle of a run.

Texts are cut to the training limits, as in training. Where there is much to encode the model as it is now is exported,
verified and run as a graph. What is scored in the end goes another way: the whole text path (`outcome`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer

from ...embed import Model, run_windows
from ...exporting.fastest import CANNOT, EXPORT_FROM, exported, pays
from ...model.checkpoint import Checkpoint, Overrides, load_checkpoint
from ...runtime import Session
from ...text import Int64, Role, TextEncoder, Window
from ...vectors import Float32
from ..losses.batch import model_inputs
from .model import save_model

_BATCH_TOKENS: Final = 4096
_TOKENIZED_AT_ONCE: Final = 4096


def training_path(checkpoint: Checkpoint, most_tokens: int = 0) -> TextEncoder:
    """The text path of *checkpoint* in training: windows that share nothing, of *most_tokens* (0: its own limit)."""
    own = checkpoint.recipe.token_limit
    recipe = replace(checkpoint.recipe, token_limit=min(most_tokens or own, own), window_overlap=0)
    return TextEncoder(Tokenizer.from_buffer(checkpoint.tokenizer), recipe)


def encode(model: Any, text_encoder: TextEncoder, texts: Sequence[str], role: Role, *, bf16: bool = False) -> Float32:
    """Unit vectors of *texts*, (texts, dim); without dropout, whatever mode the model is in."""
    with _torch_run(model, bf16=bf16) as run:
        return _vectors(run, model, _first_windows(text_encoder, texts, role))


def encode_many(
    model: Any,
    text_encoders: Mapping[Role, TextEncoder],
    queries: Sequence[str],
    passages: Sequence[str],
    *,
    overrides: Overrides,
    bf16: bool = False,
    export_from: float = EXPORT_FROM,
) -> tuple[Float32, Float32]:
    """Unit vectors of *queries* and of *passages*, (texts, dim) each, through an exported graph where that pays.

    Args:
        overrides: the prompts that the model was loaded with.
        export_from: tokens times weights from which it does.
    """
    windows_q = _first_windows(text_encoders["query"], queries, "query")
    windows_p = _first_windows(text_encoders["passage"], passages, "passage")
    tokens = sum(len(window.ids) for windows in (windows_q, windows_p) for window in windows)
    with ExitStack() as stack:
        run: Model | None = None
        if next(model.parameters()).device.type == "cpu" and pays(tokens, model, export_from=export_from):
            run = _graph(model, text_encoders["query"].tokenizer, overrides, stack)
        if run is None:
            run = stack.enter_context(_torch_run(model, bf16=bf16))
        return _vectors(run, model, windows_q), _vectors(run, model, windows_p)


def _first_windows(text_encoder: TextEncoder, texts: Sequence[str], role: Role) -> list[Window]:
    windows: list[Window] = []
    for start in range(0, len(texts), _TOKENIZED_AT_ONCE):
        windows += [each.windows[0] for each in text_encoder.tokenize(texts[start : start + _TOKENIZED_AT_ONCE], role)]
    return windows


def _vectors(run: Model, model: Any, windows: Sequence[Window]) -> Float32:
    dims = int(model.get_embedding_dimension())
    return run_windows(run, windows, dims=dims, batch_tokens=_BATCH_TOKENS)


@contextmanager
def _torch_run(model: Any, *, bf16: bool) -> Iterator[Model]:
    device, training = next(model.parameters()).device, model.training

    def run(ids: Int64, mask: Int64) -> Float32:
        inputs = model_inputs(torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device))
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            made = model(inputs)["sentence_embedding"]
        rows: Float32 = torch.nn.functional.normalize(made.float(), dim=1).cpu().numpy()
        return rows

    model.eval()
    try:
        yield run
    finally:
        model.train(training)


def _graph(model: Any, tokenizer: Tokenizer, overrides: Overrides, stack: ExitStack) -> Session | None:
    """*model* as it is now, as its fastest verified build, until *stack* ends; None where there is none."""
    with tempfile.TemporaryDirectory(prefix="samespace-mine-") as scratch:
        save_model(
            deepcopy(model), Path(scratch), tokenizer, "the model in training"
        )  # a copy, because saving merges adapters
        try:
            return stack.enter_context(exported(load_checkpoint(scratch, overrides))).loaded.session
        except CANNOT:
            return None


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


def _ties(scores: Float32, right: Float32) -> npt.NDArray[np.float64]:
    """Half of the passages that score the same: vectors that have all become one rank nothing first."""
    return np.asarray(((scores == right[:, None]).sum(axis=1) - 1) / 2)
