"""A node that sees another pin than the leader is named; one that is away is not taken for one that agrees."""

from __future__ import annotations

import copy

import pytest

from fakes.weaviate.replicas import FakeCluster, FakeNode
from samespace.errors import PinBroken
from samespace_weaviate import CollectionSpec, Severity
from samespace_weaviate.pinning.check import Inventory, check_all
from samespace_weaviate.pinning.views import read_views, require_same_views, unlike

SPACE, OTHER = "a" * 64, "b" * 64
SCHEMA = CollectionSpec("Article", SPACE, "http://encoder:8080").schema()
VECTOR = f"e_{SPACE[:12]}"


def no_pause(seconds: float) -> None:
    """Nothing is on its way here."""


def poisoned() -> FakeNode:
    node = FakeNode(SCHEMA)
    settings = node.own["vectorConfig"][VECTOR]["vectorizer"]["text2vec-transformers"]
    settings["inferenceUrl"] = f"http://someone:secret@elsewhere/spaces/{OTHER}"
    return node


def test_the_node_and_what_it_sees_are_named_and_no_password() -> None:
    """check calls it broken; whoever opens the collection is refused."""
    cluster = FakeCluster(SCHEMA, [FakeNode(SCHEMA), poisoned()])
    views = read_views(cluster, "Article", pause=no_pause)
    (checked,) = check_all(Inventory((SCHEMA,), {}, {"Article": views}))
    (told,) = [each.message for each in checked.findings if each.severity is Severity.BROKEN]
    assert checked.worst is Severity.BROKEN
    assert "node b" in told and "inferenceUrl" in told and OTHER in told and "secret" not in told
    with pytest.raises(PinBroken, match="on node b"):
        require_same_views(cluster, "Article", pause=no_pause)


def test_a_change_on_its_way_is_read_again() -> None:
    """A node that has the schema a moment later than the leader is not broken."""
    late = FakeNode({})

    def arrive(seconds: float) -> None:
        late.own = copy.deepcopy(SCHEMA)

    assert not read_views(FakeCluster(SCHEMA, [late]), "Article", pause=arrive).differing


def test_a_node_that_is_away_is_unsafe_to_check_and_stops_no_search() -> None:
    """It answers no query, but what it will see when it is back is not known."""
    cluster = FakeCluster(SCHEMA, [FakeNode(SCHEMA), FakeNode(SCHEMA)])
    cluster.each_node()["a"].silent = True
    require_same_views(cluster, "Article", pause=no_pause)
    views = read_views(cluster, "Article", pause=no_pause)
    (checked,) = check_all(Inventory((SCHEMA,), {}, {"Article": views}))
    assert views.silent == ("a",) and checked.worst is Severity.UNSAFE


def test_settings_that_only_another_version_adds_are_no_difference() -> None:
    """During an upgrade nodes fill in defaults of their own; what decides about encoding and order is compared."""
    other = copy.deepcopy(SCHEMA)
    other["vectorConfig"][VECTOR]["vectorIndexConfig"]["newSetting"] = 7
    other["objectTtlConfig"] = {"enabled": False}
    assert unlike(SCHEMA, other) == ""
    other["vectorConfig"][VECTOR]["vectorIndexConfig"]["distance"] = "dot"
    assert "distance is 'dot'" in unlike(SCHEMA, other)
    assert unlike(SCHEMA, None) and unlike(None, SCHEMA) and not unlike(None, None)
