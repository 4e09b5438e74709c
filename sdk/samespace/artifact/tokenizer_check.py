"""A tokenizer.json that may be read: of bounded size and depth, and without steps that blow a text up.

What it gives up: regular expressions in a tokenizer can be slow on texts that are made for it, and that cannot be
seen here. Whether ids fit the model is for `layout` to say, which has both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from tokenizers import Tokenizer

from ..errors import ArtifactDamaged

MAX_VALUES: Final = 4_000_000
"""The most values in the JSON; the largest published tokenizers have half of it."""
MAX_GROWTH: Final = 64
"""How many characters the normaliser may make of one; published ones make one of one."""
MAX_TEMPLATE: Final = 64
MAX_STEPS: Final = 256


def read_tokenizer(data: bytes, *, file: str) -> Tokenizer:
    """The tokenizer, after a look at what it would do.

    Raises:
        ArtifactDamaged: it is no tokenizer, or one that no encoder has; *file* is the name that the error gives.
    """
    try:
        _check(data)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ArtifactDamaged(file=file, reason=f"is not a tokenizer that may be read: {_short(error)}") from error
    try:
        tokenizer = Tokenizer.from_buffer(data)
        tokenizer.encode("a")
    except BaseException as error:
        # The Rust side raises plain Exception, and its panics are no Exception at all.
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise ArtifactDamaged(file=file, reason=f"is not a readable tokenizer: {_short(error)}") from error
    return tokenizer


def largest_id(tokenizer: Tokenizer) -> int:
    """The largest token id that a text can get, added tokens included."""
    return max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)


def _check(data: bytes) -> None:
    values = data.count(b",") + data.count(b"[") + data.count(b"{")  # each value needs one of them before it
    if values > MAX_VALUES:
        raise ValueError(f"it holds about {values} values, at most {MAX_VALUES} are read")
    value = json.loads(data, object_pairs_hook=_once)
    growth = 1.0
    for step in _steps(value.get("normalizer")):
        if step["type"] == "Replace":
            growth *= _growth(step)
        elif step["type"] == "Prepend" and len(step["prepend"]) > MAX_GROWTH:
            raise ValueError(f"its normaliser puts {len(step['prepend'])} characters before a text")
    if growth > MAX_GROWTH:
        raise ValueError(f"its normaliser makes up to {growth:.3g} characters of one, at most {MAX_GROWTH} may be")
    for step in _steps(value.get("post_processor")):
        if step["type"] != "TemplateProcessing":
            continue
        size = len(step["single"]) + sum(len(each["ids"]) for each in step["special_tokens"].values())
        if size > MAX_TEMPLATE or sum("Sequence" in part for part in step["single"]) != 1:
            raise ValueError(f"its template has {size} parts, expected the text once and at most {MAX_TEMPLATE}")
        texts = [part["Sequence"]["id"] for part in step["pair"] if "Sequence" in part]
        if len(step["pair"]) > MAX_TEMPLATE or len(texts) != len(set(texts)):
            raise ValueError(f"its template of pairs has {len(step['pair'])} parts, expected each text at most once")


def _growth(step: dict[str, Any]) -> float:
    """Characters out for one character in; a regular expression may match a single one."""
    pattern = step["pattern"].get("String")
    if pattern == "":
        raise ValueError("its normaliser replaces an empty text")
    return max(1.0, len(step["content"]) / len(pattern or "x"))


def _steps(node: Any) -> Iterator[dict[str, Any]]:
    """The steps of a normaliser or post-processor, in order, whatever sequences they stand in."""
    left, seen = [node] if node is not None else [], 0
    while left:
        step = left.pop()
        seen += 1
        if seen > MAX_STEPS:
            raise ValueError(f"a part of it has more than {MAX_STEPS} steps")
        if step["type"] == "Sequence":
            left.extend(reversed(step.get("normalizers") or step.get("processors") or []))
        else:
            yield step


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice")
    return result


def _short(error: BaseException) -> str:
    return f"{error or type(error).__name__}"[:300]
