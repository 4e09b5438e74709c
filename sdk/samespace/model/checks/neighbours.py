"""A text's vector depends on the text alone: not on the texts beside it, and not on what was encoded before.

Two ways to see it. Some settings are known to choose by the length of a batch, from a length on that no cheap run
reaches; those are named. Everything else is run: long first, then short, then both in one batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import torch
from torch import nn

from ...errors import ModelUnsupported

SAME: Final = 1e-3
"""Of the largest number: how far token vectors of a text may move. Rounding is far below."""
_SHORT: Final = 3
_PADDED: Final = 8
_LONGEST: Final = 1024
_WORK: Final = 5e11
"""Weights times tokens of the long run: a second or two, whatever the model's size."""
_CANNOT: Final = (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError)


def require_known_length(config: Any, limit: int, source: str) -> None:
    """Refuse settings that compute one text in two ways where inputs may have *limit* tokens.

    Raises:
        ModelUnsupported: with the setting, and the token limit up to which there is one way.
    """
    for setting, most, what in _lengths(config):
        if limit > most:
            raise ModelUnsupported(
                model=source,
                reason=f"config.json says {setting}: {what} where an input has more than {most} tokens, and its token "
                f"limit is {limit}: the vector of a text would depend on the texts beside it, or before it",
                remedy=f"pass --max-tokens {most}; longer texts are encoded in windows",
            )


def require_alone(backbone: nn.Module, vocabulary: int, limit: int, source: str) -> None:
    """Run a long text, a short one, and both in one batch, padded: their token vectors have to stay what they are.

    Args:
        limit: tokens of the longest input; fewer are taken of large models.

    Raises:
        ModelUnsupported: they do not (convolutions over the padding, Fourier transforms), or the model does not run.
    """
    size = sum(weight.numel() for weight in backbone.parameters())
    wide = max(_PADDED, min(limit, _LONGEST, int(_WORK / max(size, 1))))
    ids = torch.arange(wide)[None] % vocabulary
    long = _run(backbone, ids, torch.ones_like(ids), source)[0]
    short = _run(backbone, ids[:, :_SHORT], torch.ones((1, _SHORT), dtype=torch.int64), source)[0]
    for width in (min(_PADDED, wide), wide):
        rows = torch.cat([ids[:, :width]] * 2)
        rows[0, _SHORT:] = 0
        mask = torch.ones_like(rows)
        mask[0, _SHORT:] = 0
        both = _run(backbone, rows, mask, source)
        _require_same(short, both[0, :_SHORT], backbone, source)
        if width == wide:
            _require_same(long, both[1], backbone, source)


def moved(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference of two runs, by the largest number of the first."""
    return float((one - other).abs().max() / one.abs().max().clamp_min(1e-30))


def _run(backbone: nn.Module, ids: torch.Tensor, mask: torch.Tensor, source: str) -> torch.Tensor:
    try:
        with torch.inference_mode():
            hidden: torch.Tensor = backbone(input_ids=ids, attention_mask=mask).last_hidden_state
    except _CANNOT as error:
        raise ModelUnsupported(
            model=source,
            reason=f"{type(backbone).__name__} does not run on {ids.shape[1]} tokens: "
            f"{' '.join(str(error).split())[:200]}",
            remedy="its config.json may be of another model; else please report the folder",
        ) from error
    if hidden.shape[:2] != ids.shape:
        raise ModelUnsupported(
            model=source,
            reason=f"{type(backbone).__name__} gives {hidden.shape[1]} vectors for {ids.shape[1]} tokens",
            remedy="use an encoder with one vector for each token",
        )
    return hidden


def _require_same(alone: torch.Tensor, beside: torch.Tensor, backbone: nn.Module, source: str) -> None:
    if not (share := moved(alone, beside)) <= SAME:
        raise ModelUnsupported(
            model=source,
            reason=f"{type(backbone).__name__} gives a text other token vectors where its batch is padded (by "
            f"{share:.1%} of the largest number): they would depend on the texts beside it",
            remedy="use an encoder whose attention leaves the padding out",
        )


def _lengths(config: Any) -> Iterator[tuple[str, int, str]]:
    """(setting, the most tokens that are computed in one way, what happens above them)."""
    for rope in _ropes(getattr(config, "rope_parameters", None)):
        if (kind := rope.get("rope_type")) in ("longrope", "su"):
            most = rope.get("original_max_position_embeddings") or config.max_position_embeddings
            yield f"rope_type = {kind!r}", int(most), "all positions turn by other frequencies"
    if getattr(config, "attention_type", None) == "block_sparse":
        most = (5 + 2 * int(config.num_random_blocks)) * int(config.block_size)
        yield "attention_type = 'block_sparse'", most, "attention is sparse until a shorter input turns that off"


def _ropes(value: Any) -> Iterator[Mapping[str, Any]]:
    """The tables of rotary settings: one, or one for each kind of layer."""
    if isinstance(value, Mapping):
        if "rope_type" in value:
            yield value
        for inner in value.values():
            yield from _ropes(inner)
