"""`samespace weaviate check`: compare the pins of collections with what they have to be."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..console import say
from .connection import connection, open_store, require_weaviate, space_of


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--encoder", metavar="ARTIFACT|SERVER|SPACE", help="The space that the collections have to be pinned to.")
@connection
def check(
    names: tuple[str, ...], encoder: str | None, url: str | None, grpc_port: int | None, embedded: Path | None
) -> None:
    """Check the pins of collections; of all, if none is named.

    Each finding is fine, drift (harmless), unsafe (nothing prevents mixing) or broken (another space is in use now).
    Exit code 1 if anything is unsafe or broken. Run it on a schedule: not every version of Weaviate keeps the
    settings of a vectorizer unchanged.

    \b
    Example:
      samespace weaviate check Article --encoder artifacts/pydoc
    """
    require_weaviate()
    from samespace_weaviate import Finding, PinCheck, Severity, check_pin

    space_id = space_of(encoder)[0] if encoder else None
    checks: list[PinCheck] = []
    with open_store(url, grpc_port, embedded) as store:
        for name in names or store.names():
            schema = store.schema(name)
            if schema is None:
                checks.append(PinCheck(name, "", (Finding(Severity.BROKEN, "no such collection"),)))
            else:
                checks.append(check_pin(schema, space_id))
    for found in checks:
        click.echo(f"{found.collection}: {found.worst.word}")
        for finding in found.findings:
            click.echo(f"  {finding.severity.word:<7} {finding.message}")
    if not checks:
        say("There are no collections.")
    if any(found.worst >= Severity.UNSAFE for found in checks):
        sys.exit(1)
