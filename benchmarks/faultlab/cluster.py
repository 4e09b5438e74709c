"""Faults on three nodes; the collection has three replicas."""

from __future__ import annotations

import threading
from typing import Final

from .single import Child, FaultRow, importing, kill_samespace, kill_weaviate, migrating, partition, put_schema
from .site import Site

_FIRST, _LATER = 1500, 600


def lagging(site: Site) -> str:
    """A node is away while 600 objects are written, and others edited and deleted; then it is back."""
    site.fill(0, _FIRST)
    site.nodes[2].kill()
    with_two = site.truth.copy()
    site.events.append("node3 killed")
    for number in range(_FIRST, _FIRST + _LATER):
        site.put(str(number), f"late {number} is text {number}")
    for key in sorted(with_two)[:50]:
        site.delete(key)
    for key in sorted(site.truth)[50:100]:
        site.put(key, f"edited {key} while one was away")
    site.restart()
    return "written at QUORUM"


def kill_leader(site: Site, event: str, child: Child) -> None:
    """SIGKILL the leader of the schema; it is back after a second or so."""
    leader = site.nodes.leader()
    leader.kill()
    site.events.append(f"leader {leader.name} killed at {event}")
    site.restart_soon().join()


def rolling(site: Site, event: str, child: Child) -> None:
    """Restart one node after the other (SIGTERM), while the command goes on."""

    def restart() -> None:
        for node in site.nodes.all:
            node.stop()
            site.nodes.start()

    site.events.append(f"rolling restart from {event} on")
    thread = threading.Thread(target=restart)
    thread.start()
    site.waiting.append(thread)


def leave_and_join(site: Site, event: str, child: Child) -> None:
    """The last node leaves (SIGTERM) and stays away for 20 s, while the command goes on."""
    node = site.nodes[2]
    node.stop()
    site.events.append(f"{node.name} left at {event}, back after 20 s")
    site.restart_soon(20.0)


ROWS: Final = (
    FaultRow("lagging-replica", "a node away during 600 writes, 50 edits, 50 deletions", 3, lagging),
    FaultRow("import-nodes-killed", "import; each node killed in turn", 3, importing(kill_weaviate)),
    FaultRow("import-leader-killed", "import; the leader killed 3 times", 3, importing(kill_leader)),
    FaultRow("import-rolling-restart", "import; rolling restart", 3, importing(rolling, parts=2)),
    FaultRow("import-node-away", "import; a node leaves, and joins after 20 s", 3, importing(leave_and_join, parts=2)),
    FaultRow("import-partition", "import; a node stopped for 30 s (SIGSTOP)", 3, importing(partition, parts=2)),
    FaultRow("migrate-samespace-killed", "migrate; the command killed at each state", 3, migrating(kill_samespace)),
    FaultRow("migrate-nodes-killed", "migrate; a node killed at each state, in turn", 3, migrating(kill_weaviate)),
    FaultRow("schema-put", "schema PUTs with another address through each node, then plain clients write texts", 3,
        put_schema),
)  # fmt: skip
