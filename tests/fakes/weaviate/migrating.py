"""A collection that clients reach by an alias, on a Weaviate in memory, and the migration of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from fakes.weaviate.database import OTHER_SPACE, SPACE, FakeEncoder
from fakes.weaviate.in_memory import FakeWeaviate, Killed
from samespace.encoder import Encoded
from samespace.vectors import Float32, Vectors
from samespace_weaviate import CollectionSpec, StoredObject
from samespace_weaviate.access.patience import Patience
from samespace_weaviate.audit import AuditReport
from samespace_weaviate.migration import (
    CopyPace,
    Migration,
    MigrationJournal,
    MigrationState,
    Migrator,
    Terms,
    Wanted,
    new_schema,
    plan_migration,
)
from samespace_weaviate.migration.progress import Wish

OBJECTS = 600  # more than two pages


class Encoder(FakeEncoder):
    """Vectors of two numbers that differ between texts and between spaces, and cost next to nothing."""

    def encode_detailed(self, texts: Sequence[str], *arguments: Any, **options: Any) -> Any:
        angles = np.array([crc32(f"{self.space_id[0]} {text}".encode()) for text in texts], dtype=np.float64)
        rows = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return Encoded(Vectors(rows, self.space_id), (1,) * len(texts), (1,) * len(texts), ())


OLD, NEW = Encoder(SPACE), Encoder(OTHER_SPACE)


@cache
def row(encoder: Encoder, text: str) -> Float32:
    return np.asarray(encoder.encode([text], "passage").__array__())[0]


def record(number: int, text: str = "") -> StoredObject:
    return StoredObject(uuid.UUID(int=number * 2**100), {"text": text or f"text {number}", "n": number})


class Hasty(MigrationJournal):
    """A journal that does not wait for the disk, which hundreds of runs would."""

    def sync(self) -> None:
        pass


class World:
    """A Weaviate with a collection that clients reach by the alias Articles, and what the clients believe is in it."""

    def __init__(self, folder: Path, *, tenants: dict[str, str] | None = None, named: bool = True) -> None:
        self.path = folder / "journal"
        self.door = FakeWeaviate()
        schema = CollectionSpec("Article_old", SPACE, "http://old").schema()
        if tenants is not None:
            schema["multiTenancyConfig"] = {"enabled": True}
        self.door.create(schema)
        if named:
            self.door.point_alias("Articles", "Article_old")
        self.tenants = tenants or {"": "HOT"}
        self.believed: dict[str, dict[uuid.UUID, StoredObject]] = {tenant: {} for tenant in self.tenants}
        self.modules("Article_old", OLD)
        for tenant, status in self.tenants.items():
            if tenant:
                self.door.status["Article_old"][tenant] = "HOT"
            for number in range(OBJECTS // len(self.tenants)):
                self.client_writes(tenant, record(number))
            if tenant:
                self.door.status["Article_old"][tenant] = status

    def modules(self, name: str, encoder: Encoder) -> None:
        self.door.modules[name] = (f"e_{encoder.space_id[:12]}", lambda text: row(encoder, text))

    def client_writes(self, tenant: str, one: StoredObject) -> None:
        self.door.put(self.door.pointers.get("Articles", "Article_old"), tenant, one)
        self.believed[tenant][one.uuid] = one

    def client_deletes(self, tenant: str, key: uuid.UUID) -> None:
        self.door.objects[self.door.real("Articles")][tenant].pop(key, None)
        self.believed[tenant].pop(key, None)

    def run(
        self,
        wish: Wish = "migrate",
        *,
        encoder: Encoder | None = NEW,
        force: bool = False,
        clients_deleted: bool = False,
        keep_missing: bool = False,
        journal: type[MigrationJournal] | None = None,
        audit: Callable[[str], AuditReport] | None = None,
        tell: Callable[[str], None] = lambda sentence: None,
    ) -> MigrationState:
        """As the command does: plan if there is no journal, else go on."""
        time = Patience(clock=lambda: self.door.clock_ms / 1000, pause=self.door.pause)
        terms = Terms(
            CopyPace(patience=time), sample=8, force=force, clients_deleted=clients_deleted,
            keep_missing=keep_missing, audit=audit, tell=tell,
        )  # fmt: skip
        named = bool(self.door.pointers)
        wanted = Wanted("Articles" if named else "Article_old", OTHER_SPACE, "" if named else "Articles")
        with (journal or Hasty)(self.path) as opened:
            if opened.progress.state is MigrationState.NEW:
                found = plan_migration(wanted, "m1", self.door.schemas, self.door.pointers)
                opened.note("planned", plan=found.to_json())
            migration = Migration(**opened.progress.plan)
            old = self.door.schema(migration.old)
            schema = new_schema(old, migration, "http://new", "new") if old else None
            self.modules(migration.new, NEW)
            return Migrator(self.door, opened, schema=schema, encoder=encoder, terms=terms).run(wish)

    def run_through(self, wish: Wish = "migrate") -> MigrationState:
        """Again and again until it is not killed."""
        while True:
            try:
                return self.run(wish)
            except Killed:
                continue

    def check(self, name: str, encoder: Encoder) -> None:
        """The alias is *name*, which holds what clients believe and nothing else, each with its right vector."""
        assert self.door.pointers["Articles"] == name
        vector = f"e_{encoder.space_id[:12]}"
        for tenant, status in self.tenants.items():
            found = self.door.objects[name][tenant]
            assert {key: one.properties for key, one in found.items()} == {
                key: one.properties for key, one in self.believed[tenant].items()
            }
            for one in found.values():
                assert list(one.vectors) == [vector]
                assert (one.vectors[vector] == row(encoder, one.properties["text"])).all()
            if tenant:
                assert self.door.status[name][tenant] == status
