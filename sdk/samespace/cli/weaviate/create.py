"""`samespace weaviate create`: make a pinned collection, or add a pinned vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ..console import echo, say
from ..encoders import space_of
from .connection import NamedWeaviate, connection, require_rights, require_weaviate

if TYPE_CHECKING:
    from samespace_weaviate import CollectionSpec, Store
    from samespace_weaviate.pinning.index import IndexKind, Quantizer
    from samespace_weaviate.pinning.spec import LongTextForm, Route


@click.command()
@click.argument("name")
@click.option(
    "--encoder", required=True, metavar="ARTIFACT|SERVER|SPACE", help="Encoder whose space the collection is pinned to."
)
@click.option(
    "--server",
    default="",
    envvar="SAMESPACE_SERVER",
    help="Encoder's HTTP address as seen by Weaviate, http://HOST:PORT; use SAMESPACE_SERVER if it holds a token.",
)
@click.option(
    "--route",
    type=click.Choice(["transformers", "cohere", "none"]),
    default="transformers",
    show_default=True,
    help="Who encodes objects and queries without a vector: a module of Weaviate (cohere is batched, but "
    "easily redirected) or nobody.",
)
@click.option("--property", "text_property", default="text", show_default=True, help="Property that is encoded.")
@click.option(
    "--also-property", "also", multiple=True, help="Further text property, stored but not encoded; may be repeated."
)
@click.option(
    "--exact-property", "exact", multiple=True, help="The same, but filters compare it as a whole; may be repeated."
)
@click.option(
    "--long-texts",
    type=click.Choice(["windows", "multivector", "pool"]),
    default="windows",
    show_default=True,
    help="How texts beyond the token limit are stored: one object per window, one vector per window, or "
    "one pooled vector.",
)
@click.option(
    "--index",
    type=click.Choice(["hnsw", "flat", "dynamic"]),
    default="hnsw",
    show_default=True,
    help="Kind of vector index.",
)
@click.option(
    "--quantizer",
    type=click.Choice(["none", "rq", "bq", "sq"]),
    help="Vector compression [default: Weaviate's environment].",
)
@click.option("--multi-tenant", is_flag=True, help="Make a multi-tenant collection.")
@click.option("--replicas", type=click.IntRange(min=1), help="Replication factor [default: Weaviate's].")
@click.option(
    "--guard/--no-guard",
    default=True,
    show_default=True,
    help="Add an empty second vector, so that Weaviate rejects vectors and queries that name no vector.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@connection
def create(
    name: str,
    encoder: str,
    server: str,
    text_property: str,
    also: tuple[str, ...],
    exact: tuple[str, ...],
    long_texts: LongTextForm,
    route: Route,
    index: IndexKind,
    quantizer: Quantizer | None,
    multi_tenant: bool,
    replicas: int | None,
    guard: bool,
    dry_run: bool,
    yes: bool,
    weaviate: NamedWeaviate,
) -> None:
    """Make a pinned collection, or add a pinned vector to one.

    Prints what it is going to do. Doing it twice changes nothing; an existing vector whose settings differ is never
    touched; before a change of an existing collection, which cannot be undone, it asks.

    \b
    Example:
      samespace weaviate create Article --encoder artifacts/pydoc --server http://encoder:8080 --dry-run
      samespace weaviate create Article --encoder artifacts/pydoc --server http://encoder:8080
    """
    require_weaviate()
    from samespace_weaviate import CollectionSpec
    from samespace_weaviate.pinning.index import Index

    space_id, encoder_name = space_of(encoder)
    spec = CollectionSpec(
        name=name,
        space_id=space_id,
        server=server,
        text_property=text_property,
        also_properties=also,
        exact_properties=exact,
        encoder_name=encoder_name,
        long_texts=long_texts,
        route=route,
        index=Index(index, quantizer or ""),
        multi_tenant=multi_tenant,
        replicas=replicas or 0,
        guard=guard,
    )
    with weaviate() as store:
        if not dry_run:
            require_rights(store, "create", spec.name)
        make(store, [spec], dry_run=dry_run, yes=yes)


def make(store: Store, specs: Sequence[CollectionSpec], *, dry_run: bool, yes: bool) -> None:
    """Print the plan, ask where it cannot be undone, and carry it out.

    Raises:
        PinBroken: a collection is there with other settings; nothing was done.
    """
    from samespace_weaviate.collections.specfile import apply, plan_all

    todo = plan_all(store, specs)
    if not dry_run and any(one.conflicts for one in todo):
        apply(store, specs)  # raises, and says all that the plan would say
    for spec, one in zip(specs, todo, strict=True):
        echo(str(one) if one.actions and not one.conflicts else f"{spec.name}: {one}")
        for warning in spec.warnings():
            say(f"WARNING: {warning}")
    if dry_run:
        return
    if any(one.cannot_be_undone for one in todo) and not yes:
        click.confirm("Adding to a collection that exists cannot be undone. Go on?", abort=True, err=True)
    apply(store, specs)
    for spec in specs:
        say(f"Collection {spec.name} is pinned to space {spec.space_id}, vector {spec.vector_name}.")
        _say_if_unreachable(store, spec)


def _say_if_unreachable(store: Store, spec: CollectionSpec) -> None:
    """Whether the pin works is known only when Weaviate asks its server."""
    from samespace_weaviate.pinning.encoding import CannotEncode, has_encoded

    if spec.module == "none":
        return
    try:
        has_encoded(store, spec.name, spec.vector_name)
    except CannotEncode as error:
        say(f"WARNING: queries by text fail for now: {error.reason}")
