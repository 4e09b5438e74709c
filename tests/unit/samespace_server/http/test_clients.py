"""Who a request comes from, as the queue shares itself out by it."""

from __future__ import annotations

from fakes.server.http import door
from samespace_server.rpc.access import client_of
from samespace_server.security.tokens import Guard

TOKENS = ("a" * 16, "b" * 16)


def test_over_http_it_is_the_token_or_else_the_address() -> None:
    """Each of two tokens is a client; without tokens an address is."""
    with door(tokens=TOKENS) as server:
        for token in (*TOKENS, TOKENS[0]):
            server.client.post("/v1/embeddings", json={"input": "x"}, headers={"authorization": f"Bearer {token}"})
        first, second, again = (asked["client"] for asked in server.engine.asked)
        assert first == again != second
        assert not any(token in client for token in TOKENS for client in (first, second))
    with door() as server:
        server.client.post("/v1/embeddings", json={"input": "x"})
        assert [asked["client"] for asked in server.engine.asked] == ["127.0.0.1"]


def test_over_grpc_it_is_the_same() -> None:
    """The same token is the same client over both; of an address the port does not matter."""
    guard = Guard(TOKENS)
    metadata = [("authorization", f"Bearer {TOKENS[0]}")]
    assert client_of(guard, metadata, "ipv4:127.0.0.1:1") == guard.client(f"Bearer {TOKENS[0]}".encode(), "127.0.0.1")
    assert client_of(Guard(), (), "ipv4:127.0.0.1:1") == client_of(Guard(), (), "ipv4:127.0.0.1:2") == "127.0.0.1"
