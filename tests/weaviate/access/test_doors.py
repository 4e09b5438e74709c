"""Ways into a real Weaviate: OIDC, an API key, TLS with an authority of one's own, gRPC on another host and port."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fakes.server.certificates import Authority
from fakes.weaviate import oidc
from fakes.weaviate.nodes import Node, weaviate_nodes
from fakes.weaviate.tls import tls_before
from samespace.cli import cli
from samespace.errors import WeaviateError
from samespace_weaviate import Store, StoredObject
from samespace_weaviate.access.address import Address
from samespace_weaviate.access.values import object_uuid

pytestmark = [
    pytest.mark.weaviate,
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:authlib.jose module is deprecated"),
]

KEY = "api-key-7"
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def provider() -> Iterator[oidc.Provider]:
    """Of tokens."""
    if tuple(map(int, version("authlib").split(".")[:2])) >= (1, 8):
        pytest.skip("weaviate-client's OIDC needs pip install 'authlib<1.8'")
    with oidc.provider() as running:
        yield running


@pytest.fixture(scope="module")
def node(provider: oidc.Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A Weaviate that takes tokens of the provider and one API key, and nobody else."""
    binary = os.environ.get("WEAVIATE_BINARY")
    if not binary:
        pytest.skip("WEAVIATE_BINARY does not name a Weaviate that tests may start")
    settings = {
        "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "false",
        "AUTHENTICATION_APIKEY_ENABLED": "true",
        "AUTHENTICATION_APIKEY_ALLOWED_KEYS": KEY,
        "AUTHENTICATION_APIKEY_USERS": "root",
        "AUTHENTICATION_OIDC_ENABLED": "true",
        "AUTHENTICATION_OIDC_ISSUER": provider.issuer,
        "AUTHENTICATION_OIDC_CLIENT_ID": oidc.CLIENT,
        "AUTHENTICATION_OIDC_USERNAME_CLAIM": "sub",
        "AUTHENTICATION_OIDC_SCOPES": "openid",
    }
    with weaviate_nodes(Path(binary), tmp_path_factory.mktemp("doors"), environment=settings) as nodes:
        yield nodes[0]


@pytest.fixture
def run(node: Node, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`samespace weaviate ...` with some variables and options; no secret of any of them is ever printed."""

    def ran(*arguments: str, url: str = "", **environment: str) -> Result:
        for name in [each for each in os.environ if each.startswith("WEAVIATE_") and each != "WEAVIATE_BINARY"]:
            monkeypatch.delenv(name)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("WEAVIATE_URL", url or node.url)
        result = CliRunner().invoke(cli, ["weaviate", *arguments])
        told = f"{result.output} {result.exception}"
        secrets = [value for name, value in environment.items() if name not in ("WEAVIATE_GRPC_PORT", "WEAVIATE_CA")]
        assert not any(value in told for value in secrets if len(value) > 5), told
        return result

    return ran


LOGINS = {
    "api key": {"WEAVIATE_API_KEY": KEY},
    "client credentials": {"WEAVIATE_CLIENT_SECRET": oidc.SECRET, "WEAVIATE_SCOPE": "openid"},
    "client password": {"WEAVIATE_USERNAME": oidc.USER, "WEAVIATE_PASSWORD": oidc.PASSWORD},
    "bearer token": {},
}


@pytest.mark.parametrize("way", LOGINS)
def test_each_login_opens_rest_and_grpc(way: str, node: Node, provider: oidc.Provider) -> None:
    """Schemas and objects over REST, searches over gRPC; none of the secrets is in what is shown of the address."""
    said = LOGINS[way] or {"WEAVIATE_BEARER_TOKEN": provider.token(), "WEAVIATE_REFRESH_TOKEN": "again"}
    address = Address.from_environment(node.url, {**said, "WEAVIATE_GRPC_PORT": str(node.grpc_port)})
    assert not any(
        secret in f"{address!r} {address} {address.login!r}" for secret in said.values() if secret != "openid"
    )
    name = f"Doors{way.title().replace(' ', '')}"
    with Store.connect(address) as store:
        plain = {"vectorizer": {"none": {}}, "vectorIndexType": "hnsw"}
        properties = [{"name": "text", "dataType": ["text"]}]
        store.create({"class": name, "vectorConfig": {"v": plain}, "properties": properties})
        assert store.write(name, [StoredObject(object_uuid(name, "1"), {"text": "red"})]) == []
        assert [hit.properties["text"] for hit in store.bm25(name, "red", 1)] == ["red"]
        assert store.each_node()[store.address].own_schema(name) is not None


def test_a_token_that_expires_is_renewed(node: Node, provider: oidc.Provider) -> None:
    """weaviate-client gets another one with the refresh token, and REST goes with it."""
    address = Address.from_environment(
        node.url,
        {"WEAVIATE_USERNAME": oidc.USER, "WEAVIATE_PASSWORD": oidc.PASSWORD, "WEAVIATE_GRPC_PORT": str(node.grpc_port)},
    )
    provider.lifetime_s, before = 3, len(provider.grants)
    try:
        with Store.connect(address) as store:
            first = store.rest.bearer and store.rest.bearer()
            until = 20
            while until and store.rest.bearer and store.rest.bearer() == first:
                until -= 1
                store.rest.patience.pause(1.0)
            assert until, "the token was not renewed"
            provider.lifetime_s = 300
            store.names()
    finally:
        provider.lifetime_s = 300
    assert "refresh_token" in provider.grants[before:]


def test_a_wrong_login_is_refused_without_its_secret(run: Run, node: Node) -> None:
    """Whatever the way: the error says what to set."""
    grpc = {"WEAVIATE_GRPC_PORT": str(node.grpc_port)}
    for wrong in (
        {"WEAVIATE_API_KEY": "wrong-secret"},
        {"WEAVIATE_CLIENT_SECRET": "wrong-secret"},
        {"WEAVIATE_USERNAME": oidc.USER, "WEAVIATE_PASSWORD": "wrong-secret"},
        {"WEAVIATE_BEARER_TOKEN": "wrong-secret", "WEAVIATE_REFRESH_TOKEN": "wrong-secret"},
    ):
        result = run("check", **wrong, **grpc)
        assert isinstance(result.exception, WeaviateError), (wrong, result.output, result.exception)


def test_tls_with_an_authority_of_ones_own_and_grpc_on_another_host(run: Run, node: Node, tmp_path: Path) -> None:
    """REST and gRPC are behind TLS on two hosts and ports; by options, and by the environment; not without the CA."""
    authority = Authority(tmp_path)
    pem = authority.issue("weaviate", hosts=("127.0.0.1", "127.0.0.2"))
    with ExitStack() as stack:
        rest = stack.enter_context(tls_before(node.rest_port, pem.certificate, pem.key))
        grpc = stack.enter_context(tls_before(node.grpc_port, pem.certificate, pem.key, "127.0.0.2"))
        url, ports = f"https://127.0.0.1:{rest}", ("--grpc-host", "127.0.0.2", "--grpc-port", str(grpc))
        good = run("check", "--offline", *ports, "--ca", str(authority.ca), url=url, WEAVIATE_API_KEY=KEY)
        assert good.exit_code in (0, 1) and (good.exception is None or isinstance(good.exception, SystemExit)), good
        by_environment = run(
            "check", "--offline", url=url, WEAVIATE_API_KEY=KEY, WEAVIATE_CA=str(authority.ca),
            WEAVIATE_GRPC_HOST="127.0.0.2", WEAVIATE_GRPC_PORT=str(grpc),
        )  # fmt: skip
        assert by_environment.output == good.output
        plain = ("--no-grpc-secure", "--grpc-host", "127.0.0.2", "--grpc-port", str(node.grpc_port))
        mixed = run("check", "--offline", *plain, "--ca", str(authority.ca), url=url, WEAVIATE_API_KEY=KEY)
        assert mixed.output == good.output
        untrusted = run("check", "--offline", *ports, url=url, WEAVIATE_API_KEY=KEY)
        assert isinstance(untrusted.exception, WeaviateError)


def test_headers_are_sent(run: Run, node: Node) -> None:
    """A header that is the login itself opens the door, from the option and from the environment."""
    header = f"Authorization: Bearer {KEY}"
    grpc = ("--grpc-port", str(node.grpc_port))
    by_option = run("check", "--offline", *grpc, "--header", header)
    assert by_option.exception is None or isinstance(by_option.exception, SystemExit), by_option.exception
    by_environment = run("check", "--offline", *grpc, WEAVIATE_HEADERS=f"X-Other: 1\n{header}")
    assert by_environment.output == by_option.output
    assert isinstance(run("check", "--offline", *grpc).exception, WeaviateError)
