"""`samespace weaviate import` of a folder that `samespace embed` made."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import RequestInvalid
from ..console import progress, say
from .connection import NamedWeaviate

if TYPE_CHECKING:
    from samespace_weaviate import ImportReport

    from ..serving.embed import Workforce


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
