"""Whoever uses weaviate-client alone cannot mix spaces by mistake; and the one way that is left open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from fakes.server.serving import Server
from samespace import Encoder
from samespace_weaviate import CollectionSpec, Passage, PinnedCollection, Store, create

pytestmark = [pytest.mark.weaviate, pytest.mark.integration]

PASSAGES = [Passage("1", "red is passage 1"), Passage("2", "blue is passage 2")]


@pytest.fixture
def plain(store: Store, collection: PinnedCollection) -> Iterator[Any]:
    """The pinned collection, filled, through weaviate-client and nothing of ours."""
    import weaviate

    assert collection.import_passages(PASSAGES).written == len(PASSAGES)
    host = urlsplit(store.address)
    with weaviate.connect_to_custom(
        http_host=host.hostname or "", http_port=host.port or 0, http_secure=False,
        grpc_host=host.hostname or "", grpc_port=store.grpc_port, grpc_secure=False,
    ) as client:  # fmt: skip
        yield client.collections.use(collection.name)


def test_another_encoders_vectors_have_no_place_and_find_nothing(
    plain: Any, collection: PinnedCollection, other: Encoder
) -> None:
    """A client that names its vector after its own space is refused at write and query, in Weaviate's words."""
    from weaviate.exceptions import UnexpectedStatusCodeError, WeaviateQueryError

    row, name = np.asarray(other.encode(["red"], "query"))[0].tolist(), f"e_{other.space_id[:12]}"
    with pytest.raises(UnexpectedStatusCodeError, match=f"does not have configuration for vector {name}"):
        plain.data.insert({"text": "red"}, vector={name: row})
    for ask in (
        lambda: plain.query.near_vector(row, target_vector=name),
        lambda: plain.query.near_text("red", target_vector=name),
        lambda: plain.query.hybrid("red", target_vector=name),
    ):
        with pytest.raises(WeaviateQueryError, match=f"named vector {name} configured.*{collection.pin.vector}"):
            ask()
    assert len(plain) == len(PASSAGES)


def test_a_vector_of_another_length_is_refused_under_the_right_name(plain: Any, collection: PinnedCollection) -> None:
    """Lengths are compared as soon as there is a first vector."""
    from weaviate.exceptions import UnexpectedStatusCodeError, WeaviateQueryError

    with pytest.raises(UnexpectedStatusCodeError, match=r"vector lengths|vector with length"):
        plain.data.insert({"text": "red"}, vector={collection.pin.vector: [0.5, 0.5, 0.5]})
    with pytest.raises(WeaviateQueryError, match="vector lengths"):
        plain.query.near_vector([0.5, 0.5, 0.5], target_vector=collection.pin.vector)


def test_an_encoder_server_that_was_swapped_gets_no_text_embedded(
    store: Store, spec: CollectionSpec, other_server: Server
) -> None:
    """Behind the URL of the pin stands another encoder: inserts and queries fail with both ids in full."""
    from weaviate.exceptions import UnexpectedStatusCodeError

    import weaviate

    create(store, CollectionSpec(spec.name, spec.space_id, other_server.http))
    host = urlsplit(store.address)
    with weaviate.connect_to_custom(
        http_host=host.hostname or "", http_port=host.port or 0, http_secure=False,
        grpc_host=host.hostname or "", grpc_port=store.grpc_port, grpc_secure=False,
    ) as client:  # fmt: skip
        plain = client.collections.use(spec.name)
        with pytest.raises(UnexpectedStatusCodeError) as caught:
            plain.data.insert({"text": "red"})
        assert len(plain) == 0
    assert spec.space_id in str(caught.value)
    assert other_server.space_id in str(caught.value)


def test_a_foreign_vector_of_equal_length_under_the_right_name_is_what_no_schema_can_refuse(
    plain: Any, collection: PinnedCollection, other: Encoder
) -> None:
    """The known hole, kept here so that a Weaviate that closes it is noticed: `samespace weaviate audit` finds it."""
    row = np.asarray(other.encode(["red"], "passage"))[0].tolist()
    plain.data.insert({"text": "red"}, vector={collection.pin.vector: row})
    assert len(plain) == len(PASSAGES) + 1
