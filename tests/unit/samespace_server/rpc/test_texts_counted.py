"""Every call that takes texts counts them beside its message: as strings they take up to four times as much."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from samespace.errors import Overloaded
from samespace.rpc.v1 import encoder_pb2, reranker_pb2
from samespace_server.rpc.reading import Reads
from samespace_server.rpc.reranking import RerankerService
from samespace_server.rpc.service import EncoderService
from samespace_server.settings import HttpLimits

WIDE = "a" * 2000 + "\U0001f600"  # one such character makes each of them take four bytes


class Looked(Exception):
    """A space was asked for: the request is counted by now."""


def _calls() -> dict[str, Any]:
    """Name -> request of every call of one message that has a list of texts, from the contracts themselves."""
    found = {}
    for contract in (encoder_pb2, reranker_pb2):
        for service in contract.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                lists = [f.name for f in method.input_type.fields if f.is_repeated and f.type == f.TYPE_STRING]
                if lists and not method.client_streaming:
                    found[method.name] = getattr(contract, method.input_type.name)(**{lists[0]: [WIDE] * 50})
    return found


def _answer(name: str, room: int) -> tuple[type[BaseException] | None, int, int]:
    """What a call ends with, the bytes that are held while it is answered, and afterwards."""

    async def run() -> tuple[type[BaseException] | None, int, int]:
        reads = Reads(HttpLimits(max_held_bytes=room), room, refused=lambda word: None, received=lambda peers: {})
        seen = []

        def look(*_: Any) -> Any:
            seen.append(reads.budget.held_bytes)
            raise Looked

        spaces = SimpleNamespace(find=look, find_reranker=look, request=look)
        guard = SimpleNamespace(client=lambda *_: "somebody")
        context = SimpleNamespace(
            time_remaining=lambda: None, invocation_metadata=lambda: (), peer=lambda: "ipv4:127.0.0.1:1"
        )
        services = (
            EncoderService(spaces, _NOBODY, SimpleNamespace(streams=None), (reads, None), guard),  # type: ignore[arg-type]
            RerankerService(spaces, _NOBODY, reads, guard),  # type: ignore[arg-type]
        )
        call = next(getattr(each, name) for each in services if name in type(each).__dict__)
        ended: type[BaseException] | None = None
        try:
            await call(_calls()[name], context)
        except (Looked, Overloaded) as error:
            ended = type(error)
        return ended, max(seen, default=0), reads.budget.held_bytes

    return asyncio.run(run())


class _Nobody:
    def request(self, *_: Any) -> _Nobody:
        return self

    def __enter__(self) -> Any:
        return SimpleNamespace()

    def __exit__(self, *_: object) -> None:
        return None


_NOBODY: Any = _Nobody()


def test_both_contracts_have_such_a_call() -> None:
    assert set(_calls()) == {"Embed", "Rerank"}


@pytest.mark.parametrize("name", ["Embed", "Rerank"])
def test_texts_are_counted_while_they_are_answered(name: str) -> None:
    ended, held, after = _answer(name, room=1 << 20)
    assert ended is Looked and held >= 50 * 4 * len(WIDE) and after == 0


@pytest.mark.parametrize("name", ["Embed", "Rerank"])
def test_texts_that_have_no_room_are_refused(name: str) -> None:
    assert _answer(name, room=50 * len(WIDE)) == (Overloaded, 0, 0)
