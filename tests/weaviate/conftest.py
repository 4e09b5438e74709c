"""A running Weaviate and a running encoder server, for tests of what the two really do together.

WEAVIATE_URL names the Weaviate (with WEAVIATE_GRPC_PORT), or WEAVIATE_BINARY a binary that is started; without them an
embedded one is started where its binary is cached. Tests never download one. The encoder
server listens on loopback, so the Weaviate has to run on this machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import pytest

from fakes.server.serving import Server, serving
from fakes.weaviate.nodes import weaviate_nodes
from samespace import Encoder
from samespace_weaviate import CollectionSpec, PinnedCollection, Store, create
from samespace_weaviate.access.address import NoWeaviate, find_weaviate


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The Weaviate of this run."""
    if find_spec("weaviate") is None:
        pytest.skip("weaviate-client is not installed: pip install 'samespace[weaviate]'")
    binary = os.environ.get("WEAVIATE_BINARY")
    if binary and not os.environ.get("WEAVIATE_URL"):
        data = tmp_path_factory.mktemp("weaviate")
        with weaviate_nodes(Path(binary), data) as nodes, Store.connect(nodes[0].address) as opened:
            yield opened
        return
    found = find_weaviate("auto", os.environ, can_download=lambda url: "tests download nothing")
    if isinstance(found, NoWeaviate):
        pytest.skip(found.reason)
    with Store.open(found, tmp_path_factory.mktemp("weaviate")) as opened:
        yield opened


@pytest.fixture(scope="session")
def server(tiny_artifact: Path) -> Iterator[Server]:
    """`samespace serve` with the tiny artifact, on free ports."""
    with serving(tiny_artifact) as running:
        yield running


@pytest.fixture(scope="session")
def other_server(other_artifact: Path) -> Iterator[Server]:
    """`samespace serve` with the other artifact: same dims, another space."""
    with serving(other_artifact) as running:
        yield running


@pytest.fixture(scope="session")
def encoder(server: Server) -> Iterator[Encoder]:
    """The pinned space, over gRPC."""
    with Encoder.connect(server.grpc) as connected:
        yield connected


@pytest.fixture(scope="session")
def other(other_server: Server) -> Iterator[Encoder]:
    """The foreign space, over gRPC."""
    with Encoder.connect(other_server.grpc) as connected:
        yield connected


@pytest.fixture
def spec(store: Store, server: Server) -> Iterator[CollectionSpec]:
    """A collection of a name that nobody else has; deleted afterwards."""
    made = CollectionSpec(f"Test{uuid4().hex[:12]}", server.space_id, server.http)
    yield made
    store.delete_collection(made.name)


@pytest.fixture
def collection(store: Store, spec: CollectionSpec, encoder: Encoder) -> PinnedCollection:
    """A pinned collection, still empty."""
    create(store, spec)
    return PinnedCollection.open(store, spec.name, encoder)
