"""What a provider may answer: vectors of the texts that were asked, and nothing else; and where its key goes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from fakes.providers.hosted import KEY, Hosted, answering
from samespace.cli import cli
from samespace.errors import ConfigInvalid, RequestInvalid, SamespaceError, ServerUnavailable
from samespace.providers.door import ProviderDoor
from samespace.providers.pin import pin_provider

Answer = Callable[[dict[str, Any]], tuple[int, bytes]]


class Scripted:
    """A provider that answers by a function of the request's body."""

    url = ""

    def answer(self, body: dict[str, Any]) -> tuple[int, bytes]:
        raise NotImplementedError

    def door(self, provider: str = "openai", dims: int = 0) -> ProviderDoor:
        return ProviderDoor(provider, "m", self.url, dims, pause=lambda seconds: None)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    for name in ("OPENAI_API_KEY", "COHERE_API_KEY"):
        monkeypatch.setenv(name, KEY)
    made = Scripted()
    with answering(lambda _, body, __: made.answer(body)) as made.url:
        yield made


def rows(first: str, second: str, one: str = "[1, 2]", other: str = "[5, 1]") -> bytes:
    return (
        f'{{"data": [{{"index": {first}, "embedding": {one}}}, {{"index": {second}, "embedding": {other}}}]}}'.encode()
    )


WRONG = {
    "twice 0": rows("0", "0"),
    "beyond": rows("7", "3"),
    "negative and broken": rows("-1", "0.9"),
    "true": rows("false", "true"),
    "text": rows('"0"', '"1"'),
    "infinite index": rows("Infinity", "0"),
    "no index": b'{"data": [{"embedding": [1, 2]}, {"embedding": [5, 1]}]}',
    "numbers as text": rows("0", "1", '["1", "2"]', '["5", "1"]'),
    "booleans": rows("0", "1", "[true, false]", "[true, true]"),
    "null": rows("0", "1", "[null, 1]"),
    "400 digits": rows("0", "1", f"[1{'0' * 400}, 1]"),
    "ragged": rows("0", "1", "[1]"),
    "no numbers": rows("0", "1", "[]", "[]"),
    "not a number": rows("0", "1", "[NaN, 1]"),
    "deep": b"[" * 200_000,
    "null data": b'{"data": null}',
    "a list": b"[]",
    "nothing": b"",
    "a page": b"<html>",
}


@pytest.mark.parametrize("name", WRONG)
def test_answers_that_are_none_are_refused_by_name(name: str, scripted: Scripted) -> None:
    """No traceback, no vector for a text that has none, and no question for samespace's own server."""
    scripted.answer = lambda body: (200, WRONG[name])  # type: ignore[method-assign]
    with pytest.raises(ServerUnavailable) as refused:
        scripted.door().rows(["a", "b"], "query")
    assert "it is the provider's" in str(refused.value) and "samespace serve" not in str(refused.value)


def test_indexes_in_any_order_are_taken(scripted: Scripted) -> None:
    scripted.answer = lambda body: (200, rows("1", "0"))  # type: ignore[method-assign]
    found = scripted.door().rows(["a", "b"], "query")
    assert np.allclose(found[1], np.array([1, 2]) / np.sqrt(5)) and np.allclose(
        found[0], np.array([5, 1]) / np.sqrt(26)
    )


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (204, ServerUnavailable, "answers without vectors, status 204"),
        (302, ServerUnavailable, "a redirect"),
        (404, ConfigInvalid, "no such model"),
        (400, RequestInvalid, "refused them with status 400"),
        (501, ServerUnavailable, "an outage"),
    ],
)
def test_a_status_is_told_as_what_it_is(
    status: int, kind: type[SamespaceError], words: str, scripted: Scripted
) -> None:
    """Only what is about the texts is told of the texts: an import would note each of them as refused."""
    scripted.answer = lambda body: (status, b"")  # type: ignore[method-assign]
    with pytest.raises(kind, match=words) as refused:
        scripted.door().rows(["a"], "query")
    assert type(refused.value) is kind and "samespace serve" not in str(refused.value)


def by_text(dims: int = 64) -> Answer:
    hosted = Hosted(dims=dims)
    return lambda body: _data([hosted.vector(text, "") for text in body["input"]])


def by_place(body: dict[str, Any]) -> tuple[int, bytes]:
    hosted = Hosted()
    return _data([hosted.vector(str(place), "") for place in range(len(body["input"]))])


def by_text_and_place(body: dict[str, Any]) -> tuple[int, bytes]:
    """The text counts, and its place shifts the vector."""
    hosted = Hosted(length=1.0)
    pairs = enumerate(body["input"])
    return _data([list(np.add(hosted.vector(text, ""), hosted.vector(str(place), ""))) for place, text in pairs])


def by_role(body: dict[str, Any]) -> tuple[int, bytes]:
    made = [Hosted().vector(body["input_type"], "") for _ in body["texts"]]
    return 200, json.dumps({"embeddings": {"float": made}}).encode()


def _data(made: list[list[float]]) -> tuple[int, bytes]:
    data = [{"index": place, "embedding": list(map(float, row))} for place, row in enumerate(made)]
    return 200, json.dumps({"data": data}).encode()


def test_what_is_no_encoder_is_not_pinned(scripted: Scripted, tmp_path: Path) -> None:
    """One vector for all queries and one for all passages; a vector by place in the request; another length."""
    cases: list[tuple[str, Answer, int, type[SamespaceError], str]] = [
        ("cohere", by_role, 0, ServerUnavailable, "the same vector to different texts"),
        ("openai", by_place, 0, ServerUnavailable, "the same vector to different texts|place in the request"),
        ("openai", by_text_and_place, 0, ServerUnavailable, "depend on a text's place in the request"),
        ("openai", by_text(64), 32, RequestInvalid, "--dims: 32; .* gives 64"),
    ]
    for provider, answer, dims, kind, words in cases:
        scripted.answer = answer  # type: ignore[method-assign]
        with pytest.raises(kind, match=words):
            pin_provider(scripted.door(provider, dims), provider, tmp_path / "out", token_limit=10)
        assert not (tmp_path / "out").exists()
    scripted.answer = by_text(32)  # type: ignore[method-assign]
    assert pin_provider(scripted.door(dims=32), "openai", tmp_path / "out", token_limit=10).dims == 32


def test_a_key_does_not_travel_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a token of the gRPC client does not: loopback and TLS are taken, and who says so may."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for address in ("http://gateway.example.com", "http://10.0.0.7:8000", "http://localhost.example.com"):
        with pytest.raises(ConfigInvalid, match=r"without TLS.*SAMESPACE_TOKEN_IN_CLEAR=1") as refused:
            ProviderDoor("openai", "m", address)
        assert KEY not in str(refused.value)
    for address in ("https://gateway.example.com", "http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9", ""):
        ProviderDoor("openai", "m", address).close()
    monkeypatch.setenv("SAMESPACE_TOKEN_IN_CLEAR", "1")
    ProviderDoor("openai", "m", "http://gateway.example.com").close()


def test_a_check_tells_failure_from_drift(scripted: Scripted, tmp_path: Path) -> None:
    """Drift is 3; an answer that is none raises, which is 1."""
    scripted.answer = by_text()  # type: ignore[method-assign]
    pin_provider(scripted.door(), "openai", tmp_path / "out", token_limit=10)
    check = ["provider", "check", str(tmp_path / "out")]
    assert CliRunner().invoke(cli, check).exit_code == 0
    scripted.answer = by_text(32)  # type: ignore[method-assign]
    assert CliRunner().invoke(cli, check).exit_code == 3
    scripted.answer = lambda body: (200, b"[" * 200_000)  # type: ignore[method-assign]
    done = CliRunner().invoke(cli, check)
    assert isinstance(done.exception, ServerUnavailable)
