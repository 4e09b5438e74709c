"""Faults on one node."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from .site import Site, text_of

Child = subprocess.Popen[str]
Injure = Callable[[Site, str, Child], None]
PARTITION_S: Final = 30.0
OBJECTS: Final = 1000


@dataclass(frozen=True, slots=True)
class FaultRow:
    """One row of the table.

    Attributes:
        name: of the row.
        fault: for people.
        nodes: how many Weaviates.
        run: does it; gives how it ended.
        settings: environment of the nodes.
        disk_mb: size of a file system of their own; 0 for the common one.
        slow: whether it is run only where it is named: it takes most of an hour.
    """

    name: str
    fault: str
    nodes: int
    run: Callable[[Site], str]
    settings: dict[str, str] = field(default_factory=dict)
    disk_mb: int = 0
    slow: bool = False


def kill_weaviate(site: Site, event: str, child: Child) -> None:
    """SIGKILL the next node in turn; it is back after a second or so."""
    node = site.nodes[len(site.events) % len(site.nodes)]
    node.kill()
    site.events.append(f"{node.name} killed at {event}")
    site.restart_soon().join()


def kill_samespace(site: Site, event: str, child: Child) -> None:
    """SIGKILL the command."""
    child.kill()
    site.events.append(f"samespace killed at {event}")


def kill_encoder(site: Site, event: str, child: Child) -> None:
    """SIGKILL both encoder servers, which are back after a second."""
    site.old.kill()
    site.new.kill()
    site.events.append(f"encoders killed at {event}")
    site.restart_soon()


def importing(injure: Injure, *, objects: int = OBJECTS, parts: int = 4) -> Callable[[Site], str]:
    """An import that is injured after each part."""

    def run(site: Site) -> str:
        seen: set[str] = set()

        def on_event(event: str, child: Child) -> None:
            if event not in seen:
                seen.add(event)
                injure(site, event, child)

        done = site.drive(site.import_job(0, objects, parts), on_event)
        site.wait()
        site.restart()
        return "ended well" if done else "did not end"

    return run


def migrating(injure: Injure) -> Callable[[Site], str]:
    """A migration with --finish that is injured once at each state, while clients edit, add and delete."""

    def run(site: Site) -> str:
        site.fill(0, OBJECTS)
        seen: set[str] = set()

        def on_event(state: str, child: Child) -> None:
            if state in seen:
                return
            seen.add(state)
            injure(site, state, child)
            site.client(len(seen))

        done = site.drive(site.migrate_job(), on_event)
        site.wait()
        site.restart()
        return f"{'ended well' if done else 'did not end'}; states: {', '.join(sorted(seen))}"

    return run


def partition(site: Site, event: str, child: Child) -> None:
    """SIGSTOP the next node for 30 s, while the command goes on."""
    node = site.nodes[len(site.events) % len(site.nodes)]
    site.events.append(f"{node.name} stopped for {PARTITION_S:.0f} s at {event}")
    node.pause()
    site.later(PARTITION_S, node.resume)


def swap_encoder(site: Site, event: str, child: Child) -> None:
    """Another space is served at the address of the old encoder; the right one is back after ten seconds."""

    def back() -> None:
        site.old.kill()
        site.old.start()

    site.events.append(f"encoder swapped at {event}")
    site.old.kill()
    site.old.start(site.new.artifact)
    site.later(10.0, back)


def put_schema(site: Site) -> str:
    """PUT another address through each node in turn, twice each; plain clients write texts through it."""
    site.fill(0, 500)
    told = []
    for place, node in enumerate(site.nodes.all):
        wrong = f"{site.new.http}/e/{_space(site, site.new)}"
        statuses = [_put_address(site, node.url, wrong) for _ in range(2)]
        told.append(f"{node.name}: PUT {statuses[0]}, {statuses[1]}")
        for number in range(20):
            site.put(str(20_000 + 100 * place + number), text_of(number), place)
    told.append(f"then {site.verdict()}")
    right = f"{site.old.http}/e/{site.space}"
    for _ in range(2):  # a PUT that is refused takes effect on some versions, and the second is stored
        told.append(f"PUT back {_put_address(site, site.nodes.leader().url, right)}")
    for node in site.nodes.all:
        node.stop()
        site.nodes.start()
    return "; ".join(told)


def _put_address(site: Site, url: str, address: str) -> int:
    schema = httpx.get(f"{url}/v1/schema/{site.name}").json()
    vectorizer = schema["vectorConfig"][f"e_{site.space[:12]}"]["vectorizer"]["text2vec-transformers"]
    vectorizer["inferenceUrl"] = address
    return httpx.put(f"{url}/v1/schema/{site.name}", json=schema, timeout=60).status_code


def _space(site: Site, which: Any) -> str:
    with site.encoder(which) as encoder:
        return encoder.space_id


RBAC: Final = {
    "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "false",
    "AUTHENTICATION_APIKEY_ENABLED": "true",
    "AUTHENTICATION_APIKEY_ALLOWED_KEYS": "root-key,migrator-key",
    "AUTHENTICATION_APIKEY_USERS": "root,migrator",
    "AUTHORIZATION_RBAC_ENABLED": "true",
    "AUTHORIZATION_RBAC_ROOT_USERS": "root",
}


def revoked(site: Site) -> str:
    """The migrator's role is taken away at each of four states; the command stops, and goes on with the role."""
    from samespace_weaviate.rights.roles import ROLES

    role = next(each for each in ROLES if each.name == "migrator")
    with httpx.Client(base_url=f"{site.nodes[0].url}/v1", headers=site.nodes[0].headers) as root:
        root.post("/authz/roles", json=role.to_json("*")).raise_for_status()

        def grant(what: str) -> None:
            body = {"roles": ["samespace_migrator"], "userType": "db"}
            root.post(f"/authz/users/migrator/{what}", json=body).raise_for_status()

        grant("assign")
        site.fill(0, OBJECTS)
        seen: set[str] = set()

        def on_event(state: str, child: Child) -> None:
            if state in ("created", "copying", "verified", "settled") and state not in seen:
                seen.add(state)
                site.events.append(f"role revoked at {state}")
                grant("revoke")
                site.later(5.0, lambda: grant("assign"))

        site.child_key = "migrator-key"
        done = site.drive(site.migrate_job(), on_event)
        site.wait()
    return f"{'ended well' if done else 'did not end'}; stopped {len(site.stopped)} times"


def full_disk(site: Site) -> str:
    """An import of more than the file system holds; then it is made larger, and the same import goes on."""
    folder = site.nodes[0].folder.parent
    ballast = shutil.disk_usage(folder).free - _FREE_BYTES
    (folder / "ballast").write_bytes(bytes(max(0, ballast)))
    job = site.import_job(0, 10_000, 1)
    first = site.drive(job, lambda event, child: None, tries=1)
    refused = list(site.stopped)
    assert refused, f"the disk did not get full: {_used(folder)}"
    site.events.append(f"disk full: {_used(folder)}")
    subprocess.run(["mount", "-o", "remount,size=2g", str(folder)], check=True)
    site.nodes[0].kill()
    site.restart()
    done = first or site.drive(job, lambda event, child: None)
    return f"{'ended well' if done else 'did not end'}; stopped {len(refused)} times before there was room"


_FREE_BYTES: Final = 3_000_000


def _used(folder: Any) -> str:
    usage = shutil.disk_usage(folder)
    return f"{usage.used * 100 // usage.total} % of {usage.total // 1_000_000} MB"


ROWS: Final = (
    FaultRow("import-weaviate-killed", "import; Weaviate killed 3 times (SIGKILL)", 1, importing(kill_weaviate)),
    FaultRow("import-samespace-killed", "import; the command killed 3 times", 1, importing(kill_samespace)),
    FaultRow("import-encoder-killed", "import; the encoder killed 3 times", 1, importing(kill_encoder)),
    FaultRow("import-encoder-swapped", "import; another space at the encoder's address", 1,
        importing(swap_encoder, parts=2)),
    FaultRow("import-partition", "import; Weaviate stopped for 30 s (SIGSTOP)", 1, importing(partition, parts=2)),
    FaultRow("migrate-samespace-killed", "migrate; the command killed at each state", 1, migrating(kill_samespace)),
    FaultRow("migrate-weaviate-killed", "migrate; Weaviate killed at each state", 1, migrating(kill_weaviate)),
    FaultRow("migrate-encoder-killed", "migrate; both encoders killed at each state", 1, migrating(kill_encoder)),
    FaultRow("schema-put", "schema PUTs with another address, then plain clients write texts", 1, put_schema),
    FaultRow("right-revoked", "migrate; the role revoked at four states", 1, revoked, RBAC),
    FaultRow("disk-full", "import into a full disk", 1, full_disk, disk_mb=64),
    FaultRow("import-10000", "import of 10,000 short texts; Weaviate killed 3 times", 1,
        importing(kill_weaviate, objects=10_000)),
    FaultRow("many", "import of 100,000 short texts; Weaviate killed 3 times", 1,
        importing(kill_weaviate, objects=100_000), slow=True),
)  # fmt: skip
