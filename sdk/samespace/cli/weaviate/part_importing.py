"""`samespace weaviate import` of a folder that `samespace embed` made."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import RequestInvalid
from ..console import progress, say
from .connection import WeaviateNodes, open_store

if TYPE_CHECKING:
    from samespace_weaviate import Store


@dataclass(frozen=True, slots=True)
class PartOptions:
    """What was asked for on the command line."""

    tenant: str
    tenant_property: str
    batch: int
    writers: int
    state: Path | None
    engine: str
    workers: str | None
    address: str | None


@dataclass(frozen=True, slots=True)
class OpenStore:
    """Opens the Weaviate that the command names, in this process or in one of Ray's actors.

    Keys are not in it: each machine reads them from its own environment.
    """

    url: str | None
    grpc_port: int | None
    embedded: Path | None
    nodes: WeaviateNodes

    def __call__(self) -> AbstractContextManager[Store]:
        """A connection, closed at the end of the block."""
        return open_store(self.url, self.grpc_port, self.embedded, self.nodes)


def import_folder(name: str, data: tuple[str, ...], chosen: PartOptions, opened: OpenStore) -> None:
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
    if chosen.engine == "ray":
        from ...bulk.cluster import require_ray
        from ..serving.embed import cluster_of

        require_ray()
        if opened.embedded is not None:
            raise RequestInvalid(field="--embedded", reason="is of this process alone; workers need a --url")
        cluster = cluster_of(
            {"workers": chosen.workers, "address": chosen.address, "cores": 1, "gpus": 0.0, "device": "cpu"}
        )
    uri = data[0] if "://" in data[0] else str(Path(data[0]).absolute())
    folder = open_folder(uri)
    job = PartImport(folder, name, chosen.tenant, chosen.tenant_property, chosen.batch, chosen.writers)
    state = chosen.state or Path("-".join(filter(None, (name, folder.space_id[:12], "parts", chosen.tenant))))
    with progress("import", sum(folder.texts)) as advance:
        report = import_parts(job, opened, state=state, cluster=cluster, progress=advance)
    for sentence in report.sentences():
        say(sentence)
    if report.failed:
        say(f"All ids and reasons are in {state}.failures.jsonl; the same command again tries them again.")
    if not report.clean:
        sys.exit(1)
