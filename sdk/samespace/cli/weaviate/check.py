"""`samespace weaviate check`: compare the pins of collections with what they have to be."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...errors import BuildError, ExtraMissing, ServerUnavailable, WeaviateError
from ...providers.manifest import is_provider, read_provider
from ..console import echo, say, wrapped
from ..encoders import SPACE_ID, open_encoder, space_of, tell_probes
from .connection import NamedWeaviate, connection, require_weaviate

if TYPE_CHECKING:
    from samespace_weaviate import PinCheck, Store
    from samespace_weaviate.pinning.check import Inventory
    from samespace_weaviate.pinning.sameness import SpaceSide


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--encoder", metavar="ARTIFACT|SERVER|SPACE", help="Space that the collections must be pinned to.")
@click.option(
    "--encoder-url",
    default="",
    metavar="http://HOST:PORT",
    help="Encoder server's address as seen from this machine, if it differs from Weaviate's.",
)
@click.option("--offline", is_flag=True, help="Read schemas only; do not contact encoder servers.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@connection
def check(
    names: tuple[str, ...],
    encoder: str | None,
    encoder_url: str,
    offline: bool,
    as_json: bool,
    weaviate: NamedWeaviate,
) -> None:
    """Check the pins of collections; of all, if none is named.

    Reads the schemas, asks the servers behind the pins which spaces they serve, where they can be reached from here,
    and has Weaviate encode a text by each pin. With --encoder ARTIFACT or SERVER, the servers' vectors of new texts
    have to be that encoder's; without it, servers of one space are compared with each other. Each node (--node) is
    asked for its own copy of the schema, too. Changes nothing. Each finding is

    \b
      fine    as it should be
      drift   harmless, but not what samespace would write
      unsafe  nothing prevents mixing, or it cannot be seen
      broken  queries or writes go to another space now, or to nobody

    Exit code 1 if anything is unsafe or broken. Run it on a schedule: not every version of Weaviate keeps the
    settings of a vectorizer unchanged.

    \b
    Example:
      samespace weaviate check
      samespace weaviate check Article --encoder artifacts/pydoc
      samespace weaviate check --json | jq '.[] | select(.worst == "broken") | .collection'
    """
    require_weaviate()
    from samespace_weaviate import Severity
    from samespace_weaviate.pinning.check import check_all
    from samespace_weaviate.pinning.encoding import judge_encoding
    from samespace_weaviate.pinning.served import Servers

    space_id = space_of(encoder)[0] if encoder else None
    right = None if offline or not encoder else _right(encoder)
    servers = None if offline else Servers(encoder_url, ca=os.environ.get("SAMESPACE_CA", ""), right=right)
    with weaviate() as store:
        inventory = _inventory(store)
        if not inventory.whole and not names:
            if not inventory.schemas:
                raise WeaviateError(
                    "this key is not allowed to see any collection, so nothing could be checked; set WEAVIATE_API_KEY "
                    "to a key with the role samespace_reader (`samespace weaviate config --for rbac`)"
                )
            say("WARNING: this key may not see every collection; only those that it may see are checked.")
        encoding = None if offline else partial(judge_encoding, store)
        checks = check_all(inventory, names, space_id=space_id, servers=servers, encoding=encoding)
    if encoder and not offline and is_provider(encoder):
        checks = tuple(_probed(found, Path(encoder)) for found in checks)
    if as_json:
        echo(json.dumps([_as_json(found) for found in checks], indent=2))
    else:
        _print(checks)
    if any(found.worst >= Severity.UNSAFE for found in checks):
        sys.exit(1)


def _inventory(store: Store) -> Inventory:
    """What is there, as far as the key in use may see it."""
    from samespace_weaviate.pinning.check import Inventory
    from samespace_weaviate.pinning.views import read_views, unknown_nodes

    schemas = tuple(schema for name in store.names() if (schema := store.schema(name)) is not None)
    unknown, names = unknown_nodes(store), [str(schema["class"]) for schema in schemas]
    views = {each: replace(read_views(store, each), unknown=unknown) for each in names}
    return Inventory(schemas, store.aliases(), views, store.sees_all())


def _probed(found: PinCheck, folder: Path) -> PinCheck:
    """The same, with what the pinned provider answers to its probes now."""
    from samespace_weaviate import Severity
    from samespace_weaviate.pinning.pin import Finding

    from ...providers.door import ProviderDoor
    from ...providers.pin import check_provider

    manifest = read_provider(folder)
    door = ProviderDoor.of(manifest)
    tell_probes(manifest)
    try:
        now = check_provider(manifest, door)
        finding = (
            Finding(Severity.FINE, f"{manifest.name} gives the probes' vectors of {manifest.pinned_at}")
            if now.same
            else Finding(
                Severity.BROKEN,
                f"{manifest.name} drifted: it gives {now.told(manifest)}; see `samespace provider check {folder}`",
            )
        )
    except ServerUnavailable as error:
        finding = Finding(Severity.UNSAFE, f"{manifest.name} could not be asked: {error.reason}")
    return replace(found, findings=(*found.findings, finding))


def _right(name: str) -> SpaceSide | None:
    """The encoder called *name* as what servers are compared with; None for a space id, and where none runs here."""
    import numpy as np

    from samespace_weaviate.pinning.sameness import SpaceSide

    if SPACE_ID.fullmatch(name) or is_provider(name):
        return None
    try:
        encoder = open_encoder(name)
    except (BuildError, ExtraMissing) as error:
        say(f"Vectors are NOT compared: {error}")
        return None
    return SpaceSide(
        encoder.space_id, name, encoder.bound, lambda texts, role: np.asarray(encoder.encode(list(texts), role))
    )


def _print(checks: Sequence[PinCheck]) -> None:
    for found in checks:
        echo(f"{found.collection}: {found.worst.word}")
        for finding in sorted(found.findings, key=lambda each: -each.severity):
            echo(wrapped(finding.message, first=f"  {finding.severity.word:<7} "))
    if not checks:
        say("There are no collections.")


def _as_json(found: PinCheck) -> dict[str, object]:
    return {
        "collection": found.collection,
        "space": found.space,
        "worst": found.worst.word,
        "findings": [{"severity": each.severity.word, "message": each.message} for each in found.findings],
    }
