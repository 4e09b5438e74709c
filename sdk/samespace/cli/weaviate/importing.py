"""`samespace weaviate import`: encode passages and write them with their vectors."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import click

from ...errors import RequestInvalid
from ..console import progress, say
from ..encoders import SPACE_ID
from .connection import WeaviateNodes, connection, open_store, require_rights, require_weaviate


@click.command(name="import")
@click.argument("name")
@click.argument("data", nargs=-1, required=True)
@click.option(
    "--encoder",
    metavar="ARTIFACT|SERVER",
    help="Running server (gRPC) or artifact; not needed for a folder of `samespace embed`.",
)
@click.option("--id-field", default="", help='Field of the id [default: "_id" or "id"].')
@click.option("--text-field", default="", help='Field of the text [default: "text"].')
@click.option("--title-field", default="", help='Field of the title, put before the text [default: "title"].')
@click.option("--tenant", default="", help="Tenant of all objects; created if missing.")
@click.option("--tenant-property", default="", help="Field that names each object's tenant.")
@click.option("--batch", default=256, show_default=True, help="Passages per batch, and objects per write.")
@click.option("--streams", default=2, show_default=True, help="Batches encoded at a time by a server.")
@click.option("--writers", default=2, show_default=True, help="Batches written at a time.")
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    help="Path prefix of the .journal and .failures.jsonl files [default: NAME-SPACE in this folder].",
)
@click.option(
    "--retry-failed",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Import only the passages listed in this file, written by an earlier import.",
)
@click.option("--engine", type=click.Choice(["process", "ray"]), default="process", show_default=True)
@click.option("--workers", metavar="MAX|MIN:MAX", help="With ray: number of actors that write [default: one per core].")
@click.option("--address", metavar="ADDRESS", help="With ray: address of a running cluster [default: start one here].")
@connection
def import_data(
    name: str,
    data: tuple[str, ...],
    encoder: str | None,
    id_field: str,
    text_field: str,
    title_field: str,
    tenant: str,
    tenant_property: str,
    batch: int,
    streams: int,
    writers: int,
    state: Path | None,
    retry_failed: Path | None,
    engine: str,
    workers: str | None,
    address: str | None,
    url: str | None,
    grpc_port: int | None,
    embedded: Path | None,
) -> None:
    """Encode passages and write them with their vectors.

    DATA are files of passages (.jsonl, .csv, .tsv, .parquet) or BEIR folders. Each passage has an "_id" (or "id"), a
    "text" and perhaps a "title"; other fields are stored where the collection has a property of that name. Ids of
    objects come from the passages, so importing again changes nothing, and what was interrupted goes on where it was.
    Or DATA is a folder that `samespace embed` made, here or at a URI: its vectors are written, by many workers with
    --engine ray, if the collection is pinned to their space.

    Exit code 1 if a passage was not written; ids and reasons are in STATE.failures.jsonl, and the same command again
    tries them again.

    \b
    Example:
      samespace weaviate import Article data/pydoc --encoder localhost:8081
      samespace weaviate import Article a.parquet b.csv --encoder localhost:8081 --id-field key --text-field body
      samespace weaviate import Article s3://bucket/vectors --engine ray --address auto --workers 16
    """
    require_weaviate()
    for option, value in (("--batch", batch), ("--streams", streams), ("--writers", writers)):
        if value < 1:
            raise RequestInvalid(field=option, reason=f"{value}; expected 1 or more")
    if encoder is None:
        from .part_importing import OpenStore, PartOptions, import_folder

        for option, given in (("--retry-failed", retry_failed), ("--id-field", id_field), ("--text-field", text_field)):
            if given:
                raise RequestInvalid(field=option, reason="is for files of passages, which need an --encoder")
        chosen = PartOptions(tenant, tenant_property, batch, writers, state, engine, workers, address)
        import_folder(name, data, chosen, OpenStore(url, grpc_port, embedded, WeaviateNodes.of_command()))
        return
    if engine == "ray":
        raise RequestInvalid(field="--engine", reason="ray writes what `samespace embed` made, without --encoder")
    from samespace_weaviate import ImportOptions, PinnedCollection
    from samespace_weaviate.importing.journal import read_failed_ids
    from samespace_weaviate.importing.pipeline import Crew
    from samespace_weaviate.importing.sources import Fields, count_passages, read_passages

    from ..encoders import open_encoder

    if SPACE_ID.fullmatch(encoder):
        raise RequestInvalid(field="--encoder", reason="a space id cannot encode; give an artifact or a server")
    only = None if retry_failed is None else read_failed_ids(retry_failed)
    total = count_passages(*data) if only is None else len(only)
    with ExitStack() as stack:
        running = stack.enter_context(open_encoder(encoder))
        store = stack.enter_context(open_store(url, grpc_port, embedded))
        require_rights(store, "import", name)
        collection = PinnedCollection.open(store, name, running)
        if tenant:
            collection = collection.of_tenant(tenant)
        options = ImportOptions(
            tenant_property=tenant_property,
            state=state or Path("-".join(filter(None, (collection.name, running.space_id[:12], tenant)))),
            only=only,
            crew=Crew(encoders=streams, writers=writers),
        )
        advance = stack.enter_context(progress("import", total))
        passages = read_passages(*data, fields=Fields(id_field, text_field, title_field))
        report = collection.import_passages(passages, batch=batch, options=options, progress=advance)
    for sentence in report.sentences():
        say(sentence)
    if report.failed:
        say(f"All ids and reasons are in {options.failures}; the same command again tries them again.")
    if not report.clean:
        sys.exit(1)
