"""Reads a collection through every node at once, in order of ids, and tells what differs; a page of each in memory.

What differs is listed again, because a write may have reached one node and not yet the other. What still differs then,
and stands as it stood, is a difference.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, Self, TypeVar

from ..access.aligned import AlignedRow, aligned
from ..access.objects import of_nodes
from ..access.patience import NONE, Patience
from ..access.values import PAGE, Consistency, StoredObject
from .compare import ReplicaComparison, ReplicaDifference, difference, same_state

AGAIN: Final = 4
"""Times that a page with differences is listed again at most."""
PAUSE_S: Final = 0.3
"""Before that, so that writes on their way arrive."""
_PATIENT_PAGES: Final = 20
"""Pages with differences that are paused for; where there are more, replicas do differ."""


class NodeView(Protocol):
    """A Weaviate as one node has it."""

    def of_tenant(self, tenant: str) -> Self:
        """The same for the objects of a tenant."""

    def page(
        self, name: str, after: str, limit: int, *, vectors: bool = False, consistency: Consistency | None = None
    ) -> list[StoredObject]:
        """The next *limit* objects behind the id *after*, in order of their ids."""


_Node = TypeVar("_Node", bound=NodeView)


@dataclass(slots=True)
class Walk:
    """One pass over a collection, or one tenant after the other.

    Attributes:
        name: of the collection.
        nodes: from address to the node.
        away: how many of them may be silent.
        patience: with those that are silent beyond that.
        pause: waits so many seconds.
        page: objects of one read.
        found: the sum so far.
    """

    name: str
    nodes: dict[str, NodeView]
    away: int = 0
    patience: Patience = NONE
    pause: Callable[[float], None] = time.sleep
    page: int = PAGE
    found: ReplicaComparison = field(init=False)
    _paused: int = 0

    def __post_init__(self) -> None:
        self.found = ReplicaComparison(self.name, tuple(self.nodes))

    def differences(self, tenants: Sequence[str] = ("",)) -> Iterator[ReplicaDifference]:
        """What differs, one tenant after the other, in order of ids; counted in `found`.

        Raises:
            WeaviateUnavailable: more nodes than may be away do not answer.
        """
        for tenant in tenants:
            nodes = {address: node.of_tenant(tenant) for address, node in self.nodes.items()}
            after = ""
            while rows := (answer := self._rows(nodes, after))[1]:
                answering = answer[0]
                unlike = [row for row in rows if not row.alike]
                if unlike:
                    answering, unlike = self._again(nodes, after, str(rows[-1].uuid), unlike)
                self.found.objects += len(rows)
                for row in unlike:
                    if (one := difference(row, answering, tenant)) is not None:
                        self.found.add(one)
                        yield one
                after = str(rows[-1].uuid)

    def run(self, tenants: Sequence[str] = ("",)) -> ReplicaComparison:
        """The sum over all tenants."""
        for _ in self.differences(tenants):
            pass
        return self.found

    def _rows(self, nodes: dict[str, NodeView], after: str) -> tuple[tuple[str, ...], list[AlignedRow]]:
        def ask(node: NodeView) -> list[StoredObject]:
            return node.page(self.name, after, self.page, consistency="ONE")

        pages = self.patience.ask(lambda: of_nodes(nodes, ask, self.away))
        return tuple(pages), aligned(list(pages.values()), self.page)

    def _again(
        self, nodes: dict[str, NodeView], after: str, last: str, unlike: list[AlignedRow]
    ) -> tuple[tuple[str, ...], list[AlignedRow]]:
        """The rows up to the id *last* that differ still, and did not change in between, by the nodes that answered."""
        answering: tuple[str, ...] = ()
        self._paused += 1
        for _ in range(AGAIN):
            if self._paused <= _PATIENT_PAGES:
                self.pause(PAUSE_S)
            before = {row.uuid: row for row in unlike}
            answering, rows = self._rows(nodes, after)
            unlike = [row for row in rows if not row.alike and row.uuid in before]
            if all(same_state(row, before[row.uuid]) for row in unlike):
                break
        return answering, [row for row in unlike if str(row.uuid) <= last]
