"""`migrate --watch` on three real nodes, each of which reaches its encoder by a way of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from fakes.server.serving import Server, serving
from fakes.weaviate.nodes import Nodes, weaviate_nodes
from samespace import Encoder
from samespace.cli.weaviate import weaviate
from samespace.errors import GuardFailed, MigrationBlocked
from samespace_weaviate import CollectionSpec, Passage, PinnedCollection, Store, create

pytestmark = [pytest.mark.weaviate_cluster, pytest.mark.integration, pytest.mark.timeout(600)]

PASSAGES = [Passage(str(n), f"text {n} about the index and the user") for n in range(60)]
PLACE = "http://encoder.test"
"""What the schema says; each node gets there through its own proxy."""


@contextmanager
def proxy(*ways: tuple[str, Server]) -> Iterator[str]:
    """Forwards what is asked of a space to a server, under the name of the space that it has itself."""

    class Forward(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            space, server = next((space, server) for space, server in ways if space in path)
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            there = HTTPConnection("127.0.0.1", urlsplit(server.http).port or 0)
            headers = {"content-type": self.headers.get("content-type", "")} if body else {}
            there.request(self.command, path.replace(space, server.space_id), body, headers)
            answer = there.getresponse()
            said = answer.read()
            self.send_response(answer.status)
            self.send_header("content-type", answer.headers.get("content-type", ""))
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_POST = do_GET

        def log_message(self, *words: object) -> None: ...

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Forward)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}"
    finally:
        listening.shutdown()
        listening.server_close()


def through(nodes: Nodes, honest: str, foreign: str | None, place: int) -> None:
    """Let every node go by *honest*, and the one at *place* by *foreign*."""
    for number, node in enumerate(nodes.all):
        node.stop()
        node._environment["HTTP_PROXY"] = foreign if foreign and number == place else honest
    nodes.start()


@pytest.mark.parametrize("place", [None, 1, 2])
def test_the_vectors_of_each_node_are_looked_at(
    place: int | None, server: Server, encoder: Encoder, other_artifact: Path, tmp_path: Path
) -> None:
    """The way of one node leads to another encoder, which calls itself by the right space.

    Readers go back; where it comes later, the old collection stays.
    """
    binary = os.environ.get("WEAVIATE_BINARY")
    if not binary or find_spec("weaviate") is None:
        pytest.skip("WEAVIATE_BINARY names no Weaviate to start three nodes of")
    with (
        serving(other_artifact) as new,
        proxy((server.space_id, server), (new.space_id, new)) as honest,
        proxy((server.space_id, server), (new.space_id, server)) as foreign,
        weaviate_nodes(Path(binary), tmp_path / "cluster", 3) as nodes,
    ):
        through(nodes, honest, None if place is None else foreign, place or 0)
        spec = CollectionSpec("Articles", server.space_id, PLACE, long_texts="pool", replicas=3)
        with Store.connect(nodes[0].address) as store:
            create(store, spec)
            assert PinnedCollection.open(store, spec.name, encoder).import_passages(PASSAGES).failed == ()
            store.point_alias("Alias", spec.name)
        where = ["--url", nodes[0].url, "--grpc-port", str(nodes[0].grpc_port), "--journal", str(tmp_path / "journal")]
        for node in nodes.all:
            where += ["--node", f"{node.url}#{node.grpc_port}"]
        command = ["migrate", "Alias", "--to", str(other_artifact), "--server", PLACE, "--yes", "--force"]
        result = CliRunner().invoke(weaviate, [*command, "--settle-s", "0.1", "--watch", "8s", *where])
        with Store.connect(nodes[0].address) as store:
            back = store.alias_target("Alias") == spec.name
        if place is None:
            assert result.exit_code == 0 and "every guard held" in result.output, (result.output, result.exception)
            assert not back
            asked = tmp_path / "queries"
            asked.write_text("\n".join(f"text {n} and the index" for n in range(30)))
            with Store.connect(nodes[0].address) as store:
                both = spec.name, store.alias_target("Alias")
            places = [each for each in where if each not in ("--journal", str(tmp_path / "journal"))]
            compared = CliRunner().invoke(weaviate, ["compare", *both, "--queries", str(asked), *places])
            assert compared.exit_code == 0, (compared.output, compared.exception)
            finish = [*command[:2], "--finish", "--yes", *where]
            through(nodes, honest, foreign, 1)
            refused = CliRunner().invoke(weaviate, finish)
            assert isinstance(refused.exception, MigrationBlocked), (refused.output, refused.exception)
            assert "other vectors" in str(refused.exception), refused.exception
            through(nodes, honest, None, 0)
            assert CliRunner().invoke(weaviate, finish).exit_code == 0
        else:
            assert isinstance(result.exception, GuardFailed), (result.output, result.exception)
            assert "gives a query another vector than the encoder" in str(result.exception) and back
