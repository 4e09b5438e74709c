"""A map between two spaces: how well it is fitted, what is claimed of it, and that it is never taken for an encoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

import numpy as np
import pytest

from fakes.weaviate.database import FakeEncoder
from fakes.weaviate.in_memory import FakeWeaviate
from samespace.errors import DataInvalid, GateFailed, RequestInvalid, SpaceMismatch
from samespace.vectors import Vectors, cosine_distance, normalise
from samespace_weaviate import Severity, StoredObject, check_pin
from samespace_weaviate.migration.bridge import Bridge, BridgeTerms, bridge, crossed, fit, overlap
from samespace_weaviate.migration.linear_map import MeasuredRetention
from samespace_weaviate.pinning.spec import BRIDGE_KEY, SPACE_KEY

OLD, NEW = "a" * 64, "b" * 64
DIMS, TEXTS = 16, 400
EXACT = 1e-6  # 1 - cos: float32 rounding of a map that is exact


def rows(seed: int, count: int = TEXTS, dims: int = DIMS) -> Vectors:
    return Vectors(normalise(np.random.default_rng(seed).standard_normal((count, dims))), OLD)


def rotation(seed: int, dims: int = DIMS) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((dims, dims)))[0]


def turned(old: Vectors, noise: float = 0.0, seed: int = 2) -> Vectors:
    """The vectors of an encoder that differs by a rotation, and by noise."""
    base = old.__array__() @ rotation(seed)
    return Vectors(normalise(base + noise * np.random.default_rng(3).standard_normal(base.shape)), NEW)


def test_a_rotation_is_found() -> None:
    """Where one space is the other one turned, the map is exact, also for texts that it never saw."""
    old = rows(1)
    bridge = fit(old, turned(old))
    fresh = rows(9, 50)
    assert bridge.held_out < EXACT
    assert cosine_distance(bridge.passages(fresh.__array__()).__array__(), turned(fresh).__array__()).max() < EXACT


def test_the_kind_with_the_smaller_held_out_error_is_taken() -> None:
    """A rotation in much noise is Procrustes' case; a squeeze of some directions is the ridge's."""
    old = rows(1, 120)
    assert fit(old, turned(old, noise=0.5)).kind == "procrustes"
    squeezed = old.__array__() @ np.diag(np.linspace(0.05, 3, DIMS)).astype(np.float32)
    assert fit(old, Vectors(normalise(squeezed + np.eye(1, DIMS)), NEW)).kind == "ridge"


def test_sizes_may_differ() -> None:
    """From 16 dimensions to 24 and to 8."""
    old = rows(1)
    for dims in (24, 8):
        target = np.random.default_rng(4).standard_normal((DIMS, dims))
        bridge = fit(old, Vectors(normalise(old.__array__() @ target), NEW))
        assert bridge.passages(old.__array__()).shape == (TEXTS, dims)
        assert bridge.held_out < 0.05


def test_what_is_measured_is_not_flattered_by_what_was_fitted_on() -> None:
    """Between unrelated spaces a map with as many numbers as texts fits those texts, and `crossed` shows nothing."""
    old, new = rows(1, 100, 90), Vectors(rows(2, 100, 90).__array__(), NEW)
    fitted = fit(old, new).passages(old.__array__()).__array__()
    queries = normalise(np.random.default_rng(5).standard_normal((50, 90)))
    flattered = overlap(queries, fitted, new.__array__())
    honest = overlap(queries, crossed(old, new), new.__array__())
    assert honest < 0.25  # chance is 0.1
    assert flattered > honest + 0.1


def test_overlap_is_one_for_the_same_vectors() -> None:
    """And about limit / n for unrelated ones."""
    one, other, queries = rows(1).__array__(), rows(2).__array__(), rows(3, 50).__array__()
    assert overlap(queries, one, one) == 1.0
    assert overlap(queries, one, other) < 0.1


def test_its_space_is_neither_the_old_nor_the_new_one() -> None:
    """The id changes with every number of the map and with both spaces; vectors of the new space do not compare."""
    old = rows(1)
    bridge = fit(old, turned(old))
    touched = bridge.matrix.copy()
    touched[3, 4] = np.nextafter(touched[3, 4], 2)
    ids = {
        bridge.space_id,
        replace(bridge, matrix=touched).space_id,
        replace(bridge, from_space="c" * 64).space_id,
        replace(bridge, to_space="c" * 64).space_id,
        OLD,
        NEW,
    }
    assert len(ids) == 6
    mapped = bridge.passages(old.__array__())
    with pytest.raises(SpaceMismatch):
        turned(old) @ mapped.T
    assert (bridge.queries(turned(old)) @ mapped.T).shape == (TEXTS, TEXTS)


def test_queries_of_any_other_encoder_are_refused() -> None:
    """Only the new encoder's queries may be asked of bridged vectors."""
    old = rows(1)
    with pytest.raises(SpaceMismatch):
        fit(old, turned(old)).queries(old)


def test_a_file_comes_back_and_an_altered_one_does_not(tmp_path: Path) -> None:
    """The id is that of the numbers, and is looked at when they are read."""
    old = rows(1)
    bridge, path = fit(old, turned(old)), tmp_path / "map.npz"
    bridge.save(path)
    assert Bridge.load(path).space_id == bridge.space_id
    with np.load(path) as found:
        parts = dict(found)
    parts["matrix"] = parts["matrix"] * np.float32(2)
    np.savez(path, **parts)
    with pytest.raises(DataInvalid, match="altered"):
        Bridge.load(path)
    path.write_bytes(b"nothing")
    with pytest.raises(DataInvalid):
        Bridge.load(path)


def test_too_few_texts_are_refused() -> None:
    """A map of 99 texts says nothing about the next one."""
    old = rows(1, 99)
    with pytest.raises(RequestInvalid, match="at least 100"):
        fit(old, turned(old))


def test_check_says_that_it_is_approximate() -> None:
    """Whoever reads the schema sees that no encoder made these vectors."""
    space = "d" * 64
    settings = {SPACE_KEY: space, BRIDGE_KEY: f"from {OLD} to {NEW}", "properties": ["text"]}
    schema = {"class": "Article", "vectorConfig": {"e_" + space[:12]: {"vectorizer": {"none": settings}}}}
    found = [each for each in check_pin(schema, space).findings if "approximate" in each.message]
    assert [each.severity for each in found] == [Severity.DRIFT]
    assert OLD in found[0].message


class _Weaviate(FakeWeaviate):
    """A `FakeWeaviate` whose collections can get vectors."""

    def add_vector(self, name: str, vector: str, settings: Any, **_: Any) -> None:
        self.schemas[name]["vectorConfig"][vector] = {"vectorizer": {"none": dict(settings)}}

    def patch_vector(self, name: str, uuid: UUID, vector: str, row: Any) -> None:
        found = self.objects[name][""][uuid]
        self.objects[name][""][uuid] = replace(found, vectors={**found.vectors, vector: row})


def test_a_bridge_below_its_retention_is_refused(tmp_path: Path) -> None:
    """By the function itself: what was measured is shown, and neither file nor vector is written; insisting goes on."""
    old, new, database = FakeEncoder(OLD), FakeEncoder(NEW), _Weaviate()
    vector = "e_" + OLD[:12]
    settings = {SPACE_KEY: OLD, "properties": ["text"]}
    database.create({"class": "Article", "vectorConfig": {vector: {"vectorizer": {"none": settings}}}})
    for number in range(120):
        text = f"text {number}"
        row = np.random.default_rng(number).permutation(old.encode([text], "passage").__array__()[0])
        database.put("Article", "", StoredObject(uuid5(NAMESPACE_OID, text), {"text": text}, vectors={vector: row}))
    shown: list[float] = []
    terms = BridgeTerms(tmp_path / "map.npz")
    with pytest.raises(GateFailed, match="retention"):
        bridge(database, "Article", new, terms, show=lambda found: shown.append(found.kept))
    assert shown[0] < 0.9 and not terms.path.exists() and list(database.schemas["Article"]["vectorConfig"]) == [vector]
    assert bridge(database, "Article", new, replace(terms, least_retention=0), agreed=lambda *_: False) is None
    assert list(database.schemas["Article"]["vectorConfig"]) == [vector]
    assert bridge(database, "Article", new, replace(terms, least_retention=0)) == 120
    assert list(database.schemas["Article"]["vectorConfig"]) == [vector, f"e_{Bridge.load(terms.path).space_id[:12]}"]
    with pytest.raises(GateFailed, match="retention"):  # its file says what it keeps, for whoever does not insist
        bridge(database, "Article", new, terms)
    with pytest.raises(SpaceMismatch):
        bridge(database, "Article", FakeEncoder("c" * 64), terms)


def test_a_map_is_good_for_what_it_was_measured_on(tmp_path: Path) -> None:
    """A figure of another collection, and a file that has none, prove nothing; both are used by who insists."""
    old, path = rows(1), tmp_path / "map.npz"
    plain = fit(old, turned(old))
    measured = replace(plain, retention=MeasuredRetention(0.95, "Article", "as measured"))
    measured.save(path)
    loaded = Bridge.load(path)
    assert loaded.retention == measured.retention and loaded.space_id == plain.space_id
    loaded.require_retention(0.9, "Article", str(path))
    with pytest.raises(GateFailed):
        loaded.require_retention(0.96, "Article", str(path))
    with pytest.raises(RequestInvalid, match="collection Article"):
        loaded.require_retention(0.9, "Ticket", str(path))
    with pytest.raises(RequestInvalid, match="does not say"):
        plain.require_retention(0.9, "Article", str(path))
    plain.require_retention(0, "Article", str(path))
    with np.load(path) as parts:
        raised = {**parts, "kept": np.float64(0.99)}
    np.savez(path, **raised)
    with pytest.raises(DataInvalid, match="retains"):
        Bridge.load(path)


def test_files_of_before_are_read(tmp_path: Path) -> None:
    """Format 1 had no figure: the map and its id are the same, and nothing is claimed of it."""
    old, path = rows(1), tmp_path / "map.npz"
    bridge = fit(old, turned(old))
    bridge.save(path)
    with np.load(path) as parts:
        before = {key: parts[key] for key in parts if key not in ("kept", "collection", "sentence", "seal")}
    np.savez(path, **{**before, "format": "samespace bridge 1"})
    loaded = Bridge.load(path)
    assert (loaded.space_id, loaded.retention) == (bridge.space_id, None)
