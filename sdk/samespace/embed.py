"""From texts to vectors over any model: tokenise, window, batch, run, pool.

The model is a function from padded ids and mask to unit vectors; it may be an ONNX session or a torch module,
so a checkpoint and its export are measured on the very same path. The server has a batcher of its own,
because it has to share a model between callers; the numbers that come out are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from .errors import RequestInvalid, SamespaceError, TextTooLong
from .slices import slice_texts
from .text import (
    BY_WINDOW,
    LONG_TEXTS,
    ROLES,
    WINDOW_MEAN,
    Int64,
    LongTexts,
    Role,
    TextEncoder,
    TokenizedText,
    Window,
    pad,
    pool_windows,
)  # fmt: skip
from .vectors import Float32

Model = Callable[[Int64, Int64], Float32]
"""(batch, tokens) ids and mask, int64, to (batch, dim) unit vectors, float32."""

# Padded tokens of one batch. On CPUs, large batches of medium texts run 10 to 30 % slower than ones
# that stay in cache; on long texts this still gives batches of several.
BATCH_TOKENS: Final = 2048


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors of some texts, and what became of each text.

    Attributes:
        vectors: (rows, dim), float32, unit rows. One row a text, or one a window if windows were asked for.
        tokens: tokens of each text in one piece, special tokens and prompt included.
        windows: how many windows each text had.
        spans: one (text, start, end) a row: the characters of the text that the row stands for.
    """

    vectors: Float32
    tokens: tuple[int, ...]
    windows: tuple[int, ...]
    spans: tuple[tuple[int, int, int], ...]


def embed_texts(
    model: Model,
    text_encoder: TextEncoder,
    texts: Sequence[str],
    role: Role,
    *,
    dims: int,
    long_texts: LongTexts = "pool",
    batch_tokens: int = BATCH_TOKENS,
    progress: Callable[[int], None] | None = None,
) -> Embedded:
    """Embed *texts* in order.

    Args:
        dims: length of the model's vectors; needed for the answer to no texts at all.
        long_texts: one pooled vector a text, one vector a window or a slice, or `TextTooLong` for long texts.
        progress: called with the number of texts done since the last call.
    """
    check_long_texts(long_texts)
    if isinstance(texts, str):
        raise RequestInvalid(field="texts", reason="expected a list of strings, got one string")
    sliced = long_texts == "slices"
    tokenized = slice_texts(text_encoder, texts, role) if sliced else text_encoder.tokenize(texts, role)
    if long_texts == "reject":
        reject_long(tokenized, text_encoder.recipe.token_limit)
    windows = [window for text in tokenized for window in text.windows]
    owners = [index for index, text in enumerate(tokenized) for _ in text.windows]
    missing = [len(text.windows) for text in tokenized]

    def run(ids: Int64, mask: Int64) -> Float32:
        return checked(model(ids, mask), rows=len(ids), dims=dims)

    def done(rows: Sequence[int]) -> None:
        for row in rows:
            missing[owners[row]] -= 1
        if progress is not None:
            progress(sum(missing[text] == 0 for text in {owners[row] for row in rows}))

    vectors = run_windows(run, windows, dims=dims, batch_tokens=batch_tokens, done=done)
    return assemble(tokenized, vectors, long_texts, text_encoder.recipe.combine)


def run_windows(
    model: Model,
    windows: Sequence[Window],
    *,
    dims: int,
    batch_tokens: int = BATCH_TOKENS,
    done: Callable[[Sequence[int]], None] = lambda rows: None,
) -> Float32:
    """The vectors of *windows*, (windows, dims) float32 in their order, in batches of like length.

    Args:
        batch_tokens: padded tokens of one batch, at most; a longer window runs alone.
        done: gets the rows of each batch after it.
    """
    vectors = np.empty((len(windows), dims), dtype=np.float32)
    for rows in length_batches([len(window.ids) for window in windows], batch_tokens):
        vectors[rows] = model(*pad([windows[row] for row in rows]))
        done(rows)
    return vectors


def embed_roles(
    model: Model, text_encoder: TextEncoder, texts: Sequence[str], roles: Sequence[Role], *, dims: int
) -> Float32:
    """One pooled vector a text where each text has a role of its own; (texts, dims) float32, in order.

    What comes to the same model input is computed once: most encoders treat both roles alike.
    """
    prompts = text_encoder.recipe.prompts
    inputs = [(prompts[role], text) for text, role in zip(texts, roles, strict=True)]
    firsts = {each: row for row, each in reversed(list(enumerate(inputs)))}
    found: dict[int, Float32] = {}
    for role in ROLES:
        rows = sorted(row for row in firsts.values() if roles[row] == role)
        embedded = embed_texts(model, text_encoder, [texts[row] for row in rows], role, dims=dims)
        found.update(zip(rows, embedded.vectors, strict=True))
    vectors = np.empty((len(texts), dims), dtype=np.float32)
    for row, each in enumerate(inputs):
        vectors[row] = found[firsts[each]]
    return vectors


def assemble(
    tokenized: Sequence[TokenizedText], vectors: Float32, long_texts: LongTexts, combine: str = WINDOW_MEAN
) -> Embedded:
    """Put the vectors of all windows, in text order, together into the answer that was asked for.

    Args:
        combine: of the recipe, see `pool_windows`.
    """
    tokens = tuple(text.tokens for text in tokenized)
    counts = tuple(len(text.windows) for text in tokenized)
    if long_texts in BY_WINDOW:
        spans = tuple((i, window.start, window.end) for i, text in enumerate(tokenized) for window in text.windows)
        return Embedded(vectors, tokens, counts, spans)
    spans = tuple((i, 0, text.windows[-1].end) for i, text in enumerate(tokenized))
    if all(count == 1 for count in counts):
        return Embedded(vectors, tokens, counts, spans)
    pooled = np.empty((len(tokenized), vectors.shape[1]), dtype=np.float32)
    row = 0
    for index, text in enumerate(tokenized):
        last = row + len(text.windows)
        pooled[index] = pool_windows(vectors[row:last], [window.content for window in text.windows], combine)
        row = last
    return Embedded(pooled, tokens, counts, spans)


def length_batches(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Row numbers grouped into batches of like length, each at most *batch_tokens* with its padding.

    Padded cost is rows x longest, so the rows are sorted first. A row above the budget runs alone.
    """
    order = sorted(range(len(lengths)), key=lambda row: lengths[row])
    batches: list[list[int]] = []
    for row in order:
        # Sorted upwards: the row at hand is the longest of the batch that it joins.
        if batches and (len(batches[-1]) + 1) * lengths[row] <= batch_tokens:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches


def check_long_texts(long_texts: str) -> None:
    """Raise `RequestInvalid` for a word that says nothing about long texts."""
    if long_texts not in LONG_TEXTS:
        raise RequestInvalid(field="long_texts", reason=f"{long_texts!r}; expected one of {', '.join(LONG_TEXTS)}")


def reject_long(tokenized: Sequence[TokenizedText], token_limit: int) -> None:
    """Raise `TextTooLong` at the first text that needs more than one window."""
    for index, text in enumerate(tokenized):
        if len(text.windows) > 1:
            raise TextTooLong(index=index, tokens=text.tokens, limit=token_limit)


def checked(vectors: Float32, *, rows: int, dims: int) -> Float32:
    """*vectors*, if they are what a model owes: one finite vector of *dims* numbers a row."""
    if vectors.shape != (rows, dims):
        raise SamespaceError(f"the model gave shape {vectors.shape} for {rows} inputs of {dims} dims")
    if not np.isfinite(vectors).all():
        raise SamespaceError("the model gave a vector that is not finite; it is not passed on")
    return vectors
