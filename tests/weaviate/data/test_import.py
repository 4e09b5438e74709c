"""The importer on a real Weaviate: killed, resumed, with tenants, and with long documents in each form."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from fakes.server.serving import Server
from fakes.weaviate.nodes import weaviate_nodes
from samespace import Encoder
from samespace.cli.weaviate import weaviate
from samespace.vectors import cosine_distance
from samespace_weaviate import CollectionSpec, ImportOptions, Passage, PinnedCollection, Store, create
from samespace_weaviate.importing.windows import window_uuid

pytestmark = [pytest.mark.weaviate, pytest.mark.integration]

FP32 = 1e-5  # 1 - cos: the same model, stored and read back as float32
POLL_S, END_S = 0.01, 200
COLOURS = ("red", "green", "blue", "warm", "early", "late")
LONG = " ".join(f"{word} {number}" for number in range(12) for word in COLOURS[:4])
SHORT = [Passage(str(number), f"{word} is passage {number}") for number, word in enumerate(COLOURS)]


def test_an_import_that_is_killed_at_any_point_loses_and_doubles_nothing(
    store: Store, spec: CollectionSpec, server: Server, encoder: Encoder, tmp_path: Path
) -> None:
    """kill -9 before, at and between finished batches; the last run finds only what is left, and every id is there."""
    create(store, spec)
    passages = [Passage(f"p{number}", LONG if number % 20 == 7 else f"passage {number}") for number in range(240)]
    data, journal = tmp_path / "corpus.jsonl", tmp_path / "run.journal"
    data.write_text("".join(json.dumps({"id": each.id, "text": each.text}) + "\n" for each in passages))
    command = [
        sys.executable, "-m", "samespace", "weaviate", "import", spec.name, str(data), "--encoder", server.grpc,
        "--batch", "4", "--state", str(tmp_path / "run"), "--url", store.address, "--grpc-port", str(store.grpc_port),
    ]  # fmt: skip
    counts = []
    for lines in (0, 1, 9, 30):
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            while _lines(journal) < lines and process.poll() is None:
                try:
                    process.wait(POLL_S)
                except subprocess.TimeoutExpired:
                    continue
            process.kill()
            assert process.wait(END_S) != 0, "it was done before it was killed"
        counts.append(store.count(spec.name))
    assert counts == sorted(counts)
    assert 0 < counts[-1] < len(passages)
    finished = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=END_S, check=False)
    assert finished.returncode == 0, finished.stderr
    assert "had been imported by an earlier run" in finished.stderr
    windows = encoder.encode_detailed([each.text for each in passages], "passage", long_texts="slices").windows
    wanted = {
        window_uuid(spec.name, passage.id, number)
        for passage, count in zip(passages, windows, strict=True)
        for number in range(count)
    }
    assert len(wanted) > len(passages)
    found = dict(store.vectors(spec.name, spec.vector_name))
    assert set(found) == wanted
    assert all(vector is not None for vector in found.values())
    assert store.count(spec.name) == len(wanted)
    assert not journal.exists()


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_what_is_stored_of_a_long_document_encodes_to_what_is_stored_with_it(
    collection: PinnedCollection, encoder: Encoder
) -> None:
    """Weaviate's module, or an audit, that encodes the stored text again gets the stored vector: windows are slices."""
    report = collection.import_passages([Passage("long", LONG), *SHORT])
    assert (report.long_texts, report.failed) == (1, ())
    assert report.written > len(SHORT) + 2
    hits = collection.search_vectors(encoder.encode([LONG[:40]], "passage"), 50)[0]
    pieces = [hit.properties for hit in hits]
    assert len(pieces) == report.written
    stored = dict(collection.database.vectors(collection.name, collection.pin.vector))  # type: ignore[attr-defined]
    again = encoder.encode_detailed([str(each["text"]) for each in pieces], "passage", long_texts="reject").vectors
    kept = np.stack([stored[hit.uuid] for hit in hits])
    assert cosine_distance(np.asarray(again), kept).max() < FP32
    for each in pieces:
        if each["documentId"] == "long":
            assert LONG[int(each["spanStart"]) : int(each["spanEnd"])] == each["text"]
    (first, *_) = collection.search(str(pieces[0]["text"]), 3, group_by="document")
    assert first.properties["documentId"] == pieces[0]["documentId"]


def test_a_document_that_became_shorter_leaves_no_stale_windows(collection: PinnedCollection) -> None:
    """Importing it again removes the windows that it no longer has, and no other document's."""
    before = collection.import_passages([Passage("1", LONG), Passage("2", LONG)]).written
    report = collection.import_passages([Passage("1", "short now")])
    assert report.removed == before // 2 - 1
    assert len(collection) == 1 + before // 2


@pytest.mark.parametrize("form", ["multivector", "pool"])
def test_a_long_document_in_one_object(store: Store, spec: CollectionSpec, encoder: Encoder, form: str) -> None:
    """One multi-vector, or one pooled vector; queries find it by the words of a window in the middle."""
    create(store, replace(spec, long_texts=form))  # type: ignore[arg-type]
    collection = PinnedCollection.open(store, spec.name, encoder)
    report = collection.import_passages([Passage("long", LONG), *SHORT])
    assert (report.written, report.failed, report.long_texts) == (1 + len(SHORT), (), 1)
    if form == "multivector":
        (_, start, end) = encoder.encode_detailed([LONG], "passage", long_texts="windows").spans[2]
        (hits,) = collection.search_vectors(encoder.encode([LONG[start:end]], "passage"), 1)
        assert hits[0].properties["passageId"] == "long"
    assert collection.search("red", 1)[0].properties["text"]


def test_tenants_by_property_and_by_name(store: Store, spec: CollectionSpec, server: Server, tmp_path: Path) -> None:
    """Each object is in its tenant and nowhere else; tenants are made where they are not there."""
    store.create(spec.schema() | {"multiTenancyConfig": {"enabled": True}})
    with Encoder.connect(server.grpc) as encoder:
        collection = PinnedCollection.open(store, spec.name, encoder)
        owned = [replace(each, properties={"owner": f"t{number % 2}"}) for number, each in enumerate(SHORT)]
        options = ImportOptions(tenant_property="owner", state=tmp_path / "run")
        assert collection.import_passages(owned, batch=2, options=options).written == len(SHORT)
        for tenant in ("t0", "t1"):
            found = {hit.properties["passageId"] for hit in collection.of_tenant(tenant).search("passage", 10)}
            assert found == {each.id for each in owned if each.properties["owner"] == tenant}
    data = tmp_path / "corpus.jsonl"
    data.write_text("".join(json.dumps({"key": each.id, "body": each.text}) + "\n" for each in SHORT))
    arguments = [
        "import", spec.name, str(data), "--encoder", server.grpc, "--tenant", "t2", "--id-field", "key", "--text-field",
        "body", "--state", str(tmp_path / "t2"), "--url", store.address, "--grpc-port", str(store.grpc_port),
    ]  # fmt: skip
    result = CliRunner().invoke(weaviate, arguments)
    assert result.exit_code == 0, result.output
    assert store.of_tenant("t2").count(spec.name) == len(SHORT)
    assert store.of_tenant("t0").count(spec.name) == len(SHORT) // 2


def test_properties_are_stored_as_what_they_are(store: Store, spec: CollectionSpec, encoder: Encoder) -> None:
    """Numbers, dates and lists where the collection has them, from whatever a file gave; the rest is named."""
    schema = spec.schema()
    types = (("year", "int"), ("price", "number"), ("sold", "boolean"), ("seen", "date"), ("tags", "text[]"))
    schema["properties"] += [{"name": name, "dataType": [data_type]} for name, data_type in types]
    store.create(schema)
    collection = PinnedCollection.open(store, spec.name, encoder)
    given = {"year": "2026", "price": 1, "sold": "true", "seen": "2026-01-02", "tags": ["a"], "colour": "red"}
    report = collection.import_passages([Passage("1", "x", given), Passage("2", "y", {"year": "soon"})])
    assert (report.written, [failure.passage for failure in report.failed]) == (1, ["2"])
    assert report.left_out == (("colour", 1),)
    stored = collection.search_words("x", 1)[0].properties
    assert (stored["year"], stored["price"], stored["sold"], stored["tags"]) == (2026, 1.0, True, ["a"])
    assert stored["seen"].year == 2026


@pytest.mark.slow
def test_an_import_outlives_a_minute_without_weaviate(server: Server, encoder: Encoder, tmp_path: Path) -> None:
    """Killed in the middle and started again a minute later: every passage is there once, and none is written off."""
    binary = os.environ.get("WEAVIATE_BINARY")
    if not binary:
        pytest.skip("WEAVIATE_BINARY does not name a Weaviate that may be killed")
    spec = CollectionSpec("Absent", server.space_id, server.http)
    with weaviate_nodes(Path(binary), tmp_path) as nodes, Store.connect(nodes[0].address) as store:
        create(store, spec)

        def passages() -> Iterator[Passage]:
            for number in range(3000):
                if number == 1500:
                    nodes[0].kill()
                    threading.Timer(60.0, nodes[0].start).start()
                yield Passage(str(number), f"red is text {number}")

        report = PinnedCollection.open(store, spec.name, encoder).import_passages(passages(), batch=64)
        assert report.failed == ()
        assert nodes[0].starts == 2
        assert len(set(store.ids(spec.name))) == 3000
