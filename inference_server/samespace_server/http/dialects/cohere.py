"""Cohere's v2 and v1: a list of texts, in one or several number formats."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from samespace.errors import RequestInvalid, short
from samespace.text import BY_WINDOW

from ...scheduling.engine import Answer
from . import fields, schema
from .dialect import Body, Dialect, ParsedRequest, RequestContext, Rows, flat_error
from .numbers import FORMATS
from .weaviate import RETRY_WORDS

_TRUNCATE: Final = ("END", "START", "NONE", "LEFT", "RIGHT")


def _parse(body: Body, known: RequestContext, *, role_required: bool) -> ParsedRequest:
    truncate = fields.one_of(body.get("truncate"), "truncate", _TRUNCATE, "END")
    return ParsedRequest(
        texts=_inputs(body),
        role=fields.role(body, "input_type", known, required=role_required),
        # NONE asks for an error; the others ask to cut, which is not done here: long texts are windowed.
        long_texts=fields.long_texts(body.get("long_texts"), "long_texts", "reject" if truncate == "NONE" else "pool"),
        dims=fields.dims(body.get("output_dimension"), "output_dimension"),
        kinds=fields.number_formats(body.get("embedding_types"), "embedding_types", FORMATS),
        echo="by type" if body.get("embedding_types") is not None else "",
    )


def _inputs(body: Body) -> list[str]:
    """`texts`, or the texts of `inputs`, which may hold pictures elsewhere."""
    if body.get("images"):
        raise RequestInvalid(field="images", reason="this encoder reads texts alone")
    inputs = body.get("inputs")
    if inputs and body.get("texts"):
        raise RequestInvalid(field="inputs", reason="texts and inputs in one request; send one of them")
    if inputs is None or body.get("texts") is not None:
        return fields.texts(body.get("texts"), "texts")
    if not isinstance(inputs, list) or not inputs:
        raise RequestInvalid(field="inputs", reason=f"expected a list of at least one, got {fields.kind_of(inputs)}")
    return [_content(item, f"inputs[{place}].content") for place, item in enumerate(inputs)]


def _content(item: object, field: str) -> str:
    content = item.get("content") if isinstance(item, dict) else None
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if (
        not isinstance(parts, list)
        or len(parts) != 1
        or not isinstance(parts[0], dict)
        or parts[0].get("type") != "text"
    ):
        raise RequestInvalid(field=field, reason='expected [{"type": "text", "text": ...}], one text and no image')
    return fields.text(parts[0].get("text"), f"{field}[0].text")


def _render(ask: ParsedRequest, answer: Answer, rows: Rows, *, version: str) -> dict[str, Any]:
    by_type = version == "2" or bool(ask.echo)
    # Windows need to be told apart: one [text, first character, one past the last] for each vector.
    spans = {"spans": answer.embedded.spans} if ask.long_texts in BY_WINDOW else {}
    return {
        **spans,
        "id": short(answer.space_id),
        "embeddings": rows if by_type else rows["float"],
        "texts": [],
        "response_type": "embeddings_by_type" if by_type else "embeddings_floats",
        "meta": {"api_version": {"version": version}, "billed_units": {"input_tokens": sum(answer.embedded.tokens)}},
        "space_id": answer.space_id,
        "tokens": answer.embedded.tokens,
        "windows": answer.embedded.windows,
    }


_INPUT: Final = schema.body(("content",), content={"oneOf": [schema.STRING, schema.list_of({"type": "object"})]})
_REQUEST: Final = schema.body(
    texts=schema.TEXTS,
    inputs=schema.list_of(_INPUT),
    **schema.ROLES,
    model=schema.MODEL,
    embedding_types={"type": ["array", "null"], "items": schema.FORMAT},
    output_dimension=schema.DIMS,
    truncate={"enum": [*_TRUNCATE, None]},
    long_texts=schema.LONG,
)
_BY_TYPE: Final = {"type": "object", "additionalProperties": schema.list_of(schema.ANY_VECTOR)}
_REPLY: Final = schema.body(
    ("id", "embeddings", "response_type", "meta"),
    id=schema.STRING,
    embeddings={"oneOf": [_BY_TYPE, schema.list_of(schema.VECTOR)]},
    response_type=schema.STRING,
    meta={"type": "object"},
    space_id=schema.STRING,
    tokens=schema.COUNTS,
    windows=schema.COUNTS,
)
_EXAMPLE: Final = {"texts": ["how do I flatten a list"], "input_type": "search_query"}
# Weaviate's text2vec-cohere speaks this too, and its client tries again by these words.
DIALECTS: Final = (
    Dialect(
        ("v2/embed",),
        "Cohere's embed, version 2.",
        {**_REQUEST, "required": ["input_type"]},
        _REPLY,
        _EXAMPLE,
        partial(_parse, role_required=True),
        partial(_render, version="2"),
        flat_error,
        retry_words=f"{RETRY_WORDS}: ",
    ),
    Dialect(
        ("v1/embed",),
        "Cohere's embed, version 1.",
        _REQUEST,
        _REPLY,
        _EXAMPLE,
        partial(_parse, role_required=False),
        partial(_render, version="1"),
        flat_error,
    ),
)
