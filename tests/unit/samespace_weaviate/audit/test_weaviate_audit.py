"""samespace_weaviate.audit: each kind of contamination is planted, found and named; a clean collection is silent."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from fakes.weaviate.audited import AuditedFake, WordEncoder
from fakes.weaviate.database import OTHER_SPACE, SPACE
from samespace.errors import PinBroken, RequestInvalid, SpaceMismatch, WeaviateError
from samespace_weaviate import CollectionSpec
from samespace_weaviate.audit import AuditOptions, AuditReport, Kind, Shard, audit
from samespace_weaviate.audit.searchable import (
    WIDEST,
    SearchCheck,
    SelfSearch,
    finds_itself,
    is_compressed,
    search_each,
)
from samespace_weaviate.audit.words import sentences, verdict
from samespace_weaviate.importing.report import Tally
from samespace_weaviate.migration.verification import Verification

NOUNS = ("river", "engine", "harbour", "lantern", "orchard", "glacier", "violin", "compass", "meadow", "anvil")
VERBS = ("crosses", "follows", "hides", "carries", "repairs", "forgets", "measures", "paints", "guards", "sells")
TEXTS = [
    f"In every town the {noun} {verb} the old {other}"
    for noun in NOUNS
    for verb in VERBS
    for other in ("road", "bridge", "mill")
]
RIGHT, WRONG = WordEncoder(), WordEncoder(OTHER_SPACE)
SPEC = CollectionSpec("Article", SPACE, "http://encoder:8080", also_properties=("author", "title"), long_texts="pool")
ALL = AuditOptions(sample=None)


def row(encoder: WordEncoder, text: str) -> Any:
    """The (1, dim) vector of a text."""
    return np.asarray(encoder.encode([text], "passage").__array__())


def filled() -> tuple[AuditedFake, list[UUID]]:
    """A clean collection of 300 objects, and their ids."""
    database = AuditedFake(SPEC.schema())
    return database, database.fill(RIGHT, TEXTS, author="Ada", title="A Walk")


def found(report: AuditReport) -> dict[UUID, Kind]:
    """What the report says of which object."""
    return {each.uuid: each.kind for each in report.offenders}


def test_a_clean_collection_is_silent_and_the_bound_is_stated() -> None:
    """Nothing wrong of 100 of 300: at most 3.7 % can be wrong (99 %); of all, nothing."""
    database, _ = filled()
    report = audit(database, "article", RIGHT, AuditOptions(sample=100, seed=1))
    assert (report.clean, report.population, report.sampled, report.coarse) == (True, 300, 100, 0)
    assert report.at_most == pytest.approx(11 / 300)
    everything = audit(database, "Article", RIGHT, ALL)
    assert (everything.clean, everything.sampled, everything.at_most) == (True, 300, 0.0)


def test_the_same_seed_draws_the_same_sample() -> None:
    """A report can be repeated; without a seed it is a new sample, and the report tells its seed."""
    database, ids = filled()
    for uuid in ids[::2]:
        database.set_vectors(uuid, None)
    first = audit(database, "Article", RIGHT, AuditOptions(sample=40))
    again = audit(database, "Article", RIGHT, AuditOptions(sample=40, seed=first.seed))
    assert first.offenders == again.offenders
    assert found(first) != found(audit(database, "Article", RIGHT, AuditOptions(sample=40)))


@pytest.mark.parametrize(
    ("vectors", "kind"),
    [
        (lambda text: None, Kind.MISSING),
        (lambda text: np.empty((1, 0), np.float32), Kind.MISSING),
        (lambda text: row(RIGHT, text)[:, :8], Kind.WRONG_LENGTH),
        (lambda text: row(RIGHT, text) * np.float32("nan"), Kind.NOT_FINITE),
        (lambda text: row(RIGHT, text) * 0, Kind.ZERO),
        (lambda text: row(RIGHT, text) * 3, Kind.NOT_UNIT),
        (lambda text: row(WRONG, text), Kind.OTHER_SPACE),
        (lambda text: row(RIGHT, text + " before it was rebuilt"), Kind.STALE),
        (lambda text: row(RIGHT, text.lower()), Kind.RECIPE),
        (lambda text: row(RIGHT, f"Article {text}"), Kind.RECIPE),
        (lambda text: row(RIGHT, f"Ada {text} A Walk"), Kind.RECIPE),
        (lambda text: np.asarray(RIGHT.encode([text], "query").__array__()), Kind.RECIPE),
    ],
)
def test_three_of_three_hundred_are_found_and_named(vectors: Callable[[str], Any], kind: Kind) -> None:
    """1 % of each kind of wrong vector; the audit finds just these."""
    database, ids = filled()
    wrong = ids[7::100]
    for uuid in wrong:
        database.set_vectors(uuid, vectors(str(database.objects[""][uuid].properties["text"])))
    report = audit(database, "Article", RIGHT, ALL)
    assert found(report) == dict.fromkeys(wrong, kind)
    assert (report.clean, report.at_most) == (False, 0.01)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (str.lower, "in lower case"),
        (lambda text: f"Article {text}", "with the collection's name in front"),
        (lambda text: f"Ada {text} A Walk", "made of the properties author, passageId, text, title"),
        (lambda text: f"article ada {text.lower()} a walk", "in lower case, made of"),
    ],
)
def test_the_recipe_that_explains_a_vector_is_told(text: Callable[[str], str], says: str) -> None:
    """Lower case, the class name, other properties in alphabetical order: what Weaviate can do to a text."""
    database, ids = filled()
    for uuid in ids:
        database.set_vectors(uuid, row(RIGHT, text(str(database.objects[""][uuid].properties["text"]))))
    report = audit(database, "Article", RIGHT, AuditOptions(sample=50))
    assert report.kinds() == {Kind.RECIPE: 50}
    assert says in report.offenders[0].reason


def test_a_constant_vector_is_told_from_equal_texts() -> None:
    """A failed encoder gives everybody the same vector; two objects of one text have it by right."""
    database, ids = filled()
    database.fill(RIGHT, [TEXTS[0]], author="somebody else")
    wrong = ids[10:13]
    for uuid in wrong:
        database.set_vectors(uuid, np.full((1, RIGHT.dims), RIGHT.dims**-0.5, np.float32))
    assert found(audit(database, "Article", RIGHT, ALL)) == dict.fromkeys(wrong, Kind.SHARED)


def test_swapped_vectors_name_the_object_whose_they_are() -> None:
    """An import that is off by one gives each object its neighbour's vector."""
    database, ids = filled()
    database.set_vectors(ids[0], database.objects[""][ids[1]].vector)
    (offender,) = audit(database, "Article", RIGHT, ALL).offenders
    assert (offender.uuid, offender.kind) == (ids[0], Kind.OTHER_TEXT)
    assert str(ids[1]) in offender.reason


def test_a_suspected_encoder_is_named() -> None:
    """With `against`, vectors of the other space are called by its id."""
    database, ids = filled()
    for uuid in ids[:3]:
        database.set_vectors(uuid, row(WRONG, str(database.objects[""][uuid].properties["text"])))
    short = WordEncoder("c" * 64, dims=8)
    database.set_vectors(ids[3], row(short, TEXTS[3]))
    report = audit(database, "Article", RIGHT, ALL, against=(WRONG, short))
    assert found(report) == dict.fromkeys(ids[:4], Kind.KNOWN_SPACE)
    assert {each.reason.split()[2] for each in report.offenders} == {OTHER_SPACE[:12], "c" * 12}


def test_objects_without_text_may_have_no_vector_but_not_one() -> None:
    """Weaviate makes no vector of nothing."""
    database, ids = filled()
    for uuid in ids[:2]:
        database.objects[""][uuid].properties.pop("text")  # type: ignore[attr-defined]
    database.set_vectors(ids[0], None)
    assert found(audit(database, "Article", RIGHT, ALL)) == {ids[1]: Kind.NO_TEXT}


def test_each_tenant_has_its_own_sample_and_inactive_ones_are_told() -> None:
    """The bound of the whole lets those of all tenants hold together."""
    database = AuditedFake(SPEC.schema(), active={"b": True, "a": True, "cold": False})
    for tenant in ("a", "b"):
        ids = database.fill(RIGHT, TEXTS, tenant)
    for uuid in ids[:30]:
        database.set_vectors(uuid, None, "b")
    report = audit(database, "Article", RIGHT, AuditOptions(sample=100, seed=3))
    clean, wrong = report.tenants
    assert [each.tenant for each in report.tenants] == ["a", "b"]
    assert (clean.offenders, report.unread) == ((), ("cold",))
    assert {(each.tenant, each.kind) for each in wrong.offenders} == {("b", Kind.MISSING)}
    assert clean.at_most(0.99) < report.at_most < wrong.at_most(0.99)
    only = audit(database, "Article", RIGHT, AuditOptions(tenants=("a",)))
    assert [each.tenant for each in only.tenants] == ["a"]
    for tenant in ("cold", "nobody"):
        with pytest.raises(RequestInvalid, match=tenant):
            audit(database, "Article", RIGHT, AuditOptions(tenants=(tenant,)))


def test_multi_vectors_are_compared_window_by_window() -> None:
    """One wrong window of one document is enough; a wrong number of windows is told as such."""
    spec = CollectionSpec("Article", SPACE, "http://encoder:8080", long_texts="multivector")
    database = AuditedFake(spec.schema())
    texts = [f"{text} and then again {other}" for text, other in zip(TEXTS[:40], TEXTS[40:80], strict=True)]
    ids = database.fill(RIGHT, texts)
    for uuid, text in zip(ids, texts, strict=True):
        rows = np.asarray(RIGHT.encode([text], "passage", long_texts="windows").__array__())
        assert len(rows) == 2
        database.set_vectors(uuid, rows)
    assert audit(database, "Article", RIGHT, ALL).clean
    changed = np.array(database.objects[""][ids[0]].vector)
    changed[1] = row(WRONG, "another")[0]
    database.set_vectors(ids[0], changed)
    database.set_vectors(ids[1], changed[:1])
    assert found(audit(database, "Article", RIGHT, ALL)) == {ids[0]: Kind.OTHER_SPACE, ids[1]: Kind.WINDOWS}


def test_texts_that_were_cut_are_explained() -> None:
    """An encoder that cuts at its limit gives the vector of the first window."""
    database, _ = filled()
    text = " ".join(TEXTS[:3])
    (uuid,) = database.fill(RIGHT, [text])
    database.set_vectors(uuid, np.asarray(RIGHT.encode([text], "passage", long_texts="windows").__array__())[:1])
    (offender,) = audit(database, "Article", RIGHT, ALL).offenders
    assert (offender.kind, offender.reason) == (Kind.RECIPE, "cut at the token limit")


def test_another_encoder_is_refused_before_anything_is_read() -> None:
    """With both ids; and a collection without a pin, or none at all, is told as what it is."""
    database, _ = filled()
    with pytest.raises(SpaceMismatch) as caught:
        audit(database, "Article", WRONG)
    assert (caught.value.expected, caught.value.found) == (SPACE, OTHER_SPACE)
    for name, other in (("Nothing", database), ("Old", AuditedFake({"class": "Old"}))):
        with pytest.raises(PinBroken, match=name):
            audit(other, name, RIGHT)
    assert database.reads == []


def test_a_redirected_pin_is_told_and_audited_all_the_same() -> None:
    """Somebody pointed the vectorizer elsewhere: now one wants to know what is stored."""
    schema = SPEC.schema()
    settings = schema["vectorConfig"][SPEC.vector_name]["vectorizer"]["text2vec-transformers"]
    settings["inferenceUrl"] = f"http://encoder:8080/e/{OTHER_SPACE}"
    database = AuditedFake(schema)
    database.fill(RIGHT, TEXTS)
    report = audit(database, "Article", RIGHT)
    assert report.clean
    assert [OTHER_SPACE in each for each in report.pin_findings] == [True]


def test_reports_tell_ids_and_reasons_and_no_texts() -> None:
    """What stands in objects may be private; reports are passed around."""
    database, ids = filled()
    database.set_vectors(ids[0], None)
    database.set_vectors(ids[1], row(WRONG, TEXTS[1]))
    told = audit(database, "Article", RIGHT, ALL).to_dict()
    assert [each["id"] for each in told["offenders"]] == sorted(str(uuid) for uuid in ids[:2])
    assert not any(word in str(told) for word in ("town", "Ada", "Walk"))


@pytest.mark.parametrize("bad", [{"sample": 0}, {"confidence": 1.0}, {"written_within": 1.0}])
def test_options_that_make_no_sense_are_refused(bad: dict[str, Any]) -> None:
    """Each names the field."""
    with pytest.raises(RequestInvalid, match=next(iter(bad))):
        AuditOptions(**bad)


def test_what_no_search_finds_is_told_although_its_vector_is_right() -> None:
    """Stored is not searchable: each of three objects that are in no index is named, and nothing else."""
    database, ids = filled()
    database.unindexed |= set(ids[5:8])
    report = audit(database, "Article", RIGHT, ALL)
    assert found(report) == dict.fromkeys(sorted(ids[5:8]), Kind.UNSEARCHABLE)
    assert (report.clean, report.unsearchable, report.to_dict()["unsearchable"]) == (False, 3, 3)
    assert "no search finds" in " ".join(sentences(report)) and "repair" in " ".join(sentences(report))


def test_a_wrong_vector_is_told_as_wrong_also_where_no_search_finds_it() -> None:
    """What has to be encoded again is not merely missing in the index."""
    database, ids = filled()
    database.set_vectors(ids[0], row(WRONG, "x"))
    database.unindexed.add(ids[0])
    assert found(audit(database, "Article", RIGHT, ALL)) == {ids[0]: Kind.OTHER_SPACE}


def test_what_was_deleted_or_indexed_meanwhile_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read and searched once more before anything is said."""
    database, ids = filled()
    database.unindexed |= {ids[0], ids[1]}
    read = AuditedFake.read

    def reading(self: AuditedFake, name: str, vector: str, uuids: Any, properties: Any) -> Any:
        if len(uuids) <= 2:  # no page: what the searches missed
            self.objects[""].pop(ids[0], None)
            self.unindexed.clear()
        return read(self, name, vector, uuids, properties)

    monkeypatch.setattr(AuditedFake, "read", reading)
    assert audit(database, "Article", RIGHT, ALL).clean


def test_a_thousand_equal_vectors_are_said_to_be_undecided() -> None:
    """Where more objects than a search gives have one vector, nothing is claimed about any of them."""
    nearest = [(UUID(int=number), 0.0) for number in range(5000)]
    answer = finds_itself(lambda query, limit: nearest[:limit], UUID(int=4999), np.ones(3, np.float32))
    assert answer is SelfSearch.TIES
    apart = [(UUID(int=number), number / 5000) for number in range(5000)]
    assert finds_itself(lambda query, limit: apart[:limit], UUID(int=4999), np.ones(3, np.float32)) is SelfSearch.NO
    assert finds_itself(lambda query, limit: apart[:limit], UUID(int=700), np.ones(3, np.float32)) is SelfSearch.YES


SAME = np.ones(3, np.float32)


@pytest.mark.parametrize(
    ("there", "known"), [(range(1300), "found"), (range(1100), "missing"), (range(20_000), "cannot be told")]
)
def test_more_than_a_thousand_equal_vectors_are_looked_at_once_more(there: range, known: str) -> None:
    """By the largest query, which one vector needs once: "n/a" is a text that many objects have."""
    asked = list[int]()

    def nearest(query: Any, limit: int) -> list[tuple[UUID, float]]:
        asked.append(limit)
        return [(UUID(int=number), 0.0) for number in there[:limit]]

    few = [(UUID(int=number), SAME) for number in (1200, 1201, 1202)]
    few = few if len(there) < WIDEST else [(UUID(int=number), SAME) for number in (15_000, 15_001, 15_002)]
    answers = search_each({"": nearest}, few)
    counts = {"missing": len(answers.missing), "cannot be told": answers.tied}
    assert {name: count for name, count in counts.items() if count} == ({known: 3} if known in counts else {})
    assert asked.count(WIDEST) == 1


@pytest.mark.parametrize("takes", [True, False])
def test_what_a_compressed_index_ranks_behind_a_thousand_others_is_not_missing(takes: bool) -> None:
    """Nothing mends it, so an import, an audit and a migration that called it missing had no way on."""

    def nearest(query: Any, limit: int) -> list[tuple[UUID, float]]:
        if limit == WIDEST and not takes:
            raise WeaviateError("query maximum results exceeded")
        return [(UUID(int=number), number / 5000) for number in range(min(limit, 5000))]

    some = [(UUID(int=3000), SAME), (UUID(int=9000), SAME * 2)]
    answers = search_each({"": nearest}, some, compressed=True)
    assert sorted(key.int for key in answers.missing) == ([9000] if takes else [3000, 9000])
    assert answers.behind == (1 if takes else 0)
    assert sorted(key.int for key in search_each({"": nearest}, some).missing) == [3000, 9000]


@pytest.mark.parametrize(
    ("config", "compressed"),
    [
        ({"ef": -1, "pq": {"enabled": False}, "bq": {"enabled": False}}, False),
        ({"pq": {"enabled": True, "segments": 8}}, True),
        ({"rq": {"enabled": True, "bits": 1}}, True),
        ({"threshold": 10, "hnsw": {"sq": {"enabled": True}}, "flat": {"bq": {"enabled": False}}}, True),
        ({"multivector": {"enabled": True}}, False),
    ],
)
def test_an_index_that_ranks_by_codes_is_known(config: dict[str, Any], compressed: bool) -> None:
    database = AuditedFake({"class": "Article", "vectorConfig": {"e": {"vectorIndexConfig": config}}})
    assert is_compressed(database, "Article", "e") is compressed  # type: ignore[arg-type]


def test_what_cannot_be_told_is_not_called_found() -> None:
    """Neither by an import nor by a migration."""
    found = SearchCheck(searched=1300, tied=200, behind=5)
    report = Tally().report(found, token_limit=4, form="pool", seconds=1.0)
    told = " ".join(report.sentences())
    assert "1300 objects were searched for by their own vector, and 1095 of them found." in told
    assert "200 have the very vector" in told and "5 are in the index" in told
    migrated = Verification(1300, 1300, 64, 0.0, (), searched=1300, tied=200, behind=5)
    told = " ".join(migrated.sentences())
    assert "1,095 of 1,300 are found by their own vector." in told and "cannot be told" in told


def test_vectors_that_wait_to_be_indexed_are_no_clean_audit() -> None:
    """An asynchronous index is waited for, and what waits still is told with exit code 1 in mind."""
    database, _ = filled()
    queues = iter([7, 7, 5, 5, 5])
    database.shards = lambda name: [Shard("one", "node1", 300, "INDEXING", queued=next(queues, 5))]  # type: ignore[method-assign]
    report = audit(database, "Article", RIGHT, AuditOptions(sample=None, wait_s=0.01))
    assert (report.clean, report.wrong, report.queued) == (False, 0, 5)
    assert "5 vectors wait to be indexed" in verdict(report)


def test_an_index_that_catches_up_is_waited_for() -> None:
    """The queue is empty after a while, and the audit begins then."""
    database, _ = filled()
    queues = iter([7, 3])
    database.shards = lambda name: [Shard("one", "node1", 300, "READY", queued=next(queues, 0))]  # type: ignore[method-assign]
    assert audit(database, "Article", RIGHT, AuditOptions(sample=20, wait_s=10)).clean
    assert next(queues, None) is None


def test_each_nodes_own_index_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """An object that one replica's index lacks is unsearchable, and its node is named, whoever is asked."""
    database, ids = filled()

    def each_index(asked: AuditedFake, name: str, consistency: object) -> dict[str, AuditedFake]:
        lacking = copy(asked)
        lacking.unindexed = set(ids[3:6])
        return {"http://a:1": asked, "http://b:2": lacking}

    monkeypatch.setattr(AuditedFake, "each_index", each_index)
    report = audit(database, "Article", RIGHT, ALL)
    assert found(report) == dict.fromkeys(ids[3:6], Kind.UNSEARCHABLE)
    assert all("on node http://b:2" in each.reason and "a:1" not in each.reason for each in report.offenders)
