"""A second vector in the same collection, of a new encoder or of a bridge to it."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from click.testing import CliRunner

from fakes.server.serving import Server
from samespace import Encoder
from samespace.cli.weaviate import weaviate
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
)
from samespace_weaviate.access.database import stream
from samespace_weaviate.migration.bridge import Bridge
from samespace_weaviate.migration.named_vector import add, plan_encoder

pytestmark = [pytest.mark.weaviate, pytest.mark.integration]

SAME = 1e-3  # 1 - cos: the same model in other batches, perhaps in bf16
WORDS = ("red", "green", "blue", "fast", "slow", "north", "south", "early", "late", "open")
PASSAGES = [Passage(str(n), f"{WORDS[n % 10]} {WORDS[n // 10]} is text {n}") for n in range(100)]


@pytest.fixture
def name(store: Store, spec: CollectionSpec, encoder: Encoder) -> str:
    """A collection of 100 objects."""
    create(store, spec)
    PinnedCollection.open(store, spec.name, encoder).import_passages(PASSAGES)
    return spec.name


def run(store: Store, *arguments: str) -> tuple[int, str]:
    address = ["--url", store.address, "--grpc-port", str(store.grpc_port), "--yes"]
    result = CliRunner().invoke(weaviate, [*arguments, *address])
    return result.exit_code, result.output + str(result.exception or "")


def test_two_vectors_without_a_pin_are_not_sent_in_circles(
    store: Store, spec: CollectionSpec, other: Encoder, other_server: Server
) -> None:
    """An alias cannot move both; the strategy that it names adds a pinned one beside them, and leaves them alone."""
    plain = {"vectorizer": {"none": {}}, "vectorIndexType": "hnsw"}
    properties = [{"name": "text", "dataType": ["text"]}, {"name": "note", "dataType": ["text"]}]
    store.create({"class": spec.name, "vectorConfig": {"one": plain, "two": plain}, "properties": properties})
    row = np.eye(1, 8, dtype=np.float32)[0]
    objects = [
        StoredObject(UUID(int=n + 1), {"text": f"text {n}"}, vectors={"one": row, "two": -row}) for n in range(9)
    ]
    assert store.write(spec.name, objects) == []
    to = ("--to", other_server.grpc, "--server", other_server.http)
    code, output = run(store, "migrate", spec.name, "--alias", f"{spec.name}Alias", *to)
    assert code != 0 and "--strategy named-vector" in output
    second = ("migrate", spec.name, "--strategy", "named-vector", *to)
    code, output = run(store, *second)
    assert code != 0 and "--property" in output and "alias" not in output
    code, output = run(store, *second, "--property", "text")
    assert code == 0 and "9 objects got" in output, output
    for each in stream(store, spec.name, vectors=True):
        assert set(each.vectors) == {"one", "two", f"e_{other.space_id[:12]}"}
        assert (each.vectors["one"] == row).all()
    code, output = run(store, *second, "--property", "text", "--finish")
    assert code == 0 and "none is dropped" in output, output


def test_every_object_gets_the_new_encoders_vector_beside_its_own(
    store: Store, name: str, encoder: Encoder, other: Encoder, other_server: Server
) -> None:
    """Clients name one or the other; again, it finds nothing to do; an object written meanwhile is the module's."""
    before = {record.uuid: record for record in stream(store, name, vectors=True)}
    migrate = ["migrate", name, "--strategy", "named-vector", "--to", other_server.grpc, "--server", other_server.http]
    code, output = run(store, *migrate)
    assert code == 0, output
    assert "100 objects got" in output
    assert store.write(name, [StoredObject(UUID(int=1), {"text": "a late one"})]) == []
    after = {record.uuid: record for record in stream(store, name, vectors=True)}
    assert len(after) == 101
    old, new = f"e_{encoder.space_id[:12]}", f"e_{other.space_id[:12]}"
    for record in after.values():
        right = np.asarray(other.encode([str(record.properties["text"])], "passage").__array__())[0]
        assert cosine_distance(record.vectors[new], right) < SAME
        if record.uuid in before:
            assert (record.vectors[old] == before[record.uuid].vectors[old]).all()
            assert record.same_content(before[record.uuid])
    code, output = run(store, *migrate)
    assert "0 objects got" in output
    found = PinnedCollection.open(store, name, other).search(PASSAGES[7].text, 1)
    assert found[0].properties["passageId"] == "7"
    code, output = run(store, *migrate, "--finish")
    assert code == 0
    assert old in output  # dropped, or why not


def test_the_old_vector_stays_while_an_object_would_be_found_by_none(
    store: Store, name: str, encoder: Encoder, other: Encoder, other_server: Server
) -> None:
    """A filling that was killed, a vector of a stranger: named, and nothing is dropped."""
    migrate = ["migrate", name, "--strategy", "named-vector", "--to", other_server.grpc, "--server", other_server.http]
    old, new = f"e_{encoder.space_id[:12]}", f"e_{other.space_id[:12]}"
    add(store, plan_encoder(store, name, other, other_server.http, "text"))
    records = list(stream(store, name, vectors=True))
    rows = np.asarray(other.encode([str(each.properties["text"]) for each in records[:40]], "passage").__array__())
    for each, row in zip(records, rows, strict=False):
        store.patch_vector(name, each.uuid, new, row)
    code, output = run(store, *migrate, "--finish")
    assert code != 0 and "nothing was dropped" in output and f"60 objects have no {new}" in output, output
    code, output = run(store, *migrate)
    assert code == 0 and "60 objects got" in output, output
    store.patch_vector(name, records[3].uuid, new, -rows[3])
    code, output = run(store, *migrate, "--finish")
    assert code != 0 and "1 of" in output and str(records[3].uuid) in output, output
    kept = (store.schema(name) or {})["vectorConfig"]
    assert old in kept
    assert "none" not in kept[old].get("vectorIndexType", "hnsw")


def test_a_bridge_is_measured_refused_or_added_under_its_own_name(
    store: Store, name: str, other: Encoder, other_server: Server, tmp_path: Path
) -> None:
    """Below the least retention nothing is written; else each object gets the mapped vector, and `check` tells."""
    path = tmp_path / "map.npz"
    bridge = ["bridge", name, "--to", other_server.grpc, "--map", str(path)]
    code, output = run(store, *bridge, "--least-retention", "1")
    assert code == 1
    assert "retention" in output
    assert not path.exists()
    code, output = run(store, *bridge, "--least-retention", "0")
    assert code == 0, output
    assert "bridged vectors give" in output
    made = Bridge.load(path)
    schema = store.schema(name)
    assert schema is not None
    found = check_pin(schema, made.space_id)
    assert found.worst is Severity.DRIFT
    assert any("approximate" in each.message for each in found.findings)
    old, new = f"e_{made.from_space[:12]}", f"e_{made.space_id[:12]}"
    records = list(stream(store, name, vectors=True))
    mapped = made.passages(np.stack([record.vectors[old] for record in records])).__array__()
    assert cosine_distance(np.stack([record.vectors[new] for record in records]), mapped).max() < 1e-5
    query = made.queries(other.encode([PASSAGES[3].text], "query"))
    assert len(PinnedCollection.open(store, name, made.space_id).search_vectors(query, 5)[0]) == 5
