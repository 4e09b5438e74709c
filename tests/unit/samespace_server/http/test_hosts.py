"""Under which names what tells of the server is given."""

from __future__ import annotations

import pytest

from samespace_server.http.hosts import KnownHosts, is_host

KNOWN = KnownHosts(["encoder.example.org", "0.0.0.0", ""])


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8080", "10.1.2.3", "[::1]:8080", "[fe80::1]", "localhost", "localhost:8080", "LOCALHOST.", "encoder",
        "encoder:8080", "a.localhost", "samespace.encoders.svc:8080", "s.n.svc.cluster.local", "host.docker.internal",
        "encoder.example.org", "Encoder.Example.ORG:443",
    ],
)  # fmt: skip
def test_names_that_nobody_outside_can_own_are_known(host: str) -> None:
    """Addresses, localhost, names without a dot, private endings, and what was said."""
    assert is_host(host.encode())
    assert KNOWN.knows(host.encode())


@pytest.mark.parametrize(
    "host",
    [
        "evil.example.com", "evil.example.com:8080", "127.0.0.1.evil.com", "localhost.evil.com", "example.org",
        "encoder.example.org.x.y", "1.2.3.4.nip.io", "evil.local", "a.svc.evil.com", "0x7f.1", "",
    ],
)  # fmt: skip
def test_names_of_others_are_not(host: str) -> None:
    """A name with a dot may be anybody's, whatever it begins or ends with; and an empty one names nothing."""
    assert is_host(host.encode())
    assert not KNOWN.knows(host.encode())


@pytest.mark.parametrize("host", ["a b", "a/b", "a@b", "a:b", "a:123456", "[::1", "::1", "a\x00", "é", "a#b", "a?b"])
def test_what_is_no_host_is_none(host: str) -> None:
    """A path, a user, a port that is none."""
    assert not is_host(host.encode())
