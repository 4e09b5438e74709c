"""Migrations on a real Weaviate: readers and writers meanwhile, kills, restarts, tenants, all types of properties."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from fakes.server import process
from fakes.server.serving import Server
from fakes.weaviate.in_memory import Killed
from fakes.weaviate.nodes import weaviate_nodes
from samespace import Encoder
from samespace.errors import MigrationBlocked, ServerUnavailable
from samespace.vectors import cosine_distance
from samespace_weaviate import (
    AliasedCollection,
    CollectionSpec,
    Database,
    PinnedCollection,
    Severity,
    Store,
    StoredObject,
    check_pin,
)
from samespace_weaviate.access.database import stream
from samespace_weaviate.access.patience import Patience
from samespace_weaviate.migration import (
    Migration,
    MigrationJournal,
    MigrationState,
    Migrator,
    Terms,
    Wanted,
    new_schema,
    plan_migration,
)
from samespace_weaviate.migration.journal import read_progress
from samespace_weaviate.migration.progress import MigrationProgress, Wish

pytestmark = [pytest.mark.weaviate, pytest.mark.integration]

SAME = 1e-3  # 1 - cos: the same model in other batches, perhaps in bf16 (within 2e-4 of fp32); other spaces are at 0.1
WORDS = ("red", "green", "blue", "fast", "slow", "north", "south", "early", "late", "open")
OBJECTS = 40


def text(number: int) -> str:
    """A text that the tiny tokenizer tells from every other."""
    return f"{WORDS[number % 10]} {WORDS[number // 10 % 10]} is text {number}"


def identity(number: int) -> uuid.UUID:
    return uuid.UUID(int=number * 2**112 + 1)


@dataclass
class Site:
    """A collection that clients reach by an alias, and a migration of it."""

    door: Store
    store: Store
    old: CollectionSpec
    alias: str
    journal: Path
    encoder: Encoder
    server: str
    guard: bool = True
    believed: dict[uuid.UUID, dict[str, Any]] = field(default_factory=dict)

    def write(self, numbers: range, tenant: str = "", *, name: str = "", **properties: Any) -> None:
        """As a client does: without vectors, through the alias."""
        records = [StoredObject(identity(n), {"text": text(n), "passageId": str(n), **properties}) for n in numbers]
        assert self.door.of_tenant(tenant).write(name or self.alias, records) == []
        self.believed |= {each.uuid: dict(each.properties) for each in records}

    def run(
        self, wish: Wish = "migrate", *, door: Database | None = None, encoder: Encoder | None = None, **terms: Any
    ) -> MigrationState:
        """As the command does: plan if there is no journal, else go on."""
        encoder = encoder or self.encoder
        with MigrationJournal(self.journal) as journal:
            if journal.progress.state is MigrationState.NEW:
                schemas = {name: self.door.schema(name) or {} for name in self.door.names()}
                aliases = self.door.aliases()
                name = self.alias if self.alias in aliases else self.old.name
                wanted = Wanted(name, encoder.space_id, self.alias, "text", self.guard)
                plan = plan_migration(wanted, uuid.uuid4().hex[:8], schemas, aliases)
                journal.note("planned", plan=plan.to_json())
            migration = Migration(**journal.progress.plan)
            schema = self.door.schema(migration.old)
            schema = new_schema(schema, migration, self.server, "new") if schema else None
            asked = Terms(**{"settle_s": 0.1, "sample": 16, **terms})
            return Migrator(door or self.door, journal, schema=schema, encoder=encoder, terms=asked).run(wish)

    @property
    def new(self) -> str:
        return f"{self.alias}_{self.encoder.space_id[:12]}"

    def check(self, name: str, encoder: Encoder, tenants: tuple[str, ...] = ("",)) -> None:
        """The alias is *name*, pinned to *encoder*, and *all* its objects are what clients believe, rightly encoded."""
        assert self.door.aliases()[self.alias] == name
        schema = self.store.schema(name)
        assert schema is not None
        assert check_pin(schema, encoder.space_id).worst <= (Severity.DRIFT if self.guard else Severity.UNSAFE)
        found = [each for tenant in tenants for each in stream(self.door.of_tenant(tenant), name, vectors=True)]
        assert {each.uuid: each.properties for each in found} == self.believed
        assert len(found) == len(self.believed)
        again = np.asarray(encoder.encode([str(each.properties["text"]) for each in found], "passage").__array__())
        stored = np.stack([each.vectors[f"e_{encoder.space_id[:12]}"] for each in found])
        assert float(cosine_distance(stored, again).max()) < SAME
        assert all(list(each.vectors) == [f"e_{encoder.space_id[:12]}"] for each in found)


@contextmanager
def site_in(
    store: Store,
    folder: Path,
    server: Server,
    other: Encoder,
    other_server: Server,
    *,
    guard: bool = True,
    **settings: Any,
) -> Iterator[Site]:
    """A site whose collections are deleted afterwards."""
    spec = CollectionSpec(
        f"Test{uuid.uuid4().hex[:10]}",
        server.space_id,
        server.http,
        also_properties=("note",),
        long_texts="pool",
        guard=guard,
    )
    alias = f"{spec.name}Alias"
    with Store.connect(store.where) as opened:
        door = opened.patient(Patience(30))
        door.create({**spec.schema(), **settings})
        door.point_alias(alias, spec.name)
        site = Site(door, store, spec, alias, folder / "journal", other, other_server.http, guard)
        try:
            yield site
        finally:
            for name, target in door.aliases().items():
                if target.startswith(spec.name):
                    door.delete_alias(name)
            for name in door.names():
                if name.startswith(spec.name):
                    door.delete_collection(name)


@pytest.fixture(autouse=True)
def has_aliases(store: Store) -> None:
    if tuple(map(int, store.version.partition("-")[0].split(".")[:2])) < (1, 32):
        pytest.skip(f"Weaviate {store.version} has no aliases; they came with 1.32")


@pytest.fixture
def site(store: Store, tmp_path: Path, server: Server, other: Encoder, other_server: Server) -> Iterator[Site]:
    with site_in(store, tmp_path, server, other, other_server) as made:
        made.write(range(OBJECTS))
        yield made


class Watched:
    """A door whose every call is told of first."""

    def __init__(self, door: Database, on_call: Callable[[str], None]) -> None:
        self._door, self._on_call = door, on_call

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._door, name)
        if not callable(method):
            return method
        if name == "of_tenant":
            return lambda tenant: Watched(method(tenant), self._on_call)

        def call(*arguments: Any, **options: Any) -> Any:
            self._on_call(name)
            return method(*arguments, **options)

        return call


class Clients(threading.Thread):
    """Asks through the alias for one text after the other until it is stopped; each text has to find itself."""

    def __init__(self, ask: Callable[[str], uuid.UUID]) -> None:
        super().__init__(daemon=True)
        self._ask, self._stopped = ask, threading.Event()
        self.asked, self.wrong = 0, list[str]()

    def run(self) -> None:
        while not self._stopped.is_set():
            number = self.asked % OBJECTS
            try:
                if (found := self._ask(text(number))) != identity(number):
                    self.wrong.append(f"{text(number)!r} found {found}")
            except Exception as error:  # noqa: BLE001 - whatever it is, a reader has seen it
                self.wrong.append(repr(error))
            self.asked += 1

    def stop(self) -> None:
        self._stopped.set()
        self.join()


@pytest.mark.parametrize("guard", [True, False])
def test_readers_see_one_space_or_the_other_and_writers_lose_nothing(
    guard: bool, store: Store, tmp_path: Path, server: Server, encoder: Encoder, other: Encoder, other_server: Server
) -> None:
    """Readers ask all the time while clients write; there and back again no query fails or is mixed. Readers that name
    no vector follow only where there is no guard."""
    with site_in(store, tmp_path, server, other, other_server, guard=guard) as site:
        site.write(range(OBJECTS))
        _there_and_back(store, site, encoder, other)


def _there_and_back(store: Store, site: Site, encoder: Encoder, other: Encoder) -> None:
    plain = store.client.collections.use(site.alias)
    aliased = AliasedCollection(store, site.alias, [encoder, other])
    readers = [
        *(() if site.guard else (Clients(lambda query: plain.query.near_text(query, limit=1).objects[0].uuid),)),
        Clients(lambda query: aliased.ask(lambda found: found.search(query, 1))[0].uuid),
        Clients(lambda query: aliased.ask(lambda found: found.search(query, 1, encoded_by="client"))[0].uuid),
    ]
    more = iter(range(OBJECTS, OBJECTS + 12))

    def client(call: str) -> None:
        if call in ("page", "now_ms", "point_alias", "aliases"):
            for number in [next(more, None)]:
                if number is not None:
                    site.write(range(number, number + 1))
        if call == "point_alias":
            site.write(range(3, 4), note="changed right before the move")

    for reader in readers:
        reader.start()
    try:
        assert site.run(door=Watched(site.door, client), queries=(text(1), text(2))) is MigrationState.SETTLED
        site.check(site.new, other)
        before = [reader.asked for reader in readers]
        while any(reader.asked < least + 3 for reader, least in zip(readers, before, strict=True)):
            site.write(range(5, 6), note="written to the new one")
        assert site.run("rollback") is MigrationState.ROLLED_BACK
        site.check(site.old.name, encoder)
    finally:
        for reader in readers:
            reader.stop()
    assert [reader.wrong[:3] for reader in readers] == [[]] * len(readers)
    assert all(reader.asked > 5 for reader in readers)


def test_killed_in_every_state_it_goes_on(site: Site, other: Encoder) -> None:
    """One migration that is killed at the first call of each state, on its way there and to the end."""
    site.write(range(OBJECTS, 300))  # more than a page, or copying would be over at once
    died: set[MigrationState] = set()

    def kill(call: str) -> None:
        state = MigrationProgress().state
        with contextlib.suppress(FileNotFoundError):
            state = read_progress(site.journal).state
        if state not in died:
            died.add(state)
            raise Killed(state)

    wishes: tuple[Wish, ...] = ("migrate", "finish")
    for wish in wishes:
        while True:
            try:
                site.run(wish, door=Watched(site.door, kill))
            except Killed:
                continue
            break
    assert {
        MigrationState.PLANNED,
        MigrationState.CREATED,
        MigrationState.COPYING,
        MigrationState.CATCHING_UP,
        MigrationState.VERIFIED,
        MigrationState.SWITCHING,
    } <= died
    site.check(site.new, other)
    assert site.old.name not in site.door.names()


def test_kill_9_of_the_command(store: Store, site: Site, other: Encoder, other_server: Server, tmp_path: Path) -> None:
    """The process is killed while it copies; the same command ends it, and --finish drops the old collection."""
    site.write(range(OBJECTS, 600))
    address = ["--url", store.address, "--grpc-port", str(store.grpc_port), "--journal", str(site.journal), "--yes"]
    command = [sys.executable, "-m", "samespace", "weaviate", "migrate", site.alias, *address]
    to = ["--to", other_server.grpc, "--server", other_server.http, "--settle-s", "0.1"]
    with subprocess.Popen([*command, *to, "--max-objects-per-s", "100"], stderr=subprocess.DEVNULL) as running:
        while running.poll() is None and b'"copied"' not in (
            site.journal.read_bytes() if site.journal.exists() else b""
        ):
            threading.Event().wait(0.05)  # for another process: nothing tells when its file grows
        running.send_signal(signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL
    assert site.door.aliases()[site.alias] == site.old.name
    done = subprocess.run([*command, *to], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "copying" in done.stderr
    assert "Audit: None of the 256 objects" in done.stderr
    site.check(site.new, other)
    done = subprocess.run([*command, "--finish"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert site.old.name not in site.door.names()


def test_the_encoder_server_dies_meanwhile(site: Site, other: Encoder, other_artifact: Path) -> None:
    """The migration stops with what is missing, and goes on with a server that is back."""
    with ExitStack() as stack:
        running = stack.enter_context(process.serving(other_artifact))
        connected = stack.enter_context(Encoder.connect(running.grpc, timeout_ms=3000))

        def kill(call: str) -> None:
            if call == "create":
                running.process.kill()
                running.process.wait()

        with pytest.raises(ServerUnavailable):
            site.run(door=Watched(site.door, kill), encoder=connected)
    assert site.run() is MigrationState.SETTLED
    site.check(site.new, other)


def test_types_and_references_are_copied_as_they_are(
    store: Store, tmp_path: Path, server: Server, other: Encoder, other_server: Server
) -> None:
    """Dates, numbers, places, phones, nested objects; references to itself go to the new collection, others stay."""
    kinds = {
        "date": "date", "number": "number", "ints": "int[]", "flag": "boolean", "place": "geoCoordinates",
        "phone": "phoneNumber", "key": "uuid", "blob": "blob", "words": "text[]",
    }  # fmt: skip
    values = {
        "date": "2020-01-02T03:04:05.123456789+02:00", "number": 0.1, "ints": [1, 2**53], "flag": False,
        "place": {"latitude": 52.366667, "longitude": 4.9}, "phone": {"input": "0171 1004711", "defaultCountry": "DE"},
        "key": str(uuid.uuid4()), "blob": "aGVsbG8=", "words": [], "nested": {"a": "x", "b": []},
    }  # fmt: skip
    with site_in(store, tmp_path, server, other, other_server) as site:
        schema = site.door.schema(site.old.name) or {}
        site.door.delete_collection(site.old.name)
        nested = [{"name": "a", "dataType": ["text"]}, {"name": "b", "dataType": ["number[]"]}]
        schema["properties"] += [{"name": name, "dataType": [kind]} for name, kind in kinds.items()]
        schema["properties"].append({"name": "nested", "dataType": ["object"], "nestedProperties": nested})
        schema["properties"].append({"name": "next", "dataType": [site.old.name]})
        site.door.create(schema)
        records = [
            StoredObject(
                identity(n),
                {"text": text(n), **values},
                references={"next": (f"weaviate://localhost/{site.old.name}/{identity(n + 1)}",)},
            )
            for n in range(5)
        ]  # the last one refers to what is not there
        assert site.door.write(site.old.name, records) == []
        before = list(stream(site.door, site.old.name))
        assert site.run() is MigrationState.SETTLED
        after = list(stream(site.door, site.new))
        assert [(each.uuid, each.properties) for each in after] == [(each.uuid, each.properties) for each in before]
        answer = httpx.get(f"{store.address}/v1/objects/{site.new}/{identity(0)}").json()  # not by our own reading
        assert answer["properties"]["words"] == [] and answer["properties"]["nested"] == {"a": "x", "b": []}
        assert after[0].references == {"next": (f"weaviate://localhost/{site.new}/{identity(1)}",)}
        assert [len(each.references) for each in after] == [1] * 5


def test_tenants_hot_and_cold(
    store: Store, tmp_path: Path, server: Server, encoder: Encoder, other: Encoder, other_server: Server
) -> None:
    """Each tenant is copied by itself, cold ones are woken for it, and all are left as they were; and back again."""
    with site_in(store, tmp_path, server, other, other_server, multiTenancyConfig={"enabled": True}) as site:
        for place, tenant in enumerate(("first", "second", "third")):
            site.door.set_tenant_state(site.old.name, tenant, "HOT")
            site.write(range(10 * place, 10 * place + 10), tenant)
        site.door.set_tenant_state(site.old.name, "second", "COLD")
        found = site.door.tenant_states(site.old.name)
        assert site.run() is MigrationState.SETTLED
        assert site.door.tenant_states(site.old.name) == found
        assert site.door.tenant_states(site.new) == found
        site.door.set_tenant_state(site.new, "second", "HOT")
        site.check(site.new, other, ("first", "second", "third"))
        site.door.set_tenant_state(site.new, "second", "COLD")
        site.write(range(50, 52), "third")
        assert site.run("rollback") is MigrationState.ROLLED_BACK
        assert site.door.tenant_states(site.old.name) == found
        site.door.set_tenant_state(site.old.name, "second", "HOT")
        site.check(site.old.name, encoder, ("first", "second", "third"))


def test_a_collection_without_alias_and_pin(
    store: Store, tmp_path: Path, server: Server, other: Encoder, other_server: Server
) -> None:
    """Reached by its own name, with one unnamed vector: it gets an alias first, and a pin by migrating."""
    with site_in(store, tmp_path, server, other, other_server) as site:
        name = site.old.name
        site.door.delete_alias(site.alias)
        site.door.delete_collection(name)
        site.door.create({"class": name, "vectorizer": "none", "properties": [
            {"name": "text", "dataType": ["text"]},
            {"name": "passageId", "dataType": ["text"], "tokenization": "field"},
        ]})  # fmt: skip
        site.write(range(10), name=name)
        with pytest.raises(MigrationBlocked, match="--alias"):
            plan_migration(Wanted(name, other.space_id), "x", {name: site.door.schema(name) or {}}, {})
        assert site.run() is MigrationState.SETTLED
        site.check(site.new, other)
        assert site.run("finish") is MigrationState.FINISHED
        assert site.door.aliases()[name] == site.new
        assert PinnedCollection.open(store, name, other).search(text(4), 1)[0].properties["passageId"] == "4"


def test_weaviate_restarts_meanwhile(
    tmp_path: Path, server: Server, encoder: Encoder, other: Encoder, other_server: Server
) -> None:
    """Killed and started again in the middle, it is waited for, and nothing is missing."""
    binary = os.environ.get("WEAVIATE_BINARY")
    if not binary:
        pytest.skip("WEAVIATE_BINARY does not name a Weaviate that may be killed")
    with weaviate_nodes(Path(binary), tmp_path / "weaviate") as nodes:

        def restart(call: str) -> None:
            if call == "write" and nodes[0].starts == 1:
                nodes[0].kill()
                nodes[0].start()

        with Store.connect(nodes[0].address) as store, site_in(store, tmp_path, server, other, other_server) as site:
            site.write(range(300))
            assert site.run(door=Watched(site.door, restart)) is MigrationState.SETTLED
            site.check(site.new, other)
        assert nodes[0].starts == 2
