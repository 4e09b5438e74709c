"""A Weaviate that is killed loses the end of its index's log: seen, told and mended, on a real one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from fakes.weaviate.audited import WordEncoder
from fakes.weaviate.nodes import Node, weaviate_nodes
from samespace_weaviate import CollectionSpec, Store, create
from samespace_weaviate.access.address import Address
from samespace_weaviate.access.values import StoredObject, object_uuid
from samespace_weaviate.audit import AuditOptions, Kind, audit
from samespace_weaviate.repair.journal import RepairJournal
from samespace_weaviate.repair.mend import repair

OBJECTS, BATCH, KILLS = 6000, 200, (2000, 4000)
ALL = AuditOptions(sample=None)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A Weaviate of this test's own, which may be killed."""
    binary = os.environ.get("WEAVIATE_BINARY")
    if not binary:
        pytest.skip("WEAVIATE_BINARY does not name a Weaviate that may be killed")
    with weaviate_nodes(Path(binary), tmp_path) as nodes:
        yield nodes[0]


def connected(node: Node) -> Store:
    return Store.connect(Address.parse(node.url, node.grpc_port))


def written(node: Node, spec: CollectionSpec, encoder: WordEncoder) -> None:
    """A collection whose Weaviate was killed between writes, each of which had been answered."""
    texts = [f"{number} in the {number % 97} house of {number % 89} streets" for number in range(OBJECTS)]
    rows = np.asarray(encoder.encode(texts, "passage").__array__())
    with connected(node) as store:
        create(store, spec)
    for first in range(0, OBJECTS, BATCH):
        if first in KILLS:
            node.kill()
            node.start()
            node.wait()
        batch = [
            StoredObject(object_uuid(spec.name, str(row)), {"text": texts[row], "passageId": str(row)}, rows[row])
            for row in range(first, first + BATCH)
        ]
        with connected(node) as store:
            assert store.insert(spec.name, spec.vector_name, batch) == []


def test_what_a_kill_took_from_the_index_is_named_and_mended(node: Node, tmp_path: Path) -> None:
    """All objects are stored, all vectors right; the audit says which no search finds, and repair brings them back."""
    encoder = WordEncoder()
    spec = CollectionSpec("Article", encoder.space_id, route="none", long_texts="pool")
    written(node, spec, encoder)
    with connected(node) as store:
        assert store.count(spec.name) == OBJECTS
        before = {each.uuid: each.vector for each in store.read(spec.name, spec.vector_name, _ids(store, spec), [])}
        found = audit(store, spec.name, encoder, ALL)
        assert {each.kind for each in found.offenders} == {Kind.UNSEARCHABLE}, "this Weaviate lost nothing"
        lost = {each.uuid for each in found.offenders}
        with RepairJournal(tmp_path / "journal", spec.name, encoder.space_id) as journal:
            report = repair(store, spec.name, encoder, journal)
        assert report.clean and report.mended == len(lost)
        after = {each.uuid: each.vector for each in store.read(spec.name, spec.vector_name, list(before), [])}
        assert {uuid for uuid in before if not np.array_equal(before[uuid], after[uuid])} == lost & set(before)
        hits = store.nearest(spec.name, spec.vector_name, np.ones(32, np.float32), 10_000)
        assert len(hits) == OBJECTS


def _ids(store: Store, spec: CollectionSpec) -> list:  # type: ignore[type-arg]
    return sorted(store.ids(spec.name))[:1000]


def test_the_command_says_what_it_did(node: Node, tiny_artifact: Path, tmp_path: Path) -> None:
    """A missing and a foreign vector; a dry run first, then the repair, then nothing is left to do."""
    from samespace import Encoder
    from samespace.cli.weaviate import weaviate

    with connected(node) as store, Encoder.load(tiny_artifact) as encoder:
        spec = CollectionSpec("Article", encoder.space_id, route="none", long_texts="pool")
        create(store, spec)
        rows = np.asarray(encoder.encode([f"text {row}" for row in range(50)], "passage").__array__())
        uuids = [object_uuid(spec.name, str(row)) for row in range(50)]
        objects = [
            StoredObject(uuid, {"text": f"text {row}", "passageId": str(row)}, rows[row])
            for row, uuid in enumerate(uuids)
        ]
        assert store.insert(spec.name, spec.vector_name, objects) == []
        store.patch_vector(spec.name, uuids[3], spec.vector_name, np.ones(32, np.float32) / np.float32(32**0.5))
    command = ["repair", "Article", "--encoder", str(tiny_artifact), "--url", node.url, "--grpc-port"]
    command += [str(node.grpc_port), "--journal", str(tmp_path / "journal")]
    dry = CliRunner().invoke(weaviate, [*command, "--dry-run"])
    assert dry.exit_code == 1 and "1 objects would be repaired" in dry.output
    done = CliRunner().invoke(weaviate, command)
    assert done.exit_code == 0 and "1 objects mended." in done.output
    assert "None of all 50 objects is wrong." in done.output
    assert not (tmp_path / "journal").exists()
