"""What happens in the queue, as stories with fixed numbers. `make golden` writes their traces beside this file.

Each scenario is a function that fills a `Simulation`; its docstring is the first line of its file.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from fakes.server.simulation import Model, Request, Simulation

FOLDER = Path(__file__).with_name("batching")
SHORT, MEDIUM, LONG = 16, 128, 256
Scenario = Callable[[], list[str]]


def burst() -> list[str]:
    """Forty queries within two milliseconds on an idle server: the first runs alone at once, the rest together."""
    sim = Simulation(Model())
    for number in range(40):
        sim.at(number * 50, lambda n=number: sim.send(Request(f"q{n}", [SHORT + n % 3])))
    sim.run()
    return [*sim.lines, *sim.summary(["q"])]


def giant() -> list[str]:
    """A text of 200 windows, and a query every 10 ms: the queries wait for one slice of it each, not for all of it."""
    sim = Simulation(Model())
    sim.at(0, lambda: sim.send(Request("giant", [LONG] * 199 + [40])))
    for number in range(20):
        sim.at(5_000 + number * 10_000, lambda n=number: sim.send(Request(f"q{n}", [SHORT])))
    sim.run()
    return [*sim.lines[:30], "...", *sim.summary(["q", "giant"])]


def slow_client() -> list[str]:
    """A stream whose client takes 100 ms for each message beside one that is quick: the quick one is not held up."""
    sim = Simulation(Model())
    for name, stream, think_us in (("slow", 1, 100_000), ("quick", 2, 0)):
        messages = iter(range(8))

        def send(name: str = name, stream: int = stream, think_us: int = think_us, messages: object = messages) -> None:
            number = next(messages, None)
            if number is not None:
                then = lambda: sim.at(sim.now_us + think_us, send_next)  # noqa: E731 - a story is read in one piece
                send_next = lambda: send(name, stream, think_us, messages)  # noqa: E731
                sim.send(Request(f"{name}{number}", [MEDIUM] * 4, stream=stream, then=then))

        for _ in range(2):
            sim.at(0, send)
    sim.run()
    return [*sim.lines[:30], "...", *sim.summary(["slow", "quick"])]


def bulk_beside_queries() -> list[str]:
    """A stream that always has messages of 64 medium texts waiting, and a query every 40 ms for two seconds."""
    sim = Simulation(Model())
    stream_of(sim, "bulk", 1, [MEDIUM] * 64, until_us=2_000_000)
    for number in range(50):
        sim.at(number * 40_000 + 7_000, lambda n=number: sim.send(Request(f"q{n}", [SHORT])))
    sim.run()
    return [*sim.lines[:25], "...", f"bulk: {sim.tokens['bulk']} tokens until {sim.now_us} us", *sim.summary(["q"])]


def two_streams() -> list[str]:
    """A stream joins another that has been at it for a while: they share alike, whatever their messages' size."""
    sim = Simulation(Model())
    stream_of(sim, "a", 1, [MEDIUM] * 64, until_us=3_000_000)
    sim.run(until_us=1_000_000)
    before = sim.stream_tokens[1]
    stream_of(sim, "b", 2, [MEDIUM] * 16, until_us=3_000_000)
    sim.run(until_us=3_000_000)
    return [f"a: {sim.stream_tokens[1] - before} tokens since b came", f"b: {sim.stream_tokens[2]} tokens"]


def many_streams_of_one_client() -> list[str]:
    """A client with 40 streams, as many as fill the queue; another joins with one: the two share alike."""
    sim = Simulation(Model(), max_queued_tokens=20_000)
    for number in range(1, 41):
        stream_of(sim, f"a{number}.", number, [MEDIUM] * 64, until_us=8_000_000, client="a")
    sim.run(until_us=2_000_000)
    before = sum(sim.stream_tokens.values())
    stream_of(sim, "b", 41, [MEDIUM] * 64, until_us=8_000_000, client="b")
    sim.run(until_us=8_000_000)
    of_b = sim.stream_tokens.pop(41)
    return [f"a: {sum(sim.stream_tokens.values()) - before} tokens since b came", f"b: {of_b} tokens"]


def cancelled() -> list[str]:
    """Ten long texts, of which every second client gives up after 20 ms: what did not run by then never does."""
    sim = Simulation(Model(), batch_tokens=512)
    for number in range(10):
        gives_up_us = 20_000 if number % 2 else None
        sim.at(number, lambda n=number, g=gives_up_us: sim.send(Request(f"t{n}", [LONG - n], gives_up_us=g)))
    sim.run()
    return [*sim.lines, *sim.summary(["t"])]


def deadlines() -> list[str]:
    """Long texts in line, then some with little time: one that cannot be in time is refused, the others overtake."""
    sim = Simulation(Model(), batch_tokens=512)
    for number in range(16):
        sim.at(number, lambda n=number: sim.send(Request(f"t{n}", [LONG - n % 2])))
    for number, timeout_us in enumerate((5_000, 330_000, 360_000, 5_000_000)):
        request = Request(f"d{number}", [SHORT * (number + 1)], timeout_us=timeout_us)
        sim.at(1_000 + number, lambda r=request: sim.send(r))
    for number in range(9):  # bulk, whose share makes waiting longer than was thought
        sim.at(500, lambda n=number: sim.send(Request(f"bulk{n}", [MEDIUM], stream=1)))
    sim.run()
    return [*sim.lines, *sim.summary(["t", "d", "bulk"])]


def mixed_lengths() -> list[str]:
    """Texts of 8 to 256 tokens, all at once: batches of like length, little padding."""
    lengths = random.Random(1)
    sim = Simulation(Model())
    for number in range(64):
        tokens = lengths.randint(8, 256)
        sim.at(0, lambda n=number, t=tokens: sim.send(Request(f"t{n}", [t])))
    sim.run()
    return [*sim.lines, *sim.summary(["t"])]


def import_beside_queries() -> list[str]:
    """Weaviate imports: 32 clients with one passage each at any time; and a query every 40 ms."""
    sim = Simulation(Model())
    sent = iter(range(1_000_000))

    def send() -> None:
        if sim.now_us < 2_000_000:
            sim.send(Request(f"p{next(sent)}", [MEDIUM], lane="single", then=send))

    for number in range(32):
        sim.at(number, send)
    for number in range(50):
        sim.at(number * 40_000 + 7_000, lambda n=number: sim.send(Request(f"q{n}", [SHORT])))
    sim.run()
    return [*sim.lines[:25], "...", *sim.summary(["p", "q"])]


def two_runners() -> list[str]:
    """Two runs at a time: what waits is shared out, and a lone query takes the free one."""
    sim = Simulation(Model(), runners=2)
    for number in range(32):
        sim.at(0, lambda n=number: sim.send(Request(f"t{n}", [SHORT])))
    sim.at(3_000, lambda: sim.send(Request("bulk", [MEDIUM] * 9)))
    sim.at(30_000, lambda: sim.send(Request("q", [SHORT])))
    sim.run()
    return [*sim.lines, *sim.summary(["t", "bulk", "q"])]


def overload() -> list[str]:
    """Single medium texts at 0.9, 1.2 and 5 times what the model can do, for 10 s: how late, how many refused."""
    lines = []
    for times in (0.9, 1.2, 5):
        sim = Simulation(Model())
        open_loop(sim, "q", [MEDIUM], per_s=times * 1_000_000 / Model().time_us(16 * MEDIUM) * 16, until_us=10_000_000)
        sim.run()
        lines += [f"at {times} times capacity", *sim.summary(["q"])]
    return lines


def stream_of(sim: Simulation, name: str, stream: int, windows: list[int], *, until_us: int, client: str = "") -> None:
    """A stream with four messages under way at any time, each of *windows*."""
    sent = iter(range(1_000_000))

    def send() -> None:
        if sim.now_us < until_us:
            sim.send(Request(f"{name}{next(sent)}", windows, stream=stream, then=send, client=client))

    for _ in range(4):
        send() if sim.now_us else sim.at(0, send)


def open_loop(sim: Simulation, name: str, windows: list[int], *, per_s: float, until_us: int, seed: int = 1) -> None:
    """Requests at random times, *per_s* on average, whatever becomes of them."""
    dice = random.Random(seed)
    at_us, number = 0.0, 0
    while at_us < until_us:
        sim.at(int(at_us), lambda n=number: sim.send(Request(f"{name}{n}", windows)))
        at_us += dice.expovariate(per_s) * 1e6
        number += 1


SCENARIOS: tuple[Scenario, ...] = (
    burst,
    giant,
    slow_client,
    bulk_beside_queries,
    import_beside_queries,
    two_streams,
    many_streams_of_one_client,
    cancelled,
    deadlines,
    mixed_lengths,
    two_runners,
    overload,
)


def trace(scenario: Scenario) -> str:
    """What belongs into the scenario's file."""
    return "\n".join([f"# {scenario.__doc__}", *scenario()]) + "\n"


def main() -> None:
    """Write every file anew."""
    FOLDER.mkdir(exist_ok=True)
    for scenario in SCENARIOS:
        (FOLDER / f"{scenario.__name__}.txt").write_text(trace(scenario), encoding="utf-8")


if __name__ == "__main__":
    main()
