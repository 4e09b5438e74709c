"""Fields that several dialects have, read once: texts, roles, dims, long texts.

A role is always known before a text is embedded. Where neither the path nor the body tells it, it is taken only from
an encoder that treats both roles alike; any other encoder refuses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from samespace.errors import RequestInvalid
from samespace.text import LONG_TEXTS, LongTexts, Role

from .dialect import RequestContext
from .schema import ROLE_FIELDS

Word = TypeVar("Word", bound=str)
ROLE_WORDS: Final[Mapping[str, Role]] = {
    "query": "query",
    "queries": "query",
    "search": "query",
    "search_query": "query",
    "retrieval_query": "query",
    "passage": "passage",
    "passages": "passage",
    "doc": "passage",
    "document": "passage",
    "documents": "passage",
    "corpus": "passage",
    "ingest": "passage",
    "search_document": "passage",
    "retrieval_passage": "passage",
    "retrieval_document": "passage",
}
"""Everybody's words for the two roles: Weaviate's, Cohere's, Voyage's, Jina's, Google's, Elastic's, Nomic's.

In any case, and with dots or hyphens for underscores: `retrieval.query`.
"""


def text(value: object, field: str) -> str:
    """A text; raises `RequestInvalid` with the field's name."""
    if not isinstance(value, str):
        raise RequestInvalid(field=field, reason=f"expected a string, got {kind_of(value)}")
    return value


def texts(value: object, field: str) -> list[str]:
    """A list of at least one text; the one that is none is named by its place."""
    if not isinstance(value, list) or not value:
        raise RequestInvalid(field=field, reason=f"expected a list of at least one string, got {kind_of(value)}")
    return [text(item, f"{field}[{place}]") for place, item in enumerate(value)]


def text_or_texts(value: object, field: str) -> list[str]:
    """One text, or a list of them."""
    return [value] if isinstance(value, str) else texts(value, field)


def dims(value: object, field: str) -> int | None:
    """A number of dimensions; None and 0 ask for all."""
    if value is None or (type(value) is int and value == 0):
        return None
    if type(value) is not int or value < 0:
        raise RequestInvalid(field=field, reason="expected a positive integer")
    return value


def long_texts(value: object, field: str, default: LongTexts, offered: Sequence[LongTexts] = LONG_TEXTS) -> LongTexts:
    """What becomes of long texts."""
    return default if value is None else _one_of(value, field, offered)


def uncut(
    body: Mapping[str, object], default: LongTexts = "pool", offered: Sequence[LongTexts] = LONG_TEXTS
) -> LongTexts:
    """What becomes of long texts, which a body says as `long_texts`, TEI's `truncate` or Voyage's `truncation`.

    False there asks for an error instead of a cut; true asks to cut, and here long texts are *default*.
    """
    cuts = [flag(body.get(name), name, True) for name in ("truncate", "truncation")]
    return long_texts(body.get("long_texts"), "long_texts", default if all(cuts) else "reject", offered)


def flag(value: object, field: str, default: bool) -> bool:
    """True or false; None for *default*."""
    if value is None:
        return default
    if not isinstance(value, bool):
        raise RequestInvalid(field=field, reason=f"expected true or false, got {kind_of(value)}")
    return value


def agreed(*values: tuple[str, Word | int | None]) -> Word | int | None:
    """The one value of fields that mean the same, each by its name; None where none says it."""
    said = [(name, value) for name, value in values if value is not None]
    for name, value in said[1:]:
        if value != said[0][1]:
            raise RequestInvalid(field=name, reason=f"{value}, and {said[0][0]} says {said[0][1]}; keep one of them")
    return said[0][1] if said else None


def number_formats(value: object, field: str, offered: Sequence[str]) -> tuple[str, ...]:
    """Number formats, one or several; None for float."""
    if value is None:
        return ("float",)
    if not isinstance(value, list) or not value:
        raise RequestInvalid(field=field, reason=f"expected a list of {', '.join(offered)}, got {kind_of(value)}")
    return tuple(dict.fromkeys(_one_of(each, field, offered) for each in value))


def one_of(value: object, field: str, offered: Sequence[Word], default: Word) -> Word:
    """One of a few words; None and "" for *default*."""
    return default if value is None or value == "" else _one_of(value, field, offered)


def role_of(word: object) -> Role | None:
    """The role that a word of any client stands for; None for any other word, such as `classification`."""
    return ROLE_WORDS.get(word.lower().replace(".", "_").replace("-", "_")) if isinstance(word, str) else None


def role(
    body: Mapping[str, object], field: str, known: RequestContext, *, nested: object = None, required: bool = False
) -> Role:
    """The role that a request says, in its path or in its body.

    Args:
        field: where the protocol has it: a word that is no role is refused there, and let through in `ROLE_FIELDS`.
        nested: the value of *field*, where it is not at the top of the body.
        required: the protocol wants it said, also where it does not matter.

    Raises:
        RequestInvalid: an unknown word, two that contradict each other, or none where it matters.
    """
    offered = "query or passage, in anybody's spelling (search_query, document, retrieval.query, ...)"
    words = {field: nested} | {
        name: body.get(name) for name in (field, *ROLE_FIELDS) if name != field or nested is None
    }
    words = {name: word for name, word in words.items() if word is not None and word != ""}
    said = {name: role for name, word in words.items() if (role := role_of(word)) is not None}
    if field in words and field not in said:
        raise RequestInvalid(field=field, reason=f"expected {offered}")
    first, chosen = next(iter(said.items()), (field, known.role))
    for name, other in said.items():
        if other != chosen:
            raise RequestInvalid(
                field=name, reason=f"{words[name]}, and {first} says {words[first]}; a request has one role"
            )
    if chosen is not None:
        if known.role not in (None, chosen):
            reason = f"{words[first]} ({chosen}), and the path says {known.role}; keep one of them"
            raise RequestInvalid(field=first, reason=reason)
        return chosen
    if not known.role_matters and not required:
        return "passage"
    why = ", which this encoder treats differently" if known.role_matters else ""
    remedy = "clients that cannot say it ask at /e/SPACE/query/... or /e/SPACE/passage/..."
    raise RequestInvalid(field=field, reason=f"missing; expected {offered}{why}; {remedy}")


def kind_of(value: object) -> str:
    """What a value is, without telling what it says."""
    if isinstance(value, list):
        return "an empty list" if not value else "a list"
    return {type(None): "nothing", dict: "an object", str: "a string"}.get(type(value), type(value).__name__)


def _one_of(value: object, field: str, offered: Sequence[Word]) -> Word:
    for each in offered:
        if value == each:
            return each
    raise RequestInvalid(field=field, reason=f"expected {' or '.join(offered)}")
