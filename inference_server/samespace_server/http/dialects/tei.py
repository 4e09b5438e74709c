"""Text-embeddings-inference: `/embed`, a bare list of vectors, and `/similarity`, of one sentence to others."""

from __future__ import annotations

from typing import Any, Final

from samespace.errors import RequestInvalid, SamespaceError

from ...scheduling.engine import Answer
from . import fields, schema
from .dialect import Body, Dialect, ParsedRequest, RequestContext, Rows, flat_error
from .meaning import check_words


def _parse(body: Body, known: RequestContext) -> ParsedRequest:
    if not fields.flag(body.get("normalize"), "normalize", True):
        raise RequestInvalid(field="normalize", reason="false; vectors of a space have unit length")
    return ParsedRequest(
        texts=fields.text_or_texts(body.get("inputs"), "inputs"),
        # prompt_name says which prompt goes before the text, which here is the role.
        role=fields.role(body, "prompt_name", known),
        long_texts=fields.uncut(body),
        dims=fields.dims(body.get("dimensions"), "dimensions"),
    )


def _render(ask: ParsedRequest, answer: Answer, rows: Rows) -> Any:
    return rows["float"]


def _parse_similarity(body: Body, known: RequestContext) -> ParsedRequest:
    inputs = body.get("inputs")
    if not isinstance(inputs, dict):
        raise RequestInvalid(field="inputs", reason=f"expected an object, got {fields.kind_of(inputs)}")
    more = body.get("parameters") or {}
    if not isinstance(more, dict):
        raise RequestInvalid(field="parameters", reason=f"expected an object, got {fields.kind_of(more)}")
    check_words({name: value for name, value in more.items() if name != "truncate"}, {})
    place = "" if more.get("prompt_name") is None else "parameters."
    cut = fields.flag(more.get("truncate"), "parameters.truncate", True)
    source = fields.text(inputs.get("source_sentence"), "inputs.source_sentence")
    return ParsedRequest(
        texts=[source, *fields.texts(inputs.get("sentences"), "inputs.sentences")],
        role=fields.role(body, f"{place}prompt_name", known, nested=more.get("prompt_name")),
        long_texts="pool" if cut else "reject",
    )


def _render_similarity(ask: ParsedRequest, answer: Answer, rows: Rows) -> Any:
    return (answer.vectors[1:] @ answer.vectors[0]).tolist()


def tei_error(message: str, error: SamespaceError) -> dict[str, Any]:
    """With the word by which its clients tell errors apart."""
    kind = "Validation" if isinstance(error, RequestInvalid) else "Backend"
    return flat_error(message, error) | {"error_type": kind}


_SENTENCES: Final = schema.body(("source_sentence", "sentences"), source_sentence=schema.STRING, sentences=schema.TEXTS)
DIALECTS: Final = (
    Dialect(
        ("embed",),
        "Text-embeddings-inference's embed: a bare list of vectors.",
        schema.body(
            ("inputs",),
            inputs=schema.TEXT_OR_TEXTS,
            **schema.ROLES,
            dimensions=schema.DIMS,
            normalize={"enum": [True, None]},
            truncate=schema.FLAG,
            truncation=schema.FLAG,
            long_texts=schema.LONG,
        ),
        schema.list_of(schema.VECTOR),
        {"inputs": "how do I flatten a list", "prompt_name": "query"},
        _parse,
        _render,
        tei_error,
        busy_status=429,
    ),
    Dialect(
        ("similarity",),
        "Text-embeddings-inference's similarity, of one sentence to others.",
        schema.body(
            ("inputs",),
            inputs=_SENTENCES,
            parameters={
                "type": ["object", "null"],
                "properties": {"prompt_name": schema.ROLE, "truncate": schema.FLAG},
            },
            **schema.ROLES,
        ),
        schema.VECTOR,
        {"inputs": {"source_sentence": "a list", "sentences": ["lists", "rain"]}, "prompt_name": "query"},
        _parse_similarity,
        _render_similarity,
        tei_error,
        busy_status=429,
    ),
)
