"""OpenAI's format, also as Azure, Voyage and Jina have it: a list of texts, and each one's word for a role."""

from __future__ import annotations

from typing import Any, Final

from samespace.errors import RequestInvalid, SamespaceError, SpaceMismatch, UnknownSpace
from samespace.rpc.status import fields_of
from samespace.text import BY_WINDOW

from ...scheduling.engine import Answer
from . import fields, schema
from .dialect import Body, Dialect, ParsedRequest, RequestContext, Rows
from .numbers import FORMATS

_UNLIMITED: Final = b"1000000000"
# Weaviate's OpenAI client sends one text at a time until it has read limits like these.
_RATE_LIMITS: Final = tuple(
    (f"x-ratelimit-{kind}-{unit}".encode(), value)
    for unit in ("requests", "tokens")
    for kind, value in (("limit", _UNLIMITED), ("remaining", _UNLIMITED), ("reset", b"1s"))
)


def _parse(body: Body, known: RequestContext) -> ParsedRequest:
    given = body.get("input")
    if isinstance(given, list) and given and isinstance(given[0], int | list):
        remedy = "send texts (in LangChain: check_embedding_ctx_length=False)"
        raise RequestInvalid(field="input", reason=f"token ids, of a tokenizer that is not this encoder's; {remedy}")
    encoding = fields.one_of(body.get("encoding_format"), "encoding_format", ("float", "base64"), "float")
    # Voyage: output_dtype and output_dimension; Jina: embedding_type, and task beside input_type.
    dtypes = [(name, _format(body.get(name), name)) for name in ("output_dtype", "embedding_type")]
    kind = str(fields.agreed(*dtypes) or "float")
    sizes = [(name, fields.dims(body.get(name), name)) for name in ("dimensions", "output_dimension")]
    dims = fields.agreed(*sizes)
    return ParsedRequest(
        texts=fields.text_or_texts(given, "input"),
        long_texts=fields.uncut(body),
        role=fields.role(body, "input_type", known),
        dims=None if dims is None else int(dims),
        kinds=("base64",) if encoding == "base64" and kind == "float" else (kind,),
    )


def _format(value: object, field: str) -> str | None:
    return fields.one_of(value, field, FORMATS, "") or None


def _render(ask: ParsedRequest, answer: Answer, rows: Rows) -> dict[str, Any]:
    tokens = sum(answer.embedded.tokens)
    data = [
        {"object": "embedding", "index": span[0], "embedding": row}
        for row, span in zip(rows[ask.kinds[0]], answer.embedded.spans, strict=True)
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


def openai_error(message: str, error: SamespaceError) -> dict[str, Any]:
    """OpenAI's error object: its clients show nothing of any other body."""
    code = "model_not_found" if isinstance(error, SpaceMismatch | UnknownSpace) else None
    told = {"message": message, "type": type(error).__name__, "param": None, "code": code}
    return {"error": told, "message": message, "detail": message, "fields": fields_of(error)}


_REQUEST: Final = schema.body(
    ("input",),
    input=schema.TEXT_OR_TEXTS,
    model=schema.MODEL,
    **schema.ROLES,
    dimensions=schema.DIMS,
    output_dimension=schema.DIMS,
    encoding_format={"enum": ["float", "base64", None]},
    output_dtype=schema.FORMAT,
    embedding_type=schema.FORMAT,
    long_texts=schema.LONG,
    truncate=schema.FLAG,
    truncation=schema.FLAG,
)
_ENTRY: Final = schema.body(
    ("object", "index", "embedding"), object=schema.STRING, index=schema.INTEGER, embedding=schema.ANY_VECTOR,
    start=schema.INTEGER, end=schema.INTEGER,
)  # fmt: skip
_REPLY: Final = schema.body(
    ("object", "model", "data", "usage"),
    object=schema.STRING,
    model=schema.STRING,
    data=schema.list_of(_ENTRY),
    usage=schema.body(("prompt_tokens", "total_tokens"), prompt_tokens=schema.INTEGER, total_tokens=schema.INTEGER),
    tokens=schema.COUNTS,
    windows=schema.COUNTS,
)
DIALECTS: Final = (
    Dialect(
        ("v1/embeddings", "embeddings", "openai/deployments/*/embeddings"),
        "OpenAI's embeddings; also Azure's, Voyage's and Jina's.",
        _REQUEST,
        _REPLY,
        {"input": ["how do I flatten a list"], "input_type": "query"},
        _parse,
        _render,
        openai_error,
        busy_status=429,
        headers=_RATE_LIMITS,
    ),
)
