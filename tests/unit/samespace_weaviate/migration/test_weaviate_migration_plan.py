"""What a migration will do, from schemas alone, and what it costs."""

from __future__ import annotations

from typing import Any

import pytest

from samespace.errors import MigrationBlocked
from samespace_weaviate import CollectionSpec, Severity, check_pin
from samespace_weaviate.migration import (
    EncodingTrial,
    Migration,
    Wanted,
    estimate,
    new_schema,
    plan_migration,
    references_from_others,
    sentences,
)
from samespace_weaviate.migration.cost import pause_s
from samespace_weaviate.pinning.spec import GUARD_VECTOR

OLD, NEW = "a" * 64, "b" * 64
SERVER = "http://user:secret-token@encoder:8080"


def pinned(name: str = "Article", **settings: Any) -> dict[str, Any]:
    return {**CollectionSpec(name, OLD, "http://old:8080").schema(), **settings}


def plan(name: str, schemas: dict[str, Any], aliases: dict[str, str], **wanted: str) -> Migration:
    return plan_migration(Wanted(name, NEW, **wanted), "m1", schemas, aliases)


def test_an_alias_leads_to_its_collection() -> None:
    """The new collection is named after the alias and the space."""
    found = plan("articles", {"Article": pinned()}, {"Articles": "Article"})
    assert (found.alias, found.old, found.new, found.makes_alias) == (
        "Articles",
        "Article",
        f"Articles_{NEW[:12]}",
        False,
    )
    assert (found.from_space, found.text_property) == (OLD, "text")


def test_a_collection_that_has_an_alias_is_migrated_by_it() -> None:
    """The message names the alias."""
    with pytest.raises(MigrationBlocked, match="migrate the alias: `samespace weaviate migrate Articles`"):
        plan("Article", {"Article": pinned()}, {"Articles": "Article"})


def test_a_collection_without_alias_needs_a_name_for_one() -> None:
    """And not its own, which an alias cannot have; the plan says what clients have to do."""
    schemas = {"Article": pinned()}
    for alias in ("", "Article"):
        with pytest.raises(MigrationBlocked, match="alias"):
            plan("Article", schemas, {}, alias=alias)
    found = plan("Article", schemas, {}, alias="Articles")
    assert found.makes_alias
    assert any("let all clients use Articles before the switch" in each for each in sentences(found, [], {}))


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({**pinned(), "vectorConfig": {"one": {}, "two": {}}}, "2 vectors"),
        (CollectionSpec("Article", NEW, "http://old:8080").schema(), "already"),
        (CollectionSpec("Article", OLD, "http://old:8080", long_texts="multivector").schema(), "each window"),
        ({"class": "Article", "properties": [{"name": "n", "dataType": ["int"]}]}, "which property"),
    ],
)
def test_what_cannot_be_migrated_is_said_before_anything_is_done(schema: dict[str, Any], reason: str) -> None:
    """Each message says what to do instead."""
    with pytest.raises(MigrationBlocked, match=reason):
        plan("Articles", {"Article": schema}, {"Articles": "Article"})


def test_a_name_that_is_taken_is_not_overwritten() -> None:
    """The new collection of an earlier, forgotten migration is somebody's decision."""
    schemas = {"Article": pinned(), f"Articles_{NEW[:12]}": pinned()}
    with pytest.raises(MigrationBlocked, match="there is one already"):
        plan("Articles", schemas, {"Articles": "Article"})


def test_the_new_schema_keeps_what_is_the_users_and_drops_what_is_the_old_encoders() -> None:
    """Properties, tenants, index settings stay; references to itself follow; the pin is the new one and holds."""
    index = {"distance": "cosine", "efConstruction": 77, "pq": {"enabled": True}}
    old = pinned(
        replicationConfig={"factor": 3},
        multiTenancyConfig={"enabled": True},
        shardingConfig={"desiredCount": 1, "actualCount": 1},
        moduleConfig={"generative-openai": {"model": "x"}, "text2vec-openai": {}},
    )
    old["vectorConfig"][f"e_{OLD[:12]}"]["vectorIndexConfig"] = index
    old["properties"] += [{"name": "next", "dataType": ["Article"]}, {"name": "who", "dataType": ["Person"]}]
    found = plan("Articles", {"Article": old}, {"Articles": "Article"})
    made = new_schema(old, found, SERVER, "new")
    assert check_pin(made, NEW).worst is Severity.FINE
    assert made["replicationConfig"] == {"factor": 3}
    assert made["moduleConfig"] == {"generative-openai": {"model": "x"}}
    assert [entry["dataType"] for entry in made["properties"][-2:]] == [[found.new], ["Person"]]
    assert made["vectorConfig"][f"e_{NEW[:12]}"]["vectorIndexConfig"] == index
    assert found.mark in made["description"]
    assert "secret-token" not in str(found.to_json())


def test_references_from_other_collections_are_listed() -> None:
    """They keep pointing to the old one."""
    person = {"class": "Person", "properties": [{"name": "wrote", "dataType": ["Article"]}]}
    schemas = {"Article": pinned(), "Person": person}
    found = plan("Articles", schemas, {"Articles": "Article"})
    assert references_from_others(found, schemas) == ["Person.wrote"]


def test_the_cost_follows_the_trial() -> None:
    """Tokens and long texts by the sample, disk by the dimensions, time by the slower of encoder and limit."""
    trial = EncodingTrial(tokens=(100, 300), windows=(1, 2), seconds=0.2)
    cost = estimate(1000, 3, 384, trial)
    assert (cost.tokens, cost.long_share) == (200_000, 0.5)
    assert 100 <= cost.seconds <= 150
    assert 1000 * 384 * 4 < cost.disk_bytes < 2 * 1000 * 384 * 4
    assert estimate(1000, 0, 384, trial, max_objects_per_s=1).seconds == 1000
    assert "3 cold tenants" in cost.sentences()[0]


def test_the_pace_is_kept() -> None:
    """100 objects at 50 a second are due after 2 s; without a limit nobody waits."""
    assert pause_s(100, 0.5, 50) == 1.5
    assert pause_s(100, 3.0, 50) == 0.0
    assert pause_s(100, 0.0, 0) == 0.0


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("old", [True, False])
def test_the_new_collection_is_guarded_unless_told_otherwise(old: bool, wanted: bool) -> None:
    """The guard counts as no vector of the old collection; clients are told what they will meet."""
    schemas = {"Article": CollectionSpec("Article", OLD, "http://encoder:8080", guard=old).schema()}
    migration = plan_migration(Wanted("Article", NEW, "Articles", guard=wanted), "1", schemas, {})
    made = new_schema(schemas["Article"], migration, "http://encoder:8080", "")
    assert (GUARD_VECTOR in made["vectorConfig"]) is wanted
    told = " ".join(sentences(migration, [], {}))
    assert ("rejected too, by the guard" in told) is wanted
    assert ("can still mix in" in told) is not wanted
