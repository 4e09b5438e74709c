"""Words that change the answer elsewhere: where a route does not read one, it is refused and not ignored. Pure.

Clients send many fields that we do not know, and those are let through. These few say what a vector is, how it is
written, or what becomes of long texts: a 200 that ignored one would be another answer than was asked for. A value that
asks for what is done anyway is let through too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from samespace.errors import RequestInvalid

_FLOAT: Final[tuple[Any, ...]] = ("", "float", ["float"], [])
_UNCUT: Final = ("", True, "END", "START", "LEFT", "RIGHT")  # texts are windowed, and nothing is cut
WORDS: Final[Mapping[str, tuple[Any, ...]]] = {
    "dimensions": (0,),
    "output_dimension": (0,),
    "encoding_format": _FLOAT,
    "output_dtype": _FLOAT,
    "embedding_type": _FLOAT,
    "embedding_types": _FLOAT,
    "truncate": _UNCUT,
    "truncation": _UNCUT,
    "long_texts": ("pool",),
    "max_tokens": (),
    "truncate_prompt_tokens": (-1,),
    "normalize": (True,),
    "normalized": (True,),
    "late_chunking": (False,),
    "return_multivector": (False,),
}
"""By word, the values that ask for what is done anyway; null always does."""
RERANK_WORDS: Final[Mapping[str, tuple[Any, ...]]] = {
    "truncate": (True,),
    "truncation": (True,),
    "top_n": (),
    "top_k": (),
    "rank_fields": ([], ["text"]),
    "raw_scores": (False,),
    "max_tokens_per_doc": (),
    "max_chunks_per_doc": (),
}
_BESIDE: Final = (
    ("dimensions", "output_dimension"),
    ("encoding_format", "output_dtype", "embedding_type", "embedding_types"),
    ("truncate", "truncation", "long_texts"),
    ("top_n", "top_k"),
)
"""Words for one thing."""
_NESTED: Final = ("parameters",)


def check_words(body: Mapping[str, Any], read: Mapping[str, Any], words: Mapping[str, tuple[Any, ...]] = WORDS) -> None:
    """Raise `RequestInvalid` for one of *words* that *body* has and the route, which reads the names *read*, does not.

    Also for one in an object of parameters, as Hugging Face's clients have it, where the route does not read that.
    """
    for place in ("", *(name for name in _NESTED if name not in read)):
        values = body.get(place) if place else body
        if not isinstance(values, Mapping):
            continue
        for word, harmless in words.items():
            value = values.get(word)
            if value is None or (not place and word in read) or any(_same(value, each) for each in harmless):
                continue
            others = [each for group in _BESIDE if word in group for each in group if each in read]
            remedy = f"send {others[0]}, or leave it out" if others else "leave it out"
            field = f"{place}.{word}" if place else word
            raise RequestInvalid(field=field, reason=f"this route does not do what it asks for; {remedy}")


def _same(value: object, other: object) -> bool:
    return type(value) is type(other) and value == other  # 1 is not true
