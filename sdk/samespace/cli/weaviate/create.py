"""`samespace weaviate create`: make a pinned collection, or add a pinned vector."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..console import say
from .connection import connection, open_store, require_weaviate, space_of

if TYPE_CHECKING:
    from samespace_weaviate.spec import LongTextForm


@click.command()
@click.argument("name")
@click.option("--encoder", required=True, metavar="ARTIFACT|SERVER|SPACE", help="Whose space the collection is for.")
@click.option(
    "--server",
    required=True,
    envvar="SAMESPACE_SERVER",
    help="The encoder's HTTP address as Weaviate sees it, http://HOST:PORT; with a token in it: SAMESPACE_SERVER.",
)
@click.option("--property", "text_property", default="text", show_default=True, help="The property that is encoded.")
@click.option("--also-property", "also", multiple=True, help="A text property that is stored only; may be repeated.")
@click.option(
    "--long-texts",
    type=click.Choice(["windows", "multivector", "pool"]),
    default="windows",
    show_default=True,
    help="How texts beyond the token limit are stored: an object a window, a vector a window, or one vector.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be done and stop.")
@click.option("--yes", is_flag=True, help="Do not ask before what cannot be undone.")
@connection
def create(
    name: str,
    encoder: str,
    server: str,
    text_property: str,
    also: tuple[str, ...],
    long_texts: LongTextForm,
    dry_run: bool,
    yes: bool,
    url: str | None,
    grpc_port: int | None,
    embedded: Path | None,
) -> None:
    """Make a pinned collection, or add a pinned vector to one.

    Prints what it does. Doing it twice changes nothing; an existing vector whose settings differ is never touched;
    before a change of an existing collection, which cannot be undone, it asks.

    \b
    Example:
      samespace weaviate create Article --encoder artifacts/pydoc --server http://encoder:8080 --dry-run
      samespace weaviate create Article --encoder artifacts/pydoc --server http://encoder:8080
    """
    require_weaviate()
    from samespace_weaviate import CollectionSpec, carry_out, plan

    space_id, encoder_name = space_of(encoder)
    spec = CollectionSpec(
        name=name,
        space_id=space_id,
        server=server,
        text_property=text_property,
        also_properties=also,
        encoder_name=encoder_name,
        long_texts=long_texts,
    )
    with open_store(url, grpc_port, embedded) as store:
        todo = plan(spec, store.schema(spec.name))
        click.echo(str(todo))
        if dry_run:
            return
        if todo.cannot_be_undone and not todo.conflicts and not yes:
            click.confirm("This cannot be undone. Go on?", abort=True, err=True)
        carry_out(store, spec, todo)
        say(f"Collection {spec.name} is pinned to space {spec.space_id}, vector {spec.vector_name}.")
