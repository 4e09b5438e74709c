"""Answers of a search in the order of a reranker, which reads the query and each answer's text together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from samespace.errors import RequestInvalid
from samespace.reranking.reranker import Reranker

from ..access.values import Hit


@dataclass(frozen=True, slots=True)
class RerankedHit:
    """An answer, the reranker's score of it, and its place in the search, from 1."""

    hit: Hit
    score: float
    found_at: int


def rerank(
    reranker: Reranker, query: str, hits: Sequence[Hit], text_property: str, *, limit: int | None = None
) -> list[RerankedHit]:
    """*hits* from the best on, equal ones in the order of the search; the first *limit*.

    Raises:
        RequestInvalid: an answer has no text to read.
    """
    texts = []
    for hit in hits:
        text = hit.properties.get(text_property)
        if not isinstance(text, str):
            raise RequestInvalid(
                field=text_property, reason=f"object {hit.uuid} has no text there, so it cannot be reranked"
            )
        texts.append(text)
    return [
        RerankedHit(hits[each.index], each.score, each.index + 1) for each in reranker.rank(query, texts, top=limit)
    ]
