"""Which space is meant, who is inside, and when the server is ready."""

from __future__ import annotations

import asyncio

import pytest

from fakes.server.engines import fake_engine
from samespace.errors import RequestInvalid, SamespaceError, ServerUnavailable, UnknownSpace
from samespace_server.spaces.registry import Spaces

A, B, C = "a" * 64, "b" * 64, "a" * 20 + "c" * 44


def serving(*space_ids: str) -> Spaces:
    spaces = Spaces(address="host:1")
    for space_id in space_ids:
        spaces.put(fake_engine(space_id))
    spaces.state = "ready"
    return spaces


def test_a_space_is_found_by_its_id_or_enough_of_it() -> None:
    """Full ids, in either case, and 12 or more digits that fit one space alone."""
    spaces = serving(A, B, C)
    assert spaces.find(A).space_id == spaces.find(A.upper()).space_id == A
    assert spaces.find("b" * 12).space_id == B
    with pytest.raises(RequestInvalid, match="say more digits"):
        spaces.find("a" * 12)
    for wrong in ("b" * 11, "", "d" * 64, "b" * 65):
        with pytest.raises(UnknownSpace):
            spaces.find(wrong)


def test_what_a_refusal_repeats_is_bounded() -> None:
    """An id as long as a body does not come back as long."""
    with pytest.raises(UnknownSpace) as caught:
        serving(A).find("x" * 100_000)
    assert len(str(caught.value)) < 500


def test_nothing_is_found_while_loading() -> None:
    """A space that may still come is not "unknown"; a client has to try again, not to give up."""
    spaces = Spaces(address="host:1")
    with pytest.raises(ServerUnavailable):
        spaces.find(A)


def test_the_default_follows_its_space_through_a_reload() -> None:
    """What answers bare paths is a space, not the engine that happens to serve it."""
    spaces = serving(A, B)
    with pytest.raises(UnknownSpace, match="no space is named"):
        spaces.find(None)
    spaces.set_default(B[:12])
    fresh = fake_engine(B)
    spaces.put(fresh)
    assert spaces.find(None) is fresh
    assert spaces.default == B
    spaces.set_default(None)
    with pytest.raises(UnknownSpace):
        spaces.find(None)


def test_too_few_digits_are_told_as_that() -> None:
    """Whoever gives eleven digits of a space that is served is told why it is not found."""
    with pytest.raises(UnknownSpace, match="12 of its digits or more"):
        serving(A, B).find(A[:11])


def test_the_default_cannot_be_taken_off() -> None:
    """Paths without a space would otherwise change their meaning, or lose it, by an unload."""
    spaces = serving(A, B)
    spaces.set_default(A)
    with pytest.raises(RequestInvalid):
        spaces.remove(A)
    spaces.set_default(B)
    spaces.remove(A)
    assert spaces.ids == (B,)


def test_requests_are_counted_for_each_engine() -> None:
    """An engine that left is idle when its own requests are answered, whatever the others do."""

    async def scenario() -> None:
        spaces = serving(A, B)
        old, other = spaces.find(A), spaces.find(B)
        with spaces.request(other):
            with spaces.request(old):
                assert spaces.remove(A) is old
                leaving = asyncio.create_task(spaces.idle(old))
                await asyncio.sleep(0)
                assert not leaving.done()
                assert (spaces.at_work, spaces.at_work_of(old)) == (2, 1)
            await leaving
            everything = asyncio.create_task(spaces.idle())
            await asyncio.sleep(0)
            assert not everything.done()
        await everything

    asyncio.run(scenario())


def test_the_door_is_shut_while_loading_and_draining() -> None:
    """Nothing is accepted then, and a refusal says which of the two it is."""
    spaces = serving(A)
    engine = spaces.find(A)
    for state, word in (("loading", "loading"), ("draining", "shutting down")):
        spaces.state = state
        with pytest.raises(ServerUnavailable, match=word), spaces.request(engine):
            pass
    assert spaces.at_work == 0


def test_ready_is_every_space_and_each_by_itself() -> None:
    """One broken space takes the server out of the rotation; the others are ready by themselves."""
    spaces = serving(A, B)
    assert spaces.ready
    spaces.find(A).broken = "NaN"
    assert not spaces.ready
    assert not spaces.is_ready(spaces.find(A))
    assert spaces.is_ready(spaces.find(B))
    spaces.put(fake_engine(A))  # a reload mends it
    assert spaces.ready
    spaces.state = "draining"
    assert not spaces.ready
    assert not spaces.is_ready(spaces.find(B))


def test_a_server_without_spaces_is_not_ready() -> None:
    """The last space may be unloaded, and then there is nothing to send requests for."""
    spaces = serving(A)
    spaces.remove(A)
    assert not spaces.ready


def test_a_refusal_holds_nothing_that_moves_a_cursor() -> None:
    """Over gRPC an id may hold any character, and clients print what comes back."""
    spaces = serving(A)
    for find in (spaces.find, spaces.find_reranker):
        with pytest.raises(SamespaceError) as caught:
            find("\x1b[31m\r\u202e" * 40)
        assert str(caught.value).isprintable() and len(str(caught.value)) < 1000
