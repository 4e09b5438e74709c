"""TLS, client certificates and tokens, over both wires of a real server."""

from __future__ import annotations

import signal
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from fakes.server.certificates import Authority, Pem
from fakes.server.process import Running, serving
from samespace.errors import ServerUnavailable, Unauthenticated
from samespace.rpc.access import Access, Tls
from samespace.rpc.client import Client

pytestmark = pytest.mark.integration

ONE, TWO, THREE = (f"the-{name}-token-of-this-test" for name in ("first", "second", "third"))
BODY = {"text": "a list", "config": {"task_type": "query"}}


@dataclass
class Secured:
    """A server with a certificate and tokens."""

    running: Running
    authority: Authority
    served: Pem
    tokens: Path

    @property
    def url(self) -> str:
        return f"https://localhost:{self.running.told['http_port']}"

    def http(self, token: str | None = None, **options: Any) -> httpx.Client:
        """A client that trusts the authority."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        trusted = ssl.create_default_context(cafile=str(self.authority.ca))
        return httpx.Client(base_url=self.url, verify=trusted, headers=headers, **options)

    def client(self, token: str | None = None) -> Client:
        """samespace's own."""
        tls = Tls.from_files(ca=self.authority.ca)
        return Client(f"localhost:{self.running.told['grpc_port']}", access=Access(tls, token), timeout_ms=5000)

    def channel(self) -> Any:
        """A bare channel."""
        credentials = grpc.ssl_channel_credentials(self.authority.ca.read_bytes())
        return grpc.secure_channel(f"localhost:{self.running.told['grpc_port']}", credentials)

    def vectors_status(self, token: str | None) -> int:
        """Of one request over a new connection."""
        with self.http(token) as http:
            return http.post(f"/e/{self.running.space_ids[0]}/vectors", json=BODY).status_code


@pytest.fixture(scope="module")
def secured(tiny_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secrets")
    authority = Authority(folder)
    served, tokens = authority.issue("server"), folder / "tokens"
    tokens.write_text(f"# of this test\n{ONE}\n")
    options = ("--tls-cert", str(served.certificate), "--tls-key", str(served.key), "--token-file", str(tokens))
    with serving(tiny_artifact, options=options, environment={"SAMESPACE_TOKENS": f"{TWO},"}) as running:
        yield Secured(running, authority, served, tokens)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline


def test_a_token_lets_in_over_http(secured: Secured) -> None:
    """As a bearer token, or in the URL, which is all that Weaviate can send; from the file or the environment."""
    path = f"/e/{secured.running.space_ids[0]}/vectors"
    for token in (ONE, TWO):
        with secured.http(token) as http:
            assert http.post(path, json=BODY).status_code == 200
        with secured.http() as http:
            port = secured.running.told["http_port"]
            assert http.post(f"https://weaviate:{token}@localhost:{port}{path}", json=BODY).status_code == 200


@pytest.mark.parametrize("token", [None, "a-token-that-nobody-knows"])
def test_without_a_known_token_nothing_but_health_answers(secured: Secured, token: str | None) -> None:
    """401 with a challenge and the three keys, before the body or the space is looked at; live and ready are open."""
    space = secured.running.space_ids[0]
    with secured.http(token) as http:
        for prefix in ("", f"/e/{space}", "/e/nonsense"):
            for route in ("vectors", "vectors/", "v2/embed", "v1/embeddings"):
                refused = http.post(f"{prefix}/{route}", content=b"{")
                assert (refused.status_code, refused.json()["detail"][:12]) == (401, "this server:")
                assert refused.headers.get_list("www-authenticate")[0].startswith("Bearer")
                assert refused.json().keys() >= {"error", "message", "detail"}
        assert http.post(f"/e/{space}/vectors", json=BODY).json()["error"] == "Unauthorized"
        for path in ("/meta", f"/e/{space}/meta", "/metrics"):
            assert http.get(path).status_code == 401
        for path in ("/.well-known/live", "/.well-known/ready", f"/e/{space}/.well-known/ready"):
            assert http.get(path).status_code == 204
        for path in (f"/e/{'0' * 64}/.well-known/ready", "/e/nonsense/health"):
            assert http.get(path).status_code == 409 and space[:12] not in http.get(path).text


def test_a_token_lets_in_over_grpc(secured: Secured) -> None:
    """Calls, streams and reflection want one; health does not."""
    space = secured.running.space_ids[0]
    with secured.client(ONE) as client:
        assert client.embed(space, "query", ["a list"]).vectors.shape == (1, 32)
        assert len(list(client.embed_stream(space, "query", [["a list"]] * 3))) == 3
    for token in (None, "a-token-that-nobody-knows"):
        with secured.client(token) as client:
            for call in (
                lambda client=client: client.embed(space, "query", ["a"]),
                lambda client=client: list(client.embed_stream(space, "query", [["a"]])),
                lambda client=client: client.list_spaces(),
            ):
                with pytest.raises(Unauthenticated, match="Authorization: Bearer TOKEN"):
                    call()
    with secured.channel() as channel:
        health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        listing = reflection_pb2.ServerReflectionRequest(list_services="")
        with pytest.raises(grpc.RpcError) as caught:
            list(reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([listing])))
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_client_in_the_clear_or_of_another_authority_gets_nothing(secured: Secured, tmp_path: Path) -> None:
    """The ports speak TLS only, and the certificate is of the authority that the clients were given."""
    port = secured.running.told["http_port"]
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://localhost:{port}/.well-known/live")
    stranger = Authority(tmp_path, "stranger")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{secured.url}/.well-known/live", verify=ssl.create_default_context(cafile=str(stranger.ca)))
    with Client(secured.running.grpc, timeout_ms=2000) as client, pytest.raises(ServerUnavailable):
        client.list_spaces()


def test_sighup_reads_tokens_and_certificates_again(secured: Secured) -> None:
    """A new token works and the old one no longer, a renewed certificate is shown; a bad file changes nothing."""
    log, before = secured.running.log, secured.served.certificate.read_bytes()
    assert secured.vectors_status(THREE) == 401
    with secured.http(ONE) as kept:
        assert kept.get("/meta").status_code == 200
        secured.tokens.write_text(f"{THREE}\n")
        renewed = secured.authority.issue("server")
        assert renewed.certificate.read_bytes() != before
        secured.running.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "tokens=2" in log.read_text())
        assert (secured.vectors_status(THREE), secured.vectors_status(TWO), secured.vectors_status(ONE)) == (
            200,
            200,
            401,
        )
        assert kept.get("/meta").status_code == 401  # the connection lives on, the token does not
    for port in (secured.running.told["http_port"], secured.running.told["grpc_port"]):
        shown = ssl.get_server_certificate(("localhost", port), ca_certs=str(secured.authority.ca))
        assert ssl.PEM_cert_to_DER_cert(shown) == ssl.PEM_cert_to_DER_cert(renewed.certificate.read_text())
    with secured.client(THREE) as client:
        client.list_spaces()
    secured.tokens.write_text("short\n")
    secured.running.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "not read again" in log.read_text())
    assert secured.vectors_status(THREE) == 200


def test_no_token_is_told_anywhere(secured: Secured) -> None:
    """Neither the logs, nor the ready line, nor the metrics, nor the list of processes shows one."""
    secured.vectors_status("a-token-that-nobody-knows")
    command = Path(f"/proc/{secured.running.process.pid}/cmdline").read_text()
    with secured.http(TWO) as http:
        page = http.get("/metrics").text
    for told in (secured.running.log.read_text(), str(secured.running.told), page, command):
        for token in (ONE, TWO, THREE, "a-token-that-nobody-knows"):
            assert token not in told
    assert 'samespace_http_refused_total{reason="unauthenticated"}' in page


@contextmanager
def mutual(artifact: Path, folder: Path) -> Iterator[tuple[Running, Authority]]:
    authority = Authority(folder)
    served = authority.issue("server")
    files = ("--tls-cert", str(served.certificate), "--tls-key", str(served.key), "--tls-client-ca", str(authority.ca))
    with serving(artifact, options=files) as running:
        yield running, authority


def test_with_a_client_ca_only_its_clients_are_let_in(tiny_artifact: Path, tmp_path: Path) -> None:
    """No certificate, or one of another authority: no connection, over either wire, and health neither."""
    with mutual(tiny_artifact, tmp_path) as (running, authority):
        stranger = Authority(tmp_path, "stranger")
        url = f"https://localhost:{running.told['http_port']}/meta"
        for pem, let_in in ((authority.issue("known"), True), (stranger.issue("unknown"), False), (None, False)):
            context = ssl.create_default_context(cafile=str(authority.ca))
            certificate = key = None
            if pem is not None:
                context.load_cert_chain(pem.certificate, pem.key)
                certificate, key = pem.certificate, pem.key
            tls = Tls.from_files(ca=authority.ca, certificate=certificate, key=key)
            with Client(f"localhost:{running.told['grpc_port']}", access=Access(tls), timeout_ms=3000) as client:
                if let_in:
                    assert httpx.get(url, verify=context).status_code == 200
                    assert len(client.list_spaces()) == 1
                else:
                    with pytest.raises(httpx.TransportError):
                        httpx.get(url, verify=context)
                    with pytest.raises(ServerUnavailable):
                        client.list_spaces()


def test_an_open_server_beyond_loopback_is_told_of_once(tiny_artifact: Path) -> None:
    """One line of warning where everybody may use the server; none with tokens, and none on loopback."""
    for options, environment, warnings in (
        (("--host", "0.0.0.0"), {}, 1),
        (("--host", "0.0.0.0"), {"SAMESPACE_TOKENS": ONE}, 0),
        ((), {}, 0),
    ):
        with serving(tiny_artifact, options=options, environment=environment) as running:
            lines = [line for line in running.log.read_text().splitlines() if "open to everybody" in line]
            assert len(lines) == warnings
            assert all("WARNING" in line and "0.0.0.0" in line for line in lines)
