"""`samespace weaviate`: create, fill, search and check collections that are pinned to one space."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from ..errors import ConfigInvalid, RequestInvalid, WeaviateUnavailable
from .console import one_line, progress, say

if TYPE_CHECKING:
    from samespace_weaviate import Store

_SPACE_ID: Final = re.compile(r"[0-9a-f]{64}")
_Command = TypeVar("_Command", bound=Callable[..., Any])


@click.group()
def weaviate() -> None:
    """Create, fill, search and check pinned Weaviate collections.

    A pinned collection takes vectors of one space only: the vector is named after the space, and its vectorizer
    points at the one encoder that may be asked.

    \b
    Example:
      samespace serve artifacts/pydoc --http-port 8080 --grpc-port 8081
      samespace weaviate create Article --encoder artifacts/pydoc --server http://encoder:8080
      samespace weaviate import Article data/pydoc --encoder localhost:8081
      samespace weaviate search Article "how do I flatten a list" --encoder artifacts/pydoc
      samespace weaviate check
    """


def _connection(command: _Command) -> _Command:
    """The options that say which Weaviate is meant."""
    for option in (
        click.option(
            "--embedded",
            type=click.Path(path_type=Path, file_okay=False),
            help="Start a Weaviate for this command; its data stays in this folder.",
        ),
        click.option("--grpc-port", type=int, help="Weaviate's gRPC port; WEAVIATE_GRPC_PORT, else 50051."),
        click.option("--url", help="Weaviate's REST address; WEAVIATE_URL, else http://localhost:8080."),
    ):
        command = option(command)
    return command


@weaviate.command()
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
@click.option("--dry-run", is_flag=True, help="Print what would be done and stop.")
@click.option("--yes", is_flag=True, help="Do not ask before what cannot be undone.")
@_connection
def create(
    name: str,
    encoder: str,
    server: str,
    text_property: str,
    also: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    url: str | None,
    grpc_port: int | None,
    embedded: Path | None,
) -> None:
    """Make a collection pinned to one space, or add its vector to an existing one.

    Prints what it does. Doing it twice changes nothing; an existing vector whose settings differ is never touched;
    before a change of an existing collection, which cannot be undone, it asks.

    \b
    Example:
      samespace weaviate create Article --encoder artifacts/pydoc --server http://encoder:8080 --dry-run
      samespace weaviate create Article --encoder artifacts/pydoc --server http://encoder:8080
    """
    _require()
    from samespace_weaviate import CollectionSpec, carry_out, plan

    space_id, encoder_name = _space(encoder)
    spec = CollectionSpec(
        name=name,
        space_id=space_id,
        server=server,
        text_property=text_property,
        also_properties=also,
        encoder_name=encoder_name,
    )
    with _store(url, grpc_port, embedded) as store:
        todo = plan(spec, store.schema(spec.name))
        click.echo(str(todo))
        if dry_run:
            return
        if todo.cannot_be_undone and not todo.conflicts and not yes:
            click.confirm("This cannot be undone. Go on?", abort=True, err=True)
        carry_out(store, spec, todo)
        say(f"Collection {spec.name} is pinned to space {spec.space_id}, vector {spec.vector_name}.")


@weaviate.command(name="import")
@click.argument("name")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--encoder", required=True, metavar="ARTIFACT|SERVER", help="A running server (gRPC) or an artifact.")
@click.option("--batch", default=256, show_default=True, help="Objects of one write.")
@_connection
def import_data(
    name: str, data: Path, encoder: str, batch: int, url: str | None, grpc_port: int | None, embedded: Path | None
) -> None:
    """Encode passages and write them with their vectors.

    DATA is a BEIR folder or a JSONL file with "_id" (or "id"), "text" and perhaps "title" in each line. Ids of objects
    come from the passages, so importing again changes nothing. Exit code 1 if an object was not written.

    \b
    Example:
      samespace weaviate import Article data/pydoc --encoder localhost:8081
      samespace weaviate import Article passages.jsonl --encoder artifacts/pydoc
    """
    _require()
    from samespace_weaviate import PinnedCollection
    from samespace_weaviate.passages import count_passages, read_passages

    from .encoders import open_encoder

    if _SPACE_ID.fullmatch(encoder):
        raise RequestInvalid(field="--encoder", reason="a space id cannot encode; give an artifact or a server")
    total = count_passages(data)
    with ExitStack() as stack:
        running = stack.enter_context(open_encoder(encoder))
        store = stack.enter_context(_store(url, grpc_port, embedded))
        collection = PinnedCollection.open(store, name, running)
        advance = stack.enter_context(progress("import", total))
        report = collection.import_passages(read_passages(data), batch=batch, progress=advance)
    for sentence in report.sentences():
        say(sentence)
    if report.failed:
        sys.exit(1)


@weaviate.command()
@click.argument("name")
@click.argument("query")
@click.option("--encoder", metavar="ARTIFACT|SERVER|SPACE", help="Whose space is expected; else what the pin says.")
@click.option("--limit", default=5, show_default=True, help="How many answers.")
@click.option("--by", type=click.Choice(["vector", "words", "hybrid"]), default="vector", show_default=True)
@_connection
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
    _require()
    from samespace_weaviate import PinnedCollection

    with _store(url, grpc_port, embedded) as store:
        collection = PinnedCollection.open(store, name, _space(encoder)[0] if encoder else _only_space(store, name))
        ask = {"vector": collection.search, "words": collection.search_words, "hybrid": collection.search_hybrid}[by]
        hits = ask(query, limit)
        text = collection.text_property
    for hit in hits:
        measure = f"{1 - hit.distance:.3f}" if hit.distance is not None else f"{hit.score or 0:.3f}"
        click.echo(f"{measure}  {hit.properties.get('passageId') or hit.uuid}")
        click.echo(f"       {one_line(str(hit.properties.get(text) or ''), indent=7)}")


@weaviate.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--encoder", metavar="ARTIFACT|SERVER|SPACE", help="The space that the collections have to be pinned to.")
@_connection
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
    _require()
    from samespace_weaviate import Finding, PinCheck, Severity, check_pin

    space_id = _space(encoder)[0] if encoder else None
    checks: list[PinCheck] = []
    with _store(url, grpc_port, embedded) as store:
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


def _require() -> None:
    from ..extras import require_extra

    require_extra("weaviate", feature="samespace weaviate", modules=("weaviate", "grpc"))


@contextmanager
def _store(url: str | None, grpc_port: int | None, embedded: Path | None) -> Iterator[Store]:
    """The Weaviate that the options and the environment name."""
    from samespace_weaviate import Store
    from samespace_weaviate.discover import NoWeaviate, find_weaviate

    if url and embedded:
        raise ConfigInvalid(key="--url and --embedded", reason="give one of them")
    environment = dict(os.environ)
    environment["WEAVIATE_URL"] = url or environment.get("WEAVIATE_URL") or "http://localhost:8080"
    if grpc_port:
        environment["WEAVIATE_GRPC_PORT"] = str(grpc_port)
    found = find_weaviate("embedded" if embedded else "url", environment)
    if isinstance(found, NoWeaviate):
        raise WeaviateUnavailable(address="embedded" if embedded else "server", reason=found.reason)
    with Store.open(found, embedded) as store:
        yield store


def _space(text: str) -> tuple[str, str]:
    """(space id, display name) of whatever `open_encoder` takes, or of an id itself; loads no artifact's model."""
    from ..artifact import open_artifact
    from .encoders import open_encoder

    if _SPACE_ID.fullmatch(text):
        return text, ""
    if (Path(text) / "manifest.json").is_file():
        manifest = open_artifact(text).manifest
        return manifest.space_id, manifest.name
    with open_encoder(text) as encoder:
        return encoder.space_id, encoder.name


def _only_space(store: Store, name: str) -> str:
    """The one space that a collection is pinned to, by its own account."""
    from samespace_weaviate.pin import read_pins

    spaces = [pin.space for pin in read_pins(store.schema(name) or {})]
    if len(spaces) != 1:
        have = ", ".join(spaces) or "none"
        raise RequestInvalid(field="--encoder", reason=f"collection {name} is pinned to {have}: say which is meant")
    return spaces[0]
