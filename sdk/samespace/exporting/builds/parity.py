"""The parity gate: the export has to give torch's vectors on every kind of batch that a server sends.

Padded batches are the ones that older exporters got wrong, so they are the point: one token, ragged, at the
token limit, batches of 1, 2, 7 and 64, and the whole text path with windows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ...artifact.probes import Probes, probe_texts
from ...artifact.reranker import RERANKER
from ...embed import Model, embed_roles
from ...model.exportable import Exportable
from ...text import PROMPT_MASK, Int64, Role, TextEncoder
from ...vectors import Float32

BATCHES: Final = (1, 2, 7, 64)
_MAX_TOKENS: Final = 4096  # of one parity batch: 64 rows at the limit of a long model would take minutes


def parity_batches(
    token_limit: int, vocabulary: int, *, seed: int = 0, pool_prompt: bool = True
) -> Iterator[tuple[Int64, Int64]]:
    """Random ids in every shape that matters: (ids, mask), int64, right-padded.

    Args:
        token_limit: longest row.
        vocabulary: ids are drawn below it.
        pool_prompt: whether all tokens are marked alike; where not, rows have prompts (or queries) of unlike length.
    """
    random = np.random.default_rng(seed)
    for batch in BATCHES:
        for longest in sorted({1, min(17, token_limit), max(1, min(token_limit, _MAX_TOKENS // batch))}):
            ids = random.integers(0, vocabulary, size=(batch, longest), dtype=np.int64)
            lengths = random.integers(1, longest + 1, size=batch)
            lengths[0] = longest
            mask = (np.arange(longest)[None, :] < lengths[:, None]).astype(np.int64)
            yield ids * mask, mask
            if batch > 1:
                yield ids, np.ones_like(mask)  # nothing padded
            if not pool_prompt:
                prompts = random.integers(0, lengths)  # at least one token of the text stays
                yield ids * mask, np.where(np.arange(longest)[None, :] < prompts[:, None], PROMPT_MASK, mask)


@dataclass(frozen=True, slots=True)
class ParityReference:
    """What torch gives: the probes and the parity batches with their vectors, computed once for all builds."""

    checkpoint: Exportable
    probes: Probes
    batches: tuple[tuple[Int64, Int64, Float32], ...]


def reference(checkpoint: Exportable, texts: tuple[str, ...] = (), roles: tuple[Role, ...] = ()) -> ParityReference:
    """Run the probes and the parity batches through the torch module, in fp32.

    Args:
        texts, roles: of the probes; those of every encoder unless given.
    """
    if not texts:
        texts, roles = _with_tokens(checkpoint.text_encoder, *probe_texts(checkpoint.recipe))
    vectors = _embed(checkpoint, checkpoint.model, texts, roles)
    probes = Probes(texts, roles, vectors, checkpoint.identity.distance)
    marked = not checkpoint.recipe.pool_prompt or checkpoint.identity.kind == RERANKER
    batches = tuple(
        (ids, mask, checkpoint.model(ids, mask))
        for ids, mask in parity_batches(checkpoint.recipe.token_limit, checkpoint.vocabulary, pool_prompt=not marked)
    )
    return ParityReference(checkpoint, probes, batches)


def _with_tokens(
    encoder: TextEncoder, texts: Sequence[str], roles: Sequence[Role]
) -> tuple[tuple[str, ...], tuple[Role, ...]]:
    """Those that have a token: without special tokens a blank has none, and so no vector."""
    prompts = encoder.recipe.prompts
    pairs = zip(texts, roles, strict=True)
    kept = [(text, role) for text, role in pairs if encoder.tokenizer.encode(prompts[role] + text).ids]
    return tuple(text for text, _ in kept), tuple(role for _, role in kept)


def worst_distance(model: Model, wanted: ParityReference) -> float:
    """The largest distance between *model* and torch over the parity batches and the probes."""
    probes = wanted.probes
    worst = probes.worst(_embed(wanted.checkpoint, model, probes.texts, probes.roles))
    for ids, mask, vectors in wanted.batches:
        found = model(ids, mask)
        if found.shape != vectors.shape or not np.isfinite(found).all():
            return float("inf")
        worst = max(worst, float(wanted.checkpoint.identity.distance(found, vectors).max()))
    return worst


def _embed(checkpoint: Exportable, model: Model, texts: Sequence[str], roles: Sequence[Role]) -> Float32:
    return embed_roles(model, checkpoint.text_encoder, texts, roles, dims=checkpoint.dims)
