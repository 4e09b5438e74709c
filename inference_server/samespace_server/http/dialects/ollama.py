"""Ollama's `/api/embed`, and its older `/api/embeddings` of one text."""

from __future__ import annotations

from typing import Any, Final

from samespace.errors import SamespaceError

from ...scheduling.engine import Answer
from . import fields, schema
from .dialect import Body, Dialect, ParsedRequest, RequestContext, Rows, flat_error


def _parse(body: Body, known: RequestContext) -> ParsedRequest:
    return ParsedRequest(
        texts=fields.text_or_texts(body.get("input"), "input"),
        role=fields.role(body, "input_type", known),
        long_texts=fields.uncut(body),
        dims=fields.dims(body.get("dimensions"), "dimensions"),
        echo=str(body.get("model") or ""),
    )


def _render(ask: ParsedRequest, answer: Answer, rows: Rows) -> dict[str, Any]:
    timings = answer.timings
    return {
        "model": ask.echo,
        "embeddings": rows["float"],
        "total_duration": (timings.tokenize_us + timings.queue_us + timings.run_us) * 1000,
        "load_duration": 0,
        "prompt_eval_count": sum(answer.embedded.tokens),
        "space_id": answer.space_id,
    }


def _parse_one(body: Body, known: RequestContext) -> ParsedRequest:
    return ParsedRequest(
        texts=[fields.text(body.get("prompt"), "prompt")],
        role=fields.role(body, "input_type", known),
        long_texts=fields.uncut(body, offered=("pool", "reject")),
        dims=fields.dims(body.get("dimensions"), "dimensions"),
    )


def _render_one(ask: ParsedRequest, answer: Answer, rows: Rows) -> dict[str, Any]:
    return {"embedding": rows["float"][0], "space_id": answer.space_id}


def _error(message: str, error: SamespaceError) -> dict[str, Any]:
    return flat_error(message, error)


_OPTIONS: Final = {
    "model": schema.MODEL,
    "truncate": schema.FLAG,
    "truncation": schema.FLAG,
    "dimensions": schema.DIMS,
    **schema.ROLES,
}

DIALECTS: Final = (
    Dialect(
        ("api/embed",),
        "Ollama's embed.",
        schema.body(
            ("input",),
            input=schema.TEXT_OR_TEXTS,
            **_OPTIONS,
            long_texts=schema.LONG,
        ),
        schema.body(
            ("model", "embeddings"),
            model=schema.STRING,
            embeddings=schema.list_of(schema.VECTOR),
            total_duration=schema.INTEGER,
            load_duration=schema.INTEGER,
            prompt_eval_count=schema.INTEGER,
        ),
        {"model": "any", "input": "how do I flatten a list", "input_type": "query"},
        _parse,
        _render,
        _error,
    ),
    Dialect(
        ("api/embeddings",),
        "Ollama's older embeddings, of one text.",
        schema.body(
            ("prompt",),
            prompt=schema.STRING,
            **_OPTIONS,
            long_texts={"enum": ["pool", "reject", None]},
        ),
        schema.body(("embedding",), embedding=schema.VECTOR),
        {"model": "any", "prompt": "how do I flatten a list", "input_type": "query"},
        _parse_one,
        _render_one,
        _error,
    ),
)
