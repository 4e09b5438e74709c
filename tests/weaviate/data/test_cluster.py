"""Three real nodes and collections with three replicas: replicas that lag, a pin changed on one node, nodes that go."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
from click.testing import CliRunner

from fakes.server.serving import Server
from fakes.weaviate.nodes import Node, Nodes, weaviate_nodes
from samespace import Encoder
from samespace.cli import cli
from samespace.errors import PinBroken, ReplicasDiffer, ReplicasUnknown
from samespace_weaviate import CollectionSpec, Passage, PinnedCollection, Severity, Store, create
from samespace_weaviate.access.address import Address
from samespace_weaviate.access.database import stream
from samespace_weaviate.access.patience import Patience
from samespace_weaviate.access.values import Levels, StoredObject, object_uuid
from samespace_weaviate.adoption.run import look
from samespace_weaviate.audit import AuditOptions, AuditReport, Kind, audit
from samespace_weaviate.audit.words import verdict
from samespace_weaviate.migration import (
    Migration,
    MigrationJournal,
    MigrationState,
    Migrator,
    Terms,
    Wanted,
    new_schema,
    plan_migration,
)
from samespace_weaviate.pinning.check import Inventory, check_all
from samespace_weaviate.pinning.views import read_views
from samespace_weaviate.repair.journal import RepairJournal
from samespace_weaviate.repair.mend import repair
from samespace_weaviate.replicas.alike import compare_replicas, require_alike
from samespace_weaviate.replicas.reconcile import reconcile

pytestmark = [pytest.mark.weaviate_cluster, pytest.mark.integration, pytest.mark.timeout(600)]

FIRST, LATER = 90, 40


def text(number: int) -> str:
    return f"text number {number} of {['red', 'green', 'blue', 'north', 'south'][number % 5]}"


def passages(first: int, last: int) -> list[Passage]:
    return [Passage(str(number), text(number)) for number in range(first, last)]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Three nodes that run."""
    binary = os.environ.get("WEAVIATE_BINARY")
    if not binary or find_spec("weaviate") is None:
        pytest.skip("WEAVIATE_BINARY names no Weaviate to start three nodes of")
    with weaviate_nodes(Path(binary), tmp_path_factory.mktemp("cluster"), 3) as running:
        yield running


def address(node: Node) -> Address:
    return Address("127.0.0.1", node.rest_port, False, node.grpc_port)


def through(nodes: Nodes, place: int, *, levels: Levels | None = None, known: bool = True) -> Store:
    """A connection by way of one node, that knows all of them or only this one."""
    members = tuple(map(address, nodes.all)) if known else ()
    return Store.connect(address(nodes[place]), levels=levels, members=members).patient(Patience(60))


@pytest.fixture
def name(nodes: Nodes, server: Server) -> Iterator[str]:
    """A pinned collection of three replicas with some objects; whatever came of it is deleted, and all nodes run."""
    nodes.start()
    spec = CollectionSpec(f"Test{uuid4().hex[:10]}", server.space_id, server.http, long_texts="pool", replicas=3)
    with through(nodes, 0) as store:
        create(store, spec)
        store.point_alias(f"{spec.name}Alias", spec.name)
    yield spec.name
    nodes.start()
    with through(nodes, 0) as store:
        for alias in store.aliases():
            store.delete_alias(alias)
        for each in store.names():
            store.delete_collection(each)


def fill(nodes: Nodes, place: int, name: str, encoder: Encoder, first: int, last: int) -> None:
    with through(nodes, place) as store:
        report = PinnedCollection.open(store, name, encoder).import_passages(passages(first, last))
    assert (report.written, report.failed) == (last - first, ())


def lag(nodes: Nodes, place: int, name: str, encoder: Encoder) -> set[UUID]:
    """One node is away while objects are written, edited and deleted through another; the ids that are there then."""
    fill(nodes, 0, name, encoder, 0, FIRST)
    nodes[place].kill()
    other = (place + 1) % 3
    fill(nodes, other, name, encoder, FIRST, FIRST + LATER)
    with through(nodes, other, levels=Levels(decide="QUORUM")) as store:
        for number in range(5):  # edited
            old = store.get(name, object_uuid(name, str(number)), vectors=True)
            assert old is not None
            assert (
                store.write(name, [replace(old, properties={**old.properties, "text": text(number) + " edited"})]) == []
            )
        store.delete(name, [object_uuid(name, str(number)) for number in range(5, 10)])
    nodes.start()
    return {object_uuid(name, str(number)) for number in (*range(5), *range(10, FIRST + LATER))}


def on_node(nodes: Nodes, place: int, name: str) -> dict[UUID, StoredObject]:
    """What one node lists by itself."""
    with through(nodes, place, known=False) as store:
        return {each.uuid: each for each in stream(store, name, consistency="ONE")}


def migrate(store: Store, name: str, encoder: Encoder, server: Server, journal: Path) -> MigrationState:
    """Through to the switch, with an audit of all; goes on where the journal says."""

    def look(collection: str) -> AuditReport:
        return audit(store, collection, encoder, AuditOptions(sample=None))

    with MigrationJournal(journal) as noted:
        if noted.progress.state is MigrationState.NEW:
            schemas = {each: store.schema(each) or {} for each in store.names()}
            wanted = Wanted(f"{name}Alias", encoder.space_id)
            noted.note("planned", plan=plan_migration(wanted, uuid4().hex[:8], schemas, store.aliases()).to_json())
        migration = Migration(**noted.progress.plan)
        schema = new_schema(store.schema(migration.old) or {}, migration, server.http, "new")
        terms = Terms(settle_s=0.1, sample=16, audit=look)
        return Migrator(store, noted, schema=schema, encoder=encoder, terms=terms).run("migrate")


@pytest.mark.parametrize("asked", [0, 2])
def test_a_lagging_replica_is_named_and_reconciled_and_nothing_is_lost_or_brought_back(
    asked: int, nodes: Nodes, name: str, encoder: Encoder, other: Encoder, other_server: Server, tmp_path: Path
) -> None:
    """Node 3 was away. Through it and through another: audit and migrate stop, and after `reconcile` all is there."""
    there = lag(nodes, 2, name, encoder)
    lagging = str(address(nodes[2]))
    with through(nodes, asked) as store:
        for _ in range(2):  # looking mends nothing in silence
            with pytest.raises(ReplicasDiffer) as stopped:
                audit(store, name, encoder, AuditOptions(sample=None))
        assert stopped.value.nodes[-1] == lagging and f"{lagging} lacks {LATER}" in str(stopped.value)
        with pytest.raises(ReplicasDiffer, match="samespace weaviate repair"):
            migrate(store, name, other, other_server, tmp_path / "journal")
        assert [each for each in store.names() if each.startswith(name)] == [name]
        found = compare_replicas(store, name)
        assert (found.lacking[lagging], found.older[lagging]) == (LATER, 5)
        assert found.differing in (LATER + 5, LATER + 10)  # Weaviate may have settled the deletions by itself
        with pytest.raises(ReplicasDiffer):
            look(store, name, [encoder])
        done = reconcile(store, name)
        assert done.alike and not done.left, done.sentences()
        assert [set(on_node(nodes, place, name)) for place in range(3)] == [there] * 3
        edited = [on_node(nodes, 2, name)[object_uuid(name, str(number))] for number in range(5)]
        assert all(str(each.properties["text"]).endswith("edited") for each in edited)
        report = audit(store, name, encoder, AuditOptions(sample=None))
        assert report.population == len(there)
        assert migrate(store, name, other, other_server, tmp_path / "journal") is MigrationState.SETTLED
        new = store.aliases()[f"{name}Alias"]
        assert {each.uuid for each in stream(store, new)} == there
        assert audit(store, new, other, AuditOptions(sample=None)).clean


def test_every_read_at_all_sees_what_any_replica_has(nodes: Nodes, name: str, encoder: Encoder) -> None:
    """Through the node that lags, `page`, `stream` and `ids` give what the others have; at ONE they give its own."""
    there = lag(nodes, 2, name, encoder)
    own = set(on_node(nodes, 2, name))
    assert own == {object_uuid(name, str(number)) for number in range(FIRST)}
    with through(nodes, 2) as store:
        with pytest.raises(ReplicasDiffer):  # here the deletions are not settled yet
            require_alike(store, name)
        reconcile(store, name)
        assert {each.uuid for each in stream(store, name)} == set(store.ids(name)) == there


def test_where_not_all_nodes_are_known_nothing_is_decided_unless_insisted_on(
    nodes: Nodes, name: str, encoder: Encoder, other: Encoder, other_server: Server, tmp_path: Path
) -> None:
    """The option that is missing is named; at ONE the verdict says of what it is."""
    fill(nodes, 0, name, encoder, 0, FIRST)
    with through(nodes, 0, known=False) as store:
        with pytest.raises(ReplicasUnknown, match="--node"):
            audit(store, name, encoder)
        with pytest.raises(ReplicasUnknown, match="--node"):
            migrate(store, name, other, other_server, tmp_path / "journal")
    with through(nodes, 0, known=False, levels=Levels(decide="ONE")) as store:
        assert verdict(audit(store, name, encoder, AuditOptions(sample=None))).endswith(", as one replica has it.")
    nodes[1].kill()
    with through(nodes, 0, levels=Levels(decide="QUORUM")) as store:
        said = verdict(audit(store, name, encoder, AuditOptions(sample=None)))
        assert said.endswith(", as a majority of the replicas have it.")


def poison(nodes: Nodes, name: str, to: str) -> Node:
    """A refused change of the address through a node that does not lead; this node, if it took it all the same."""
    leader = nodes.leader()
    node = next(each for each in nodes.all if each is not leader)
    schema = httpx.get(f"{node.url}/v1/schema/{name}").json()
    vectorizer = next(iter(schema["vectorConfig"].values()))["vectorizer"]["text2vec-transformers"]
    vectorizer["inferenceUrl"] = to
    assert httpx.put(f"{node.url}/v1/schema/{name}", json=schema).status_code == 422
    return node


def test_a_pin_that_one_node_sees_otherwise_is_named(
    nodes: Nodes, name: str, encoder: Encoder, other_server: Server
) -> None:
    """check, open, search and import name the node, through whichever node they go."""
    fill(nodes, 0, name, encoder, 0, 10)
    node = poison(nodes, name, f"{other_server.http}/spaces/{other_server.space_id}")
    if (
        httpx.get(f"{node.url}/v1/schema/{name}", headers={"consistency": "false"}).text.count(other_server.space_id)
        == 0
    ):
        pytest.skip("this Weaviate keeps a refused change from the node's own schema")
    bad = str(address(node))
    for place in range(3):
        with through(nodes, place) as store:
            with pytest.raises(PinBroken, match=bad):
                PinnedCollection.open(store, name, encoder)
            views = read_views(store, name)
            (found,) = check_all(Inventory((store.schema(name) or {},), {}, {name: views}))
            assert found.worst is Severity.BROKEN and any(bad in each.message for each in found.findings)
    members = [part for each in nodes.all for part in ("--node", f"{each.url}#{each.grpc_port}")]
    for command in (["check", name, "--offline"], ["search", name, "red"]):
        ran = CliRunner().invoke(
            cli, ["weaviate", *command, "--url", nodes[0].url, "--grpc-port", str(nodes[0].grpc_port), *members]
        )
        assert ran.exit_code != 0 and bad in f"{ran.output} {ran.exception}"
    place = nodes.all.index(node)
    with through(nodes, place, known=False) as store, pytest.raises(PinBroken, match=bad):
        PinnedCollection.open(store, name, encoder)  # the node that is asked is known by itself
    node.stop()
    nodes.start()
    with through(nodes, place) as store:
        assert not read_views(store, name).differing


def test_a_rolling_restart_in_the_middle_loses_and_doubles_nothing(
    nodes: Nodes, name: str, encoder: Encoder, other: Encoder, other_server: Server, tmp_path: Path
) -> None:
    """Every node is restarted once, the leader too, while objects are imported and then while they are migrated."""
    with through(nodes, 0) as store:
        restart = threading.Thread(target=rolling, args=(nodes,))
        restart.start()
        report = PinnedCollection.open(store, name, encoder).import_passages(passages(0, 600), batch=16)
        restart.join()
        assert (report.written, report.failed) == (600, ())
        there = {object_uuid(name, str(number)) for number in range(600)}
        reconcile(store, name)
        assert {each.uuid for each in stream(store, name)} == there
        assert audit(store, name, encoder, AuditOptions(sample=None)).wrong == 0
        restart = threading.Thread(target=rolling, args=(nodes,))
        restart.start()
        state = None
        while state is not MigrationState.SETTLED:
            try:
                state = migrate(store, name, other, other_server, tmp_path / "journal")
            except ReplicasDiffer as stopped:  # writes that a restarting node missed: named, and mended as it says
                restart.join()
                reconcile(store, stopped.collection)
        restart.join()
        new = store.aliases()[f"{name}Alias"]
        reconcile(store, new)
        assert {each.uuid for each in stream(store, new)} == there
        assert audit(store, new, other, AuditOptions(sample=None)).wrong == 0


def test_repair_brings_replicas_and_every_index_together(
    nodes: Nodes, name: str, encoder: Encoder, tmp_path: Path
) -> None:
    """A node was away, another was killed; one command, through the third, mends the data and the indexes of both."""
    there = lag(nodes, 2, name, encoder)
    fill(nodes, 0, name, encoder, 1000, 1400)
    there |= {object_uuid(name, str(number)) for number in range(1000, 1400)}
    nodes[1].kill()
    nodes.start()
    killed = str(address(nodes[1]))
    with through(nodes, 0) as store:
        reconcile(store, name)
        found = audit(store, name, encoder, AuditOptions(sample=None))
        lost = [each for each in found.offenders if each.kind is Kind.UNSEARCHABLE]
        assert any(killed in each.reason for each in lost), "this Weaviate lost nothing"
        assert not any(str(address(nodes[0])) in each.reason for each in lost)
        assert {each.kind for each in found.offenders} == {Kind.UNSEARCHABLE, Kind.STALE}  # those that `lag` edited
        with through(nodes, 0, known=False, levels=Levels(decide="ONE")) as one:  # its own index is whole
            kinds = [each.kind for each in audit(one, name, encoder, AuditOptions(sample=None)).offenders]
        assert kinds == [Kind.STALE] * 5
        with RepairJournal(tmp_path / "repair", name, encoder.space_id) as journal:
            done = repair(store, name, encoder, journal)
        assert done.clean and done.mended == found.wrong
        assert [set(on_node(nodes, place, name)) for place in range(3)] == [there] * 3
        assert audit(store, name, encoder, AuditOptions(sample=None)).clean


def test_no_verdict_is_wrong_while_the_leader_changes_or_a_node_leaves(
    nodes: Nodes, name: str, encoder: Encoder
) -> None:
    """An import goes on; an audit waits, and tells of everything or of nothing."""
    with through(nodes, 0) as store:
        leaving = threading.Thread(target=gone_for_a_while, args=(nodes, nodes.leader()))
        leaving.start()
        report = PinnedCollection.open(store, name, encoder).import_passages(passages(0, 400), batch=16)
        leaving.join()
        assert (report.written, report.failed) == (400, ())
        reconcile(store, name)
        there = {object_uuid(name, str(number)) for number in range(400)}
        for _ in range(2):
            leaving = threading.Thread(target=gone_for_a_while, args=(nodes, nodes.leader()))
            leaving.start()
            found = audit(store, name, encoder, AuditOptions(sample=None))
            leaving.join()
            assert (found.population, found.sampled) == (400, 400)
            assert {each.kind for each in found.offenders} <= {Kind.UNSEARCHABLE}
        assert {each.uuid for each in stream(store, name)} == there


def test_an_import_tells_whose_index_was_not_searched(nodes: Nodes, name: str, encoder: Encoder) -> None:
    """It goes on while a node is away, or unknown; what it did not see is said."""
    with through(nodes, 0, known=False) as store:
        report = PinnedCollection.open(store, name, encoder).import_passages(passages(0, 40))
        assert report.clean and report.unasked == ("2 of the nodes that hold its replicas",)
    with through(nodes, 0) as store:
        nodes[2].kill()
        try:
            report = PinnedCollection.open(store, name, encoder).import_passages(passages(40, 80))
        finally:
            nodes.start()
        assert report.clean and report.unasked == (nodes[2].url,)
        assert any("NOT searched" in sentence and nodes[2].url in sentence for sentence in report.sentences())
        report = PinnedCollection.open(store, name, encoder).import_passages(passages(0, 80))
        assert report.unasked == () and report.searched == 80


def gone_for_a_while(nodes: Nodes, node: Node) -> None:
    node.stop()
    nodes.start()


def rolling(nodes: Nodes) -> None:
    for node in nodes.all:
        node.stop()
        nodes.start()


def test_the_command_wants_as_many_addresses_as_there_are_nodes(nodes: Nodes, name: str) -> None:
    """Two of three are refused with the names of all, and one that is given twice is no second node."""
    base = ["weaviate", "check", name, "--offline", "--url", nodes[0].url, "--grpc-port", str(nodes[0].grpc_port)]
    each = [f"{node.url}#{node.grpc_port}" for node in nodes.all]
    two = CliRunner().invoke(cli, [*base, "--node", each[0], "--node", each[1], "--json"])
    assert two.exit_code != 0 and "node3" in f"{two.output} {two.exception}"
    twice = CliRunner().invoke(cli, [*base, "--node", each[0], "--node", each[0]])
    assert twice.exit_code != 0 and "twice" in f"{twice.output} {twice.exception}"
    all_three = CliRunner().invoke(cli, [*base, "--json"], env={"WEAVIATE_NODES": ",".join(each)})
    assert all_three.exit_code == 0, all_three.output
    assert json.loads(all_three.stdout)[0]["worst"] in ("fine", "drift")
