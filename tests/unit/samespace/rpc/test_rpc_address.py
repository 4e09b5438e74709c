"""Addresses as people write them, and who may see a token."""

from __future__ import annotations

from pathlib import Path

import pytest

from samespace.api.named import timeout_from
from samespace.cli.encoders import access_from
from samespace.errors import ConfigInvalid, RequestInvalid
from samespace.rpc.access import Access, Tls, is_loopback
from samespace.rpc.address import ServerAddress

SPACE = "0f16853b96e8"
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("text", "replicas", "space", "tls"),
    [
        ("localhost:8081", ("localhost:8081",), None, None),
        ("localhost:8081/", ("localhost:8081",), None, None),
        ("a:1,b.example.org:2", ("a:1", "b.example.org:2"), None, None),
        ("a:1,a:1", ("a:1",), None, None),
        ("[::1]:8081", ("[::1]:8081",), None, None),
        (f"localhost:8081/{SPACE}", ("localhost:8081",), SPACE, None),
        (f"grpcs://a:1,b:2/{SPACE * 5}f123", ("a:1", "b:2"), SPACE * 5 + "f123", True),
        ("grpc://localhost:8081", ("localhost:8081",), None, False),
    ],
)
def test_an_address_is_read(text: str, replicas: tuple[str, ...], space: str | None, tls: bool | None) -> None:
    """One server, several, a space behind a slash, and a scheme that says whether it is TLS."""
    assert ServerAddress.parse(text) == ServerAddress(replicas, space, tls)
    assert ServerAddress.is_one(text)


@pytest.mark.parametrize(
    "text", ["localhost", "a:1,b", "a:0", "a:70000", "a:1/xyz", f"a:1/{SPACE}/b", "http://a:1", "a b:1"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """A missing or impossible port, and what is no space id, are named before anything is sent."""
    with pytest.raises(RequestInvalid):
        ServerAddress.parse(text)


def test_a_hub_name_is_no_address() -> None:
    """ORGANISATION/MODEL stays a model, while HOST:PORT/anything is a server with a wrong space."""
    assert not ServerAddress.is_one("sentence-transformers/all-MiniLM-L6-v2")
    assert ServerAddress.is_one("localhost:8081/MiniLM")


@pytest.mark.parametrize(
    ("replica", "expected"),
    [
        ("localhost:1", True),
        ("127.8.9.1:1", True),
        ("[::1]:1", True),
        ("10.0.0.1:1", False),
        ("localhost.example:1", False),
    ],
)
def test_only_this_machine_is_loopback(replica: str, expected: bool) -> None:
    """A name that resolves elsewhere is not taken for this machine."""
    assert is_loopback(replica) is expected


def test_a_token_does_not_travel_in_the_clear() -> None:
    """Without TLS a token goes to this machine only, unless that is asked for; each replica counts."""
    Access(token="t").check(["localhost:1", "[::1]:2"])
    Access(token="t", tls=Tls()).check(["example.org:1"])
    Access(token="t", token_in_clear=True).check(["example.org:1"])
    with pytest.raises(ConfigInvalid, match=r"example\.org:1"):
        Access(token="t").check(["localhost:1", "example.org:1"])


@pytest.mark.parametrize("token", ["", "Bearer abc", "a\nb", "schlüssel"])
def test_a_token_that_no_header_carries_is_refused(token: str) -> None:
    """An empty token, white space and non-ASCII characters are mistakes of the configuration; the token is not told."""
    with pytest.raises(ConfigInvalid) as caught:
        Access(token=token)
    assert not token or token not in str(caught.value)


def test_secrets_are_in_no_repr() -> None:
    """A log line with an `Access` in it has neither the token nor the key."""
    text = repr(Access(tls=Tls(certificate=PEM.encode(), key=b"-----BEGIN K-----secret"), token="hunter2"))
    assert "hunter2" not in text
    assert "secret" not in text


def test_a_certificate_needs_its_key() -> None:
    """Half of mutual TLS, a file that is not there and one that is no PEM are named by their setting."""
    with pytest.raises(ConfigInvalid) as caught:
        Tls(certificate=PEM.encode())
    assert caught.value.key == "key"
    with pytest.raises(ConfigInvalid) as caught:
        Tls.from_files(ca="/no/such/file")
    assert caught.value.key == "ca"
    with pytest.raises(ConfigInvalid):
        Tls(ca=b"garbage")


def test_commands_wait_as_long_as_the_environment_says() -> None:
    """Seconds; a minute where nothing is said; what is no time is refused."""
    assert timeout_from({}) == timeout_from({"SAMESPACE_TIMEOUT": ""}) == 60_000
    assert timeout_from({"SAMESPACE_TIMEOUT": "300"}) == 300_000 and timeout_from({"SAMESPACE_TIMEOUT": "0.5"}) == 500
    for wrong in ("5m", "0", "-3", "nan", "inf", "1e9"):
        with pytest.raises(ConfigInvalid, match="expected seconds, such as 300"):
            timeout_from({"SAMESPACE_TIMEOUT": wrong})


def test_commands_read_access_from_the_environment(tmp_path: Path) -> None:
    """Token, authorities and certificates come from variables, so that none is on a command line; empty means unset."""
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).write_text(PEM)
    (tmp_path / "token").write_text("from-a-file\n")
    assert access_from({"SAMESPACE_TOKEN": "", "PATH": "x"}) == Access()
    assert access_from({"SAMESPACE_TOKEN": "abc", "SAMESPACE_TOKEN_IN_CLEAR": "1"}) == Access(
        token="abc", token_in_clear=True
    )
    full = access_from(
        {
            "SAMESPACE_TOKEN_FILE": str(tmp_path / "token"),
            "SAMESPACE_CA": str(tmp_path / "ca.pem"),
            "SAMESPACE_CERT": str(tmp_path / "cert.pem"),
            "SAMESPACE_KEY": str(tmp_path / "key.pem"),
            "SAMESPACE_SERVER_NAME": "encoder",
        }
    )
    pem = PEM.encode()
    assert full == Access(tls=Tls(ca=pem, certificate=pem, key=pem, server_name="encoder"), token="from-a-file")
    with pytest.raises(ConfigInvalid, match="SAMESPACE_TOKEN is set too"):
        access_from({"SAMESPACE_TOKEN": "a", "SAMESPACE_TOKEN_FILE": str(tmp_path / "token")})
