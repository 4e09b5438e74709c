"""`samespace weaviate search`: search a pinned collection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...errors import RequestInvalid
from ..console import one_line
from .connection import connection, open_store, require_weaviate, space_of

if TYPE_CHECKING:
    from samespace_weaviate import Store


@click.command()
@click.argument("name")
@click.argument("query")
@click.option("--encoder", metavar="ARTIFACT|SERVER|SPACE", help="Whose space is expected; else what the pin says.")
@click.option("--limit", default=5, show_default=True, help="How many answers.")
@click.option("--by", type=click.Choice(["vector", "words", "hybrid"]), default="vector", show_default=True)
@connection
def search(
    name: str,
    query: str,
    encoder: str | None,
    limit: int,
    by: str,
    url: str | None,
    grpc_port: int | None,
    embedded: Path | None,
) -> None:
    """Search a pinned collection, through Weaviate's own module.

    Prints each answer's cosine (or score) and id, and the beginning of its text.

    \b
    Example:
      samespace weaviate search Article "how do I flatten a list" --encoder artifacts/pydoc --limit 3
    """
    require_weaviate()
    from samespace_weaviate import PinnedCollection

    with open_store(url, grpc_port, embedded) as store:
        collection = PinnedCollection.open(store, name, space_of(encoder)[0] if encoder else _only_space(store, name))
        ask = {"vector": collection.search, "words": collection.search_words, "hybrid": collection.search_hybrid}[by]
        hits = ask(query, limit)
        text = collection.text_property
    for hit in hits:
        measure = f"{1 - hit.distance:.3f}" if hit.distance is not None else f"{hit.score or 0:.3f}"
        click.echo(f"{measure}  {hit.properties.get('passageId') or hit.uuid}")
        click.echo(f"       {one_line(str(hit.properties.get(text) or ''), indent=7)}")


def _only_space(store: Store, name: str) -> str:
    """The one space that a collection is pinned to, by its own account."""
    from samespace_weaviate.pin import read_pins

    spaces = [pin.space for pin in read_pins(store.schema(name) or {})]
    if len(spaces) != 1:
        have = ", ".join(spaces) or "none"
        raise RequestInvalid(field="--encoder", reason=f"collection {name} is pinned to {have}: say which is meant")
    return spaces[0]
