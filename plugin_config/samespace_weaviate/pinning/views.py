"""Whether every node sees the pin as the leader does.

A node encodes and searches by its own copy of the schema. GET /v1/schema is answered by the leader, whichever node is
asked, so a pin that was changed on one node alone cannot be seen there: each node is asked for its own copy.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

from samespace.errors import PinBroken, WeaviateError, WeaviateUnavailable

from .pin import Finding, Severity
from .spec import shown

TRIES: Final = 6
"""A change of the schema takes a moment to reach every node: what differs is read again so many times."""
PAUSE_S: Final = 0.5
_MISSING: Final = "nothing"


class Viewed(Protocol):
    """What of a Weaviate's connection is needed here."""

    def schema(self, name: str) -> dict[str, Any] | None:
        """As the leader has it."""

    def own_schema(self, name: str) -> dict[str, Any] | None:
        """As the node that answers has it."""

    def each_node(self) -> dict[str, Self]:
        """From address to node."""


class NodeDatabase(Viewed, Protocol):
    """The same, and which nodes there are."""

    def node_names(self) -> frozenset[str]:
        """Every node that there is, also one that is away."""


@dataclass(frozen=True, slots=True)
class SchemaViews:
    """How the nodes see one collection.

    Attributes:
        collection: its name.
        differing: from a node's address to what it has otherwise than the leader.
        silent: addresses of the nodes that did not answer.
        unknown: nodes beyond those whose addresses are known.
    """

    collection: str
    differing: Mapping[str, str]
    silent: tuple[str, ...]
    unknown: int = 0

    def findings(self) -> tuple[Finding, ...]:
        """For `check`."""
        broken = tuple(
            Finding(
                Severity.BROKEN,
                f"node {node} does not see the schema that the leader has: {what}. It encodes and searches by its own: "
                "restart it, and keep clients from it until then",
            )
            for node, what in self.differing.items()
        )
        unknown = (
            Finding(
                Severity.UNSAFE,
                f"{self.unknown} more nodes were not asked for their own copy of the schema, by which they encode and "
                "search: give the address of each (--node, or WEAVIATE_NODES)",
            ),
        )
        return (
            broken
            + unknown * bool(self.unknown)
            + tuple(
                Finding(Severity.UNSAFE, f"node {node} does not answer: whether it sees this pin is not known")
                for node in self.silent
            )
        )


def read_views(database: Viewed, name: str, *, pause: Callable[[float], None] = time.sleep) -> SchemaViews:
    """How each known node sees the collection *name*; what differs at first is read again a few times."""
    for left in reversed(range(TRIES)):
        leader, differing, silent = database.schema(name), dict[str, str](), list[str]()
        for address, node in database.each_node().items():
            try:
                if what := unlike(leader, node.own_schema(name)):
                    differing[address] = what
            except WeaviateUnavailable:
                silent.append(address)
        if not differing or not left:
            break
        pause(PAUSE_S)
    return SchemaViews(name, differing, tuple(silent))


def unknown_nodes(database: NodeDatabase) -> int:
    """How many nodes there are beyond those whose addresses are known; 0 where the key in use may not list them."""
    try:
        there = len(database.node_names())
    except WeaviateUnavailable:
        raise
    except WeaviateError:
        return 0
    return max(0, there - max(1, len(database.each_node())))


def require_same_views(database: Viewed, name: str, *, pause: Callable[[float], None] = time.sleep) -> None:
    """Return if no node that answers sees another pin than the leader; those that are away answer no query either.

    Raises:
        PinBroken: one does; it is named.
    """
    if differing := read_views(database, name, pause=pause).differing:
        what = next(iter(differing.values()))
        raise PinBroken(
            collection=name,
            expected="the leader's schema on every node",
            found=f"on node {', '.join(differing)}: {what}",
            remedy=f"nothing was sent. Restart {'this node' if len(differing) == 1 else 'these nodes'}, so that the "
            "schema is read again, and see `samespace weaviate check`",
        )


def unlike(leader: Mapping[str, Any] | None, own: Mapping[str, Any] | None) -> str:
    """What of the pin a node has otherwise than the leader, in words; "" if nothing.

    Only what decides about encoding and order: nodes of two versions may add settings of their own.
    """
    if leader is None or own is None:
        if leader is own:
            return ""
        return "no such collection, one by the leader" if own is None else "a collection, none by the leader"
    wanted, found = _pinned(leader), _pinned(own)
    for path in sorted({*wanted, *found}):
        if wanted.get(path, _MISSING) != found.get(path, _MISSING):
            return shown(f"{path} is {found.get(path, _MISSING)!r}, {wanted.get(path, _MISSING)!r} by the leader")
    return ""


def _pinned(schema: Mapping[str, Any]) -> dict[str, Any]:
    found = {"vectorizer": schema.get("vectorizer"), **_flat("moduleConfig", schema.get("moduleConfig"))}
    for name, config in (schema.get("vectorConfig") or {}).items():
        path = f"vectorConfig.{name}"
        found |= _flat(f"{path}.vectorizer", config.get("vectorizer"))
        found[f"{path}.vectorIndexType"] = config.get("vectorIndexType")
        found[f"{path}.distance"] = (config.get("vectorIndexConfig") or {}).get("distance")
    for entry in schema.get("properties") or ():
        path = f"properties.{entry.get('name')}"
        found |= _flat(f"{path}.moduleConfig", entry.get("moduleConfig"))
        found[f"{path}.dataType"], found[f"{path}.tokenization"] = entry.get("dataType"), entry.get("tokenization")
    return found


def _flat(path: str, value: Any) -> dict[str, Any]:
    """Every leaf by its path."""
    if isinstance(value, Mapping) and value:
        return {key: leaf for name, each in value.items() for key, leaf in _flat(f"{path}.{name}", each).items()}
    return {path: value} if value is not None else {}
