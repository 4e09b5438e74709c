"""`samespace weaviate adopt`: find out who wrote a collection, and pin it where it is."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import click

from ..console import echo, progress, say, table, wrapped
from ..encoders import refuse_space_id
from .audit import open_for_audit, tell_cost
from .connection import NamedWeaviate, connection, require_rights, require_weaviate

if TYPE_CHECKING:
    from samespace_weaviate.adoption.run import CollectionLook


@click.command()
@click.argument("name")
@click.option(
    "--candidate",
    "candidates",
    multiple=True,
    required=True,
    metavar="ARTIFACT|SERVER|MODEL",
    help="Encoder that may have written it; may be repeated.",
)
@click.option(
    "--build", default="fp32", show_default=True, help="Build of an artifact that encodes; auto: the fastest."
)
@click.option("--sample", type=click.IntRange(min=1), default=200, show_default=True, help="Objects to read.")
@click.option(
    "--written-within",
    type=click.FloatRange(0.0, 1.0, min_open=True, max_open=True),
    default=2e-4,
    show_default=True,
    metavar="1-COS",
    help="Largest 1 - cos of the build that wrote the vectors to the exact one (int8: about 0.02).",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Random seed of the sample.")
@click.option("--dry-run", is_flag=True, help="Print what was found, and stop.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@connection
def adopt(
    name: str,
    candidates: tuple[str, ...],
    build: str,
    sample: int,
    written_within: float,
    seed: int,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    weaviate: NamedWeaviate,
) -> None:
    """Find out which encoder wrote a collection, and pin it where it is.

    For a collection that nobody pinned. Reads some objects from random places, encodes their texts with every candidate
    and in every likely way (properties, their order and names, prefix, lower case, cut or pooled), and says which one
    gives the stored vectors. Where one gives all of them, it adds a second, empty vector, whose settings keep the
    record: from then on `check`, `audit`, `search` and `repair` know the space, and Weaviate rejects vectors and
    queries that name no vector. Nothing is encoded anew, and tenants that are not active stay as they are.

    Exit code 1 if nothing could be pinned; with --dry-run, if it is not known who wrote it.

    \b
    Example:
      samespace weaviate adopt Article --candidate artifacts/minilm --candidate artifacts/e5 --dry-run
      samespace weaviate adopt Article --candidate artifacts/minilm
    """
    require_weaviate()
    from samespace_weaviate.adoption import run

    for each in candidates:
        refuse_space_id(each)
    with ExitStack() as stack:
        store = stack.enter_context(weaviate())
        if not dry_run:
            require_rights(store, "adopt", name)
        opened = [stack.enter_context(each) for each in map(partial(open_for_audit, build=build), candidates)]
        encoders = list({each.space_id: each for each in opened}.values())
        say(f"Reads up to {sample} objects; each candidate encodes some 200 to 4,000 texts that are made of them.")
        for encoder in encoders:
            tell_cost(encoder, f"up to {sample} objects, in up to 4,000 forms,")
        advance = stack.enter_context(progress("texts encoded", 0))
        found = run.look(
            store, name, encoders, sample=sample, written_within=written_within, seed=seed, progress=advance
        )
        _show(found, as_json)
        if dry_run and found.vectors and not any(each.doubt() for each in found.vectors):
            return
        if not found.adoptions:
            sys.exit(0 if found.pins and not found.vectors else 1)
        if dry_run:
            return
        if not yes:
            click.confirm("Adding the guard to a collection cannot be undone. Go on?", abort=True, err=True)
        for adopted in run.adopt(store, found).values():
            say(f"Vector {adopted.vector} is adopted into space {adopted.space}. Next: samespace weaviate audit {name}")


def _show(found: CollectionLook, as_json: bool) -> None:
    from samespace_weaviate.adoption import words

    if as_json:
        echo(json.dumps(words.to_json(found), indent=2))
        return
    for each in found.vectors:
        echo(table(words.HEAD, words.rows(each)))
    for sentence in words.sentences(found):
        echo(wrapped(sentence))
