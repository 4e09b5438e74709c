"""samespace_weaviate.access.objects: objects over REST, as they can be written back, and of several replicas."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import numpy as np
import pytest

from fakes.weaviate.stub import Fault, StubObject, StubWeaviate
from samespace.errors import WeaviateError, WeaviateUnavailable
from samespace_weaviate import Store, StoredObject
from samespace_weaviate.access.database import stream
from samespace_weaviate.access.values import Shard

NAME = "Article"
A, B = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
BEACON = f"weaviate://localhost/{NAME}/{UUID(int=9)}"


def entry(number: int, **more: Any) -> StoredObject:
    return StoredObject(UUID(int=number), {"text": f"text {number}"}, vectors={"e_a": A}, **more)


def ids(found: list[StoredObject]) -> list[int]:
    return [each.uuid.int for each in found]


def test_an_object_comes_back_as_it_was_written(stub: StubWeaviate, store: Store) -> None:
    """Nested values, several vectors, a multi-vector and references; and the moment it was written."""
    properties = {"text": "a", "place": {"latitude": 1.5}, "date": "2020-01-02T03:04:05.123456789+02:00", "n": [1, 2]}
    whole = StoredObject(
        UUID(int=1), properties, vectors={"e_a": A, "e_b": np.stack([A, B])}, references={"next": (BEACON, BEACON)}
    )
    assert store.write(NAME, [whole]) == []
    (found,) = store.page(NAME, "", 10, vectors=True)
    assert found.same_content(whole)
    assert found.uuid == whole.uuid
    assert {key: rows.tolist() for key, rows in found.vectors.items()} == {
        "e_a": [1.0, 0.0], "e_b": [[1.0, 0.0], [0.0, 1.0]],
    }  # fmt: skip
    assert found.updated_ms == stub.clock_ms
    (bare,) = store.page(NAME, "", 10)
    assert (bare.vectors, bare.references) == ({}, {"next": (BEACON, BEACON)})


@pytest.mark.parametrize(
    "sensors",
    [[{"beacon": "B9"}], [{"beacon": "B9", "room": 4}, {"room": 5}], [{"beacon": BEACON, "room": 4}]],
)
def test_a_nested_field_named_beacon_is_no_reference(sensors: list[Any], stub: StubWeaviate, store: Store) -> None:
    """It was sent as one, and refused for ever."""
    whole = StoredObject(UUID(int=1), {"sensors": sensors}, vectors={"e_a": A})
    assert store.write(NAME, [whole]) == []
    (found,) = store.page(NAME, "", 10)
    assert (found.properties, found.references) == ({"sensors": sensors}, {})


def test_references_lead_to_what_is_not_there_yet(stub: StubWeaviate, store: Store) -> None:
    """They are sent alone, after the objects, so that the order of objects does not matter."""
    assert store.write(NAME, [entry(1, references={"next": (BEACON,)}), entry(2)]) == []
    assert [call.what for call in stub.calls if call.what.startswith("POST")] == [
        "POST /v1/batch/objects", "POST /v1/batch/references",
    ]  # fmt: skip
    assert store.page(NAME, "", 1)[0].references == {"next": (BEACON,)}
    assert store.write(NAME, []) == []


def test_what_is_refused_comes_back_with_its_reason(stub: StubWeaviate, store: Store) -> None:
    """An object, or one of its references; a reference of a refused object is not sent."""
    stub.refuse = lambda each: "too large" if each.uuid.int == 1 else ""
    failures = store.write(NAME, [entry(1, references={"next": (BEACON,)}), entry(2, references={"none": (BEACON,)})])
    assert {(failure.uuid.int, failure.reason) for failure in failures} == {(1, "too large"), (2, "no property none")}
    (sent,) = [call.body for call in stub.calls if call.what.endswith("references")]
    assert [each["from"].split("/")[-2] for each in sent] == [str(UUID(int=2))]


def test_pages_follow_each_other_in_order_of_ids(stub: StubWeaviate, store: Store) -> None:
    """Behind an id, no more than asked for; a stream is all of them."""
    store.write(NAME, [entry(number) for number in (5, 3, 1, 4, 2)])
    assert ids(store.page(NAME, "", 2)) == [1, 2]
    assert ids(store.page(NAME, str(UUID(int=2)), 2)) == [3, 4]
    assert store.page(NAME, str(UUID(int=5)), 2) == []
    assert ids(list(stream(store, NAME, str(UUID(int=1))))) == [2, 3, 4, 5]
    with pytest.raises(WeaviateError):
        list(stream(store, "Nothing"))


def test_single_objects_are_looked_for_patched_and_deleted(stub: StubWeaviate, store: Store) -> None:
    """What is not there is no error, and never taken for there."""
    store.write(NAME, [entry(1), entry(2)])
    assert [store.has(NAME, UUID(int=number)) for number in (1, 9)] == [True, False]
    assert store.get(NAME, UUID(int=9)) is None
    store.patch_vector(NAME, UUID(int=1), "e_b", B)
    store.patch_vector(NAME, UUID(int=9), "e_b", B)
    patched = store.get(NAME, UUID(int=1), vectors=True)
    assert patched is not None
    assert {key: rows.tolist() for key, rows in patched.vectors.items()} == {"e_a": [1.0, 0.0], "e_b": [0.0, 1.0]}
    assert patched.properties == {"text": "text 1"}
    store.delete(NAME, [UUID(int=1), UUID(int=9)])
    assert ids(store.page(NAME, "", 9)) == [2]


def test_a_vector_without_a_name_is_read_and_written(stub: StubWeaviate, store: Store) -> None:
    """Collections of before named vectors have one; it goes by the name "" here."""
    stub.schemas["Old"] = {"class": "Old", "vectorizer": "none"}
    assert store.write("Old", [StoredObject(UUID(int=1), {"text": "x"}, vectors={"": A})]) == []
    (found,) = store.page("Old", "", 1, vectors=True)
    assert {key: rows.tolist() for key, rows in found.vectors.items()} == {"": [1.0, 0.0]}


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.write(NAME, [entry(1)]),
        lambda store: store.delete(NAME, [UUID(int=1)]),
        lambda store: store.patch_vector(NAME, UUID(int=1), "e_a", A),
        lambda store: store.page(NAME, "", 1),
        lambda store: store.has(NAME, UUID(int=1)),
        lambda store: store.get(NAME, UUID(int=1)),
        lambda store: store.count(NAME),
        lambda store: store.schema(NAME),
        lambda store: store.aliases(),
        lambda store: store.tenant_state(NAME, "x"),
        lambda store: store.nodes(),
    ],
)
@pytest.mark.parametrize("status", [403, 500])
def test_a_refusal_is_never_taken_for_an_answer(stub: StubWeaviate, store: Store, call: Any, status: int) -> None:
    """Not for "nothing there", and not for success; the reason is Weaviate's."""
    stub.faults.append(Fault("", status, code="PERMISSION_DENIED", text="no rights", times=99))
    with pytest.raises(WeaviateError, match=r"no rights|HEAD .* status") as caught:
        call(store)
    assert not isinstance(caught.value, WeaviateUnavailable)


def test_levels_are_asked_for(stub: StubWeaviate, store: Store) -> None:
    """Writes QUORUM, reads by id ALL, unless the call says otherwise."""
    store.write(NAME, [entry(1, references={"next": (BEACON,)})])
    store.patch_vector(NAME, UUID(int=1), "e_a", A)
    store.get(NAME, UUID(int=1))
    store.has(NAME, UUID(int=1))
    store.get(NAME, UUID(int=1), consistency="ONE")
    store.delete(NAME, [UUID(int=1)], "ALL")
    path = f"/v1/objects/{NAME}/{UUID(int=1)}"
    assert [(call.what, call.consistency) for call in stub.calls] == [
        ("POST /v1/batch/objects", "QUORUM"), ("POST /v1/batch/references", "QUORUM"), (f"PATCH {path}", "QUORUM"),
        (f"GET {path}", "ALL"), (f"HEAD {path}", "ALL"), (f"GET {path}", "ONE"), (f"DELETE {path}", "ALL"),
    ]  # fmt: skip


def lagging(cluster: StubWeaviate, node: str) -> None:
    """Objects 1 to 4 are everywhere; then, without *node*, 1 is changed, 2 is deleted and 5 is written."""
    for number in range(1, 5):
        cluster.put(NAME, "", StubObject(UUID(int=number), {"text": "old"}, {"e_a": [1.0, 0.0]}))
    cluster.lagging = {node}
    cluster.put(NAME, "", StubObject(UUID(int=1), {"text": "new"}, {"e_a": [0.0, 1.0]}))
    for node_up in set(cluster.nodes) - {node}:
        kept = cluster.replicas[node_up][NAME, ""]
        kept[UUID(int=2)] = StubObject(UUID(int=2), {}, updated_ms=cluster.clock_ms + 1, deleted=True)
    cluster.put(NAME, "", StubObject(UUID(int=5), {"text": "new"}, {"e_a": [1.0, 0.0]}))


def test_a_page_is_of_all_replicas_where_there_are_several(cluster: StubWeaviate, clustered: Store) -> None:
    """A replica that lags behind lists an old text and a deleted object; what decides is what all of them have."""
    lagging(cluster, "node1")
    seen = {each.uuid.int: each.properties["text"] for each in clustered.page(NAME, "", 9, consistency="ONE")}
    assert seen == {1: "old", 2: "old", 3: "old", 4: "old"}
    agreed = clustered.page(NAME, "", 9, vectors=True)
    assert {each.uuid.int: each.properties["text"] for each in agreed} == {1: "new", 3: "old", 4: "old"}
    assert agreed[0].vectors["e_a"].tolist() == [0.0, 1.0]
    assert [each.uuid.int for each in clustered.read(NAME, "e_a", [UUID(int=1), UUID(int=2)], ["text"])] == [1]
    # What the listing replica lacks is in no page; the counts of the nodes tell.
    assert {shard.node: shard.objects for shard in clustered.shards(NAME)} == {"node1": 4, "node2": 4, "node3": 4}
    of_nodes = {node: clustered.get(NAME, UUID(int=5), node=node) for node in cluster.nodes}
    assert {node: found is not None for node, found in of_nodes.items()} == {
        "node1": False, "node2": True, "node3": True,
    }  # fmt: skip


def test_a_page_whose_objects_are_all_deleted_elsewhere_is_not_the_last(
    cluster: StubWeaviate, clustered: Store
) -> None:
    """An empty page ends a stream; so the next ones are read first."""
    lagging(cluster, "node1")
    assert ids(clustered.page(NAME, str(UUID(int=1)), 1)) == [3]
    assert ids(list(stream(clustered, NAME))) == [1, 3, 4]


def test_a_single_replica_is_not_asked_twice(stub: StubWeaviate, store: Store) -> None:
    """Level ALL of one replica is one replica; how many there are is asked once in a while."""
    store.write(NAME, [entry(number) for number in range(1, 9)])
    stub.calls.clear()
    assert len(store.page(NAME, "", 9)) == len(store.page(NAME, "", 9)) == 8
    asked = [f"GET /v1/schema/{NAME}", f"GET /v1/nodes/{NAME}", "GET /v1/objects", "GET /v1/objects"]
    assert [call.what for call in stub.calls] == asked


def test_a_replica_that_was_copied_to_another_node_is_a_replica(stub: StubWeaviate, store: Store) -> None:
    """The schema says one; each node that holds it has lists and indexes of its own."""
    shards = [Shard("s", "node1", 8, "READY"), Shard("s", "node3", 8, "READY")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(store), "shards", lambda self, name: shards)
        assert store.replicas(NAME) == 2
