"""`samespace weaviate adopt`: find out who wrote a collection, and pin it where it is."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from shlex import quote
from typing import TYPE_CHECKING, Final

import click

from ..console import echo, progress, say, table, wrapped
from ..encoders import refuse_space_id
from .audit import open_for_audit
from .connection import NamedWeaviate, connection, require_rights, require_weaviate

if TYPE_CHECKING:
    from samespace.encoder import Encoder
    from samespace_weaviate import Store
    from samespace_weaviate.adoption.findings import CollectionLook
    from samespace_weaviate.pinning.adopted import Adoption

_TEXTS, _SECONDS = 64, 2.0
"""Texts and seconds after which the pace is told."""
_A_MINUTE: Final = 90.0


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
@click.option(
    "--max-texts",
    type=click.IntRange(min=1),
    help="Texts that a candidate encodes for each vector, at most [default: 3,400, and 3 for each object and build].",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Random seed of the sample.")
@click.option("--dry-run", is_flag=True, help="Print what was found, and stop.")
@click.option("--partly", is_flag=True, help="Adopt what can be, although no other vector can be afterwards.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@connection
def adopt(
    name: str,
    candidates: tuple[str, ...],
    build: str,
    sample: int,
    written_within: float,
    max_texts: int | None,
    seed: int,
    dry_run: bool,
    partly: bool,
    yes: bool,
    as_json: bool,
    weaviate: NamedWeaviate,
) -> None:
    """Find out which encoder wrote a collection, and pin it where it is.

    For a collection that nobody pinned. Reads some objects from random places, encodes their texts with every candidate
    and in every likely way (properties, their order and names, prefix, lower case, cut or pooled), and says which one
    gives the stored vectors. Where one gives all of them, it adds a second, empty vector, whose settings keep the
    record: from then on `check`, `audit`, `search` and `repair` know the space, and Weaviate rejects vectors and
    queries that name no vector. Nothing is encoded anew. Tenants that are not active stay as they are; the record names
    them, because nothing is known of them.

    Exit code 1 if not all of it could be pinned (--partly: nothing); with --dry-run, if it is not known who wrote it.

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
        most = _tell_cost(store, name, encoders, sample, partial(_most_texts, sample, max_texts, written_within))
        advance = _telling_pace(stack.enter_context(progress("texts encoded", 0)), most)
        looked = partial(run.look, sample=sample, written_within=written_within, seed=seed, texts=max_texts)
        found = looked(store, name, encoders, progress=advance)
        _show(found, as_json)
        if dry_run and found.vectors and not any(each.doubt() for each in found.vectors):
            return
        if not found.adoptions:
            sys.exit(0 if found.pins and not found.vectors else 1)
        if dry_run:
            return
        run.require_adoptable(found, partly=partly)
        if not yes:
            click.confirm("Adding the guard to a collection cannot be undone. Go on?", abort=True, err=True)
        of_space = {encoder.space_id: given for encoder, given in zip(opened, candidates, strict=True)}
        for adopted in run.adopt(store, found, partly=partly).values():
            _tell_next(name, adopted, of_space[adopted.space], written_within, weaviate)


def _tell_next(name: str, adopted: Adoption, candidate: str, written_within: float, weaviate: NamedWeaviate) -> None:
    """What was done, and the line to run next, for the same Weaviate."""
    say(wrapped(f"Vector {adopted.vector} is adopted into space {adopted.space}."))
    encoder, where = quote(candidate), "".join(f" {quote(each)}" for each in weaviate.options())
    within = f"{written_within:g}{where}"
    say(f"Next: samespace weaviate audit {quote(name)} --encoder {encoder} --written-within {within}")


def _most_texts(sample: int, max_texts: int | None, written_within: float, encoder: Encoder) -> int:
    """Texts that *encoder* gets for each vector, at most."""
    from samespace_weaviate.adoption.search import builds_asked, most_texts

    return max_texts or most_texts(sample, builds=builds_asked(encoder, written_within))


def _tell_cost(
    store: Store, name: str, encoders: Sequence[Encoder], sample: int, texts_of: Callable[[Encoder], int]
) -> int:
    """Say what is read, encoded and sent at most, *texts_of* each encoder for each vector; how many texts in all."""
    from samespace_weaviate.adoption.run import vectors_without_pin
    from samespace_weaviate.pinning.spec import collection_name

    from ...providers.encoder import ProviderEncoder

    vectors = len(vectors_without_pin(store.schema(collection_name(name)) or {}))
    texts = {encoder: texts_of(encoder) * vectors for encoder in encoders}
    most = sum(texts.values())
    objects = "1 object" if sample == 1 else f"{sample:,} objects"
    say(wrapped(f"Reads up to {objects}, and encodes {most:,} texts at most that are made of them."))
    for encoder, each in texts.items():
        if isinstance(encoder, ProviderEncoder) and vectors:
            say(wrapped(f"Sends {each:,} of them at most to {encoder.door.address}. The provider bills them."))
    return most


def _telling_pace(advance: Callable[[int], None], most: int) -> Callable[[int], None]:
    """*advance*, and after the first texts a sentence of how long all would take."""
    done, began, told = 0, 0.0, False

    def counted(count: int) -> None:
        nonlocal done, began, told
        advance(count)
        now = time.monotonic()
        if not began:
            began = now  # the first texts have to wait for the encoder
            return
        done += count
        if not told and (done >= _TEXTS or now - began >= _SECONDS) and done:
            told = True
            rate = done / max(now - began, 1e-6)
            left, pieces = (most - done) / rate, f"{rate:.0f}" if rate >= 10 else f"{rate:.2g}"
            shown = f"{left:.0f} s" if left < _A_MINUTE else f"{left / 60:.0f} min"
            say(wrapped(f"{pieces} texts a second: {shown} at most; less where a recipe is found."))

    return counted


def _fitting(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; where the terminal is too narrow for it, a paragraph for each row."""
    wide = table(head, rows)
    if max(map(len, wide.splitlines())) <= shutil.get_terminal_size().columns:
        return wide
    return "\n".join(
        wrapped("; ".join(f"{name}: {cell}" for name, cell in zip(head, row, strict=True))) for row in rows
    )


def _show(found: CollectionLook, as_json: bool) -> None:
    from samespace_weaviate.adoption import words

    if as_json:
        echo(json.dumps(words.to_json(found), indent=2))
        return
    for each in found.vectors:
        echo(_fitting(words.HEAD, words.rows(each)))
    for sentence in words.sentences(found):
        echo(wrapped(sentence))
    for each in found.vectors:
        if strangers := words.strangers(each):
            echo(wrapped(f"Otherwise in {each.vector or 'the vector without a name'}, of those that were met:"))
            for line in strangers:
                echo(f"  {line}")
