"""samespace_weaviate.access.address"""

from __future__ import annotations

import socket
from hashlib import sha256
from pathlib import Path

import pytest

from samespace.errors import ConfigInvalid
from samespace_weaviate.access.address import (
    EMBEDDED_VERSION,
    Address,
    EmbeddedWeaviate,
    NoWeaviate,
    find_weaviate,
    one_node_twice,
)


def cached(cache: Path, *versions: str) -> dict[str, str]:
    """An environment whose cache holds binaries of *versions*, as weaviate-client names them."""
    cache.mkdir(exist_ok=True)
    for version in versions:
        (cache / f"weaviate-v{version}-{sha256(f'v{version}'.encode()).hexdigest()}").touch()
    return {"XDG_CACHE_HOME": str(cache)}


def nothing(url: str) -> str | None:
    """No download works."""
    return "no network"


def test_a_named_weaviate_comes_first(tmp_path: Path) -> None:
    """WEAVIATE_URL wins over a cached binary, with its gRPC port and key."""
    environment = cached(tmp_path, "1.34.2") | {
        "WEAVIATE_URL": "http://db:8085",
        "WEAVIATE_GRPC_PORT": "50052",
        "WEAVIATE_API_KEY": "secret",
    }
    found = find_weaviate("auto", environment, can_download=nothing)
    assert found == Address("db", 8085, False, 50052, "secret")
    assert "secret" not in repr(found) + str(found)
    assert isinstance(find_weaviate("embedded", environment, can_download=nothing), EmbeddedWeaviate)


def test_the_newest_cached_binary_is_used_without_asking_the_network(tmp_path: Path) -> None:
    """Versions are compared as numbers; files that only look alike are passed over."""
    environment = cached(tmp_path, "1.9.9", "1.34.2", "1.30.5")
    (tmp_path / ("weaviate-v9.9.9-" + "0" * 64)).touch()
    found = find_weaviate("auto", environment, can_download=lambda url: pytest.fail("asked the network"))
    assert found == EmbeddedWeaviate("1.34.2", cached=True, cache=tmp_path)


def test_without_a_binary_it_is_downloaded_or_the_reason_is_one_line(tmp_path: Path) -> None:
    """The version that would be downloaded is one whose behaviour is known."""
    environment = cached(tmp_path)
    assert find_weaviate("auto", environment, can_download=lambda url: None) == EmbeddedWeaviate(
        EMBEDDED_VERSION, cached=False, cache=tmp_path
    )
    found = find_weaviate("auto", environment, can_download=nothing)
    assert isinstance(found, NoWeaviate)
    assert "no network" in found.reason
    assert "\n" not in found.reason


def test_off_and_url_do_not_look_further(tmp_path: Path) -> None:
    """Who switches Weaviate off, or insists on a URL, gets no embedded one."""
    environment = cached(tmp_path, "1.34.2")
    assert isinstance(find_weaviate("off", environment | {"WEAVIATE_URL": "http://db"}), NoWeaviate)
    assert isinstance(find_weaviate("url", environment), NoWeaviate)


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("http://db:8085", Address("db", 8085, False, 50051)),
        ("db", Address("db", 8080, False, 50051)),
        ("https://db.example/", Address("db.example", 443, True, 443)),
    ],
)
def test_addresses_have_the_usual_ports(url: str, wanted: Address) -> None:
    """http is 8080 and 50051, https is 443 for both."""
    assert Address.parse(url) == wanted


@pytest.mark.parametrize("url", ["ftp://db", "http://", "http://db:port", "http://db/v1"])
def test_a_bad_address_is_refused_with_its_variable(url: str) -> None:
    """The error names WEAVIATE_URL and what it was."""
    with pytest.raises(ConfigInvalid, match="WEAVIATE_URL"):
        Address.parse(url)
    with pytest.raises(ConfigInvalid, match="WEAVIATE_GRPC_PORT"):
        find_weaviate("url", {"WEAVIATE_URL": "http://db", "WEAVIATE_GRPC_PORT": "many"})


def test_an_address_may_name_its_own_grpc_port() -> None:
    """After #; it counts more than the port that is given for all nodes, and is no part of what is shown."""
    found = Address.parse("http://db:8085#50061", 50052)
    assert (found.grpc_port, str(found)) == (50061, "http://db:8085")
    for wrong in ("http://db:8085#", "http://db:8085"):
        assert Address.parse(wrong, 50052).grpc_port == 50052
    with pytest.raises(ConfigInvalid, match="GRPC_PORT"):
        Address.parse("http://db:8085#grpc")


SECRETS = {
    "WEAVIATE_CLIENT_SECRET": "s3cret-one",
    "WEAVIATE_SCOPE": "openid email",
    "WEAVIATE_HEADERS": "X-Key: s3cret-two\n X-Other : b:c ",
    "WEAVIATE_GRPC_HOST": "grpc.example",
    "WEAVIATE_GRPC_SECURE": "True",
}


def test_everything_about_a_door_comes_from_the_environment() -> None:
    """OIDC, headers, and gRPC elsewhere; nothing secret is in what is shown."""
    found = Address.from_environment("http://user:s3cret-three@db:8085", SECRETS)
    assert (found.grpc_host, found.grpc_secure, found.login.scope) == ("grpc.example", True, "openid email")
    assert found.headers == (("X-Key", "s3cret-two"), ("X-Other", "b:c"))  # the login goes before the URL's
    assert found.login.is_oidc and found.login.client_secret == "s3cret-one"
    assert "s3cret" not in f"{found!r} {found} {found.login!r}"
    assert Address.from_environment("http://db", SECRETS, is_node=True).grpc_host == ""


@pytest.mark.parametrize(
    ("variables", "key"),
    [
        ({"WEAVIATE_API_KEY": "s3cret", "WEAVIATE_BEARER_TOKEN": "s3cret"}, "WEAVIATE_API_KEY and WEAVIATE_BEARER"),
        ({"WEAVIATE_USERNAME": "ann"}, "WEAVIATE_PASSWORD"),
        ({"WEAVIATE_BEARER_TOKEN": "s3cret", "WEAVIATE_TOKEN_EXPIRES_IN": "soon"}, "WEAVIATE_TOKEN_EXPIRES_IN"),
        ({"WEAVIATE_HEADERS": "s3cret"}, "WEAVIATE_HEADERS"),
        ({"WEAVIATE_HEADERS": "X Key: s3cret"}, "WEAVIATE_HEADERS"),
        ({"WEAVIATE_GRPC_SECURE": "perhaps"}, "WEAVIATE_GRPC_SECURE"),
        ({"WEAVIATE_CA": "/nowhere.pem"}, "WEAVIATE_CA"),
    ],
)
def test_a_variable_that_cannot_be_is_named_without_its_value(variables: dict[str, str], key: str) -> None:
    """Two logins, half of one, a header that is none."""
    with pytest.raises(ConfigInvalid, match=key) as refused:
        Address.from_environment("http://db", variables)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("host", "grpc_host"),
    [
        ("abc.c0.europe-west3.gcp.weaviate.cloud", "grpc-abc.c0.europe-west3.gcp.weaviate.cloud"),
        ("abc.weaviate.network", "abc.grpc.weaviate.network"),
        ("db.example", ""),
    ],
)
def test_weaviate_cloud_has_its_own_host_for_grpc(host: str, grpc_host: str) -> None:
    """As weaviate-client's connect_to_weaviate_cloud has it."""
    found = Address.from_environment(f"https://{host}", {})
    assert (found.grpc_host, found.grpc_port) == (grpc_host, 443)


@pytest.mark.parametrize(
    "urls",
    [
        ("http://127.0.0.1:8080", "http://localhost:8080"),
        ("http://127.0.0.1:8080", f"http://{socket.gethostname()}:8080"),
        ("http://node-a.invalid:8080", "http://NODE-A.invalid:8080"),
    ],
)
def test_one_node_by_two_names_is_one(urls: tuple[str, str]) -> None:
    """A walk through it and itself finds that all replicas agree."""
    first, second = (Address.from_environment(url, {}, is_node=True) for url in urls)
    elsewhere = Address.from_environment("http://127.0.0.1:8081#50052", {}, is_node=True)
    assert one_node_twice([first, elsewhere, second]) == (first, second)
    assert one_node_twice([first, elsewhere]) is None


def test_two_nodes_with_one_grpc_port_are_refused() -> None:
    """Searches of both would go to one of them; its index would be taken for the other's."""
    nodes = [Address.from_environment(f"http://127.0.0.1:{port}", {}, is_node=True) for port in (8080, 8081)]
    assert one_node_twice(nodes) == (nodes[0], nodes[1])


def test_addresses_of_loopback_may_be_of_several_servers() -> None:
    """As containers have them that are published side by side."""
    nodes = [Address.from_environment(f"http://127.0.0.{number}:8080", {}, is_node=True) for number in (1, 2, 3)]
    assert one_node_twice(nodes) is None
