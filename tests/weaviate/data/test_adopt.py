"""Collections that other programs wrote, without a pin: who wrote them is found out, or nothing is pinned.

What is planted is encoded by sentence-transformers from the original folders.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from click.testing import CliRunner

from fakes.models.encoders import WORDS, save_tiny_bert
from fakes.providers.hosted import KEY, Hosted, hosting
from fakes.server.serving import Server
from samespace import Encoder
from samespace.cli import cli
from samespace.cli.weaviate import weaviate
from samespace.errors import MigrationBlocked, PinBroken
from samespace.providers.drift import ProviderDrifted
from samespace_weaviate import Severity, Store, StoredObject, check_pin
from samespace_weaviate.access.database import stream
from samespace_weaviate.access.values import object_uuid
from samespace_weaviate.adoption.run import adopt, look
from samespace_weaviate.adoption.sample import draw
from samespace_weaviate.adoption.words import verdict
from samespace_weaviate.audit import AuditOptions, audit
from samespace_weaviate.pinning.pin import find_pin

OBJECTS = 60
Rows = np.ndarray[Any, np.dtype[np.float32]]
Properties = Mapping[str, Any]


@dataclass(frozen=True)
class Planted:
    """A collection as somebody else made it.

    Attributes:
        name: of the case.
        text: what was encoded of an object.
        model: who encoded it: "tiny", "other", or "stranger", which is no candidate.
        rest: who encoded the last tenth, and of which text.
        wanted: candidate that has to be named; "" for none.
        pinned: whether it may be pinned in place.
        schema: beside class and properties.
        precision: of the stored numbers.
    """

    name: str
    text: Callable[[Properties], str] = lambda each: str(each["body"])
    model: str = "tiny"
    rest: tuple[str, Callable[[Properties], str]] | None = None
    wanted: str = "tiny"
    pinned: bool = True
    schema: Mapping[str, Any] = field(default_factory=dict)
    precision: Any = np.float32


def body(each: Properties) -> str:
    return str(each["body"])


CASES = (
    Planted("one property"),
    Planted("another property", lambda each: str(each["title"])),
    Planted("title and body", lambda each: f"{each['title']} {each['body']}"),
    Planted("body and title", lambda each: f"{each['body']} {each['title']}"),
    Planted("a sentence each", lambda each: f"{each['title']}. {each['body']}"),
    Planted("with a colon", lambda each: f"{each['title']}: {each['body']}"),
    Planted("three properties", lambda each: f"{each['note']} {each['title']} {each['body']}"),
    Planted("with their names", lambda each: f"body {each['body']} title {each['title']}"),
    Planted("as weaviate does", lambda each: f"Planted {each['body']} {each['note']} {each['title']}"),
    Planted("behind a prefix", lambda each: f"passage: {each['body']}"),
    Planted("behind a prefix, joined", lambda each: f"passage: {each['title']} {each['body']}"),
    Planted("the other encoder", model="other", wanted="other"),
    Planted("the other encoder, joined", lambda each: f"{each['title']} {each['body']}", model="other", wanted="other"),
    Planted("half precision", precision=np.float16),
    Planted("two encoders", rest=("other", body), pinned=False),
    Planted("two recipes", rest=("tiny", lambda each: f"{each['title']} {each['body']}"), pinned=False),
    Planted("some of a stranger", rest=("stranger", body), pinned=False),
    Planted("a stranger", model="stranger", wanted="", pinned=False),
    Planted("without a name", schema={"vectorizer": "none"}, pinned=False),
    Planted("tenants", schema={"multiTenancyConfig": {"enabled": True}}),
)  # fmt: skip


@pytest.fixture(scope="module")
def models(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """sentence-transformers on the original folders; both candidates, and one that is none."""
    from sentence_transformers import SentenceTransformer

    from conftest import OTHER_SEED

    folder = tmp_path_factory.mktemp("planted")
    other = save_tiny_bert(folder / "other", seed=OTHER_SEED)
    stranger = save_tiny_bert(folder / "stranger", seed=77)
    paths = {"tiny": tiny_checkpoint, "other": other, "stranger": stranger}
    return {name: SentenceTransformer(str(path), device="cpu") for name, path in paths.items()}


@pytest.fixture(scope="module")
def candidates(tiny_artifact: Path, other_artifact: Path) -> Iterator[dict[str, Encoder]]:
    with Encoder.load(tiny_artifact) as tiny, Encoder.load(other_artifact) as other:
        yield {"tiny": tiny, "other": other}


def objects(count: int, *, words: tuple[int, int] = (4, 12)) -> list[dict[str, str]]:
    chance, known = random.Random(5), sorted(WORDS)
    lengths = {"title": (2, 4), "body": words, "note": (1, 2)}
    return [
        {name: " ".join(chance.choices(known, k=chance.randint(*length))) for name, length in lengths.items()}
        for _ in range(count)
    ]


def plant(store: Store, case: Planted, models: Mapping[str, Any], rows: Sequence[Properties], vector: str) -> str:
    """Make the collection and fill it by plain REST; its name."""
    name = f"Planted{uuid4().hex[:8]}" if "weaviate" not in case.name else "Planted"
    properties = [{"name": each, "dataType": ["text"]} for each in ("title", "body", "note")]
    named = {} if "vectorizer" in case.schema else {"vectorConfig": {vector: _none()}}
    store.create({"class": name, "properties": properties, **named, **case.schema})
    last = len(rows) - len(rows) // 10 if case.rest else len(rows)
    made = [models[case.model].encode([case.text(each) for each in rows[:last]])]
    made += [models[case.rest[0]].encode([case.rest[1](each) for each in rows[last:]])] if case.rest else []
    vectors = np.concatenate(made).astype(case.precision).astype(np.float32)
    stored = [
        StoredObject(UUID(int=random.Random(f"{name} {place}").getrandbits(128)), each, vectors={vector: row})
        for place, (each, row) in enumerate(zip(rows, vectors, strict=True))
    ]
    if "multiTenancyConfig" not in case.schema:
        assert store.write(name, stored) == []
        return name
    for tenant, part in (("a", stored[: len(stored) // 2]), ("b", stored[len(stored) // 2 :])):
        store.add_tenant(name, tenant)
        assert store.of_tenant(tenant).write(name, part) == []
    store.add_tenant(name, "cold")
    store.set_tenant_state(name, "cold", "COLD")
    return name


def _none() -> dict[str, Any]:
    return {"vectorizer": {"none": {}}, "vectorIndexType": "hnsw"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_who_wrote_it_is_named_and_nothing_is_pinned_wrongly(
    case: Planted, store: Store, models: dict[str, Any], candidates: dict[str, Encoder]
) -> None:
    """Twenty collections: the encoder and a recipe that gives the same texts; mixed ones are not pinned."""
    rows = objects(OBJECTS)
    vector = "" if "vectorizer" in case.schema else "default"
    name = plant(store, case, models, rows, vector)
    try:
        found = look(store, name, [candidates["other"], candidates["tiny"]], sample=OBJECTS)
        (seen,) = found.vectors
        assert (seen.vector, seen.sampled) == (vector, OBJECTS)
        named = seen.best
        assert (named.space_id if named else "") == (candidates[case.wanted].space_id if case.wanted else "")
        if named is not None:
            recipe = named.recipes[0].recipe
            assert [_words(recipe.text(each)) for each in rows[:5]] == [_words(case.text(each)) for each in rows[:5]]
        assert bool(found.adoptions) == case.pinned, seen.obstacle()
        if case.pinned:
            _is_pinned(store, name, found, candidates[case.wanted])
        else:
            with pytest.raises(PinBroken, match="nothing was changed"):
                adopt(store, found)
            assert find_pin(store.schema(name) or {}, candidates["tiny"].space_id) is None
        if "multiTenancyConfig" in case.schema:
            assert store.tenant_states(name)["cold"] == "COLD" and found.unread == ("cold",)
            told = [each.message for each in check_pin(store.schema(name) or {}, named.space_id).findings]
            assert any("1 tenant was not read when it was adopted (cold)" in each for each in told), told
    finally:
        store.delete_collection(name)


def _words(text: str) -> list[str]:
    """As the tokenizer of the candidates sees a text: without case and spaces."""
    return text.lower().replace(".", " . ").replace(":", " : ").split()


def _is_pinned(store: Store, name: str, found: Any, encoder: Encoder) -> None:
    """The record is there, an audit by it is clean, and unnamed vectors are rejected."""
    adopt(store, found)
    schema = store.schema(name) or {}
    pin = find_pin(schema, encoder.space_id)
    assert pin is not None and pin.adopted and pin.vector == "default"
    checked = check_pin(schema, encoder.space_id)
    assert checked.worst is Severity.UNSAFE  # its name does not keep others out, and that is said
    assert any("adopted" in each.message for each in checked.findings)
    assert any("guarded" in each.message for each in checked.findings)
    report = audit(store, name, encoder, AuditOptions(sample=None, written_within=2e-4))
    assert report.clean and report.population == OBJECTS
    unnamed = StoredObject(uuid4(), {"body": "x"}, vectors={"": np.ones(encoder.dims, dtype=np.float32)})
    tenant = next((each for each, awake in store.tenants(name).items() if awake), "")
    refused = store.of_tenant(tenant).write(name, [unnamed])
    assert refused, "an unnamed vector was let in"


def test_objects_whose_ids_stand_in_a_crowd_are_seen(
    store: Store, models: dict[str, Any], candidates: dict[str, Encoder]
) -> None:
    """A tenth was written by another program, with ids of a counter and another encoder: random places miss them."""
    rows = objects(300)
    name = f"Planted{uuid4().hex[:8]}"
    properties = [{"name": each, "dataType": ["text"]} for each in ("title", "body", "note")]
    store.create({"class": name, "properties": properties, "vectorConfig": {"default": _none()}})
    texts = [body(each) for each in rows]
    vectors = np.concatenate([models["tiny"].encode(texts[:270]), models["other"].encode(texts[270:])])
    ids = [UUID(int=random.Random(n).getrandbits(128)) for n in range(270)] + [UUID(int=n + 1) for n in range(30)]
    try:
        stored = [
            StoredObject(*each[:2], vectors={"default": each[2]}) for each in zip(ids, rows, vectors, strict=True)
        ]
        assert store.write(name, stored) == []
        found = look(store, name, [candidates["tiny"]], sample=150)
        assert found.read == 150 and not found.adoptions and "otherwise" in found.vectors[0].obstacle()
        by_places = draw(store, store.schema(name) or {}, 100, random.Random(1), walked=200)
        assert len(by_places.objects) == 100 and not by_places.fair
        counted = {each.uuid for each in by_places.objects} & set(ids[270:])
        assert len(counted) < 5  # which is why a sample by places says nothing of the others
        large = replace(look(store, name, [candidates["tiny"]], sample=20).vectors[0], fair=False)
        assert large.strangers_at_most == 1.0 and "audit it" in verdict(large)
    finally:
        store.delete_collection(name)


def test_ids_of_a_counter_alone_are_found_by_places_too(
    store: Store, models: dict[str, Any], candidates: dict[str, Encoder]
) -> None:
    """All of them lie in a millionth of a millionth of the range."""
    rows = objects(40)
    name = plant(store, Planted("counter"), models, rows, "default")
    try:
        store.delete(name, [each.uuid for each in stream(store, name)])
        vectors = models["tiny"].encode([body(each) for each in rows])
        stored = [
            StoredObject(UUID(int=2**100 + n), each, vectors={"default": row})
            for n, (each, row) in enumerate(zip(rows, vectors, strict=True))
        ]
        assert store.write(name, stored) == []
        assert draw(store, store.schema(name) or {}, 8, random.Random(1), walked=10).objects
    finally:
        store.delete_collection(name)


def test_texts_that_were_cut_are_told_from_pooled_ones(
    store: Store, models: dict[str, Any], candidates: dict[str, Encoder]
) -> None:
    """It shows in long texts alone, of which there are few; sentence-transformers cuts them."""
    rows = [*objects(45), *objects(5, words=(60, 80))]
    name = plant(store, Planted("cut"), models, rows, "default")
    try:
        found = look(store, name, [candidates["tiny"]], sample=50)
        best = found.vectors[0].best
        assert best is not None and best.recipes[0].recipe.cut and len(best.recipes[0].objects) == 50
        adopt(store, found)
        assert audit(store, name, candidates["tiny"], AuditOptions(sample=None)).clean
    finally:
        store.delete_collection(name)


def test_the_command_tells_pins_and_is_asked_for_by_check(
    store: Store, models: dict[str, Any], tiny_artifact: Path, other_artifact: Path
) -> None:
    """check ends with the line to run; --dry-run changes nothing; the second time there is nothing to do."""
    name = plant(store, Planted("command"), models, objects(OBJECTS), "default")
    where = ["--url", store.address, "--grpc-port", str(store.grpc_port)]
    both = ["--candidate", str(other_artifact), "--candidate", str(tiny_artifact)]
    try:
        told = CliRunner().invoke(weaviate, ["check", name, "--offline", *where])
        assert told.exit_code == 1 and f"weaviate adopt {name}" in " ".join(told.output.split())
        dry = CliRunner().invoke(weaviate, ["adopt", name, *both, "--sample", "40", "--dry-run", *where])
        assert dry.exit_code == 0, dry.output
        assert "40 of 40" in dry.output and "the text of body" in dry.output
        assert list((store.schema(name) or {})["vectorConfig"]) == ["default"]
        done = CliRunner().invoke(weaviate, ["adopt", name, *both, "--yes", *where])
        assert done.exit_code == 0 and "is adopted into space" in done.output, done.output
        again = CliRunner().invoke(weaviate, ["adopt", name, *both, "--yes", *where])
        assert again.exit_code == 0 and "adopted already" in again.output, again.output
        audited = CliRunner().invoke(weaviate, ["audit", name, "--encoder", str(tiny_artifact), *where])
        assert audited.exit_code == 0, audited.output
        query = ["search", name, str(objects(1)[0]["body"]), "--encoder", str(tiny_artifact), "--limit", "1", *where]
        found = CliRunner().invoke(weaviate, query)
        assert found.exit_code == 0 and str(objects(1)[0]["body"])[:20] in found.output, found.output
        few = CliRunner().invoke(weaviate, ["adopt", name, "--candidate", str(other_artifact), "--json", *where])
        assert few.exit_code == 0
    finally:
        store.delete_collection(name)


def test_objects_without_a_vector_are_told(
    store: Store, models: dict[str, Any], candidates: dict[str, Encoder], tiny_artifact: Path
) -> None:
    """They are of no other space, so it is pinned; but no search finds them, and the bound is not about them."""
    name = plant(store, Planted("lacking"), models, objects(OBJECTS), "default")
    try:
        bare = [StoredObject(object_uuid(name, f"bare {n}"), {"body": f"text {n} without a vector"}) for n in range(30)]
        assert store.write(name, bare) == []
        found = look(store, name, list(candidates.values()), sample=10_000)
        (vector,) = found.vectors
        assert vector.without == 30 and found.adoptions
        assert "30 of" in verdict(vector) and "have a text and no vector" in verdict(vector)
    finally:
        store.delete_collection(name)


RESCUES = (
    Planted("one property"),
    Planted("without a name", schema={"vectorizer": "none"}),
    Planted("title and body", lambda each: f"{each['title']} {each['body']}"),
)


@pytest.mark.parametrize("case", RESCUES, ids=lambda case: case.name)
def test_it_is_copied_under_the_name_of_its_space_without_encoding(
    case: Planted, store: Store, models: dict[str, Any], server: Server, tiny_artifact: Path, tmp_path: Path
) -> None:
    """The copy has the same numbers, a pin that Weaviate enforces, and a way back."""
    rows = objects(OBJECTS)
    vector = "" if "vectorizer" in case.schema else "default"
    name = plant(store, case, models, rows, vector)
    alias, new = f"{name}Alias", f"e_{server.space_id[:12]}"
    where = ["--url", store.address, "--grpc-port", str(store.grpc_port), "--journal", str(tmp_path / "journal")]
    command = [
        "move",
        name,
        "--alias",
        alias,
        "--server",
        server.http,
        "--encoder",
        str(tiny_artifact),
        "--yes",
        *where,
    ]
    before = {each.uuid: each for each in stream(store, name, vectors=True)}
    try:
        looked = ["adopt", name, "--candidate", str(tiny_artifact), "--dry-run", *where[:4]]
        assert CliRunner().invoke(weaviate, looked).exit_code == 0  # it is known who wrote it, wherever it is pinned
        done = CliRunner().invoke(weaviate, [*command, "--settle-s", "0.1"])
        assert done.exit_code == 0, (done.output, done.exception)
        assert f"Audit: None of all {OBJECTS} objects is wrong" in done.output
        copy = store.alias_target(alias)
        after = {each.uuid: each for each in stream(store, copy, vectors=True)}
        assert after.keys() == before.keys()
        for key, each in after.items():
            assert list(each.vectors) == [new] and np.array_equal(each.vectors[new], before[key].vectors[vector])
        checked = check_pin(store.schema(copy) or {}, server.space_id)
        assert checked.worst <= (Severity.UNSAFE if " and " in case.name else Severity.DRIFT), checked.findings
        if " and " not in case.name:
            assert store.near_text(copy, new, str(rows[0]["body"]), 1)[0].distance < 1e-3  # type: ignore[operator]
        unnamed = StoredObject(uuid4(), {"body": "x"}, vectors={"": np.ones(32, dtype=np.float32)})
        assert store.write(copy, [unnamed])
        back = CliRunner().invoke(weaviate, [*command, "--rollback"])
        assert back.exit_code == 0, (back.output, back.exception)
        assert store.alias_target(alias) == name and copy not in store.names()
        assert {each.uuid for each in stream(store, name)} == before.keys()
    finally:
        store.delete_alias(alias)
        for each in store.names():
            if each.startswith(name):
                store.delete_collection(each)


def test_tenants_that_nobody_read_are_not_copied_under_the_name_of_a_space(
    store: Store, models: dict[str, Any], server: Server, tiny_artifact: Path, tmp_path: Path
) -> None:
    """The name would vouch for them, and no audit reads them. Once all are active, it is copied."""
    case = Planted("tenants", schema={"multiTenancyConfig": {"enabled": True}})
    name = plant(store, case, models, objects(OBJECTS), "default")
    where = ["--url", store.address, "--grpc-port", str(store.grpc_port), "--journal", str(tmp_path / "journal")]
    encoder = ["--encoder", str(tiny_artifact), "--server", server.http, "--settle-s", "0.1"]
    command = ["move", name, "--alias", f"{name}Alias", *encoder, "--yes", *where]
    try:
        refused = CliRunner().invoke(weaviate, command)
        assert isinstance(refused.exception, MigrationBlocked), refused.output
        assert "1 tenant is not active, the first 'cold'" in str(refused.exception)
        assert [each for each in store.names() if each.startswith(name)] == [name]
        store.set_tenant_state(name, "cold", "HOT")
        done = CliRunner().invoke(weaviate, command)
        assert done.exit_code == 0, (done.output, done.exception)
        assert f"None of all {OBJECTS} objects of the 3 tenants that were read is wrong" in " ".join(
            done.output.split()
        )
    finally:
        store.delete_alias(f"{name}Alias")
        for each in store.names():
            if each.startswith(name):
                store.delete_collection(each)


def test_the_budget_and_the_foreign_objects_are_those_of_a_real_collection(
    store: Store, models: dict[str, Any], tiny_artifact: Path
) -> None:
    """3 % of another encoder are listed by their ids, and no more texts are encoded than were announced."""
    rows = objects(100)
    name = plant(store, Planted("few", rest=("other", body)), models, rows, "default")
    where = ["--url", store.address, "--grpc-port", str(store.grpc_port)]
    try:
        done = CliRunner().invoke(
            weaviate, ["adopt", name, "--candidate", str(tiny_artifact), "--sample", "100", "--yes", "--json", *where]
        )
        assert done.exit_code == 1, done.output
        assert "encodes 3,700 texts at most" in " ".join(done.stderr.split())
        (vector,) = json.loads(done.stdout)["vectors"]
        assert vector["candidates"][0]["encoded"] <= 3700
        wrong = {UUID(int=random.Random(f"{name} {place}").getrandbits(128)) for place in range(90, 100)}
        assert {UUID(each["id"]) for each in vector["otherwise"]} == wrong
    finally:
        store.delete_collection(name)


def test_what_is_mixed_is_not_copied(
    store: Store, models: dict[str, Any], server: Server, tiny_artifact: Path, tmp_path: Path
) -> None:
    """Nothing is made of a collection that two encoders wrote."""
    name = plant(store, Planted("mixed", rest=("other", body)), models, objects(OBJECTS), "default")
    where = ["--url", store.address, "--grpc-port", str(store.grpc_port), "--journal", str(tmp_path / "journal")]
    encoder = ["--encoder", str(tiny_artifact), "--server", server.http]
    try:
        done = CliRunner().invoke(weaviate, ["move", name, "--alias", f"{name}Alias", *encoder, "--yes", *where])
        assert isinstance(done.exception, PinBroken) and "6 of 60 objects are otherwise" in str(done.exception)
        assert store.alias_target(f"{name}Alias") == "" and not (tmp_path / "journal").exists()
        assert [each for each in store.names() if each.startswith(name)] == [name]
    finally:
        store.delete_collection(name)


def test_a_collection_is_migrated_to_a_hosted_encoder(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every object has the provider's vector, no module is asked, and another model behind the name is seen."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    where = ["--url", store.address, "--grpc-port", str(store.grpc_port)]
    rows, name, folder = objects(OBJECTS), f"Planted{uuid4().hex[:8]}", str(tmp_path / "hosted")
    properties = [{"name": each, "dataType": ["text"]} for each in ("title", "body", "note")]
    store.create({"class": name, "properties": properties, "vectorConfig": {"default": _none()}})
    with hosting(Hosted(noise=1e-4, dims=64, length=1.0)) as hosted:
        try:
            assert store.write(name, [StoredObject(uuid4(), each) for each in rows]) == []
            pin = ["provider", "pin", "openai:small", "--base-url", hosted.url, "--out", folder, "--yes"]
            assert CliRunner().invoke(cli, pin).exit_code == 0
            alias = f"{name}Alias"
            there = ["migrate", name, "--alias", alias, "--to", folder, "--property", "body", "--yes", *where]
            refused = CliRunner().invoke(weaviate, [*there, "--server", "http://127.0.0.1:9"])
            assert refused.exit_code == 1 and "leave it out" in str(refused.exception)
            done = CliRunner().invoke(weaviate, there)
            assert done.exit_code == 0 and f"to {hosted.url}" in done.output and "bills" in done.output, done.output
            new = store.alias_target(alias)
            for each in stream(store, new, vectors=True):
                right = np.asarray(hosted.vector(str(each.properties["body"]), ""))
                (row,) = each.vectors.values()
                assert float(row @ right / np.linalg.norm(right)) > 0.999
            assert CliRunner().invoke(weaviate, ["audit", alias, "--encoder", folder, "--all", *where]).exit_code == 0
            hosted.model = 2
            (tmp_path / "more.jsonl").write_text('{"_id": "new", "text": "another passage"}\n')
            for command in (["audit", alias, "--all"], ["import", alias, "more.jsonl"], ["search", alias, "a text"]):
                swapped = CliRunner().invoke(weaviate, [*command, "--encoder", folder, *where])
                assert isinstance(swapped.exception, ProviderDrifted), swapped.output
            assert store.count(new) == OBJECTS
        finally:
            for each in [each for each in store.names() if each.startswith(name)]:
                store.delete_collection(each)


def test_a_collection_of_a_hosted_encoder_is_adopted_checked_and_audited(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its provider is a candidate like any other; a model swapped behind the name is seen by check and audit."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    where = ["--url", store.address, "--grpc-port", str(store.grpc_port)]
    rows, name, folder = objects(OBJECTS), f"Planted{uuid4().hex[:8]}", str(tmp_path / "hosted")
    properties = [{"name": each, "dataType": ["text"]} for each in ("title", "body", "note")]
    store.create({"class": name, "properties": properties, "vectorConfig": {"default": _none()}})
    with hosting(Hosted(noise=1e-5, dims=64, length=1.0)) as hosted:
        made = [np.asarray(hosted.vector(f"{each['title']} {each['body']}", "")) for each in rows]
        stored = [
            StoredObject(uuid4(), each, vectors={"default": row.astype(np.float32)})
            for each, row in zip(rows, made, strict=True)
        ]
        try:
            assert store.write(name, stored) == []
            pin = ["provider", "pin", "openai:small", "--base-url", hosted.url, "--out", folder, "--yes"]
            assert CliRunner().invoke(cli, pin).exit_code == 0
            done = CliRunner().invoke(weaviate, ["adopt", name, "--candidate", folder, "--yes", *where])
            assert done.exit_code == 0 and "the text of title, body" in done.output, done.output
            assert f"to {hosted.url}" in done.output  # what is sent, and where, comes first
            audit_it = ["audit", name, "--encoder", folder, "--all", "--written-within", "0.0002", *where]
            audited = CliRunner().invoke(weaviate, audit_it)
            assert audited.exit_code == 0 and "bills" in audited.output, audited.output
            checked = CliRunner().invoke(weaviate, ["check", name, "--encoder", folder, *where])
            assert "gives the probes' vectors" in " ".join(checked.output.split()), checked.output
            hosted.model = 2
            swapped = CliRunner().invoke(weaviate, ["check", name, "--encoder", folder, *where])
            assert swapped.exit_code == 1 and "broken" in swapped.output, swapped.output
            assert CliRunner().invoke(weaviate, audit_it).exit_code == 1
        finally:
            store.delete_collection(name)
