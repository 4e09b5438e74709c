"""`samespace weaviate apply`: make the collections that a file describes."""

from __future__ import annotations

from pathlib import Path

import click

from ..encoders import space_of
from .connection import NamedWeaviate, connection, require_rights, require_weaviate
from .create import make


@click.command(name="apply")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--server",
    default="",
    envvar="SAMESPACE_SERVER",
    help="Encoder's address as seen by Weaviate, for collections that name none; use SAMESPACE_SERVER if "
    "it holds a token.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@connection
def apply_file(file: Path, server: str, dry_run: bool, yes: bool, weaviate: NamedWeaviate) -> None:
    """Make or complete the collections of a YAML or JSON file.

    FILE holds one collection, or a list `collections`. Its keys are the options of `create`: name, encoder, server,
    property, id_property, also_properties, exact_properties, long_texts, route, index, quantizer, multi_tenant,
    replicas, guard. Doing it twice changes nothing; if one collection cannot be made as described, nothing is done
    for any.

    \b
    Example:
      samespace weaviate apply collections.yaml --dry-run
      samespace weaviate apply collections.yaml

    \b
    collections.yaml:
      server: http://encoder:8080
      encoder: artifacts/pydoc
      collections:
        - name: Article
        - name: Ticket
          property: body
          also_properties: [subject]
    """
    require_weaviate()
    from samespace_weaviate.collections.specfile import read_collections

    specs = read_collections(file, space_of=space_of, server=server)
    with weaviate() as store:
        if not dry_run:
            require_rights(store, "apply", *(spec.name for spec in specs))
        make(store, specs, dry_run=dry_run, yes=yes)
