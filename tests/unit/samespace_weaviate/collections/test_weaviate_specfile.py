"""samespace_weaviate.collections.specfile"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fakes.weaviate.database import OTHER_SPACE, SPACE, FakeDatabase
from samespace.errors import ConfigInvalid, PinBroken
from samespace_weaviate import apply, read_collections

SERVER = "http://encoder:8080"
ONE = {"name": "article", "encoder": SPACE, "server": SERVER}


def written(folder: Path, content: Any) -> Path:
    """A file of collections."""
    file = folder / "collections.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return file


def test_a_yaml_file_describes_several_collections(tmp_path: Path) -> None:
    """What is said at the top holds for all; a collection may say otherwise."""
    file = tmp_path / "collections.yaml"
    file.write_text(
        f"""
server: {SERVER}
encoder: {SPACE}
collections:
  - name: article
  - {{name: Ticket, property: body, also_properties: [subject], long_texts: pool, multi_tenant: true, replicas: 3}}
  - {{name: Note, encoder: {OTHER_SPACE}, route: none, index: flat, quantizer: none}}
""",
        encoding="utf-8",
    )
    article, ticket, note = read_collections(file)
    assert (article.name, article.space_id, article.server, article.text_property) == ("Article", SPACE, SERVER, "text")
    assert (ticket.text_property, ticket.also_properties, ticket.multi_tenant, ticket.replicas) == (
        "body", ("subject",), True, 3,
    )  # fmt: skip
    assert (note.space_id, note.module, note.index.kind, note.index.quantizer) == (OTHER_SPACE, "none", "flat", "none")


def test_a_file_may_hold_one_collection(tmp_path: Path) -> None:
    """Then its keys are at the top; the server may come from outside, because its address can hold a token."""
    (spec,) = read_collections(written(tmp_path, {"name": "A", "encoder": SPACE}), server=SERVER)
    assert spec.server == SERVER


def test_an_artifact_is_looked_for_beside_the_file(tmp_path: Path) -> None:
    """So that the file can be used from any folder."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "manifest.json").touch()
    seen: list[str] = []

    def space_of(encoder: str) -> tuple[str, str]:
        seen.append(encoder)
        return SPACE, "mine"

    read_collections(written(tmp_path, {**ONE, "encoder": "mine"}), space_of=space_of)
    assert seen == [str(tmp_path / "mine")]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({**ONE, "proprety": "body"}, "proprety: no such key; did you mean 'property'"),
        ({"collections": [ONE, {**ONE, "name": "B", "replica": 1}]}, r"collections\[1\]: replica: .*'replicas'"),
        ({"severs": SERVER, "collections": [ONE]}, "severs: no such key; did you mean 'server'"),
        ({**ONE, "replicas": "three"}, "whole number"),
        ({**ONE, "replicas": True}, "whole number"),
        ({**ONE, "also_properties": "subject"}, "list of texts"),
        ({**ONE, "quantizer": "pq"}, "quantizer: 'pq'; expected one of"),
        ({"name": "A", "server": SERVER}, "encoder: is missing"),
        ({"name": "A", "encoder": SPACE}, "server: is missing"),
        ({"collections": [ONE, {**ONE, "name": "Article"}]}, "Article appears twice"),
        ({"collections": []}, "expected a list"),
        ([ONE], "expected `name`"),
        ("{", "is not JSON"),
    ],
)
def test_a_mistake_is_refused_with_its_place(tmp_path: Path, content: Any, says: str) -> None:
    """The message names the file, the collection and the key, and the key that was meant."""
    with pytest.raises(ConfigInvalid, match=says):
        read_collections(written(tmp_path, content))


def test_a_file_that_is_not_yaml_or_not_there_is_refused(tmp_path: Path) -> None:
    """Both by name."""
    file = tmp_path / "collections.yaml"
    with pytest.raises(ConfigInvalid, match="cannot be read"):
        read_collections(file)
    file.write_text("a: [", encoding="utf-8")
    with pytest.raises(ConfigInvalid, match="is not YAML"):
        read_collections(file)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", '{"name": "A", "encoder": "x", "encoder": "y"}', "has the key 'encoder' twice, with 'x' and 'y'"),
        ("a.yaml", "name: A\nencoder: x\nencoder: y\n", "line 3: encoder: is there twice in one table"),
        ("a.yaml", "collections:\n  - name: A\n  - name: B\n    route: x\n    route: y\n", "line 5: route: is there"),
        ("a.yaml", "collections: []\nserver: x\ncollections: []\n", "line 3: collections: is there twice"),
    ],
)
def test_a_key_twice_is_refused(tmp_path: Path, name: str, content: str, says: str) -> None:
    """The last one won, and a collection was pinned to another encoder than the first line says."""
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ConfigInvalid, match=says):
        read_collections(tmp_path / name)


def test_what_is_merged_into_a_table_may_be_said_again(tmp_path: Path) -> None:
    """YAML's own way to share settings: a key of the table stands above that of the other one."""
    text = (
        f"collections:\n  - &first\n    name: A\n    encoder: {SPACE}\n    server: {SERVER}\n"
        "  - <<: *first\n    name: B\n"
    )
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    assert [spec.name for spec in read_collections(tmp_path / "a.yaml")] == ["A", "B"]


def test_applying_twice_changes_nothing_the_second_time(tmp_path: Path) -> None:
    """A file can be applied on every deployment."""
    specs = read_collections(written(tmp_path, {"collections": [ONE, {**ONE, "name": "Ticket"}]}))
    database = FakeDatabase()
    apply(database, specs)
    assert database.sent == ["create", "create"]
    assert all(not one.actions for one in apply(database, specs))
    assert database.sent == ["create", "create"]


def test_one_collection_that_cannot_be_made_stops_all(tmp_path: Path) -> None:
    """Half of a file carried out would be neither the old state nor the new one."""
    database = FakeDatabase()
    apply(database, read_collections(written(tmp_path, ONE)))
    moved = {**ONE, "server": "http://elsewhere:8080"}
    with pytest.raises(PinBroken, match="elsewhere"):
        apply(database, read_collections(written(tmp_path, {"collections": [{**ONE, "name": "New"}, moved]})))
    assert database.sent == ["create"]
