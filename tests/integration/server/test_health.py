"""`samespace health` against real servers: an exit code for containers and scripts."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner, Result

from fakes.server.certificates import Authority
from fakes.server.process import Running, serving
from samespace.cli import cli

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server(tiny_artifact: Path) -> Iterator[Running]:
    with serving(tiny_artifact) as running:
        yield running


def ask(address: str, **environment: str) -> Result:
    return CliRunner().invoke(cli, ["health", address, "--timeout-ms", "2000"], env=environment)


def test_a_ready_server_is_zero(server: Running) -> None:
    """Over both wires, and with the space that it serves."""
    space = server.space_ids[0]
    for address in (server.grpc, f"{server.grpc}/{space}", server.http, f"{server.http}/", f"{server.http}/e/{space}"):
        assert ask(address).exit_code == 0


def test_what_is_not_ready_is_one_with_the_reason(server: Running) -> None:
    """A closed port, a space that is not served, one of two replicas, a port that says nothing: 1 and one sentence."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mute = f"127.0.0.1:{silent.getsockname()[1]}"
        for address in (
            "127.0.0.1:1",
            "http://127.0.0.1:1",
            mute,
            f"http://{mute}",
            f"{server.grpc}/{'0' * 64}",
            f"{server.http}/e/{'0' * 64}",
            f"{server.grpc},127.0.0.1:1",
            f"https://{server.http.removeprefix('http://')}",
        ):
            result = ask(address)
            assert result.exit_code == 1, address
            assert result.stderr.startswith("not ready: ")


def test_a_server_that_is_up_and_not_serving_is_one(tiny_artifact: Path) -> None:
    """A gRPC server whose health service says NOT_SERVING is not ready, and neither is one without that service."""
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc

    service = health.HealthServicer()
    with_health, without = grpc.server(ThreadPoolExecutor(2)), grpc.server(ThreadPoolExecutor(2))
    health_pb2_grpc.add_HealthServicer_to_server(service, with_health)
    service.set("samespace.v1.Encoder", health_pb2.HealthCheckResponse.NOT_SERVING)
    ports = [each.add_insecure_port("127.0.0.1:0") for each in (with_health, without)]
    for each in (with_health, without):
        each.start()
    try:
        assert [ask(f"127.0.0.1:{port}").exit_code for port in ports] == [1, 1]
        service.set("samespace.v1.Encoder", health_pb2.HealthCheckResponse.SERVING)
        assert ask(f"127.0.0.1:{ports[0]}").exit_code == 0
    finally:
        for each in (with_health, without):
            each.stop(None).wait()


def test_tls_by_the_environment(tmp_path: Path) -> None:
    """With SAMESPACE_CA the server's certificate is checked; with another authority it is not ready."""
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc

    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    pem = authority.issue("server")
    service, server = health.HealthServicer(), grpc.server(ThreadPoolExecutor(2))
    health_pb2_grpc.add_HealthServicer_to_server(service, server)
    service.set("samespace.v1.Encoder", health_pb2.HealthCheckResponse.SERVING)
    pair = [(pem.key.read_bytes(), pem.certificate.read_bytes())]
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials(pair))
    server.start()
    try:
        assert ask(f"localhost:{port}", SAMESPACE_CA=str(authority.ca)).exit_code == 0
        assert ask(f"localhost:{port}", SAMESPACE_CA=str(stranger.ca)).exit_code == 1
    finally:
        server.stop(None).wait()
