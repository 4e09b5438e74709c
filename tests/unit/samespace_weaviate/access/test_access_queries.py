"""samespace_weaviate.access.queries: what weaviate-client is made to send, and how its answers are read."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest

from fakes.weaviate.stub import Call, StubObject, StubWeaviate
from samespace.errors import RequestInvalid, WeaviateError
from samespace_weaviate import Blend, Store, StoredObject
from samespace_weaviate.access.values import Levels

NAME = "Article"
A, B = np.array([1, 0], np.float32), np.array([0, 1], np.float32)


def entry(number: int, vector: np.ndarray | None = A, **properties: object) -> StoredObject:
    return StoredObject(UUID(int=number), {"text": f"text {number}", **properties}, vector)


def only(stub: StubWeaviate, what: str) -> Call:
    """The one call of its kind."""
    (call,) = [each for each in stub.calls if each.what == what]
    return call


def kept(stub: StubWeaviate, tenant: str = "") -> dict[UUID, StubObject]:
    return stub.alive(NAME, tenant)


def test_objects_are_written_under_the_vector_that_is_named(stub: StubWeaviate, store: Store) -> None:
    """Ids, properties of each type, and the numbers arrive as they were given; again, they replace."""
    values = {"n": 5, "x": 0.25, "flag": True, "words": ["a", "b"], "numbers": [0.5, 1.5]}
    assert store.insert(NAME, "e_b", [entry(1, B, **values), entry(2)]) == []
    assert store.insert(NAME, "e_b", [entry(2, B)]) == []
    found = kept(stub)
    assert found[UUID(int=1)].properties == {"text": "text 1", **values}
    assert [each.vectors for each in found.values()] == [{"e_b": [0.0, 1.0]}, {"e_b": [0.0, 1.0]}]


def test_a_multi_vector_and_none_are_written_as_such(stub: StubWeaviate, store: Store) -> None:
    """A row a window in one object; an object without a vector sends none."""
    assert store.insert(NAME, "e_a", [entry(1, np.stack([A, B])), entry(2, None)]) == []
    assert [each.vectors for each in kept(stub).values()] == [{"e_a": [[1.0, 0.0], [0.0, 1.0]]}, {}]
    assert store.insert(NAME, "e_a", []) == []
    assert len([call for call in stub.calls if call.what == "BatchObjects"]) == 1


@pytest.mark.parametrize("refused", [{2}, {1, 3}, {1, 2, 3}])
def test_each_refusal_comes_back_with_its_object_and_reason(
    stub: StubWeaviate, store: Store, refused: set[int]
) -> None:
    """Also where all are refused, which weaviate-client tells in another way."""
    stub.refuse = lambda each: "too bad" if each.uuid.int in refused else ""
    failures = store.insert(NAME, "e_a", [entry(number) for number in (1, 2, 3)])
    assert {failure.uuid.int for failure in failures} == refused
    assert {failure.reason for failure in failures} == {"too bad"}
    assert {uuid.int for uuid in kept(stub)} == {1, 2, 3} - refused


def test_a_vector_of_a_wrong_name_is_refused(store: Store) -> None:
    """Weaviate's own words are the reason."""
    (failure,) = store.insert(NAME, "e_c", [entry(1)])
    assert "does not have named vector e_c" in failure.reason


def test_every_search_by_vector_names_it(stub: StubWeaviate, store: Store) -> None:
    """With two vectors, one without its name would be refused; and each finds by its own numbers."""
    store.insert(NAME, "e_a", [entry(1, A), entry(2, B)])
    store.write(NAME, [StoredObject(UUID(int=3), {"text": "text 3"}, vectors={"e_a": B, "e_b": A})])
    stub.encode = lambda text: [1.0, 0.0]
    assert [hit.uuid.int for hit in store.near_vector(NAME, "e_a", A, 1)] == [1]
    assert [hit.uuid.int for hit in store.near_vector(NAME, "e_b", A, 2)] == [3]
    assert [hit.uuid.int for hit in store.near_text(NAME, "e_b", "query", 5)] == [3]
    assert [hit.uuid.int for hit in store.hybrid(NAME, "e_b", "query", 5, Blend(0.5))] == [3]
    assert [hit.uuid.int for hit in store.hybrid(NAME, "e_b", "query", 5, Blend(0.5, A))] == [3]
    kinds = ("near_vector", "near_text", "hybrid_search")
    named = [
        list(getattr(call.body, kind).targets.target_vectors)
        for call in stub.calls
        if call.what == "Search"
        for kind in kinds
        if call.body.HasField(kind)
    ]
    assert named == [["e_a"], ["e_b"], ["e_b"], ["e_b"], ["e_b"]]


def test_a_vector_without_a_name_is_asked_without_one(stub: StubWeaviate, store: Store) -> None:
    """Collections of before named vectors are searched, to compare their answers before a migration."""
    stub.schemas["Old"] = {"class": "Old", "vectorizer": "none"}
    stub.put("Old", "", StubObject(UUID(int=1), {"text": "x"}, {"": [1.0, 0.0]}))
    assert [hit.uuid.int for hit in store.near_vector("Old", "", A, 5)] == [1]


def test_hits_have_their_distance_or_their_score(stub: StubWeaviate, store: Store) -> None:
    """Distance where vectors are compared, score where words are; properties as stored; no more than asked for."""
    store.insert(NAME, "e_a", [entry(number, A, n=number) for number in (1, 2, 3)])
    (hit,) = store.near_vector(NAME, "e_a", A, 1)
    assert (hit.distance, hit.properties) == (pytest.approx(0.0, abs=1e-6), {"text": "text 1", "n": 1})
    assert [each.score is not None for each in store.bm25(NAME, "text", 2)] == [True, True]
    sent = only(stub, "Search") if len(stub.calls) == 1 else stub.calls[-1]
    assert sent.body.bm25_search.query == "text"
    blended = store.hybrid(NAME, "e_a", "text", 2, Blend(0.25, A))
    assert stub.calls[-1].body.hybrid_search.alpha_param or stub.calls[-1].body.hybrid_search.alpha == 0.25
    assert len(blended) == 2


def test_a_query_of_a_wrong_shape_is_not_sent(stub: StubWeaviate, store: Store) -> None:
    """Weaviate would take a cube for something else."""
    with pytest.raises(RequestInvalid, match="shape"):
        store.near_vector(NAME, "e_a", np.zeros((1, 2, 2), np.float32), 1)
    assert stub.calls == []


def test_filters_reach_every_search(stub: StubWeaviate, store: Store) -> None:
    """Only objects of the wanted value are found; no conditions are no filter."""
    store.insert(NAME, "e_a", [entry(number, A, colour="red" if number == 2 else "blue") for number in (1, 2, 3)])
    stub.encode = lambda text: [1.0, 0.0]
    red = store.equals({"colour": "red", "text": "text 2"})
    assert store.equals({}) is None
    for found in (
        store.near_vector(NAME, "e_a", A, 5, red),
        store.near_text(NAME, "e_a", "query", 5, red),
        store.hybrid(NAME, "e_a", "query", 5, Blend(), red),
        store.bm25(NAME, "text", 5, red),
    ):
        assert [hit.uuid.int for hit in found] == [2]


def test_a_refused_search_is_an_error_and_not_an_empty_answer(store: Store) -> None:
    """Nothing found and nothing asked must not look alike."""
    for ask in (
        lambda: store.near_vector(NAME, "e_c", A, 1),
        lambda: store.near_text(NAME, "e_c", "x", 1),
        lambda: store.hybrid(NAME, "e_c", "x", 1, Blend()),
        lambda: store.bm25("Nothing", "x", 1),
        lambda: store.count("Nothing"),
        lambda: list(store.ids("Nothing")),
        lambda: store.read("Nothing", "e_a", [UUID(int=1)], ["text"]),
        lambda: store.insert("Nothing", "e_a", [entry(1)]),
        lambda: store.delete_windows("Nothing", ["d"], 1),
    ):
        with pytest.raises(WeaviateError):
            ask()


def test_ids_and_objects_are_read_whole(stub: StubWeaviate, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """All ids in order over several pages, without texts; objects with just the properties and the vector asked for."""
    monkeypatch.setattr("samespace_weaviate.access.queries._IDS", 3)
    store.insert(NAME, "e_a", [entry(number, A, more="x") for number in range(1, 8)])
    assert [uuid.int for uuid in store.ids(NAME)] == list(range(1, 8))
    assert all(not call.body.properties.return_all_nonref_properties for call in stub.calls if call.what == "Search")
    assert store.count(NAME) == 7
    found = store.read(NAME, "e_a", [UUID(int=2), UUID(int=99), UUID(int=5)], ["text"])
    assert sorted(each.uuid.int for each in found) == [2, 5]
    assert [each.properties for each in found] == [{"text": f"text {each.uuid.int}"} for each in found]
    assert all(each.vector is not None and each.vector.tolist() == [[1.0, 0.0]] for each in found)
    everything = [UUID(int=number) for number in range(1, 8)]  # more than a query may ask for
    stub.calls.clear()
    assert sorted(each.uuid for each in store.read(NAME, "e_a", everything, ["text"])) == everything
    assert store.filtered(NAME, everything) == set(everything)
    assert {call.body.limit for call in stub.calls if call.what == "Search"} == {3, 1}
    (without,) = store.read(NAME, "e_b", [UUID(int=2)], ["text"])
    assert without.vector is None
    assert {uuid.int: None if row is None else row.tolist() for uuid, row in store.vectors(NAME, "e_a")} == {
        number: [1.0, 0.0] for number in range(1, 8)
    }


def test_stale_windows_are_deleted_and_no_others(stub: StubWeaviate, store: Store) -> None:
    """Of the documents that are named, from the number on."""
    objects = [
        entry(10 * place + number, A, documentId=document, windowNumber=number)
        for place, document in enumerate("abc", start=1)
        for number in range(3)
    ]
    store.insert(NAME, "e_a", objects)
    assert store.delete_windows(NAME, ["a", "b"], 1) == 4
    assert sorted(uuid.int for uuid in kept(stub)) == [10, 20, 30, 31, 32]


def test_tenants_have_their_own_objects(stub: StubWeaviate, store: Store) -> None:
    """Every call about objects is about the tenant's; the connection it was made of is as it was."""
    stub.schemas[NAME] = {**stub.schemas[NAME], "multiTenancyConfig": {"enabled": True}}
    for tenant in "xy":
        store.add_tenant(NAME, tenant)
    mine = store.of_tenant("x")
    assert mine.insert(NAME, "e_a", [entry(1, documentId="d", windowNumber=1)]) == []
    assert mine.write(NAME, [StoredObject(UUID(int=2), {"text": "two"}, vectors={"e_a": B})]) == []
    other = store.of_tenant("y")
    assert (mine.count(NAME), other.count(NAME)) == (2, 0)
    assert [uuid.int for uuid in mine.ids(NAME)] == [1, 2]
    assert [hit.uuid.int for hit in mine.near_vector(NAME, "e_a", B, 1)] == [2]
    assert [each.uuid.int for each in mine.page(NAME, "", 5)] == [1, 2]
    assert (mine.has(NAME, UUID(int=1)), other.has(NAME, UUID(int=1))) == (True, False)
    assert mine.get(NAME, UUID(int=2)) is not None
    mine.patch_vector(NAME, UUID(int=2), "e_b", A)
    assert mine.delete_windows(NAME, ["d"], 1) == 1
    mine.delete(NAME, [UUID(int=2)])
    assert kept(stub, "x") == {}
    assert store.tenant == ""
    with pytest.raises(WeaviateError, match="tenant"):
        store.count(NAME)


def test_levels_of_consistency_are_asked_for(stub: StubWeaviate, store: Store) -> None:
    """Writes QUORUM, reads that decide ALL, searches Weaviate's own; each call and connection may differ."""
    store.insert(NAME, "e_a", [entry(1)])
    store.delete_windows(NAME, ["d"], 1)
    list(store.ids(NAME))
    store.read(NAME, "e_a", [UUID(int=1)], ["text"])
    store.near_vector(NAME, "e_a", A, 1)
    levels = {call.what: call.consistency for call in stub.calls if call.what != "Search"}
    assert (levels["BatchObjects"], levels["BatchDelete"]) == ("QUORUM", "QUORUM")
    searches = [call.consistency for call in stub.calls if call.what == "Search"]
    assert (searches[0], searches[-1]) == ("ALL", "")
    stub.calls.clear()
    store.insert(NAME, "e_a", [entry(1)], "ALL")
    list(store.ids(NAME, "ONE"))
    store.delete_windows(NAME, ["d"], 1, "ONE")
    assert {call.what: call.consistency for call in stub.calls} == {
        "BatchObjects": "ALL", "Search": "ONE", "BatchDelete": "ONE",
    }  # fmt: skip
    stub.calls.clear()
    strict = store.at(replace(Levels(), write="ALL", search="QUORUM"))
    strict.insert(NAME, "e_a", [entry(1)])
    strict.near_vector(NAME, "e_a", A, 1)
    assert [call.consistency for call in stub.calls] == ["ALL", "QUORUM"]
