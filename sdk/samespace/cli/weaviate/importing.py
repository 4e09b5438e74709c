"""`samespace weaviate import`: encode passages and write them with their vectors."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import click

from ...errors import RequestInvalid
from ..console import progress, say
from .connection import SPACE_ID, connection, open_store, require_weaviate


@click.command(name="import")
@click.argument("name")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--encoder", required=True, metavar="ARTIFACT|SERVER", help="A running server (gRPC) or an artifact.")
@click.option("--batch", default=256, show_default=True, help="Objects of one write.")
@connection
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
    require_weaviate()
    from samespace_weaviate import PinnedCollection
    from samespace_weaviate.passages import count_passages, read_passages

    from ..encoders import open_encoder

    if SPACE_ID.fullmatch(encoder):
        raise RequestInvalid(field="--encoder", reason="a space id cannot encode; give an artifact or a server")
    total = count_passages(data)
    with ExitStack() as stack:
        running = stack.enter_context(open_encoder(encoder))
        store = stack.enter_context(open_store(url, grpc_port, embedded))
        collection = PinnedCollection.open(store, name, running)
        advance = stack.enter_context(progress("import", total))
        report = collection.import_passages(read_passages(data), batch=batch, progress=advance)
    for sentence in report.sentences():
        say(sentence)
    if report.failed:
        sys.exit(1)
