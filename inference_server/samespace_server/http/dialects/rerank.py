"""Rerankers' bodies: Weaviate's reranker-transformers and TEI on one path, Cohere's and Jina's on theirs.

Weaviate and TEI both ask at /rerank; `texts` are TEI's, `documents` Weaviate's. Weaviate gives scores to its objects by
their place, so its answer keeps the order of the request; all others want the best first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from samespace.errors import RequestInvalid, SamespaceError, short
from samespace.reranking.pairs import activated

from ...spaces.rerankers import RerankAnswer
from . import fields, schema
from .dialect import Body, flat_error
from .meaning import RERANK_WORDS, check_words
from .schema import Schema
from .tei import tei_error
from .weaviate import RETRY_WORDS


@dataclass(frozen=True, slots=True)
class RerankAsk:
    """A request, understood.

    Attributes:
        most: how many of the best are wanted; None for all.
        repeats: whether the answer repeats the passages.
        by_texts: TEI's body, on the path that it shares.
        raw: logits instead of scores.
    """

    query: str
    passages: list[str]
    most: int | None = None
    repeats: bool = False
    by_texts: bool = False
    raw: bool = False


@dataclass(frozen=True, slots=True)
class RerankDialect:
    """One foreign wire format of rerankers; see `Dialect`."""

    routes: tuple[str, ...]
    about: str
    request: Schema
    reply: Schema
    example: Body
    parse: Callable[[Body], RerankAsk]
    render: Callable[[RerankAsk, RerankAnswer], Any]
    render_error: Callable[[str, SamespaceError], dict[str, Any]]
    busy_status: int = 503
    space_status: int = 404
    retry_words: str = ""


def _parse_shared(body: Body) -> RerankAsk:
    texts, documents = body.get("texts"), body.get("documents")
    if (texts is None) == (documents is None):
        reason = "expected texts (text-embeddings-inference's) or documents (Weaviate's), one of them"
        raise RequestInvalid(field="texts", reason=reason)
    query = fields.text(body.get("query"), "query")
    if documents is not None:
        check_words(body, _WEAVIATE["properties"], RERANK_WORDS)
        return RerankAsk(query, fields.texts(documents, "documents"))
    passages = fields.texts(texts, "texts")
    check_words(body, _TEI["properties"], RERANK_WORDS)
    repeats, raw = (fields.flag(body.get(name), name, False) for name in ("return_text", "raw_scores"))
    return RerankAsk(query, passages, repeats=repeats, by_texts=True, raw=raw)


def _render_shared(ask: RerankAsk, found: RerankAnswer) -> Any:
    if not ask.by_texts:
        pairs = zip(ask.passages, found.scores.tolist(), strict=True)
        scores = [{"document": passage, "score": score} for passage, score in pairs]
        return {"query": ask.query, "scores": scores, "reranker_id": found.reranker_id}
    # Its scores are sigmoids unless raw ones are asked for, whatever the model's own activation is.
    wanted = found.logits if ask.raw else activated(found.logits, "sigmoid")
    return [
        {"index": row, "score": float(wanted[row]), **({"text": ask.passages[row]} if ask.repeats else {})}
        for row in found.best()
    ]


def _parse_cohere(body: Body) -> RerankAsk:
    check_words(body, _COHERE["properties"], RERANK_WORDS)
    documents = body.get("documents")
    if not isinstance(documents, list) or not documents:
        raise RequestInvalid(
            field="documents", reason=f"expected a list of at least one, got {fields.kind_of(documents)}"
        )
    passages = [_text_of(each, f"documents[{place}]") for place, each in enumerate(documents)]
    most = fields.dims(body.get("top_n"), "top_n")
    repeats = fields.flag(body.get("return_documents"), "return_documents", False)
    return RerankAsk(fields.text(body.get("query"), "query"), passages, most, repeats)


def _text_of(document: object, field: str) -> str:
    if isinstance(document, dict):
        return fields.text(document.get("text"), f"{field}.text")
    return fields.text(document, field)


def _render_cohere(ask: RerankAsk, found: RerankAnswer, version: str) -> Any:
    results = [
        {
            "index": row,
            "relevance_score": float(found.scores[row]),
            **({"document": {"text": ask.passages[row]}} if ask.repeats else {}),
        }
        for row in found.best(ask.most)
    ]
    tokens = sum(found.answer.embedded.tokens)
    return {
        "id": short(found.reranker_id),
        "model": found.reranker_id,  # Jina's
        "results": results,
        "usage": {"total_tokens": tokens},
        "meta": {"api_version": {"version": version}, "billed_units": {"search_units": 1}},
    }


_TEI: Final = schema.body(
    ("query", "texts"),
    query=schema.STRING,
    texts=schema.TEXTS,
    raw_scores=schema.FLAG,
    return_text=schema.FLAG,
    model=schema.MODEL,
)
_WEAVIATE: Final = schema.body(("query", "documents"), query=schema.STRING, documents=schema.TEXTS, model=schema.MODEL)
_SCORED: Final = schema.body(("index", "score"), index=schema.INTEGER, score={"type": "number"}, text=schema.STRING)
_BY_PLACE: Final = schema.body(("document", "score"), document=schema.STRING, score={"type": "number"})
_COHERE: Final = schema.body(
    ("query", "documents"),
    query=schema.STRING,
    documents={"type": "array", "minItems": 1, "items": {"oneOf": [schema.STRING, {"type": "object"}]}},
    top_n={"type": ["integer", "null"], "minimum": 0},
    return_documents=schema.FLAG,
    model=schema.MODEL,
)
_RESULT: Final = schema.body(("index", "relevance_score"), index=schema.INTEGER, relevance_score={"type": "number"})
_RESULTS: Final = schema.body(("id", "results"), id=schema.STRING, results=schema.list_of(_RESULT))
_EXAMPLE: Final = {"query": "how do I flatten a list", "documents": ["itertools.chain", "a bowl of rice"]}
RERANKERS: Final = (
    RerankDialect(
        ("rerank",),
        "Scores of passages: Weaviate's reranker-transformers (documents) or text-embeddings-inference (texts).",
        {"oneOf": [_TEI, _WEAVIATE]},
        {"oneOf": [schema.list_of(_SCORED), schema.body(("scores",), scores=schema.list_of(_BY_PLACE))]},
        _EXAMPLE,
        _parse_shared,
        _render_shared,
        tei_error,
        retry_words=f"{RETRY_WORDS}: ",
    ),
    RerankDialect(
        ("v2/rerank",),
        "Cohere's rerank, version 2.",
        _COHERE,
        _RESULTS,
        _EXAMPLE,
        _parse_cohere,
        lambda ask, found: _render_cohere(ask, found, "2"),
        flat_error,
        busy_status=429,
    ),
    RerankDialect(
        ("v1/rerank",),
        "Cohere's rerank, version 1, and Jina's.",
        _COHERE,
        _RESULTS,
        _EXAMPLE,
        _parse_cohere,
        lambda ask, found: _render_cohere(ask, found, "1"),
        flat_error,
        busy_status=429,
    ),
)
