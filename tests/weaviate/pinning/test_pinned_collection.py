"""A pinned collection on a real Weaviate, with a real encoder server behind its module."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from fakes.server.serving import Server
from samespace import Encoder
from samespace.cli.weaviate import weaviate
from samespace.demo.tour import show_refusals
from samespace.errors import PinBroken, SpaceMismatch, WeaviateError
from samespace.vectors import cosine_distance
from samespace_weaviate import (
    CollectionSpec,
    Passage,
    PinnedCollection,
    Severity,
    Store,
    StoredObject,
    check_pin,
    create,
    plan,
)
from samespace_weaviate.access.values import object_uuid

pytestmark = [pytest.mark.weaviate, pytest.mark.integration]

FP32 = 1e-5  # 1 - cos: the same model through two doors, stored and read back as float32
# `word` texts, so that the tiny tokenizer gives each its own vector
PASSAGES = [Passage(str(number), f"{word} is passage {number}") for number, word in enumerate(
    ("red", "green", "blue", "fast", "slow", "north", "south", "early", "late", "open", "closed", "warm")
)]  # fmt: skip


def test_create_makes_what_was_planned_and_only_once(store: Store, spec: CollectionSpec) -> None:
    """The schema that Weaviate keeps is the one that was sent: planning again finds nothing to do."""
    create(store, spec)
    schema = store.schema(spec.name)
    assert schema is not None
    assert plan(spec, schema).actions == ()
    assert plan(spec, schema).conflicts == ()
    assert check_pin(schema, spec.space_id).worst is Severity.FINE
    assert schema["vectorConfig"][spec.vector_name]["vectorizer"]["text2vec-transformers"]["samespaceSpace"] == (
        spec.space_id
    )


def test_imported_passages_are_found_through_weaviates_own_module(collection: PinnedCollection) -> None:
    """`near_text` is encoded by the pinned server, and finds each passage by its own text at distance 0."""
    report = collection.import_passages(PASSAGES, batch=5)
    assert (report.written, report.failed, len(collection)) == (len(PASSAGES), (), len(PASSAGES))
    for passage in PASSAGES[:3]:
        hit = collection.search(passage.text, limit=1)[0]
        assert (hit.properties["text"], hit.properties["passageId"]) == (passage.text, passage.id)
        assert hit.uuid == object_uuid(collection.name, passage.id)
        assert hit.distance == pytest.approx(0.0, abs=1e-2)  # the module encodes it as a query, and Weaviate rounds


def test_stored_vectors_are_the_encoders(collection: PinnedCollection, store: Store, encoder: Encoder) -> None:
    """What is stored under the pinned name is what the encoder gives, for objects of the import and of the module."""
    collection.import_passages(PASSAGES[:3])
    stored = dict(store.vectors(collection.name, collection.pin.vector))
    wanted = np.asarray(encoder.encode([passage.text for passage in PASSAGES[:3]], "passage"))
    for row, passage in enumerate(PASSAGES[:3]):
        found = stored[object_uuid(collection.name, passage.id)]
        assert found is not None
        assert cosine_distance(found[None], wanted[row][None])[0] < FP32


def test_importing_again_changes_nothing(collection: PinnedCollection, store: Store) -> None:
    """Ids come from the passages, so a second import leaves the same objects."""
    collection.import_passages(PASSAGES)
    before = sorted(uuid for uuid, _ in store.vectors(collection.name, collection.pin.vector))
    collection.import_passages(PASSAGES)
    assert sorted(uuid for uuid, _ in store.vectors(collection.name, collection.pin.vector)) == before


def test_words_vectors_and_both_can_be_searched(collection: PinnedCollection, encoder: Encoder) -> None:
    """BM25, client-encoded vectors and hybrid search all name the pinned vector and find the passage."""
    collection.import_passages(PASSAGES)
    wanted = PASSAGES[4]
    assert collection.search_words("slow", 1)[0].properties["passageId"] == wanted.id
    assert collection.search_hybrid(wanted.text, 1)[0].properties["passageId"] == wanted.id
    (hits,) = collection.search_vectors(encoder.encode([wanted.text], "passage"), 1)
    assert hits[0].properties["passageId"] == wanted.id


def test_another_space_is_refused_at_every_door(
    collection: PinnedCollection, store: Store, server: Server, other: Encoder
) -> None:
    """SDK, raw HTTP, Weaviate's client and a schema change: each is refused, and each message tells both spaces."""
    collection.import_passages(PASSAGES)
    assert other.dims == 32
    refusals = show_refusals(store, collection, server.http, other.encode(["x"], "query"))
    assert len(refusals) == 7
    for refusal in refusals:
        assert collection.space_id[:12] in refusal.message, refusal
        assert other.space_id[:12] in refusal.message, refusal
    assert len(collection) == len(PASSAGES)


def test_the_other_encoder_cannot_import(collection: PinnedCollection, store: Store, other: Encoder) -> None:
    """The collection does not even open for it."""
    with pytest.raises(SpaceMismatch) as caught:
        PinnedCollection.open(store, collection.name, other)
    assert (caught.value.expected, caught.value.found) == (collection.space_id, other.space_id)
    assert len(collection) == 0


def test_an_encoder_server_of_another_space_cannot_answer_for_the_module(
    store: Store, spec: CollectionSpec, other_server: Server
) -> None:
    """Swapping the encoder behind a URL: the server refuses, Weaviate passes both ids on to the client."""
    swapped = CollectionSpec(spec.name, spec.space_id, other_server.http)
    create(store, swapped)
    collection = PinnedCollection.open(store, spec.name, spec.space_id)
    stray = StoredObject(object_uuid(spec.name, "1"), {"text": "x"}, np.eye(1, 32, dtype=np.float32)[0])
    assert store.insert(spec.name, spec.vector_name, [stray]) == []
    with pytest.raises(WeaviateError) as caught:
        collection.search("x")
    assert spec.space_id in str(caught.value)
    assert other_server.space_id in str(caught.value)


@pytest.fixture
def repinned(store: Store, spec: CollectionSpec, other: Encoder) -> Iterator[str]:
    """A collection on which somebody tried to point the pinned vector at another space; what Weaviate answered."""
    create(store, spec)
    wanted = CollectionSpec(spec.name, other.space_id, spec.server)
    with pytest.raises(WeaviateError) as caught:
        store.add_vector(spec.name, spec.vector_name, wanted.vectorizer_settings)
    yield str(caught.value)


def test_a_changed_pin_is_refused_or_found(
    store: Store, spec: CollectionSpec, encoder: Encoder, other: Encoder, repinned: str
) -> None:
    """Weaviate says "immutable". Where it keeps the change all the same, the pin check stops the SDK.

    Both kinds of Weaviate exist: docs/reference/weaviate-facts.md, fact 2.
    """
    assert "immutable" in repinned
    schema = store.schema(spec.name)
    assert schema is not None
    if check_pin(schema, spec.space_id).worst is Severity.FINE:
        PinnedCollection.open(store, spec.name, encoder)
        return
    assert check_pin(schema, spec.space_id).worst is Severity.BROKEN
    with pytest.raises(PinBroken) as caught:
        PinnedCollection.open(store, spec.name, encoder)
    assert spec.space_id in str(caught.value)
    assert other.space_id in str(caught.value)


def test_a_second_space_gets_its_own_vector(
    store: Store, spec: CollectionSpec, encoder: Encoder, other: Encoder
) -> None:
    """Adding a space leaves the first pin as it is; each encoder opens its own vector."""
    create(store, spec)
    create(store, CollectionSpec(spec.name, other.space_id, spec.server))
    assert PinnedCollection.open(store, spec.name, encoder).pin.vector == spec.vector_name
    assert PinnedCollection.open(store, spec.name, other).space_id == other.space_id


def test_the_commands_create_fill_search_and_check(
    store: Store, spec: CollectionSpec, server: Server, tiny_artifact: Path, other_artifact: Path, tmp_path: Path
) -> None:
    """The whole path by command line; the wrong encoder ends it with exit code 1."""
    data = tmp_path / "corpus.jsonl"
    data.write_text(
        "".join(json.dumps({"_id": entry.id, "title": "", "text": entry.text}) + "\n" for entry in PASSAGES),
        encoding="utf-8",
    )
    address = ["--url", store.address, "--grpc-port", str(store.grpc_port)]

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(weaviate, [*arguments, *address])
        return result.exit_code, result.output + str(result.exception or "")

    code, output = run("create", spec.name, "--encoder", str(tiny_artifact), "--server", server.http, "--dry-run")
    assert (code, store.schema(spec.name)) == (0, None)
    assert spec.inference_url in output
    assert run("create", spec.name, "--encoder", str(tiny_artifact), "--server", server.http)[0] == 0
    code, output = run("import", spec.name, str(data), "--encoder", server.grpc, "--state", str(tmp_path / "run"))
    assert code == 0, output
    code, output = run("search", spec.name, PASSAGES[2].text, "--encoder", server.grpc, "--limit", "1")
    assert (code, PASSAGES[2].text in output) == (0, True), output
    assert run("check", spec.name, "--encoder", str(tiny_artifact))[0] == 0
    code, output = run("check", spec.name, "--encoder", str(other_artifact))
    assert (code, "broken" in output) == (1, True)
    code, output = run("search", spec.name, "x", "--encoder", str(other_artifact))
    assert code == 1
    assert spec.space_id in output
