"""`samespace weaviate import`: encode passages, or take what `samespace embed` made, and write both with vectors."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ...errors import RequestInvalid
from ..console import progress, say
from ..encoders import refuse_space_id
from ..options import gathered
from ..serving.embed import Workforce
from .connection import NamedWeaviate, connection, require_rights, require_weaviate

if TYPE_CHECKING:
    from samespace_weaviate import ImportReport


@dataclass(frozen=True, slots=True)
class Sizes:
    """--batch, --streams and --writers."""

    batch: int
    streams: int
    writers: int


def _fields(id_field: str, text_field: str, title_field: str) -> Mapping[str, str]:
    return {"id": id_field, "text": text_field, "title": title_field}


_field_options: Final = gathered(
    "fields",
    _fields,
    {
        "id_field": click.option("--id-field", default="", help='Field of the id [default: "_id" or "id"].'),
        "text_field": click.option("--text-field", default="", help='Field of the text [default: "text"].'),
        "title_field": click.option(
            "--title-field", default="", help='Field of the title, put before the text [default: "title"].'
        ),
    },
)
_size_options: Final = gathered(
    "sizes",
    Sizes,
    {
        "batch": click.option(
            "--batch", default=256, show_default=True, help="Passages per batch, and objects per write."
        ),
        "streams": click.option(
            "--streams", default=2, show_default=True, help="Batches encoded at a time by a server."
        ),
        "writers": click.option("--writers", default=2, show_default=True, help="Batches written at a time."),
    },
)
_workforce_options: Final = gathered(
    "workforce",
    partial(Workforce, cores=1, gpus=0.0),
    {
        "engine": click.option("--engine", type=click.Choice(["process", "ray"]), default="process", show_default=True),
        "workers": click.option(
            "--workers", metavar="MAX|MIN:MAX", help="With ray: number of actors that write [default: one per core]."
        ),
        "address": click.option(
            "--address", metavar="ADDRESS", help="With ray: address of a running cluster [default: start one here]."
        ),
    },
)


@click.command(name="import")
@click.argument("name")
@click.argument("data", nargs=-1, required=True)
@click.option(
    "--encoder",
    metavar="ARTIFACT|SERVER",
    help="Running server (gRPC), asked for the pinned space, or artifact; not for a folder of `samespace embed`.",
)
@_field_options
@click.option("--tenant", default="", help="Tenant of all objects; created if missing.")
@click.option("--tenant-property", default="", help="Field that names each object's tenant.")
@_size_options
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
@_workforce_options
@connection
def import_data(
    name: str,
    data: tuple[str, ...],
    encoder: str | None,
    fields: Mapping[str, str],
    tenant: str,
    tenant_property: str,
    sizes: Sizes,
    state: Path | None,
    retry_failed: Path | None,
    workforce: Workforce,
    weaviate: NamedWeaviate,
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
    if encoder is None:
        _require_passages(fields, retry_failed)
        chosen = PartOptions(tenant, tenant_property, sizes.batch, sizes.writers, state, workforce)
        import_folder(name, data, chosen, weaviate)
        return
    _require_process(workforce, encoder)
    from samespace_weaviate import ImportOptions, PinnedCollection
    from samespace_weaviate.importing.journal import read_failed_ids
    from samespace_weaviate.importing.pipeline import Crew
    from samespace_weaviate.importing.sources import Fields, count_passages, read_passages

    from .pinned import open_pinned

    with ExitStack() as stack:
        only = None if retry_failed is None else read_failed_ids(retry_failed)
        total = count_passages(*data) if only is None else len(only)
        store = stack.enter_context(weaviate())
        require_rights(store, "import", name, tenants=(tenant,) if tenant else ())
        running = stack.enter_context(open_pinned(encoder, store, name))
        whole = PinnedCollection.open(store, name, running)
        collection = whole.of_tenant(tenant) if tenant else whole
        state = state or Path("-".join(filter(None, (collection.name, running.space_id[:12], tenant))))
        options = ImportOptions(
            tenant_property=tenant_property, state=state, only=only, crew=Crew(sizes.streams, sizes.writers)
        )
        advance = stack.enter_context(progress("import", total))
        passages = read_passages(*data, fields=Fields(**fields))
        report = collection.import_passages(passages, batch=sizes.batch, options=options, progress=advance)
    tell(report, str(options.failures))


def _require_process(workforce: Workforce, encoder: str) -> None:
    """Raise `RequestInvalid` for an encoder that cannot encode, or that would have to in Ray's actors."""
    if workforce.engine == "ray":
        raise RequestInvalid(field="--engine", reason="ray writes what `samespace embed` made, without --encoder")
    refuse_space_id(encoder)


def _require_passages(fields: Mapping[str, str], retry_failed: Path | None) -> None:
    """Raise `RequestInvalid` for options that say how passages are read, where there are vectors already."""
    said = {"--retry-failed": retry_failed, "--id-field": fields["id"], "--text-field": fields["text"]}
    for option, given in said.items():
        if given:
            raise RequestInvalid(field=option, reason="is for files of passages, which need an --encoder")


# -- a folder that `samespace embed` made


@dataclass(frozen=True, slots=True)
class PartOptions:
    """What was asked for on the command line."""

    tenant: str
    tenant_property: str
    batch: int
    writers: int
    state: Path | None
    workforce: Workforce


def import_folder(name: str, data: tuple[str, ...], chosen: PartOptions, opened: NamedWeaviate) -> None:
    """Write the folder's vectors; exit code 1 if a passage was not written.

    Raises:
        RequestInvalid: *data* is no such folder, or options do not fit together.
    """
    from samespace_weaviate.collections.import_embedded import PartImport, import_parts
    from samespace_weaviate.importing.embedded import is_embedded, open_folder

    if len(data) != 1 or not is_embedded(data[0]):
        raise RequestInvalid(
            field="--encoder",
            reason=f"missing; without it DATA has to be one folder that samespace embed made, not {' '.join(data)}",
        )
    cluster = None
    if chosen.workforce.engine == "ray":
        from ...bulk.cluster import require_ray
        from ..serving.embed import cluster_of

        require_ray()
        if opened.embedded is not None:
            raise RequestInvalid(field="--embedded", reason="is of this process alone; workers need a --url")
        cluster = cluster_of(chosen.workforce, "cpu")
    uri = data[0] if "://" in data[0] else str(Path(data[0]).absolute())
    folder = open_folder(uri)
    job = PartImport(folder, name, chosen.tenant, chosen.tenant_property, chosen.batch, chosen.writers)
    state = chosen.state or Path("-".join(filter(None, (name, folder.space_id[:12], "parts", chosen.tenant))))
    with progress("import", sum(folder.texts)) as advance:
        report = import_parts(job, opened, state=state, cluster=cluster, progress=advance)
    tell(report, f"{state}.failures.jsonl")


def tell(report: ImportReport, failures: str) -> None:
    """What came of an import; exit code 1 where something was not written, or is not found."""
    for sentence in report.sentences():
        say(sentence)
    if report.failed:
        say(f"All ids and reasons are in {failures}; the same command again tries them again.")
    if not report.clean:
        sys.exit(1)
