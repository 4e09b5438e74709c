"""`samespace weaviate repair`: mend what an audit names, and prove it by another audit."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from uuid import UUID

import click

from ...errors import short
from ..console import echo, say, wrapped
from ..encoders import refuse_space_id
from .audit import open_for_audit, progress_lines
from .connection import NamedWeaviate, connection, require_rights, require_weaviate
from .pinned import open_pinned


@click.command()
@click.argument("name")
@click.option("--encoder", required=True, metavar="ARTIFACT|SERVER", help="Encoder of the pinned space.")
@click.option(
    "--build", default="fp32", show_default=True, help="Build of an artifact that encodes; auto: the fastest."
)
@click.option("--tenant", "tenants", multiple=True, help="Only this tenant; may be repeated.")
@click.option(
    "--journal",
    "journal_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File that remembers what is repaired [default: NAME-SPACE.repair in this folder].",
)
@click.option("--dry-run", is_flag=True, help="Audit, print what would be repaired, and stop.")
@connection
def repair(
    name: str,
    encoder: str,
    build: str,
    tenants: tuple[str, ...],
    journal_path: Path | None,
    dry_run: bool,
    weaviate: NamedWeaviate,
) -> None:
    """Mend wrong, missing and unsearchable vectors.

    Audits every object, encodes wrong and missing vectors again, writes unsearchable ones into the index again, and
    audits once more. Objects that the audit does not name stay as they are. Killed at any time, the same command goes
    on where it was. Exit code 1 if anything is wrong afterwards; with --dry-run, if anything is wrong.

    \b
    Example:
      samespace weaviate repair Article --encoder artifacts/pydoc --dry-run
      samespace weaviate repair Article --encoder artifacts/pydoc
    """
    require_weaviate()
    from samespace_weaviate.audit import AuditOptions
    from samespace_weaviate.audit.words import verdict
    from samespace_weaviate.pinning.spec import collection_name
    from samespace_weaviate.repair.journal import RepairJournal
    from samespace_weaviate.repair.mend import repair as run

    refuse_space_id(encoder)
    with ExitStack() as stack:
        store = stack.enter_context(weaviate())
        require_rights(store, "repair", name, tenants=tenants)
        running = stack.enter_context(open_pinned(encoder, store, name, otherwise=partial(open_for_audit, build=build)))
        path = journal_path or Path(f"{collection_name(name)}-{short(running.space_id)}.repair")
        journal = stack.enter_context(RepairJournal(path, collection_name(name), running.space_id))
        options = AuditOptions(sample=None, tenants=tenants)
        report = run(store, name, running, journal, options, dry_run=dry_run, progress=progress_lines())
    if (report.after is not None and not dry_run) or not journal.mends:
        path.unlink(missing_ok=True)  # the repair is over; the next one begins with an audit of its own
    for sentence in report.reconciled.sentences() if report.reconciled else ():
        echo(wrapped(sentence))
    if report.after is None and report.reconciled is not None and not report.reconciled.alike:
        echo("Vectors are audited when all replicas hold the same.")
        sys.exit(1)
    for kind, count in sorted(report.named.items(), key=lambda pair: -pair[1]):
        echo(wrapped(f"{count} {kind.words}."))
    if dry_run:
        echo(f"{sum(report.named.values())} objects would be repaired; nothing was written.")
        echo(wrapped(f"Audited: {verdict(report.after)}" if report.after else ""))
        sys.exit(0 if report.clean else 1)
    assert report.after is not None
    echo(f"{report.mended} objects mended." + (f" {report.gone} are gone." if report.gone else ""))
    echo(wrapped(f"Audited again: {verdict(report.after)}"))
    if report.stale:
        echo(wrapped(_left_behind(report.stale)))
    if not report.clean:
        say("What is left is named by `samespace weaviate audit`.")
        sys.exit(1)


def _left_behind(stale: Sequence[UUID]) -> str:
    return (
        f"Clients edited {len(stale)} objects in the moment when they were written, and a vector of another encoder is "
        f"that of the text before; the first {stale[0]}. Run repair with that encoder, too."
    )
