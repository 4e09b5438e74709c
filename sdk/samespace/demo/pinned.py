"""The Weaviate step of the quickstart: a pinned collection is filled, searched, and defended against another space."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Protocol

from samespace_weaviate import CollectionSpec, PinnedCollection, Store, create
from samespace_weaviate.access.address import NoWeaviate, find_weaviate
from samespace_weaviate.importing.sources import count_passages, read_passages
from samespace_weaviate.pinning.pin import read_pins

from ..encoder import Encoder
from ..errors import DataInvalid, WeaviateError
from ..progress import Advance
from ..vectors import Vectors
from .server_process import RunningServer
from .tour import show_refusals

COLLECTION: Final = "SamespaceQuickstart"
_HITS: Final = 3


class Steps(Protocol):
    """Where the step is told to."""

    def say(self, sentence: str) -> None:
        """Show one sentence."""

    @property
    def console(self) -> _Bars:
        """Where progress is shown."""


class _Bars(Protocol):
    def progress(self, label: str, total: int) -> AbstractContextManager[Advance]: ...


def pinned_collection(
    steps: Steps,
    mode: str,
    state: Path,
    server: RunningServer,
    reach_host: str,
    data: Path,
    foreign: Vectors,
    examples: tuple[str, ...],
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Create, import, search and try to mix; the examples' hits, or none where there is no Weaviate.

    Args:
        mode: "auto", "url", "embedded" or "off", as `find_weaviate` takes it.
        state: folder of an embedded Weaviate's data.
        reach_host: how Weaviate reaches this machine.
        foreign: vectors of another space of the same dims.

    Raises:
        WeaviateError: the collection's name is taken, or something of another space was let in.
        DataInvalid: objects were not written.
    """
    where = find_weaviate(mode, os.environ)  # type: ignore[arg-type]
    if isinstance(where, NoWeaviate):
        steps.say(f"No Weaviate: {where}. Going on with exact local search over the same vectors.")
        return ()
    with Store.open(where, state) as store, Encoder.connect(server.grpc) as encoder:
        steps.say(f"{where}, version {store.version}.")
        collection = _filled(steps, store, encoder, f"http://{reach_host}:{server.ready['http_port']}", data)
        found = tuple(
            (query, tuple(str(hit.properties[collection.text_property]) for hit in collection.search(query, _HITS)))
            for query in examples
        )
        steps.say("near_text works through Weaviate's module. Now another encoder of the same dims tries:")
        for refusal in show_refusals(store, collection, server.http, foreign):
            steps.say(f"- {refusal.attempt}: refused by {refusal.by}\n        {refusal.message}")
        return found


def _filled(steps: Steps, store: Store, encoder: Encoder, address: str, data: Path) -> PinnedCollection:
    if (schema := store.schema(COLLECTION)) is not None:
        if not read_pins(schema):
            raise WeaviateError(f"collection {COLLECTION} is not a quickstart's; rename or remove it")
        steps.say(f"Removing collection {COLLECTION} of an earlier quickstart.")
        store.delete_collection(COLLECTION)
    spec = CollectionSpec(COLLECTION, encoder.space_id, address, encoder_name=encoder.name)
    create(store, spec)
    steps.say(f"Collection {COLLECTION}: vector {spec.vector_name}, encoder {spec.inference_url}")
    collection = PinnedCollection.open(store, COLLECTION, encoder)
    with steps.console.progress("objects", count_passages(data)) as advance:
        report = collection.import_passages(read_passages(data), progress=advance)
    for sentence in report.sentences():
        steps.say(sentence)
    if report.failed:
        raise DataInvalid(path=str(data), reason=f"{len(report.failed)} objects were not written")
    return collection
