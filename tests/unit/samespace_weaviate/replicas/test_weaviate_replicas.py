"""Replicas are compared object by object; what a decision may not rest on is refused; and they are brought together."""

from __future__ import annotations

import random
from typing import Any
from uuid import UUID

import pytest

from fakes.weaviate.replicas import FakeCluster, FakeNode, stored
from samespace.errors import ReplicasDiffer, ReplicasUnknown, RequestInvalid, WeaviateUnavailable
from samespace_weaviate import StoredObject
from samespace_weaviate.access.aligned import aligned
from samespace_weaviate.access.values import Consistency, Shard
from samespace_weaviate.replicas.alike import as_read, compare_replicas, require_alike
from samespace_weaviate.replicas.reconcile import reconcile
from samespace_weaviate.replicas.walk import Walk

SCHEMA: dict[str, Any] = {"class": "Article", "replicationConfig": {"factor": 3}}


def no_pause(seconds: float) -> None:
    """No write is on its way here."""


def cluster(*objects: list[StoredObject], **options: Any) -> FakeCluster:
    return FakeCluster(SCHEMA, [FakeNode(SCHEMA, each) for each in objects], **options)


def test_pages_of_any_size_align_to_all_that_any_node_has() -> None:
    """Whatever each node lacks, rows come once, in order, and complete; held against sets."""
    chance = random.Random(7)
    for _ in range(50):
        nodes = [[stored(n) for n in range(1, 60) if chance.random() < share] for share in (0.9, 0.5, 0.1)]
        limit, after, seen = chance.randint(1, 9), -1, []
        while rows := aligned([[each for each in node if each.uuid.int > after][:limit] for node in nodes], limit):
            seen += rows
            after = rows[-1].uuid.int
        sets = [{each.uuid for each in node} for node in nodes]
        assert [row.uuid for row in seen] == sorted(set().union(*sets))
        assert all([each is not None for each in row.copies] == [row.uuid in node for node in sets] for row in seen)


def test_what_each_node_lacks_or_has_old_is_counted_and_named() -> None:
    """Missing, older, and of one time but not the same."""
    whole = [stored(n) for n in range(1, 9)]
    other = [*whole[1:6], stored(7, at_ms=5), stored(8, note="x")]
    found = compare_replicas(cluster(whole, whole, other), "Article", pause=no_pause)
    assert (found.objects, found.differing, found.alike) == (8, 3, False)
    assert found.lacking == {"c": 1} and found.older == {"a": 2, "b": 2, "c": 1}
    assert [each.int for each in found.first] == [1, 7, 8]
    assert "3 of 8 objects" in found.sentence() and "c lacks 1" in found.sentence()


def test_a_write_on_its_way_is_no_difference() -> None:
    """What the other node has when it is listed again was only late; what goes on changing is looked at again."""
    nodes = [FakeNode(SCHEMA, [stored(1), stored(2, at_ms=9)]), FakeNode(SCHEMA, [stored(1), stored(2)])]

    def arrive(seconds: float) -> None:
        nodes[1].objects[""][UUID(int=2)] = stored(2, at_ms=9)

    walk = Walk("Article", dict(zip("ab", nodes, strict=True)), pause=arrive)
    assert walk.run().alike and walk.found.objects == 2


def test_each_page_is_listed_once_where_replicas_are_alike() -> None:
    """No node is asked for more than a page at a time, and for none twice."""
    asked: list[int] = []

    class Counting(FakeNode):
        def page(self, name: str, after: str, limit: int, **options: Any) -> list[StoredObject]:
            asked.append(limit)
            return super().page(name, after, limit, **options)

    nodes = {name: Counting(SCHEMA, [stored(n) for n in range(1, 1001)]) for name in "abc"}
    assert Walk("Article", dict(nodes), page=50, pause=no_pause).run().objects == 1000
    assert asked == [50] * 3 * 21  # the last one is empty


def test_replicas_that_differ_stop_a_decision() -> None:
    """With the node, the ids and what to do; alike they let it pass."""
    whole = [stored(n) for n in range(1, 5)]
    assert (found := require_alike(cluster(whole, whole, whole), "Article", pause=no_pause)) and found.objects == 4
    with pytest.raises(ReplicasDiffer, match="samespace weaviate repair Article") as stopped:
        require_alike(cluster(whole, whole, whole[:2]), "Article", pause=no_pause)
    assert stopped.value.nodes == ("c",) and stopped.value.ids == tuple(str(UUID(int=n)) for n in (3, 4))


@pytest.mark.parametrize(("decide", "known", "refused"), [("ALL", 2, True), ("QUORUM", 2, False), ("QUORUM", 1, True)])
def test_as_many_addresses_are_needed_as_the_level_says(decide: Consistency, known: int, refused: bool) -> None:
    """At ALL every node, at QUORUM so many that a majority of each shard's replicas is among them."""
    whole = [stored(1)]
    made = cluster(whole, whole, whole, known=known, decide=decide)
    if refused:
        with pytest.raises(ReplicasUnknown, match="--node"):
            require_alike(made, "Article", pause=no_pause)
    else:
        assert require_alike(made, "Article", pause=no_pause) is not None


def test_a_node_that_is_away_stops_all_and_not_quorum() -> None:
    """Silence is no agreement, unless the level leaves room for it; room that unknown nodes take is taken once."""
    whole = [stored(1)]
    for decide, known, passes in (("ALL", 3, False), ("QUORUM", 3, True), ("QUORUM", 2, False)):
        made = cluster(whole, whole, whole, known=known, decide=decide)
        made.each_node()["b"].silent = True
        if passes:
            assert require_alike(made, "Article", pause=no_pause) is not None
        else:
            with pytest.raises(WeaviateUnavailable):
                require_alike(made, "Article", pause=no_pause)


def test_one_replica_is_compared_with_nothing_and_one_is_said() -> None:
    """A factor of 1 needs no addresses; level ONE compares nothing, and the verdict says so."""
    single = FakeCluster({"class": "Article"}, [FakeNode(SCHEMA)] * 3, known=1)
    assert require_alike(single, "Article") is None and as_read(single, "Article") == ""
    insisted = cluster([stored(1)], [], [], known=1, decide="ONE")
    assert require_alike(insisted, "Article") is None
    assert as_read(insisted, "Article") == "as one replica has it"
    assert as_read(cluster([], [], [], decide="QUORUM"), "Article") == "as a majority of the replicas have it"


def test_a_replica_that_was_copied_to_another_node_is_compared_too() -> None:
    """The schema still says that there is one; a shard that stands on two nodes has two."""
    whole = [stored(n) for n in range(1, 21)]
    moved = FakeCluster({"class": "Article"}, [FakeNode({}, each) for each in (whole, whole[:15], whole)])
    moved.stand = [Shard("s", "a", 20, "READY"), Shard("s", "b", 15, "READY"), Shard("t", "c", 9, "READY")]
    with pytest.raises(ReplicasDiffer, match="b lacks 5"):
        require_alike(moved, "Article")
    moved.stand = [Shard("s", "a", 20, "READY"), Shard("t", "b", 15, "READY")]
    assert require_alike(moved, "Article") is None


def test_reconciled_replicas_are_alike_and_untouched_objects_are_not_read() -> None:
    """The newest copy wins; what was the same stays unread; doing it again does nothing."""
    whole = [stored(n) for n in range(1, 21)]
    old = [stored(1, at_ms=0), *whole[5:]]
    made = cluster(whole, whole, old)
    plan = reconcile(made, "Article", dry_run=True, pause=no_pause)
    assert plan.before.differing == 5 and plan.after is None and made.read == []
    done = reconcile(made, "Article", pause=no_pause)
    assert done.alike and done.brought == 5 and {each.int for each in made.read} == {1, 2, 3, 4, 5}
    assert reconcile(made, "Article", pause=no_pause).brought == 0


def test_a_deletion_wins_where_most_do_not_have_the_object() -> None:
    """Else the object is named and left alone."""
    made = cluster([stored(2)], [stored(2)], [stored(1), stored(2)])
    nodes = made.each_node()
    nodes["a"].deleted |= {UUID(int=1)}
    nodes["b"].deleted |= {UUID(int=1)}
    assert (done := reconcile(made, "Article", pause=no_pause)).alike and done.deleted == 1
    assert not any(UUID(int=1) in node.objects[""] for node in nodes.values())
    minority = cluster([stored(1)], [stored(1)], [])
    minority.each_node()["c"].deleted |= {UUID(int=1)}
    done = reconcile(minority, "Article", pause=no_pause)
    assert not done.alike and [each.uuid.int for each in done.left] == [1]
    assert "was deleted on c" in " ".join(done.sentences())


def test_it_reconciles_at_all_only() -> None:
    """A connection that takes less could not prove it."""
    with pytest.raises(RequestInvalid):
        reconcile(cluster([], [], [], decide="QUORUM"), "Article", pause=no_pause)


def test_tenants_are_compared_one_by_one() -> None:
    """And named."""
    made = cluster([], [], [])
    for node, count in zip(made.each_node().values(), (3, 3, 1), strict=True):
        node.objects = {tenant: {each.uuid: each for each in map(stored, range(1, 4))} for tenant in ("acme", "beta")}
        node.objects["beta"] = {each.uuid: each for each in map(stored, range(1, count + 1))}
    found = compare_replicas(made, "Article", pause=no_pause)
    assert found.tenants == {"beta": 2} and "of the tenants beta" in found.sentence()
    assert reconcile(made, "Article", pause=no_pause).alike
