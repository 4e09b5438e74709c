"""A stub of Weaviate, a connection to it, and a collection with two named vectors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fakes.clock import FakeClock
from fakes.weaviate.stub import StubWeaviate, stub_weaviate
from samespace_weaviate import Store

NAME = "Article"
SCHEMA = {
    "class": NAME,
    "properties": [
        {"name": "text", "dataType": ["text"]},
        {"name": "documentId", "dataType": ["text"]},
        {"name": "windowNumber", "dataType": ["int"]},
        {"name": "next", "dataType": [NAME]},
    ],
    "vectorConfig": {"e_a": {"vectorizer": {"none": {}}}, "e_b": {"vectorizer": {"none": {}}}},
}


@pytest.fixture
def stub() -> Iterator[StubWeaviate]:
    with stub_weaviate() as running:
        running.schemas[NAME] = dict(SCHEMA)
        yield running


@pytest.fixture
def store(stub: StubWeaviate) -> Iterator[Store]:
    with Store.connect(stub.address) as connected:
        stub.calls.clear()
        yield connected


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def cluster() -> Iterator[StubWeaviate]:
    """Three nodes, with three replicas of each shard."""
    with stub_weaviate(("node1", "node2", "node3")) as running:
        running.schemas[NAME] = {**SCHEMA, "replicationConfig": {"factor": 3}}
        yield running


@pytest.fixture
def clustered(cluster: StubWeaviate) -> Iterator[Store]:
    """A connection to its first node."""
    with Store.connect(cluster.address) as connected:
        cluster.calls.clear()
        yield connected
