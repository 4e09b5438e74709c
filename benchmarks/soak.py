"""Half an hour of everything at once against one server, to see what grows, what slows down and what goes wrong.

    python benchmarks/soak.py artifacts/minilm --minutes 30 --out benchmarks/results/soak.json

At the same time: queries over gRPC, Weaviate's route over HTTP, a bulk stream that never ends, clients that vanish in
the middle of requests and streams, malformed requests over both wires, and every minute a reload of the space. Every
vector is held against the one that the server gave for the same text at the start.

Reported: outcomes by kind; memory, file descriptors and threads of the server, each second, with memory's slope per
hour and its 95 % interval; latency of the queries in the first and the last quarter; what is still open when the
load has gone; and the exit code after SIGTERM. What the load generator itself takes of the CPU, the server lacks:
latencies are to be compared with each other only.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final

import grpc
import numpy as np
import psutil

from load import load_tokenizer
from loadgen.meters import scrape
from loadgen.texts import Source
from loadgen.trend import trend
from samespace import __version__
from samespace.cli.console import say
from samespace.errors import Overloaded, SamespaceError
from samespace.rpc.admin import AdminClient
from samespace.rpc.client import Client
from samespace.vectors import Float32, cosine_distance

BATCH: Final = 64
STREAM_BATCHES: Final = 200  # then the stream ends and another one begins
TEXTS: Final = 256  # of each length
DRAINED_S: Final = 180  # a server gives accepted requests 25 s; the machine may be busy with other things
WARM_UP_SHARE: Final = 0.1  # of the time; memory grows into its shape first
OK, REFUSED, WRONG = "ok", "refused early", "WRONG VECTOR"


@contextmanager
def _closed_if_it_fails(connection: HTTPConnection) -> Iterator[None]:
    """After a failure in the middle, the next request needs a connection of its own."""
    try:
        yield
    except (OSError, HTTPException):
        connection.close()
        raise


@dataclass
class Server:
    """The server under test, in a process of its own."""

    process: subprocess.Popen[str]
    told: dict[str, Any]
    artifact: Path

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.told['grpc_port']}"

    @property
    def space(self) -> str:
        return str(self.told["spaces"][0]["space_id"])


@dataclass
class Tally:
    """What every worker saw."""

    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    latencies: list[tuple[float, float]] = field(default_factory=list)  # (seconds since the start, milliseconds)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, kind: str, outcome: str, number: int = 1) -> None:
        with self.lock:
            self.outcomes.setdefault(kind, Counter())[outcome] += number


@dataclass(frozen=True)
class Expected:
    """Texts, and the vectors that the server gave for them when nothing else went on."""

    texts: list[str]
    vectors: Float32
    bound: float  # 1 - cosine that a batch's other texts may change

    def verdict(self, rows: list[int], found: Float32) -> str:
        worst = cosine_distance(found, self.vectors[rows]).max()
        return OK if found.shape == (len(rows), self.vectors.shape[1]) and worst <= self.bound else WRONG


class Load:
    """The workers: each method is one, and runs in a thread until the time is up."""

    def __init__(self, server: Server, expected: Expected, tally: Tally, over: threading.Event) -> None:
        self.server, self.expected, self.tally, self.over = server, expected, tally, over
        self.began = time.monotonic()

    def queries(self, number: int) -> None:
        """One text after the other over gRPC, as a person would wait for them."""
        chance = random.Random(number)
        with Client(self.server.grpc) as client:
            while not self.over.is_set():
                row = chance.randrange(len(self.expected.texts))
                before = time.monotonic()
                with self._counted("query"):
                    reply = client.embed(self.server.space, "query", [self.expected.texts[row]])
                    took_ms = 1000 * (time.monotonic() - before)
                    self.tally.count("query", self.expected.verdict([row], np.asarray(reply.vectors)))
                    self.tally.latencies.append((before - self.began, took_ms))

    def weaviate(self, number: int) -> None:
        """One text after the other by Weaviate's route, over a connection that is kept."""
        chance = random.Random(1000 + number)
        connection = HTTPConnection("127.0.0.1", self.server.told["http_port"], timeout=60)
        while not self.over.is_set():
            row = chance.randrange(len(self.expected.texts))
            body = json.dumps({"text": self.expected.texts[row], "config": {"task_type": "query"}})
            with self._counted("weaviate"), _closed_if_it_fails(connection):
                connection.request("POST", f"/e/{self.server.space}/vectors", body)
                reply = connection.getresponse()
                answer = json.loads(reply.read())
                if reply.status == 200:
                    found = np.array([answer["vector"]], np.float32)
                    self.tally.count("weaviate", self.expected.verdict([row], found))
                else:
                    self.tally.count("weaviate", REFUSED if reply.status == 503 else f"status {reply.status}")
                    self.over.wait(int(reply.headers.get("retry-after", "0")))
        connection.close()

    def bulk(self, number: int) -> None:
        """Streams of many batches, one after the other."""
        chance = random.Random(2000 + number)
        with Client(self.server.grpc) as client:
            while not self.over.is_set():
                rows: list[list[int]] = []

                def batches(sent: list[list[int]] = rows) -> Iterator[list[str]]:
                    for _ in range(STREAM_BATCHES):
                        if self.over.is_set():
                            return
                        sent.append([chance.randrange(len(self.expected.texts)) for _ in range(BATCH)])
                        yield [self.expected.texts[row] for row in sent[-1]]

                with self._counted("bulk"):
                    for at, reply in enumerate(client.embed_stream(self.server.space, "query", batches())):
                        self.tally.count("bulk", self.expected.verdict(rows[at], np.asarray(reply.vectors)))

    def vanishing(self) -> None:
        """Clients that go away: in the middle of a stream, of a call, of a body, and before an answer."""
        texts = self.expected.texts[:BATCH]
        body = json.dumps({"texts": texts, "input_type": "search_query"}).encode()
        head = (
            f"POST /e/{self.server.space}/v2/embed HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        )
        for turn in self._every(0.5):
            with self._counted("vanishing"):
                if turn % 3 == 0:
                    with Client(self.server.grpc) as client:
                        replies = client.embed_stream(self.server.space, "query", [texts] * 20)
                        next(replies)
                elif turn % 3 == 1:
                    with grpc.insecure_channel(self.server.grpc) as channel:
                        call = channel.stream_stream("/samespace.v1.Encoder/EmbedStream")(iter([b"\xff" * turn]))
                        call.cancel()
                else:
                    with socket.create_connection(("127.0.0.1", self.server.told["http_port"])) as raw:
                        raw.sendall(head + body[: None if turn % 2 else len(body) // 2])
                self.tally.count("vanishing", OK)

    def malformed(self) -> None:
        """Noise over both wires; each has to be refused as the caller's fault."""
        chance = random.Random(3000)
        with grpc.insecure_channel(self.server.grpc) as channel:
            call = channel.unary_unary("/samespace.v1.Encoder/Embed")
            for _ in self._every(0.1):
                with self._counted("malformed"):
                    noise = b"\xff" + chance.randbytes(chance.randrange(500))
                    code = call.future(noise, timeout=30).code().name
                    self.tally.count("malformed", OK if code == "INVALID_ARGUMENT" else code)
                    connection = HTTPConnection("127.0.0.1", self.server.told["http_port"], timeout=30)
                    connection.request("POST", f"/e/{self.server.space}/vectors", noise)
                    status = connection.getresponse().status
                    connection.close()
                    self.tally.count("malformed", OK if status == 400 else f"status {status}")

    def reloading(self, every_s: float) -> None:
        """The space is loaded again, while everybody uses it."""
        with AdminClient(f"127.0.0.1:{self.server.told['admin_port']}") as client:
            for _ in self._every(every_s):
                with self._counted("reload"):
                    client.load(str(self.server.artifact.resolve()), space=self.server.space, replace=True)
                    self.tally.count("reload", OK)

    def _every(self, seconds: float) -> Iterator[int]:
        turn = 0
        while not self.over.wait(seconds):
            yield turn
            turn += 1

    def _counted(self, kind: str) -> _Counted:
        return _Counted(self, kind)


class _Counted:
    """What is raised in the block is an outcome of its kind; a worker goes on."""

    def __init__(self, load: Load, kind: str) -> None:
        self._load, self._kind = load, kind

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, Overloaded):
            self._load.tally.count(self._kind, REFUSED)
        elif isinstance(error, (SamespaceError, OSError, HTTPException, grpc.RpcError, ValueError)):
            self._load.tally.count(self._kind, f"{type(error).__name__}: {error}"[:200])
        return error is None or isinstance(error, (SamespaceError, OSError, HTTPException, grpc.RpcError, ValueError))


def main() -> None:
    """Run the soak and write what came of it; exit code 1 if anything was wrong."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        server = _start(arguments, Path(folder) / "server.log")
        try:
            result = _soak(server, arguments)
        finally:
            if server.process.poll() is None:
                server.process.kill()
        if result["exit_code"] != 0:
            say((Path(folder) / "server.log").read_text(encoding="utf-8")[-3000:])
    text = json.dumps(result, indent=2, ensure_ascii=False)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")
    sys.exit(0 if result["nothing_went_wrong"] else 1)


def _soak(server: Server, arguments: argparse.Namespace) -> dict[str, Any]:
    expected = _expected(server)
    tally, over = Tally(), threading.Event()
    load = Load(server, expected, tally, over)
    work: list[tuple[Callable[..., None], tuple[Any, ...]]] = [
        *((load.queries, (number,)) for number in range(arguments.queries)),
        *((load.weaviate, (number,)) for number in range(arguments.http)),
        *((load.bulk, (number,)) for number in range(arguments.streams)),
        (load.vanishing, ()),
        (load.malformed, ()),
        (load.reloading, (arguments.reload_s,)),
    ]
    threads = [threading.Thread(target=each, args=args, daemon=True) for each, args in work]
    for thread in threads:
        thread.start()
    samples = _sample(psutil.Process(server.process.pid), 60 * arguments.minutes)
    over.set()
    for thread in threads:
        thread.join(120)
    stuck = sum(thread.is_alive() for thread in threads)
    page = f"http://127.0.0.1:{server.told['http_port']}/metrics"
    left = _left(page)
    server.process.send_signal(signal.SIGTERM)
    try:
        exit_code: int | None = server.process.wait(DRAINED_S)
    except subprocess.TimeoutExpired:
        exit_code = None  # the half hour's numbers are worth having all the same
    outcomes = {kind: dict(found) for kind, found in sorted(tally.outcomes.items())}
    bad = sum(n for found in outcomes.values() for what, n in found.items() if what not in (OK, REFUSED))
    return {
        "command": "python benchmarks/soak.py " + " ".join(sys.argv[1:]),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} CPUs, {platform.machine()}",
        "samespace": __version__,
        "served": server.told["spaces"][0],
        "minutes": arguments.minutes,
        "outcomes": outcomes,
        "not_ok": bad,
        "workers_that_hung": stuck,
        "left_open": left,
        "exit_code": exit_code,
        **_grown(samples),
        "query_latency": _drift(tally.latencies, 60 * arguments.minutes),
        "nothing_went_wrong": bad == 0 and stuck == 0 and exit_code == 0 and not any(left.values()),
    }


def _start(arguments: argparse.Namespace, log: Path) -> Server:
    command = [sys.executable, "-m", "samespace", "serve", str(arguments.artifact), "--build", arguments.build]
    command += ["--runtime", arguments.runtime]
    command += ["--http-port", "0", "--grpc-port", "0", "--admin-port", "0"]
    command += ["--admin-root", str(arguments.artifact.resolve().parent)]
    with log.open("w") as sink:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=sink, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"the server did not start: {log.read_text(encoding='utf-8')}")
    return Server(process, json.loads(line), arguments.artifact)


def _expected(server: Server) -> Expected:
    source = Source(load_tokenizer(server.artifact / "tokenizer.json"))
    texts = [each.text for kind in ("short", "mixed") for each in source.texts(kind, TEXTS)]
    with Client(server.grpc) as client:
        space = client.get_space(server.space)
        batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
        replies = [np.asarray(reply.vectors) for reply in client.embed_stream(server.space, "query", batches)]
    # Both vectors are within the build's bound of the exact one: half as far again in each direction, so four times.
    return Expected(texts, np.concatenate(replies), 4 * max(space.probe_bound, space.probe_worst) + 1e-6)


def _sample(process: psutil.Process, seconds: float) -> list[tuple[float, int, int, int]]:
    """(seconds, resident bytes, file descriptors, threads), once a second."""
    began, samples = time.monotonic(), []
    while (at := time.monotonic() - began) < seconds:
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            break
        samples.append((at, process.memory_info().rss, process.num_fds(), process.num_threads()))
        time.sleep(min(1.0, seconds / 200))
        if len(samples) % 300 == 0:
            say(f"{at / 60:.0f} min: {samples[-1][1] / 1e6:.0f} MB")
    return samples


def _grown(samples: list[tuple[float, int, int, int]]) -> dict[str, Any]:
    warm = samples[int(len(samples) * WARM_UP_SHARE) :]
    memory = trend([at for at, *_ in warm], [rss / 1e6 for _, rss, *_ in warm])
    quarter = max(1, len(warm) // 4)

    def middle(column: int, part: list[tuple[float, int, int, int]]) -> float:
        return float(np.median([sample[column] for sample in part]))

    return {
        "memory_mb": {
            "first": samples[0][1] / 1e6,
            "after_warm_up": warm[0][1] / 1e6,
            "last": warm[-1][1] / 1e6,
            "highest": max(rss for _, rss, *_ in samples) / 1e6,
            "slope_per_hour": memory.per_hour,
            "slope_margin_95": memory.margin,
            "slope_is_flat": memory.is_flat,
        },
        "file_descriptors": {"first_quarter": middle(2, warm[:quarter]), "last_quarter": middle(2, warm[-quarter:])},
        "threads": {"first_quarter": middle(3, warm[:quarter]), "last_quarter": middle(3, warm[-quarter:])},
        "series": [sample_row(*sample) for sample in samples[:: max(1, len(samples) // 120)]],
    }


def sample_row(at: float, rss: int, files: int, threads: int) -> dict[str, float]:
    """One sample, as it is written."""
    return {"s": round(at, 1), "mb": round(rss / 1e6, 2), "files": files, "threads": threads}


def _drift(latencies: list[tuple[float, float]], seconds: float) -> dict[str, Any]:
    def quantiles(low: float, high: float) -> dict[str, float]:
        part = [ms for at, ms in latencies if low * seconds <= at < high * seconds]
        return {f"p{q}_ms": float(np.percentile(part, q)) for q in (50, 99)} | {"queries": len(part)} if part else {}

    return {"first_quarter": quantiles(0, 0.25), "last_quarter": quantiles(0.75, 1)}


def _left(page: str) -> dict[str, float]:
    """What the server still counts as under way, half a minute after the last client at most."""
    wanted = ("samespace_requests_at_work", "samespace_queued_tokens", "samespace_grpc_streams")
    for _ in range(60):
        found = scrape(page)
        left = {name: sum(v for key, v in found.items() if key.partition("{")[0] == name) for name in wanted}
        if not any(left.values()):
            break
        time.sleep(0.5)
    return left


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--queries", type=int, default=4, help="clients that ask one text at a time over gRPC (4)")
    parser.add_argument("--http", type=int, default=2, help="clients of Weaviate's route (2)")
    parser.add_argument("--streams", type=int, default=1, help="bulk streams (1)")
    parser.add_argument("--reload-s", type=float, default=60.0, help="seconds between reloads of the space (60)")
    parser.add_argument("--build", default="auto", help="as in samespace serve (auto)")
    parser.add_argument("--runtime", default="auto", help="as in samespace serve (auto)")
    parser.add_argument("--out", type=Path, help="where the JSON goes")
    return parser.parse_args()


if __name__ == "__main__":
    main()
