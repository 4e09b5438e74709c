"""Whose turn it is on the loop, on a clock of the test's own."""

from __future__ import annotations

import asyncio

from samespace_server.http.messages import Request, Response
from samespace_server.http.turns import LIGHT_BYTES, ROUND_MS, Turns, in_turn


def test_who_takes_long_waits_and_who_comes_new_does_not() -> None:
    """Work of 10 ms in steps of 1 ms is spread over rounds; a newcomer of a later round is served at once."""

    async def scenario() -> None:
        now_ms = [0]
        turns = Turns(lambda: now_ms[0] * 1_000_000)
        done: list[int] = []

        def greedy() -> None:
            while len(done) < 10:
                if not turns.now(greedy):
                    return
                now_ms[0] += 1
                done.append(now_ms[0])

        greedy()
        assert len(done) == ROUND_MS
        await asyncio.sleep(0)  # the next round: another share
        assert len(done) == 10
        assert turns.now(lambda: None)

    asyncio.run(scenario())


def test_those_in_arrears_take_turns() -> None:
    """Fifty of them, each with ten pieces of work: nobody has a second turn before everybody had one."""

    async def scenario() -> None:
        now_ms: list[int] = [ROUND_MS]
        order: list[int] = []
        turns = Turns(lambda: now_ms[0] * 1_000_000)

        class Worker:
            def __init__(self, number: int) -> None:
                self.number, self.left = number, 10

            def go_on(self) -> None:
                while self.left and turns.now(self.go_on):
                    now_ms[0] += 2 * ROUND_MS
                    self.left -= 1
                    order.append(self.number)

        for number in range(50):
            Worker(number).go_on()
        for _ in range(1000):
            await asyncio.sleep(0)
        assert len(order) == 500
        row = order[1:]  # the first one began while nobody else was there
        for turn in range(9):
            assert sorted(row[50 * turn : 50 * turn + 50]) == list(range(50))

    asyncio.run(scenario())


def test_what_large_bodies_begin_is_spread_over_rounds() -> None:
    """Sixty that come at once, each of 2 ms: no more than a round's worth runs before others are looked at."""

    async def scenario() -> None:
        now_ms, begun = [0], 0
        turns = Turns(lambda: now_ms[0] * 1_000_000)

        async def work(request: Request) -> Response:
            nonlocal begun
            now_ms[0] += 2
            begun += 1
            return Response(204)

        answer = in_turn(work, turns)
        large = [asyncio.create_task(answer(Request(body=b"x" * (LIGHT_BYTES + 1)))) for _ in range(60)]
        rounds = []
        while not all(task.done() for task in large):
            before = begun
            await asyncio.sleep(0)
            rounds.append(begun - before)
            assert (await answer(Request(body=b"x"))).status == 204  # a light one does not wait
            begun -= 1
        assert max(rounds) <= ROUND_MS // 2 + 1 and sum(rounds) == 60

    asyncio.run(scenario())


def test_who_hangs_up_while_waiting_is_forgotten() -> None:
    async def scenario() -> None:
        now_ms = [0]
        turns = Turns(lambda: now_ms[0] * 1_000_000)

        async def takes_the_round() -> None:
            await turns.wait()
            now_ms[0] += 2 * ROUND_MS

        first = asyncio.create_task(takes_the_round())
        gone, stays = (asyncio.create_task(turns.wait()) for _ in range(2))
        await first
        gone.cancel()
        await asyncio.wait_for(stays, 5)
        assert gone.cancelled()

    asyncio.run(scenario())
