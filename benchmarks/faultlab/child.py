"""An import or a migration in a process of its own, which stops at each event until it is told to go on, or is killed.

    python -m faultlab.child '{"work": "import", ...}'

It writes "at EVENT" to stdout and waits for a line on stdin; at last it writes a JSON object of what became of it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

from samespace import Encoder
from samespace.errors import SamespaceError
from samespace_weaviate import ImportOptions, Passage, PinnedCollection, Store
from samespace_weaviate.access.address import Address
from samespace_weaviate.access.patience import Patience
from samespace_weaviate.audit import AuditOptions, AuditReport, audit
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
from samespace_weaviate.migration.progress import MigrationProgress


def stop_at(event: str) -> None:
    """Say where this process is, and wait."""
    sys.stdout.write(f"at {event}\n")
    sys.stdout.flush()
    sys.stdin.readline()


class Stopping(MigrationJournal):
    """A journal that stops when a state is reached."""

    def note(self, event: str, **facts: Any) -> MigrationProgress:
        before = self.progress.state
        found = super().note(event, **facts)
        if found.state is not before:
            stop_at(str(found.state))
        return found


def main() -> None:
    """Do what the argument says."""
    job = json.loads(sys.argv[1])
    first, *_ = members = [Address.parse(url, api_key=job["key"]) for url in job["nodes"]]
    known = tuple(members) if len(members) > 1 else ()
    try:
        with (
            Store.connect(first, members=known) as store,
            Encoder.connect(job["encoder"], timeout_ms=20_000) as encoder,
        ):
            told = _import(store, encoder, job) if job["work"] == "import" else _migrate(store, encoder, job)
    except SamespaceError as error:
        told = {"ok": False, "error": type(error).__name__, "message": str(error)[:300]}
    sys.stdout.write(json.dumps(told) + "\n")


def _import(store: Store, encoder: Encoder, job: dict[str, Any]) -> dict[str, Any]:
    passages = [Passage(str(key), text) for key, text in json.loads(Path(job["passages"]).read_text()).items()]
    done, stops = 0, list(job["stops"])

    def advance(count: int) -> None:
        nonlocal done
        done += count
        while stops and done >= stops[0]:
            stop_at(str(stops.pop(0)))

    collection = PinnedCollection.open(store, job["name"], encoder)
    options = ImportOptions(state=Path(job["state"]))
    report = collection.import_passages(passages, batch=100, options=options, progress=advance)
    return {"ok": report.clean, "error": "" if report.clean else "not clean", "message": " ".join(report.sentences())}


def _migrate(store: Store, encoder: Encoder, job: dict[str, Any]) -> dict[str, Any]:
    database = store.patient(Patience())

    def look(name: str) -> AuditReport:
        return audit(database, name, encoder, AuditOptions(sample=None))

    with Stopping(Path(job["state"])) as journal:
        if journal.progress.state is MigrationState.NEW:
            schemas = {name: database.schema(name) or {} for name in database.names()}
            wanted = Wanted(job["alias"], encoder.space_id)
            plan = plan_migration(wanted, uuid4().hex[:8], schemas, database.aliases())
            journal.note("planned", plan=plan.to_json())
        migration = Migration(**journal.progress.plan)
        old = database.schema(migration.old)
        schema = new_schema(old, migration, job["server"], "new") if old else None
        terms = Terms(sample=64, audit=look, settle_s=0.2)
        driver = Migrator(database, journal, schema=schema, encoder=encoder, terms=terms)
        driver.run("migrate")
        state = driver.run("finish")
    return {"ok": state is MigrationState.FINISHED, "error": "", "message": str(state)}


if __name__ == "__main__":
    main()
