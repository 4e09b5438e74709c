"""What sentence-transformers' settings ask of a tokenizer, beside its own files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tokenizers import Tokenizer, normalizers

from ...errors import ModelUnsupported


def tokenizer_options(settings: Mapping[str, Any], source: str) -> dict[str, Any]:
    """What sentence-transformers' *settings* hand to the tokenizer, under whichever of the two names they have.

    Raises:
        ModelUnsupported: the two names say two things.
    """
    old, new = (dict(settings.get(name) or {}) for name in ("tokenizer_args", "processor_kwargs"))
    if old and new and old != new:
        raise ModelUnsupported(
            model=source,
            reason=f"its settings contradict each other: tokenizer_args are {old}, and processor_kwargs {new}",
            remedy="take one out of a copy; sentence-transformers goes by tokenizer_args",
        )
    return old or new


def lower_first(tokenizer: Tokenizer) -> None:
    """Lower-case texts first, where no step does: sentence-transformers' `do_lower_case`."""
    step = json.loads(tokenizer.to_str())["normalizer"] or {}
    if any(each.get("type") == "Lowercase" for each in (step, *step.get("normalizers", ()))):
        return
    steps = [normalizers.Lowercase(), *([tokenizer.normalizer] if tokenizer.normalizer is not None else [])]
    tokenizer.normalizer = normalizers.Sequence(steps)
