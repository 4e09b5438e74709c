"""Weaviate's `text2vec-transformers`: one text a request."""

from __future__ import annotations

from typing import Any, Final

from samespace.errors import RequestInvalid

from ...scheduling.engine import Answer
from . import fields, schema
from .dialect import Body, Dialect, ParsedRequest, RequestContext, Rows, flat_error
from .meaning import check_words

RETRY_WORDS: Final = "failed with status: 503 error"
"""Weaviate's Python client sends an object again when its error holds these words, and only then."""


def _parse(body: Body, known: RequestContext) -> ParsedRequest:
    # Weaviate sends the reply's fields too, empty: dims 0, vector null, error "". They say nothing.
    config = body.get("config") or {}
    if not isinstance(config, dict):
        raise RequestInvalid(field="config", reason="expected an object")
    check_words({name: value for name, value in config.items() if name not in ("dimensions", "long_texts")}, {})
    return ParsedRequest(
        texts=[fields.text(body.get("text"), "text")],
        role=fields.role(body, "config.task_type", known, nested=config.get("task_type")),
        # One vector is all that this reply holds, so windows are not offered.
        long_texts=fields.long_texts(config.get("long_texts"), "config.long_texts", "pool", ("pool", "reject")),
        dims=fields.dims(config.get("dimensions"), "config.dimensions"),
        echo=body["text"],
    )


def _render(ask: ParsedRequest, answer: Answer, rows: Rows) -> dict[str, Any]:
    return {
        "text": ask.echo,
        "vector": rows["float"][0],
        "dim": answer.vectors.shape[1],
        "space_id": answer.space_id,
        "tokens": answer.embedded.tokens[0],
        "windows": answer.embedded.windows[0],
    }


_CONFIG: Final[schema.Schema] = {
    "type": ["object", "null"],
    "properties": {
        "task_type": schema.ROLE, "dimensions": schema.DIMS, "long_texts": {"enum": ["pool", "reject", None]}
    },
}  # fmt: skip
DIALECTS: Final = (
    Dialect(
        ("vectors",),
        "Weaviate's text2vec-transformers.",
        schema.body(("text",), text=schema.STRING, config=_CONFIG, **schema.ROLES),
        schema.body(
            ("text", "vector", "dim"),
            text=schema.STRING,
            vector=schema.VECTOR,
            dim=schema.INTEGER,
            space_id=schema.STRING,
            tokens=schema.INTEGER,
            windows=schema.INTEGER,
        ),
        {"text": "how do I flatten a list", "config": {"task_type": "query"}},
        _parse,
        _render,
        flat_error,
        space_status=409,
        retry_words=f"{RETRY_WORDS}: ",
    ),
)
