"""Two tokenizers part by part: whether they are one, where a handful of texts has the same ids by both.

What changes ids is compared as it stands: vocabulary, merges, options of the model, flags of every added token. Only a
normaliser and a pre-tokenizer may be written in two ways and do the same. For those, texts are made that would show it.
"""

from __future__ import annotations

import json
import math
import string
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, Final

from tokenizers import Tokenizer

_SEVERAL_WAYS: Final = ("normalizer", "pre_tokenizer", "post_processor", "model.unk_token", "model.fuse_unk")
"""Parts of which two spellings may do the same; all others have to be equal."""
_FLAGS: Final = ("normalized", "single_word", "lstrip", "rstrip")
_NO_IDS: Final = ("type_id", "pair", "trim_offsets")
_SAME_SCORE: Final = 1e-9
"""Of a piece's score: what is lost where a library writes it in decimal digits and reads it back."""
_ODD: Final = (
    " ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u200b", "\u200d", "\u00ad", "\u0301", "\u0308", "\u0345",
    "\u1112\u1161\u11ab", "\u0915\u094d", "\u0e01\u0e34", "\ufb01", "\u00df", "\u0130", "\u03a3", "\u03c2", "\u00e9",
    "\u4e2d", "\u3042", "\U0001f642", "\ufe0f", "\u2581", "\u0120", "'", "'s", "'LL", "_", "-", ".", ",", "##", "</s>",
)  # fmt: skip
_PER_TEXT: Final = 24
_MIXED: Final = 4000
_LENGTHS: Final = (*range(1, 66), 99, 100, 101, 127, 128, 129, 199, 200, 201, 255, 256, 257, 511, 512, 513, 1001)


def parts_of(tokenizer: Tokenizer) -> dict[str, Any]:
    """What changes the ids of a text, by name: "normalizer", "model.vocab", "the added token '<s>'", ..."""
    value = json.loads(tokenizer.to_str())
    model = value["model"]
    options = {f"model.{name}": None if setting == "" else setting for name, setting in model.items()}
    tokens = {
        f"the added token {token['content']!r}": {"id": token["id"], **{flag: token[flag] for flag in _FLAGS}}
        for token in value["added_tokens"]
    }
    steps = {name: _without_types(value.get(name)) for name in ("normalizer", "pre_tokenizer", "post_processor")}
    return {**steps, **options, **tokens}


def first_difference(one: Tokenizer, other: Tokenizer) -> tuple[str, str, str] | None:
    """The first part that makes other ids: its name, and what it is in either; None where nothing does.

    Of parts that are written in two ways (`_SEVERAL_WAYS`) the texts of `telling_texts` decide.
    """
    if one.to_str() == other.to_str():
        return None
    left, right = parts_of(one), parts_of(other)
    names = [name for name in sorted({*left, *right}) if not _same(left.get(name), right.get(name))]
    for name in names:
        if name not in _SEVERAL_WAYS:
            return (name, *_shown(left.get(name), right.get(name)))
    return _told_by_text(one, other) if names else None


def differing_controls(one: Tokenizer, other: Tokenizer) -> list[str]:
    """Control characters, "U+0085" say, around which two tokenizers give other ids, where nothing else differs."""
    if one.to_str() == other.to_str():
        return []
    letters = [chr(code) for code in range(0xA0) if unicodedata.category(chr(code)) == "Cc"]
    texts = [_around(letter) for letter in letters]
    ids = zip(letters, one.encode_batch(texts), other.encode_batch(texts), strict=True)
    return [f"U+{ord(letter):04X}" for letter, left, right in ids if left.ids != right.ids]


def telling_texts() -> Iterator[str]:
    """Texts that tell normalisers and pre-tokenizers apart: every character, odd neighbours, words of every length.

    Control characters are left to `differing_controls`: published folders differ in them, and in nothing else.
    """
    characters = [
        letter for code in range(0x20, 0x110000)
        if unicodedata.category(letter := chr(code)) not in ("Cc", "Cn", "Co", "Cs")
    ]  # fmt: skip
    for start in range(0, len(characters), _PER_TEXT):
        yield " ".join(map(_around, characters[start : start + _PER_TEXT]))
    random = Random(16)
    letters = (*_ODD, *_ODD, *string.ascii_letters, *string.digits, *string.punctuation)
    for _ in range(_MIXED):
        yield "".join(random.choices(letters, k=random.randint(1, 16)))
    for length in _LENGTHS:
        for letter in ("a", "7", " ", "-", "中"):
            yield f"b {letter * length} c"


def random_step(tokenizer: Tokenizer) -> str:
    """The option that gives a text other ids each time, as "NAME = VALUE"; "" for none."""
    dropout = json.loads(tokenizer.to_str())["model"].get("dropout")
    return f"model.dropout = {dropout}" if dropout else ""


def _around(letter: str) -> str:
    return f"{letter} x{letter}y {letter}{letter}Z"


def _told_by_text(one: Tokenizer, other: Tokenizer) -> tuple[str, str, str] | None:
    texts = list(telling_texts())
    pairs = zip(texts, one.encode_batch(texts), other.encode_batch(texts), strict=True)
    for text, left, right in pairs:
        if left.ids != right.ids:
            both = enumerate(zip(left.ids, right.ids, strict=False))
            place = next((row for row, (one_id, other_id) in both if one_id != other_id), 0)
            start, near = max(0, left.offsets[place][0] - 2), slice(max(0, place - 2), place + 4)
            return f"{text[start : start + 16]!r} in a text", str(left.tokens[near]), str(right.tokens[near])
    return None


def _same(left: Any, right: Any) -> bool:
    """Equal; scores of pieces up to their last digits."""
    if left == right:
        return True
    if not (isinstance(left, list) and isinstance(right, list) and len(left) == len(right)):
        return False
    return all(map(_same_entry, left, right))


def _same_entry(left: Any, right: Any) -> bool:
    """Of a list of pieces, [piece, score] each; of merges, equal alone."""
    if left == right:
        return True
    try:
        (piece, score), (other, value) = left, right
        return bool(piece == other and math.isclose(score, value, rel_tol=_SAME_SCORE))
    except (TypeError, ValueError):
        return False


def _shown(left: Any, right: Any) -> tuple[str, str]:
    """Both values, and of long ones where they first differ."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        keys = [key for key in {**left, **right} if left.get(key) != right.get(key)]
        return tuple(str({key: value.get(key) for key in keys[:4]}) for value in (left, right))  # type: ignore[return-value]
    if isinstance(left, list) and isinstance(right, list):
        place = next(
            (row for row, pair in enumerate(zip(left, right, strict=False)) if not _same_entry(*pair)),
            min(len(left), len(right)),
        )
        return tuple(f"{_at(value, place)} at {place} of {len(value)}" for value in (left, right))  # type: ignore[return-value]
    return _short(left), _short(right)


def _at(values: Sequence[Any], place: int) -> str:
    return repr(values[place]) if place < len(values) else "nothing"


def _short(value: Any) -> str:
    text = "absent" if value is None else repr(value)
    return text if len(text) <= 120 else text[:117] + "..."


def _without_types(step: Any) -> Any:
    """A step without what is no matter of ids: token types, offsets, and how two texts would be joined."""
    if isinstance(step, list):
        return [_without_types(inner) for inner in step]
    if isinstance(step, Mapping):
        return {key: _without_types(value) for key, value in step.items() if key not in _NO_IDS}
    return step
