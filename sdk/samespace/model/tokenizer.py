"""The artifact's tokenizer.json: one canonical form, so that equal tokenizers have equal digests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tokenizers import Tokenizer, normalizers

from ..artifact.fingerprint import canonical_json
from ..errors import ModelUnsupported

_ANY_PAIR: Final = [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}]


def canonical_tokenizer(root: Path, source: str, *, lower: bool = False) -> bytes:
    """The bytes of tokenizer.json without truncation and padding, as `tokenizers` writes it, keys sorted.

    Args:
        root: the folder of the tokenizer.
        source: the model's name, for errors.
        lower: lower-case texts first (sentence-transformers' `do_lower_case`).
    """
    path = root / "tokenizer.json"
    if path.exists():
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:
            raise ModelUnsupported(
                model=source, reason=f"tokenizer.json cannot be read: {error}", remedy="save the tokenizer again"
            ) from error
    else:
        tokenizer = _converted(root, source)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if lower:
        steps = [normalizers.Lowercase(), *([tokenizer.normalizer] if tokenizer.normalizer is not None else [])]
        tokenizer.normalizer = normalizers.Sequence(steps)
    value = json.loads(tokenizer.to_str())
    # What cannot change the ids of a text: turning ids back into text, and how two texts would be joined.
    # Libraries rewrite both when they save a tokenizer.
    value["decoder"] = None
    for step in _post_processors(value.get("post_processor")):
        if step.get("type") == "TemplateProcessing":
            step["pair"] = _ANY_PAIR
    return canonical_json(value)


def _post_processors(step: Any) -> Iterator[dict[str, Any]]:
    if isinstance(step, dict):
        yield step
        for inner in step.get("processors", ()):
            yield from _post_processors(inner)


def _converted(root: Path, source: str) -> Tokenizer:
    """A fast tokenizer from a folder that only has the slow one's files."""
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(root, trust_remote_code=False)
    if not getattr(loaded, "is_fast", False):
        raise ModelUnsupported(
            model=source,
            reason=f"its tokenizer {type(loaded).__name__} has no fast form",
            remedy="convert it to a tokenizer.json",
        )
    tokenizer: Tokenizer = loaded.backend_tokenizer
    return tokenizer
