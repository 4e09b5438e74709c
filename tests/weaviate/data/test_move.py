"""`samespace weaviate move` on a real Weaviate: to another server of the same space, back, to the end, and by name."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from fakes.server.serving import Server, serving
from samespace import Encoder
from samespace.cli import cli
from samespace.errors import MigrationBlocked
from samespace_weaviate import CollectionSpec, Passage, PinnedCollection, Store, create
from samespace_weaviate.audit import AuditOptions, audit

pytestmark = [pytest.mark.weaviate, pytest.mark.integration]

OBJECTS = 300


@pytest.fixture
def second(tiny_artifact: Path) -> Iterator[Server]:
    """Another server of the same space."""
    with serving(tiny_artifact) as running:
        yield running


@pytest.fixture
def name(store: Store, server: Server, encoder: Encoder) -> Iterator[str]:
    """A filled collection, deleted afterwards with whatever was made of it."""
    made = f"Move{uuid.uuid4().hex[:10]}"
    create(store, CollectionSpec(made, server.space_id, server.http, long_texts="pool"))
    passages = [Passage(str(number), f"text {number}") for number in range(OBJECTS)]
    assert PinnedCollection.open(store, made, encoder).import_passages(passages).clean
    yield made
    for alias, target in store.aliases().items():
        if target.startswith(made):
            store.delete_alias(alias)
    for each in store.names():
        if each.startswith(made):
            store.delete_collection(each)


def stored(store: Store, name: str) -> dict[str, Any]:
    """Every object's properties and vectors, by Weaviate's own answer."""
    query = {"class": name, "limit": str(2 * OBJECTS), "include": "vector"}
    entries = httpx.get(f"{store.address}/v1/objects", params=query).json()["objects"]
    return {each["id"]: (each["properties"], each["vectors"]) for each in entries}


def ran(store: Store, command: str, *arguments: str) -> Result:
    where = ("--url", store.address, "--grpc-port", str(store.grpc_port), "--yes")
    return CliRunner().invoke(cli, ["weaviate", command, *arguments, *where])


def test_an_address_moves_without_encoding(
    store: Store, name: str, server: Server, second: Server, encoder: Encoder, tmp_path: Path
) -> None:
    """Numbers and properties are the same; queries go to the new server; back again, and to the end."""
    before, journal = stored(store, name), ("--journal", str(tmp_path / "move"))
    alias = f"{name}Alias"
    moved = ran(store, "move", name, "--alias", alias, "--server", second.http, *journal)
    assert moved.exit_code == 0, f"{moved.output} {moved.exception}"
    new = store.aliases()[alias]
    assert stored(store, new) == before and "compared: 0 differ" in moved.output
    config = (store.schema(new) or {})["vectorConfig"]
    assert f"{second.http}/e/{server.space_id}" in json.dumps(config)
    assert PinnedCollection.open(store, alias, encoder).search("text 7", 1)
    assert audit(store, new, encoder, AuditOptions(sample=None)).clean
    assert ran(store, "move", name, "--rollback", *journal).exit_code == 0
    assert store.aliases()[alias] == name and stored(store, name) == before
    again = ("--journal", str(tmp_path / "again"))
    assert ran(store, "move", alias, "--server", second.http, *again).exit_code == 0
    assert ran(store, "move", alias, "--finish", *again).exit_code == 0
    assert name not in store.names() and stored(store, store.aliases()[alias]) == before


def test_a_server_of_another_space_is_refused_and_nothing_moves(
    store: Store, name: str, other_server: Server, second: Server, tmp_path: Path
) -> None:
    """Weaviate asks the new address before anything is copied. `migrate` to the same space says `move`."""
    alias, journal = f"{name}Alias", ("--journal", str(tmp_path / "move"))
    refused = ran(store, "move", name, "--alias", alias, "--server", other_server.http, *journal)
    assert isinstance(refused.exception, MigrationBlocked) and "cannot have a text encoded" in str(refused.exception)
    assert alias not in store.aliases()
    assert ran(store, "move", name, "--rollback", *journal).exit_code == 0
    journal = ("--journal", str(tmp_path / "again"))
    assert ran(store, "move", name, "--alias", alias, "--server", second.http, *journal).exit_code == 0
    asked = ("--to", second.grpc, "--server", second.http, "--journal", str(tmp_path / "third"))
    same = ran(store, "migrate", alias, *asked)
    assert "samespace weaviate move" in str(same.exception)


def test_keep_name_copies_back_to_the_old_name(
    store: Store, name: str, second: Server, encoder: Encoder, tmp_path: Path
) -> None:
    """What an alias cannot do can be done by the old name afterwards; and nothing was encoded anew."""
    before, alias, journal = stored(store, name), f"{name}Alias", ("--journal", str(tmp_path / "move"))
    assert ran(store, "move", name, "--alias", alias, "--server", second.http, *journal).exit_code == 0
    entry = {"name": "note", "dataType": ["text"]}
    by_alias = httpx.post(f"{store.address}/v1/schema/{alias}/properties", json=entry)
    assert by_alias.status_code >= 400, "this Weaviate changes properties by an alias"
    done = ran(store, "move", name, "--finish", "--keep-name", *journal)
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    assert name in store.names() and store.aliases()[alias] == name
    assert stored(store, name) == before
    assert httpx.post(f"{store.address}/v1/schema/{name}/properties", json=entry).status_code == 200
    assert [each for each in store.names() if each.startswith(name)] == [name]
    assert audit(store, name, encoder, AuditOptions(sample=None)).clean
