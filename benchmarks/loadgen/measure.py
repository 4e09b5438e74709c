"""One measurement: a target, a load, and what came of it as plain numbers."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import uvloop

from . import grpc_lanes, http1
from .dialects import DIALECTS, Float32
from .lanes import OK, REJECTED, Open
from .loops import ClosedLoop, OpenLoop, Record, Window, round_rate
from .meters import Cost, CostMeter, metrics_between, reply_stages, scrape
from .texts import Text


@dataclass(frozen=True, slots=True)
class Target:
    """Where a load goes.

    Attributes:
        dialect: a name of `DIALECTS`.
        path: of the HTTP route; "" for gRPC.
        model: the space's id, or what the server calls its model.
        pid: the server's process, for its CPU and memory; None where it is not known.
        metrics: the address of samespace's metrics; None where there are none.
    """

    dialect: str
    host: str
    port: int
    path: str
    model: str
    pid: int | None = None
    metrics: str | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """How a target is loaded.

    Attributes:
        clients: lanes; of an open loop the most that are opened.
        rate: requests a second of an open loop; None for a closed one.
        batch: texts of a request.
        depth: requests that each stream has under way.
        window: how long.
    """

    window: Window
    clients: int = 32
    rate: float | None = None
    batch: int = 1
    depth: int = 1
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """The numbers of one measurement, and the vectors that came back.

    Attributes:
        numbers: for JSON.
        answered: which texts got vectors.
        vectors: their rows.
    """

    numbers: dict[str, Any]
    answered: list[int]
    vectors: Float32


class _Meter:
    def __init__(self, pid: int | None) -> None:
        self._meter = CostMeter(pid)
        self.cost: Cost | None = None

    def begin(self) -> None:
        self._meter.begin()

    def end(self) -> None:
        self.cost = self._meter.end()


@dataclass(frozen=True, slots=True)
class Beside:
    """A closed loop that keeps a server busy while something else is measured, for as long as that takes."""

    target: Target
    texts: Sequence[Text]
    load: Load


def measure(target: Target, texts: Sequence[Text], load: Load, *, beside: Beside | None = None) -> Measured:
    """Load *target* with *texts* and report; raises `OSError` if it cannot be reached."""
    groups, bodies = _requests(target, texts, load)
    before = scrape(target.metrics) if target.metrics else {}
    meter = _Meter(target.pid)
    gc.collect()
    gc.disable()  # our own pauses would be the server's latency
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            record, other = runner.run(_both(target, bodies, load, meter, beside))
    finally:
        gc.enable()
    after = scrape(target.metrics) if target.metrics else {}
    assert meter.cost is not None
    numbers = _numbers(record, groups, load, meter.cost)
    if before and after:
        numbers["stages"] = metrics_between(before, after)
    if target.dialect in ("grpc", "stream"):
        numbers["reply_stages"] = reply_stages(record.sampled)
    if beside is not None and other is not None:
        sizes = [len(group) for group in _requests(beside.target, beside.texts, beside.load)[0]]
        numbers["beside_texts_per_s"] = sum(sizes[at] for at in other.done) / other.seconds
    dialect = DIALECTS[target.dialect]
    firsts = sorted(record.bodies)
    answered = [at * load.batch + row for at in firsts for row in range(len(groups[at]))]
    rows = [dialect.vectors(record.bodies[at]) for at in firsts]
    return Measured(numbers, answered, np.concatenate(rows) if rows else np.empty((0, 0), np.float32))


def _requests(target: Target, texts: Sequence[Text], load: Load) -> tuple[list[Sequence[Text]], list[bytes]]:
    dialect = DIALECTS[target.dialect]
    if dialect.one_text and load.batch != 1:
        raise ValueError(f"{target.dialect} carries one text a request, not {load.batch}")
    groups = [texts[at : at + load.batch] for at in range(0, len(texts), load.batch)]
    return groups, [dialect.body([text.text for text in group], target.model) for group in groups]


async def _both(
    target: Target, bodies: Sequence[bytes], load: Load, meter: _Meter, beside: Beside | None
) -> tuple[Record, Record | None]:
    if beside is None:
        return await _run(target, bodies, load, meter), None
    window = Window(0.0, load.window.warmup_s + load.window.measure_s)
    other = _run(
        beside.target,
        _requests(beside.target, beside.texts, beside.load)[1],
        replace(beside.load, window=window),
        _Meter(None),
    )
    return await asyncio.gather(_run(target, bodies, load, meter), other)


async def _run(target: Target, bodies: Sequence[bytes], load: Load, meter: _Meter) -> Record:
    connect: Open
    if target.path:
        host = f"{target.host}:{target.port}"
        payloads = [http1.request_bytes(host, target.path, body) for body in bodies]
        connect = http1.opener(target.host, target.port)
    else:
        payloads = list(bodies)
        connect = grpc_lanes.opener(target.host, target.port, stream=target.dialect == "stream")
    if load.rate is None:
        return await ClosedLoop(payloads, load.window, meter, seed=load.seed).run(
            connect, load.clients, depth=load.depth
        )
    return await OpenLoop(payloads, load.window, meter, seed=load.seed).run(
        connect, load.clients, rate=load.rate, seed=load.seed
    )


def _numbers(record: Record, groups: Sequence[Sequence[Text]], load: Load, cost: Cost) -> dict[str, Any]:
    done = [groups[at] for at in record.done]
    texts = [len(group) for group in done]
    tokens = [sum(text.tokens for text in group) for group in done]
    total = sum(record.outcomes.values())
    seconds = record.seconds

    def rate(sizes: Sequence[int]) -> float:
        whole = None if load.rate else round_rate(record.done_ns, sizes, load.clients * load.depth)
        return sum(sizes) / seconds if whole is None else whole

    numbers: dict[str, Any] = {
        "requests": total,
        "seconds": seconds,
        "texts_per_s": rate(texts),
        "tokens_per_s": rate(tokens),
        "rejected_share": record.outcomes[REJECTED] / total if total else 0.0,
        "errors": {name: count for name, count in record.outcomes.items() if name not in (OK, REJECTED)},
        **_percentiles(record.latencies_ns, "latency"),
    }
    if record.lags_ns:
        numbers |= _percentiles(record.lags_ns, "send_lag")
    numbers |= {name: value for name, value in asdict(cost).items() if value is not None}
    if cost.server_cpu_s is not None and done:
        numbers["server_cpu_us_per_text"] = 1e6 * cost.server_cpu_s / sum(texts)
    if done:
        numbers["own_cpu_us_per_request"] = 1e6 * cost.own_cpu_s / len(done)
    return numbers


def _percentiles(times_ns: Sequence[int], name: str) -> dict[str, float]:
    if not len(times_ns):
        return {}
    found = np.percentile(np.asarray(times_ns) / 1e6, (50, 90, 99))
    return {f"{name}_p{at}_ms": float(value) for at, value in zip((50, 90, 99), found, strict=True)}
