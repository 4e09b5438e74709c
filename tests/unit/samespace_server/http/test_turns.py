"""Whose turn it is on the loop, on a clock of the test's own."""

from __future__ import annotations

import asyncio

from samespace_server.http.turns import ROUND_MS, Turns


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
