"""samespace_weaviate.access.schemas: collections, aliases, tenants, nodes, and the schema as each node has it."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.weaviate.stub import Fault, StubWeaviate, stub_weaviate
from samespace.errors import WeaviateError, WeaviateUnavailable
from samespace_weaviate import CollectionSpec, Index, Store, check_pin, create

NAME, SPACE = "Article", "a" * 64
SPEC = CollectionSpec("Pinned", SPACE, "http://encoder:8080")


def test_a_schema_is_made_and_read_as_it_is(stub: StubWeaviate, store: Store) -> None:
    """Nothing is added or left out on the way; an alias stands for its collection; what is not there is None."""
    create(store, SPEC)
    assert stub.schemas["Pinned"] == SPEC.schema() == store.schema("pinned")
    store.point_alias("Other", "Pinned")
    assert store.schema("Other") == SPEC.schema()
    assert store.schema("Nothing") is None
    assert store.names() == [NAME, "Pinned"]
    assert check_pin(store.schema("Pinned") or {}, SPACE).findings is not None
    store.delete_collection("Pinned")
    store.delete_collection("Pinned")
    assert store.names() == [NAME]


def test_what_an_existing_collection_lacks_is_added(stub: StubWeaviate, store: Store) -> None:
    """A property as REST takes it; a vector beside those that are there, which are sent as they were."""
    before = dict(stub.schemas[NAME]["vectorConfig"])
    entry = {"name": "title", "dataType": ["text"], "tokenization": "field", "indexSearchable": False}
    store.add_property(NAME, entry)
    assert stub.calls[-1].body == entry
    store.add_vector(NAME, "e_new", {"properties": ["text"], "inferenceUrl": "http://x"}, index=Index("flat"))
    after = dict(stub.schemas[NAME]["vectorConfig"])
    assert after.pop("e_new") == {
        "vectorizer": {"text2vec-transformers": {"properties": ["text"], "inferenceUrl": "http://x"}},
        "vectorIndexType": "flat",
        "vectorIndexConfig": {"distance": "cosine"},
    }
    assert after == before
    with pytest.raises(WeaviateError, match="Nothing"):
        store.add_vector("Nothing", "e_new", {})


def test_a_dropped_vector_or_why_not(stub: StubWeaviate, store: Store) -> None:
    """A version that cannot is no error: the vector stays, and the reason is told."""
    assert store.drop_vector(NAME, "e_a") == ""
    assert "e_c" in store.drop_vector(NAME, "e_c")
    stub.faults.append(Fault("DELETE", 404))
    assert "1.37" in store.drop_vector(NAME, "e_a")
    stub.faults.append(Fault("DELETE", 503))
    with pytest.raises(WeaviateUnavailable):
        store.drop_vector(NAME, "e_a")


def test_an_alias_is_made_moved_and_deleted(stub: StubWeaviate, store: Store) -> None:
    """Moving is one request; versions without aliases have none, and say so when asked."""
    create(store, SPEC)
    store.point_alias("Alias", NAME)
    stub.calls.clear()
    store.point_alias("Alias", "Pinned")
    assert [call.what for call in stub.calls] == ["GET /v1/aliases/Alias", "PUT /v1/aliases/Alias"]
    assert store.aliases() == stub.aliases == {"Alias": "Pinned"}
    assert (store.alias_target("Alias"), store.alias_target("Nobody")) == ("Pinned", "")
    stub.faults.append(Fault("GET", 403))
    with pytest.raises(WeaviateError, match="403"):  # a list would be empty
        store.alias_target("Alias")
    store.delete_alias("Alias")
    store.delete_alias("Alias")
    assert (store.aliases(), store.has_aliases()) == ({}, True)
    stub.aliases = None
    assert (store.aliases(), store.has_aliases()) == ({}, False)


def test_tenants_and_their_states(stub: StubWeaviate, store: Store) -> None:
    """Old and new names of a state are one; only what changes is sent."""
    assert store.tenants(NAME) == {}
    stub.schemas[NAME] = {**stub.schemas[NAME], "multiTenancyConfig": {"enabled": True}}
    store.add_tenant(NAME, "hot")
    store.set_tenant_state(NAME, "cold", "COLD")
    stub.tenants[NAME] |= {"new": "ACTIVE", "away": "FROZEN", "asleep": "INACTIVE"}
    assert store.tenant_states(NAME) == {
        "hot": "HOT", "cold": "COLD", "new": "HOT", "away": "FROZEN", "asleep": "COLD",
    }  # fmt: skip
    assert store.tenants(NAME) == {"hot": True, "cold": False, "new": True, "away": False, "asleep": False}
    assert [store.tenant_state(NAME, tenant) for tenant in ("cold", "away", "none")] == ["COLD", "FROZEN", ""]
    stub.calls.clear()
    store.set_tenant_state(NAME, "cold", "COLD")
    assert all(call.what.startswith("GET") for call in stub.calls)
    store.set_tenant_state(NAME, "cold", "HOT")
    store.remove_tenant(NAME, "hot")
    assert stub.tenants[NAME]["cold"] == "HOT"
    assert "hot" not in stub.tenants[NAME]


@pytest.mark.parametrize("seen", ["", "a"])
def test_a_list_that_leaves_tenants_out_is_no_list(stub: StubWeaviate, store: Store, seen: str) -> None:
    """Weaviate filters it by what the key may see, with status 200: rights may be taken away in the middle."""
    stub.schemas[NAME]["multiTenancyConfig"] = {"enabled": True}
    stub.tenants[NAME] = {"a": "HOT", "b": "HOT"}
    stub.sees_tenant = lambda tenant: tenant == seen
    for ask in (store.tenants, store.tenant_states):
        with pytest.raises(WeaviateError, match="may not see every tenant of Article"):
            ask(NAME)
    if seen:
        assert store.tenants(NAME, ["a"]) == {"a": True}
    with pytest.raises(WeaviateError, match="403"):
        store.tenants(NAME, ["b"])


def test_each_nodes_own_view_is_asked_for(stub: StubWeaviate, store: Store) -> None:
    """The leader's schema may be right and a node's another."""
    changed: dict[str, Any] = {**stub.schemas[NAME], "description": "changed here alone"}
    with stub_weaviate(("node2",)) as second, Store.connect(second.address) as other:
        second.schemas[NAME], second.own_schemas[NAME] = stub.schemas[NAME], changed
        assert other.own_schema(NAME) == changed
        assert second.calls[-1].headers["consistency"] == "false"
        assert other.schema(NAME) == stub.schemas[NAME]
    assert store.own_schema(NAME) == store.schema(NAME)
    stub.own_schemas[NAME] = changed
    assert store.own_schema(NAME) == changed
    assert store.schema(NAME) == stub.schemas[NAME]


def test_nodes_tell_of_their_replicas(cluster: StubWeaviate, clustered: Store) -> None:
    """Counts and queues of each node by itself; of one collection, its own."""
    cluster.queues = {"node2": 7}
    cluster.alive(NAME, "")
    for node in cluster.nodes:
        cluster.alive(NAME, "", node)
    nodes = clustered.nodes()
    assert [(node.name, node.status, node.version) for node in nodes] == [
        (name, "HEALTHY", "1.37.0") for name in cluster.nodes
    ]
    assert {shard.node: shard.queued for shard in clustered.shards(NAME)} == {"node1": 0, "node2": 7, "node3": 0}
    assert {shard.collection for shard in clustered.shards(NAME)} == {NAME}


def test_version_and_clock(stub: StubWeaviate, store: Store) -> None:
    """Weaviate's own; the clock in whole seconds."""
    assert store.version == "1.37.0"
    assert store.now_ms() % 1000 == 0
