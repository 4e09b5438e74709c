"""`samespace weaviate search`: search a pinned collection."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from ...api.named import open_reranker
from ...errors import RequestInvalid, short
from ...reranking.pipeline import Pipeline
from ..artifacts.pipeline import DEPTH
from ..console import echo, one_line, say
from ..encoders import open_encoder, space_of
from .connection import NamedWeaviate, connection, require_weaviate

if TYPE_CHECKING:
    from samespace_weaviate import PinnedCollection, Store
    from samespace_weaviate.access.values import Hit
    from samespace_weaviate.collections.grouping import GroupBy
    from samespace_weaviate.collections.reranking import RerankedHit

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
@click.option(
    "--rerank", metavar="ARTIFACT|SERVER", help="Reranker, or a server's host:port, that puts the results in order."
)
@click.option("--depth", type=click.IntRange(1), help=f"Results that the reranker reads.  [default: {DEPTH}]")
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
    rerank: str | None,
    depth: int | None,
    weaviate: NamedWeaviate,
) -> None:
    """Search a pinned collection, through Weaviate's own module.

    Prints each answer's cosine (or score) and id, and the beginning of its text. Where the vector has no module,
    --encoder has to name an artifact or a server that can encode the query.

    With --rerank more results are asked for, and a reranker reads each with the query. Then the score is the
    reranker's, the place in the search stands behind it, and the pipeline's id is told (see `samespace pipeline`).

    \b
    Example:
      samespace weaviate search Article "how do I flatten a list" --encoder artifacts/pydoc --limit 3
      samespace weaviate search Article "how do I flatten a list" --filter title=itertools --group document
      samespace weaviate search Article "how do I flatten a list" --rerank artifacts/reranker
    """
    require_weaviate()
    if depth is not None and rerank is None:
        raise click.UsageError("--depth is of a reranker: give --rerank too")
    from samespace_weaviate.collections.reranking import rerank as reranked
    from samespace_weaviate.pinning.conditions import read_conditions

    with ExitStack() as stack:
        reranker = None if rerank is None else stack.enter_context(open_reranker(rerank))
        store = stack.enter_context(weaviate())
        schema, space_id, collection = _opened(stack, store, name, encoder, by)
        if tenant:
            collection = collection.of_tenant(tenant)
        ask = {"vector": collection.search, "words": collection.search_words, "hybrid": collection.search_hybrid}[by]
        depth = max(limit, depth or DEPTH)
        conditions = store.equals(read_conditions(filters, schema))
        hits = ask(query, limit if reranker is None else depth, filters=conditions, group_by=group)
        if not hits:
            say("Nothing was found.")
        elif reranker is None:
            for hit in hits:
                _show(collection, hit, None)
        else:
            parts = Pipeline(space_id, reranker.reranker_id, by, depth)
            say(f"pipeline {parts.pipeline_id}: space {short(space_id)}, reranker {short(reranker.reranker_id)}")
            for each in reranked(reranker, query, hits, collection.text_property, limit=limit):
                _show(collection, each.hit, each)


def _opened(
    stack: ExitStack, store: Store, name: str, encoder: str | None, by: str
) -> tuple[Mapping[str, Any], str, PinnedCollection]:
    """(schema, space id, collection); an encoder is opened only where the vector has no module."""
    from samespace_weaviate import PinnedCollection
    from samespace_weaviate.pinning.pin import find_pin

    schema = store.schema(name)
    if schema is None:
        raise RequestInvalid(field="NAME", reason=f"no collection {name}; there are: {', '.join(store.names())}")
    space_id = space_of(encoder)[0] if encoder else _only_space(schema, name)
    pin = find_pin(schema, space_id)
    opened: Encoder | str = space_id
    if encoder and encoder != space_id and pin is not None and pin.module == "none" and by != "words":
        opened = stack.enter_context(open_encoder(encoder))
    return schema, space_id, PinnedCollection.open(store, name, opened)


def _show(collection: PinnedCollection, hit: Hit, reranked: RerankedHit | None) -> None:
    """One answer: its cosine or score, or the reranker's score and its place in the search."""
    similarity, behind = collection.similarity(hit), ""
    measure = hit.score or 0.0 if similarity is None else similarity
    if reranked is not None:
        measure, behind = reranked.score, f"  (found at {reranked.found_at})"
    echo(f"{measure:.3f}  {hit.properties.get('passageId') or hit.uuid}{behind}")
    echo(f"       {one_line(str(hit.properties.get(collection.text_property) or ''), indent=7)}")


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
