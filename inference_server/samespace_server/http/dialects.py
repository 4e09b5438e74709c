"""The HTTP bodies that others defined: Weaviate's transformers module, Cohere's and OpenAI's.

Each dialect is three pure functions: its request to a `ParsedRequest`, an answer to its reply, an error to its body.
Fields that we do not know are let through, because each of these clients sends some. What none of them has and we
offer is `long_texts` (pool, windows, slices or reject), and a space's id as the `model`.

A role is always known before a text is embedded. Where the request cannot tell it (Weaviate before 1.31, and
OpenAI's format), it is taken only from an encoder that treats both roles alike; any other encoder refuses.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from samespace.errors import RequestInvalid, SamespaceError, short
from samespace.rpc.status import fields_of
from samespace.text import BY_WINDOW, LONG_TEXTS, ROLES, LongTexts, Role
from samespace.vectors import Float32

from ..scheduling.engine import Answer

Body = Mapping[str, Any]

_SPACE: Final = re.compile(r"[0-9a-fA-F]{12,64}")
_ROLE_NAMES: Final[Mapping[str, Role]] = {role: role for role in ROLES}

RETRY_WORDS: Final = "failed with status: 503 error"
"""Weaviate's Python client sends an object again when its error holds these words, and only then."""


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A request, understood: what to embed, and what the reply needs to know of the request.

    Attributes:
        packed: vectors are wanted as base64 of little-endian float32, not as numbers.
        echo: the text, for a reply that repeats it.
    """

    texts: list[str]
    role: Role
    long_texts: LongTexts = "pool"
    dims: int | None = None
    packed: bool = False
    echo: str = ""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One foreign wire format.

    Attributes:
        route: its path below the space's prefix; also its name in metrics.
        parse: the body, and whether a role changes the vector, to a `ParsedRequest`; raises `RequestInvalid`.
        render: the ask, its answer, and the answer's vectors as JSON's writer takes them, to the reply's body.
        render_error: a message and the error's class to the error's body.
        busy_status: HTTP status of a refusal that may be tried again.
    """

    route: str
    parse: Callable[[Body, bool], ParsedRequest]
    render: Callable[[ParsedRequest, Answer, Sequence[Any]], dict[str, Any]]
    render_error: Callable[[str, SamespaceError], dict[str, Any]]
    busy_status: int


def flat_error(message: str, error: SamespaceError) -> dict[str, Any]:
    """Every client of Weaviate reads another one of these keys."""
    kind = type(error).__name__
    return {"error": message, "message": message, "detail": message, "type": kind, "fields": fields_of(error)}


def named_space(body: Body) -> str | None:
    """The space that the request names as its model, if it names one: at least 12 hex digits of an id.

    Any other name is let through: clients send the names of models that they know, and mean "yours".
    """
    model = body.get("model")
    return model.lower() if isinstance(model, str) and _SPACE.fullmatch(model) else None


# -- Weaviate, text2vec-transformers: one text a request


def _parse_vectors(body: Body, role_matters: bool) -> ParsedRequest:
    # Weaviate sends the reply's fields too, empty: dims 0, vector null, error "". They say nothing.
    config = body.get("config") or {}
    if not isinstance(config, dict):
        raise RequestInvalid(field="config", reason="expected an object")
    return ParsedRequest(
        texts=[_text(body.get("text"), "text")],
        role=_role(config.get("task_type"), "config.task_type", _ROLE_NAMES, role_matters),
        # One vector is all that this reply holds, so windows are not offered.
        long_texts=_long_texts(config.get("long_texts"), "config.long_texts", "pool", ("pool", "reject")),
        dims=_dims(config.get("dimensions"), "config.dimensions"),
        echo=body["text"],
    )


def _render_vectors(ask: ParsedRequest, answer: Answer, rows: Sequence[Any]) -> dict[str, Any]:
    return {
        "text": ask.echo,
        "vector": rows[0],
        "dim": answer.vectors.shape[1],
        "space_id": answer.space_id,
        "tokens": answer.embedded.tokens[0],
        "windows": answer.embedded.windows[0],
    }


# -- Cohere v2: a list of texts, always typed

_COHERE_ROLES: Final[Mapping[str, Role]] = {"search_query": "query", "search_document": "passage"}


def _parse_cohere(body: Body, role_matters: bool) -> ParsedRequest:
    kinds = body.get("embedding_types")
    if kinds is not None and kinds != ["float"]:
        raise RequestInvalid(field="embedding_types", reason='expected ["float"], nothing else is offered')
    truncate = body.get("truncate") or "END"
    if truncate not in ("NONE", "START", "END", "LEFT", "RIGHT"):
        raise RequestInvalid(field="truncate", reason="expected NONE, START, END, LEFT or RIGHT")
    return ParsedRequest(
        texts=_texts(body.get("texts"), "texts"),
        role=_role(body.get("input_type"), "input_type", _COHERE_ROLES, None),
        # NONE asks for an error; the others ask to cut, which is not done here: long texts are windowed.
        long_texts=_long_texts(body.get("long_texts"), "long_texts", "reject" if truncate == "NONE" else "pool"),
        dims=_dims(body.get("output_dimension"), "output_dimension"),
    )


def _render_cohere(ask: ParsedRequest, answer: Answer, rows: Sequence[Any]) -> dict[str, Any]:
    # Windows need to be told apart: one [text, first character, one past the last] for each vector.
    spans = {"spans": answer.embedded.spans} if ask.long_texts in BY_WINDOW else {}
    return {
        **spans,
        "id": short(answer.space_id),
        "embeddings": {"float": rows},
        "texts": [],
        "response_type": "embeddings_by_type",
        "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": sum(answer.embedded.tokens)}},
        "space_id": answer.space_id,
        "tokens": answer.embedded.tokens,
        "windows": answer.embedded.windows,
    }


# -- OpenAI: a list of texts, no roles

_OPENAI_ROLES: Final[Mapping[str, Role]] = {**_ROLE_NAMES, **_COHERE_ROLES}


def _parse_openai(body: Body, role_matters: bool) -> ParsedRequest:
    given = body.get("input")
    if isinstance(given, list) and given and isinstance(given[0], int | list):
        remedy = "send texts (in LangChain: check_embedding_ctx_length=False)"
        raise RequestInvalid(field="input", reason=f"token ids, of a tokenizer that is not this encoder's; {remedy}")
    encoding = body.get("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        raise RequestInvalid(field="encoding_format", reason="expected float or base64")
    return ParsedRequest(
        texts=_texts([given] if isinstance(given, str) else given, "input"),
        long_texts=_long_texts(body.get("long_texts"), "long_texts", "pool"),
        role=_role(body.get("input_type"), "input_type", _OPENAI_ROLES, role_matters),
        dims=_dims(body.get("dimensions"), "dimensions"),
        packed=encoding == "base64",
    )


def _render_openai(ask: ParsedRequest, answer: Answer, rows: Sequence[Any]) -> dict[str, Any]:
    tokens = sum(answer.embedded.tokens)
    data = [
        {"object": "embedding", "index": span[0], "embedding": row}
        for row, span in zip(rows, answer.embedded.spans, strict=True)
    ]
    if ask.long_texts in BY_WINDOW:  # several entries of one index, each with the characters that it stands for
        for entry, (_, start, end) in zip(data, answer.embedded.spans, strict=True):
            entry |= {"start": start, "end": end}
    return {
        "object": "list",
        "model": answer.space_id,
        "data": data,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "tokens": answer.embedded.tokens,
        "windows": answer.embedded.windows,
    }


def _openai_error(message: str, error: SamespaceError) -> dict[str, Any]:
    told = {"message": message, "type": type(error).__name__, "param": None, "code": None}
    return {"error": told, "message": message, "detail": message, "fields": fields_of(error)}


VECTORS: Final = Dialect("vectors", _parse_vectors, _render_vectors, flat_error, busy_status=503)
COHERE: Final = Dialect("v2/embed", _parse_cohere, _render_cohere, flat_error, busy_status=503)
OPENAI: Final = Dialect("v1/embeddings", _parse_openai, _render_openai, _openai_error, busy_status=429)


# -- fields


def _text(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise RequestInvalid(field=field, reason=f"expected a string, got {_kind(value)}")
    return value


def _texts(value: object, field: str) -> list[str]:
    if not isinstance(value, list) or not value:
        raise RequestInvalid(field=field, reason=f"expected a list of at least one string, got {_kind(value)}")
    return [_text(each, f"{field}[{index}]") for index, each in enumerate(value)]


def _dims(value: object, field: str) -> int | None:
    if value is None or (type(value) is int and value == 0):
        return None
    if type(value) is not int or value < 0:
        raise RequestInvalid(field=field, reason="expected a positive integer")
    return value


def _long_texts(value: object, field: str, default: LongTexts, offered: Sequence[LongTexts] = LONG_TEXTS) -> LongTexts:
    if value is None:
        return default
    for each in offered:
        if value == each:
            return each
    raise RequestInvalid(field=field, reason=f"expected {' or '.join(offered)}")


def json_rows(vectors: Float32, *, packed: bool) -> list[Any]:
    """Vectors, each as JSON's writer takes it: an array without gaps, or a string in base64."""
    if packed:
        return [base64.b64encode(row.tobytes()).decode("ascii") for row in vectors.astype("<f4", copy=False)]
    return list(np.ascontiguousarray(vectors))


def _role(value: object, field: str, names: Mapping[str, Role], matters: bool | None) -> Role:
    """The role; one that is not told is taken where it does not matter; None refuses that for the protocol's sake."""
    if isinstance(value, str) and value in names:
        return names[value]
    offered = " or ".join(names)
    if value is not None and value != "":
        raise RequestInvalid(field=field, reason=f"expected {offered}")
    if matters is False:
        return "passage"
    # Weaviate tells it since 1.31.
    why = (
        ""
        if matters is None
        else ", which this encoder treats differently; older clients do not tell and cannot use it"
    )
    raise RequestInvalid(field=field, reason=f"missing; expected {offered}{why}")


def _kind(value: object) -> str:
    """What a value is, without telling what it says."""
    if isinstance(value, list):
        return "an empty list" if not value else "a list"
    return {type(None): "nothing", dict: "an object", str: "a string"}.get(type(value), type(value).__name__)
