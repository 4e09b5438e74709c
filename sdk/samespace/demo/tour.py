"""Shows, against the running Weaviate and encoder server, that another space of the same dims is kept out.

Each attempt is really made, and has to be refused; one that is not raises `NotRefused`. What no attempt here can
show, because Weaviate cannot refuse it: a client that writes a foreign vector of the right length under the *right*
name. Whoever does that has to lie about the space; the SDK's `Vectors` do not let it happen by mistake, and
re-encoding a sample of the objects finds it afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from samespace.errors import PinBroken, ServerUnavailable, SpaceMismatch, WeaviateError, short
from samespace.vectors import Vectors
from samespace.web import WebClient, WebOptions
from samespace_weaviate.access.client import Store
from samespace_weaviate.access.values import StoredObject, object_uuid
from samespace_weaviate.collections.collection import PinnedCollection, create
from samespace_weaviate.pinning.pin import Severity, check_pin
from samespace_weaviate.pinning.spec import CollectionSpec, vector_name

_TIMEOUT_S = 10


class NotRefused(WeaviateError):
    """An attempt to use another space went through."""

    def __init__(self, *, attempt: str, pinned: str, other: str) -> None:
        self.attempt, self.pinned, self.other = attempt, pinned, other
        super().__init__(f"{attempt}: was NOT refused, although the collection is pinned to {pinned}, not to {other}")


@dataclass(frozen=True, slots=True)
class Refusal:
    """One attempt, who refused it, and the message that a user sees."""

    attempt: str
    by: str
    message: str


def show_refusals(store: Store, collection: PinnedCollection, server: str, other: Vectors) -> tuple[Refusal, ...]:
    """Try to write and query *collection* with the space of *other*, by every door, and return the refusals.

    Args:
        store: the Weaviate that holds the collection.
        collection: pinned to the right space; nothing in it is changed.
        server: HTTP address of the encoder server, as this machine reaches it; it must not serve the other space.
        other: at least one vector of another space, of the same dims.

    Raises:
        NotRefused: something went through.
    """
    name, pinned, foreign = collection.name, collection.space_id, other.space_id
    if pinned == foreign:
        raise SpaceMismatch(expected="another space", found=foreign, where="show_refusals")
    row, wrong = np.asarray(other.__array__())[0], vector_name(foreign)
    stray = StoredObject(object_uuid(name, "samespace tour"), {collection.text_property: "of another space"}, row)

    def refused(attempt: str, by: str, action: Callable[[], object]) -> Refusal:
        try:
            action()
        except (WeaviateError, SpaceMismatch) as error:
            return Refusal(attempt, by, str(error))
        raise NotRefused(attempt=attempt, pinned=pinned, other=foreign)

    def write() -> None:
        failures = store.insert(name, wrong, [stray])
        if not failures:
            store.delete(name, [stray.uuid])
            raise NotRefused(attempt="write through Weaviate's client", pinned=pinned, other=foreign)
        raise WeaviateError(f"collection {name}, vector {collection.pin.vector}: {failures[0].reason}")

    sdk, weaviate = "samespace", "Weaviate"
    return (
        refused("open the collection with the other encoder", sdk, lambda: PinnedCollection.open(store, name, foreign)),
        refused("search with the other encoder's vector", sdk, lambda: collection.search_vectors(other[0])),
        _over_http(server, pinned, foreign),
        refused("write through Weaviate's client", weaviate, write),
        refused("near_vector through Weaviate's client", weaviate, lambda: store.near_vector(name, wrong, row, 1)),
        refused("near_text through Weaviate's client", weaviate, lambda: store.near_text(name, wrong, "text", 1)),
        _repin(store, collection, foreign),
    )


def _over_http(server: str, pinned: str, foreign: str) -> Refusal:
    """Ask the encoder server itself for a vector of the other space."""
    attempt = "ask the encoder server over HTTP"
    try:
        with WebClient(server, WebOptions(timeout_s=_TIMEOUT_S)) as web:
            reply = web.ask(
                "POST",
                f"/e/{foreign}/vectors",
                body={"text": "of another space", "config": {"task_type": "passage"}},
            )
    except ServerUnavailable as error:
        raise WeaviateError(f"{error.address}: the encoder server does not answer: {error.reason}") from error
    if reply.status < 400:
        raise NotRefused(attempt=attempt, pinned=pinned, other=foreign)
    if reply.status != 409:
        raise WeaviateError(f"{web.address}: expected status 409, got {reply.status}: {reply.text()}")
    return Refusal(attempt, "encoder server", f"409: {reply.json()['error']}")


def _repin(store: Store, collection: PinnedCollection, foreign: str) -> Refusal:
    """Try to point the pinned vector at the other space's encoder, on a throw-away twin of the collection.

    On a twin, because some versions of Weaviate answer "immutable" and keep the change all the same
    (docs/reference/weaviate-facts.md). There it is the pin check that refuses, before anything is sent.
    """
    attempt = "change inferenceUrl through Weaviate's client"
    server = collection.pin.url.partition("/e/")[0]
    twin = CollectionSpec(f"{collection.name}_{short(foreign)}_tour", collection.space_id, server)
    wanted = CollectionSpec(twin.name, foreign, server)
    create(store, twin)
    try:
        message = ""
        try:
            store.add_vector(twin.name, twin.vector_name, wanted.vectorizer_settings)
        except WeaviateError as error:
            message = str(error)
        schema = store.schema(twin.name) or {}
        if message and check_pin(schema, twin.space_id).worst < Severity.BROKEN:
            return Refusal(attempt, "Weaviate", f"{message} (asked for: the encoder of space {foreign})")
        try:
            PinnedCollection.open(store, twin.name, twin.space_id)
        except PinBroken as error:
            return Refusal(attempt, "samespace (this Weaviate keeps changes that it refuses)", str(error))
        raise NotRefused(attempt=attempt, pinned=twin.space_id, other=foreign)
    finally:
        store.delete_collection(twin.name)
