"""What is stored and found after a fault: by plain HTTP, weaviate-client and sentence-transformers, without samespace.

Each node is asked by itself: what one of them lacks is lost to whoever asks it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Final

import httpx
import numpy as np

SAME: Final = 1e-3
"""1 - cos: one model, in float32 or bfloat16, and in other batches."""
_PAGE: Final = 500
_LIMITS: Final = (10, 1000)

Encode = Callable[[Sequence[str]], Any]
"""Texts to unit rows, by sentence-transformers."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Objects, of which at least one node gives another account than it should.

    Attributes:
        lost: that were acknowledged, and are not there.
        doubled: beyond the first of a passage.
        mixed: whose vector is missing, or not that of their text.
        brought_back: that were deleted, or that nobody wrote.
        undone: with another text than the last that was acknowledged.
        unsearchable: that their own vector does not find among 1,000.
        unfiltered: that a filter on their ids does not find.
    """

    lost: int = 0
    doubled: int = 0
    mixed: int = 0
    brought_back: int = 0
    undone: int = 0
    unsearchable: int = 0
    unfiltered: int = 0

    @property
    def any(self) -> bool:
        """Whether anything is wrong."""
        return any(asdict(self).values())


@dataclass(frozen=True, slots=True)
class NodeDoor:
    """One node: REST address, gRPC port, headers."""

    url: str
    grpc_port: int
    headers: Mapping[str, str]


def damage(nodes: Sequence[NodeDoor], name: str, vector: str, truth: Mapping[str, str], encode: Encode) -> Damage:
    """Hold what every node has against *truth*, passage id to text."""
    sums: dict[str, set[str]] = {key: set() for key in ("lost", "mixed", "brought_back", "undone")}
    sums |= {"unsearchable": set(), "unfiltered": set()}
    doubled = 0
    right: dict[str, Any] = {}
    for node in nodes:
        entries = list(_listed(node, name))
        ids = Counter(str(each["properties"].get("passageId")) for each in entries)
        doubled = max(doubled, sum(ids.values()) - len(ids))
        sums["lost"] |= truth.keys() - ids.keys()
        sums["brought_back"] |= ids.keys() - truth.keys()
        texts = [str(each["properties"].get("text") or "") for each in entries]
        new = sorted(set(texts) - right.keys())
        right |= dict(zip(new, encode(new), strict=True)) if new else {}
        for each, text in zip(entries, texts, strict=True):
            passage = str(each["properties"].get("passageId"))
            if truth.get(passage, text) != text:
                sums["undone"].add(passage)
            row = np.asarray(each.get("vectors", {}).get(vector) or (), dtype=np.float64)
            if row.shape != right[text].shape or 1 - row @ right[text] / np.linalg.norm(row) > SAME:
                sums["mixed"].add(passage)
        unsearchable, unfiltered = _missed(node, name, vector, entries)
        sums["unsearchable"] |= unsearchable
        sums["unfiltered"] |= unfiltered
    return Damage(doubled=doubled, **{key: len(found) for key, found in sums.items()})


def _listed(node: NodeDoor, name: str) -> Iterator[dict[str, Any]]:
    """The objects that the node's own replicas hold."""
    after = ""
    with httpx.Client(base_url=node.url, headers=dict(node.headers), timeout=60) as client:
        while True:
            query = {"class": name, "limit": str(_PAGE), "after": after, "include": "vector"}
            answer = client.get("/v1/objects", params=query)
            answer.raise_for_status()
            page = answer.json()["objects"]
            if not page:
                return
            yield from page
            after = page[-1]["id"]


def _missed(node: NodeDoor, name: str, vector: str, entries: Sequence[Mapping[str, Any]]) -> tuple[set[str], set[str]]:
    """Passages that their own vector, and those that a filter on their id, does not find through this node."""
    from weaviate.classes.init import Auth
    from weaviate.classes.query import MetadataQuery

    import weaviate

    key = node.headers.get("authorization", "").removeprefix("Bearer ")
    port = int(node.url.rpartition(":")[2])
    auth = Auth.api_key(key) if key else None
    with weaviate.connect_to_local("127.0.0.1", port, node.grpc_port, auth_credentials=auth) as client:
        query = client.collections.use(name).query

        def found(entry: Mapping[str, Any]) -> bool:
            row = entry["vectors"].get(vector)
            for limit in _LIMITS if row else ():
                hits = query.near_vector(
                    row,
                    target_vector=vector,
                    limit=limit,
                    return_properties=[],
                    return_metadata=MetadataQuery(distance=True),
                ).objects
                if any(str(hit.uuid) == entry["id"] for hit in hits):
                    return True
                near = [hit.metadata.distance or 0.0 for hit in hits]
                if len(near) == _LIMITS[-1] and near[-1] - near[0] <= 1e-4:
                    return True  # as many others have the same vector: nothing can be told
            return not row  # one without a vector is mixed, not unsearchable

        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(found, entries))
        there: set[str] = set()
        for start in range(0, len(entries), _PAGE):
            ids = [each["id"] for each in entries[start : start + _PAGE]]
            there |= {str(each.uuid) for each in query.fetch_objects_by_ids(ids, limit=len(ids)).objects}
    names = [str(each["properties"].get("passageId")) for each in entries]
    unsearchable = {name for name, good in zip(names, answers, strict=True) if not good}
    return unsearchable, {name for name, each in zip(names, entries, strict=True) if each["id"] not in there}
