"""`samespace.weaviate`: what `samespace weaviate` does, as functions. Needs the extra `weaviate`.

with samespace.weaviate.connect("http://localhost:8080") as store:
    samespace.weaviate.create(store, samespace.weaviate.CollectionSpec("Article", space_id, "http://encoder:8080"))
    articles = samespace.weaviate.open_collection(store, "Article", "localhost:8081")

These are the plugin's own (`samespace_weaviate`), under one name; the plugin's rooms have the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from samespace_weaviate import (
    CollectionSpec,
    ImportReport,
    Passage,
    PinCheck,
    PinnedCollection,
    Plan,
    Store,
    apply,
    check_pin,
    create,
    plan,
    read_collections,
)
from samespace_weaviate.access.address import Address

from ..extras import require_extra

if TYPE_CHECKING:
    from ..encoder import Encoder

__all__ = [
    "CollectionSpec", "ImportReport", "Passage", "PinCheck", "PinnedCollection", "Plan", "Store", "apply", "check_pin",
    "connect", "create", "open_collection", "plan", "read_collections",
]  # fmt: skip


def connect(address: Address | str = "http://localhost:8080") -> Store:
    """A Weaviate that runs, to be closed or used in a `with`.

    Raises:
        ExtraMissing: without the extra `weaviate`.
        WeaviateUnavailable: nothing answers there.
    """
    require_extra("weaviate", feature="samespace.weaviate", modules=("weaviate", "grpc", "httpx"))
    return Store.connect(address)


def open_collection(store: Store, name: str, encoder: Encoder | str) -> PinnedCollection:
    """The pinned collection *name*, for an encoder, or for what names one: an artifact, host:port, a space's id.

    Raises:
        SpaceMismatch: it is pinned to another space.
        PinBroken: it is not there, or its pin does not hold.
    """
    from .named import SPACE_ID, open_encoder

    named = isinstance(encoder, str) and not SPACE_ID.fullmatch(encoder)
    return PinnedCollection.open(store, name, open_encoder(str(encoder)) if named else encoder)
