"""What the HTTP stack itself costs: the same routes behind several servers, before an engine that computes nothing.

    pip install starlette uvicorn granian
    python benchmarks/http_stacks.py --out benchmarks/results/http_stacks.json

32 clients that each wait for their answer send Weaviate's requests; every stack runs the same parsing of bodies,
the same counters and the same writing of 384 numbers, so what differs is the stack. All servers are up at the same
time and take turns, so that they share whatever else the machine does; medians over the rounds, of ratios within
a round. The CPU time of the server's process for a request is what is compared: it is the part of a core that the
model does not get.

    samespace     what is served: `samespace_server.http.connection`
    uvicorn       uvicorn with httptools and uvloop, the routes as a bare ASGI application
    starlette     the same under starlette's routing, and two tasks for a request that notice clients that are gone
    granian       granian embedded in the event loop, ASGI
    granian-rsgi  the same with its own interface
    floor         llhttp, uvloop and orjson with no routes, counters or limits: what nothing in Python goes below
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import httptools
import numpy as np
import orjson
import uvloop

from loadgen.http1 import opener, request_bytes
from loadgen.loops import ClosedLoop, Window
from loadgen.meters import ProcessTree
from samespace.cli.console import say, table
from samespace.embed import Embedded
from samespace_server.http.messages import Request, Response
from samespace_server.http.routes import HttpApp, add_encoder
from samespace_server.http.server import HttpServer
from samespace_server.observing.logs import Refusals
from samespace_server.observing.observe import Watch
from samespace_server.observing.telemetry import Telemetry
from samespace_server.scheduling.engine import Answer, Timings
from samespace_server.security.tokens import Guard
from samespace_server.settings import HttpLimits
from samespace_server.spaces.registry import Spaces

SPACE = "0" * 64
PATH = f"/e/{SPACE}/vectors"
VECTORS = np.random.default_rng(0).normal(size=(1, 384)).astype(np.float32)
EMBEDDED = Embedded(VECTORS, (15,), (1,), ((0, 0, 60),))
ASKED = {
    "text": "how do I reset the password of an account that was locked yesterday",
    "dims": 0, "vector": None, "error": "", "config": {"pooling_strategy": "masked_mean", "task_type": "query"},
}  # fmt: skip
PACKAGES = ("uvicorn", "starlette", "granian", "httptools", "uvloop", "orjson")


class IdleEngine:
    """Answers at the next turn of the event loop."""

    space_id, dims, broken = SPACE, 384, None
    loaded = SimpleNamespace(artifact=SimpleNamespace(role_matters=False, token_limit=512))

    async def embed(self, texts: list[str], role: str, **options: Any) -> Answer:
        await asyncio.sleep(0)
        return Answer(SPACE, VECTORS, EMBEDDED, Timings(1, 1, 1))


def http_app() -> HttpApp:
    """The server's own routes over the idle engine."""
    spaces, telemetry = Spaces(address="here"), Telemetry()
    spaces.put(IdleEngine())  # type: ignore[arg-type]
    spaces.state = "ready"
    app = HttpApp(telemetry, Guard())
    add_encoder(app, spaces, Watch(telemetry, Refusals(lambda: time.monotonic_ns() // 1_000_000)), most_texts=2048)
    return app


async def respond(app: HttpApp, method: str, path: str, body: bytes) -> Response:
    """What the app answers."""
    request = Request(method, path.encode(), body=body)
    work = app.route(request)
    return work if isinstance(work, Response) else await work(request)


# -- the stacks: each listens on a socket until it is killed


async def samespace(app: HttpApp, listener: socket.socket) -> None:
    await HttpServer(app, HttpLimits(), max_body_bytes=16 << 20).start(listener)


def asgi(app: HttpApp) -> Callable[..., Awaitable[None]]:
    async def call(scope: Any, receive: Any, send: Any) -> None:
        parts, more = [], True
        while more:
            message = await receive()
            parts.append(message["body"])
            more = message.get("more_body", False)
        response = await respond(app, scope["method"], scope["path"], b"".join(parts))
        headers = [(b"content-type", response.content_type), (b"content-length", b"%d" % len(response.body))]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})

    return call


async def on_uvicorn(app: Any, listener: socket.socket) -> None:
    import uvicorn

    config = uvicorn.Config(
        app, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False, server_header=False
    )
    await uvicorn.Server(config).serve(sockets=[listener])


async def on_starlette(app: HttpApp, listener: socket.socket) -> None:
    from starlette.applications import Starlette
    from starlette.responses import Response as Answered
    from starlette.routing import Route

    async def gone(request: Any) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    async def endpoint(request: Any) -> Answered:
        body = await request.body()
        work = asyncio.create_task(respond(app, request.method, request.url.path, body))
        watch = asyncio.create_task(gone(request))
        await asyncio.wait((work, watch), return_when=asyncio.FIRST_COMPLETED)
        watch.cancel()
        response = work.result()
        return Answered(response.body, response.status, media_type="application/json")

    paths = [f"{prefix}/{name}" for prefix in ("", "/e/{space}") for name in ("vectors", "v2/embed", "v1/embeddings")]
    routes = [Route(path, endpoint, methods=["POST"]) for path in paths]
    await on_uvicorn(Starlette(routes=routes), listener)


async def on_granian(app: Any, listener: socket.socket, interface: str) -> None:
    from granian.constants import Interfaces
    from granian.server.embed import Server

    port = listener.getsockname()[1]
    listener.close()  # it wants to open the port itself
    await Server(app, address="127.0.0.1", port=port, interface=Interfaces(interface), log_enabled=False).serve()


def rsgi(app: HttpApp) -> Callable[..., Awaitable[None]]:
    async def call(scope: Any, protocol: Any) -> None:
        response = await respond(app, scope.method, scope.path, await protocol())
        protocol.response_bytes(response.status, [("content-type", "application/json")], response.body)

    return call


class Floor(asyncio.Protocol):
    """As little as can be done."""

    def connection_made(self, transport: Any) -> None:
        self.transport, self.parser = transport, httptools.HttpRequestParser(self)
        self.loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.body = body

    def on_message_complete(self) -> None:
        self.task = self.loop.create_task(self.work(self.body))

    async def work(self, body: bytes) -> None:
        told = {"text": orjson.loads(body)["text"], "vector": VECTORS[0], "dim": 384}
        await asyncio.sleep(0)
        body = orjson.dumps(told, option=orjson.OPT_SERIALIZE_NUMPY)
        self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))


async def floor(app: HttpApp, listener: socket.socket) -> None:
    await asyncio.get_running_loop().create_server(Floor, sock=listener)


STACKS: dict[str, Callable[[HttpApp, socket.socket], Awaitable[None]]] = {
    "samespace": samespace,
    "uvicorn": lambda app, listener: on_uvicorn(asgi(app), listener),
    "starlette": on_starlette,
    "granian": lambda app, listener: on_granian(asgi(app), listener, "asgi"),
    "granian-rsgi": lambda app, listener: on_granian(rsgi(app), listener, "rsgi"),
    "floor": floor,
}


def serve(stack: str, port: int) -> None:
    """Be one server."""

    async def forever() -> None:
        await STACKS[stack](http_app(), socket.create_server(("127.0.0.1", port), backlog=1024))
        await asyncio.Event().wait()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(forever())


# -- measuring


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def wait_until_open(port: int) -> None:
    deadline = time.monotonic() + 120  # of a busy machine
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def load(port: int, pid: int, clients: int, seconds: float) -> tuple[float, float, float]:
    """Requests a second, CPU microseconds of the server for a request, and the median latency in milliseconds."""
    payload = request_bytes("127.0.0.1", PATH, json.dumps(ASKED).encode())
    meter = _Meter(pid)
    loop = ClosedLoop([payload], Window(0.3, seconds), meter)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        record = runner.run(loop.run(opener("127.0.0.1", port), clients))
    answered = len(record.done)
    assert set(record.outcomes) == {"ok"}, record.outcomes
    return answered / record.seconds, meter.used_s / answered * 1e6, median(record.latencies_ns) / 1e6


class _Meter:
    def __init__(self, pid: int) -> None:
        self._tree = ProcessTree(pid)

    def begin(self) -> None:
        self._before = self._tree.cpu_seconds()

    def end(self) -> None:
        self.used_s = self._tree.cpu_seconds() - self._before


def main() -> None:
    """Start all, let them take turns, print and write the table."""
    arguments = _arguments()
    if arguments.serve:
        return serve(arguments.serve, arguments.port)
    running, found = {}, {stack: [] for stack in arguments.stacks}
    try:
        for stack in arguments.stacks:
            port = free_port()
            command = [sys.executable, __file__, "--serve", stack, "--port", str(port)]
            running[stack] = (subprocess.Popen(command), port)
        for _, port in running.values():
            wait_until_open(port)
        for turn in range(arguments.rounds):
            for stack, (process, port) in running.items():
                found[stack].append(load(port, process.pid, arguments.clients, arguments.seconds))
            say(f"round {turn + 1} of {arguments.rounds}")
    finally:
        for process, _ in running.values():
            process.kill()
            process.wait()
    first = found[arguments.stacks[0]]
    rows = {
        stack: {
            "cpu_us": median(cpu_us for _, cpu_us, _ in turns),
            "cpu_ratio": median(own[1] / others[1] for own, others in zip(turns, first, strict=True)),
            "requests_s": median(rate for rate, _, _ in turns),
            "p50_ms": median(p50_ms for _, _, p50_ms in turns),
        }
        for stack, turns in found.items()
    }
    header = ["stack", "CPU us a request", f"times {arguments.stacks[0]}'s", "requests/s", "p50 ms"]
    print(table(header, [
        [stack, f"{row['cpu_us']:.1f}", f"{row['cpu_ratio']:.2f}", f"{row['requests_s']:.0f}", f"{row['p50_ms']:.2f}"]
        for stack, row in rows.items()
    ]))  # fmt: skip
    if arguments.out:
        record = {
            "command": "python benchmarks/http_stacks.py", "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[0]},
            "versions": {name: version(name) for name in PACKAGES},
            "clients": arguments.clients, "rounds": arguments.rounds, "seconds": arguments.seconds, "stacks": rows,
        }  # fmt: skip
        arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return None


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the numbers as JSON")
    parser.add_argument("--stacks", nargs="+", default=list(STACKS), choices=list(STACKS))
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--serve", choices=list(STACKS), help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
