"""`samespace weaviate search`: search a pinned collection."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from ...errors import RequestInvalid
from ..console import echo, one_line, say
from ..encoders import open_encoder, space_of
from .connection import NamedWeaviate, connection, require_weaviate

if TYPE_CHECKING:
    from samespace_weaviate.collections.grouping import GroupBy

    from ...encoder import Encoder


@click.command()
@click.argument("name")
@click.argument("query")
@click.option("--encoder", metavar="ARTIFACT|SERVER|SPACE", help="Expected space [default: the pin's].")
@click.option("--limit", default=5, show_default=True, help="Number of results.")
@click.option("--by", type=click.Choice(["vector", "words", "hybrid"]), default="vector", show_default=True)
@click.option(
    "--group",
    type=click.Choice(["passage", "document"]),
    default="passage",
    show_default=True,
    help="document returns the best window of each document.",
)
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="PROPERTY=VALUE",
    help="Only objects with this value; may be repeated.",
)
@click.option("--tenant", default="", help="Tenant to search, in a multi-tenant collection.")
@connection
def search(
    name: str,
    query: str,
    encoder: str | None,
    limit: int,
    by: str,
    group: GroupBy,
    filters: tuple[str, ...],
    tenant: str,
    weaviate: NamedWeaviate,
) -> None:
    """Search a pinned collection, through Weaviate's own module.

    Prints each answer's cosine (or score) and id, and the beginning of its text. Where the vector has no module,
    --encoder has to name an artifact or a server that can encode the query.

    \b
    Example:
      samespace weaviate search Article "how do I flatten a list" --encoder artifacts/pydoc --limit 3
      samespace weaviate search Article "how do I flatten a list" --filter title=itertools --group document
    """
    require_weaviate()
    from samespace_weaviate import PinnedCollection
    from samespace_weaviate.pinning.conditions import read_conditions
    from samespace_weaviate.pinning.pin import find_pin

    with ExitStack() as stack:
        store = stack.enter_context(weaviate())
        schema = store.schema(name)
        if schema is None:
            raise RequestInvalid(field="NAME", reason=f"no collection {name}; there are: {', '.join(store.names())}")
        space_id = space_of(encoder)[0] if encoder else _only_space(schema, name)
        pin = find_pin(schema, space_id)
        opened: Encoder | str = space_id
        if encoder and encoder != space_id and pin is not None and pin.module == "none" and by != "words":
            opened = stack.enter_context(open_encoder(encoder))
        collection = PinnedCollection.open(store, name, opened)
        if tenant:
            collection = collection.of_tenant(tenant)
        ask = {"vector": collection.search, "words": collection.search_words, "hybrid": collection.search_hybrid}[by]
        hits = ask(query, limit, filters=store.equals(read_conditions(filters, schema)), group_by=group)
        text = collection.text_property
    if not hits:
        say("Nothing was found.")
    for hit in hits:
        similarity = collection.similarity(hit)
        measure = hit.score or 0.0 if similarity is None else similarity
        echo(f"{measure:.3f}  {hit.properties.get('passageId') or hit.uuid}")
        echo(f"       {one_line(str(hit.properties.get(text) or ''), indent=7)}")


def _only_space(schema: Mapping[str, Any], name: str) -> str:
    """The one space that a collection is pinned to, by its own account."""
    from samespace_weaviate.pinning.pin import read_pins

    spaces = [pin.space for pin in read_pins(schema)]
    if not spaces:
        raise RequestInvalid(
            field="NAME", reason=f"collection {name} has no pin; see `samespace weaviate check {name}`"
        )
    if len(spaces) > 1:
        have = ", ".join(spaces)
        raise RequestInvalid(field="--encoder", reason=f"collection {name} is pinned to {have}: say which is meant")
    return spaces[0]
