"""Answers a document at a time: the best of each document's windows.

Grouped here and not by Weaviate's `group_by`, which leaves out the scores of word and hybrid searches. Neither sees
more than the best `limit` objects, so documents of many windows crowd others out: whoever asks for ten documents asks
for more objects until ten documents are among them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from ..access.values import Hit
from ..pinning.spec import DOCUMENT_PROPERTY

GroupBy = Literal["passage", "document"]
_FIRST, _MORE, _MOST = 4, 4, 10_000  # times the limit; the last is what Weaviate gives at most (QUERY_MAXIMUM_RESULTS)


def document_of(hit: Hit, id_property: str) -> str:
    """The document that an object is a part of: its own id where it is a whole one."""
    return str(hit.properties.get(DOCUMENT_PROPERTY) or hit.properties.get(id_property) or hit.uuid)


def best_of_each(hits: Sequence[Hit], id_property: str) -> list[Hit]:
    """The first hit of every document, in the order of *hits*."""
    found: dict[str, Hit] = {}
    for hit in hits:
        found.setdefault(document_of(hit, id_property), hit)
    return list(found.values())


def search_grouped(ask: Callable[[int], list[Hit]], limit: int, group_by: GroupBy, id_property: str) -> list[Hit]:
    """At most *limit* hits; with "document" of as many documents.

    Args:
        ask: gives the best objects, as many as it is told, best first.
    """
    if group_by == "passage":
        return ask(limit)
    want = limit * _FIRST
    while True:
        want = min(want, max(_MOST, limit))
        hits = ask(want)
        documents = best_of_each(hits, id_property)
        if len(documents) >= limit or len(hits) < want or want >= _MOST:
            return documents[:limit]
        want *= _MORE
