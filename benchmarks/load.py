"""Load a server that runs, with one text a request or many, and report what it did and what that cost.

    samespace serve artifacts/minilm &
    python benchmarks/load.py --http 127.0.0.1:8080 --grpc 127.0.0.1:8081
    python benchmarks/load.py --http 127.0.0.1:8080 --doors vectors --texts mixed --rate 100,200,400
    python benchmarks/load.py --http 127.0.0.1:8000 --doors vectors --path /vectors      (Weaviate's own container)

    python benchmarks/load.py --http ... --doors vectors --texts short --rate 1x,5x                  (overload)
    python benchmarks/load.py --http ... --grpc ... --doors grpc --texts short --rate 0.2x --beside medium  (fairness)

Without --rate it is a closed loop: --clients clients that each wait for their answer. With --rate it is an open one:
requests come at random times (Poisson), and latency counts from the time at which a request was meant to be sent.
A rate such as 5x is a multiple of what a closed loop of --clients reached just before. --beside KIND keeps the server
busy with a bulk stream of texts of that class meanwhile, and measures without it first.

Doors: vectors (Weaviate's route), cohere, openai, grpc (unary), stream (gRPC, batches of 64). The generator runs on
one core beside the server; its own CPU time is reported, because the server could have had it.
"""

from __future__ import annotations

import argparse
import json
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from loadgen.dialects import DIALECTS
from loadgen.loops import Window
from loadgen.measure import Beside, Load, Measured, Target, measure
from loadgen.meters import listener
from loadgen.texts import LENGTHS, Source, Text, load_tokenizer
from samespace.cli.console import say, table

NORM_TOLERANCE = 1e-3  # of a vector's length; int8 and bf16 keep it at 1e-6

Value = TypeVar("Value")
STREAM_BATCH = 64


def main() -> None:
    """Measure every combination that was asked for, one after the other."""
    arguments = _arguments()
    source = Source(load_tokenizer(arguments.tokenizer), data=arguments.data)
    window = Window(arguments.warmup, arguments.seconds)
    rows: list[list[str]] = []
    record: list[dict[str, Any]] = []
    for door in arguments.doors:
        target = _target(door, arguments)
        batch = arguments.batch or (STREAM_BATCH if door == "stream" else 1)
        first = Load(window, batch=batch, depth=arguments.depth if door == "stream" else 1, seed=arguments.seed)
        for kind in arguments.texts:
            texts = source.texts(kind, max(arguments.count, 4 * batch), seed=arguments.seed)
            for load in _loads(target, texts, first, arguments):
                for beside in _besides(source, arguments):
                    measured = measure(target, texts, load, beside=beside)
                    named = f"{load.rate:.0f}/s" if load.rate else f"{load.clients} clients"
                    named += f" beside {arguments.beside}" if beside else ""
                    record.append({"door": door, "texts": kind, "load": named, "batch": batch, **measured.numbers})
                    rows.append([door, kind, named, *_cells(measured)])
                    say("  ".join(rows[-1]))
    print(table(HEADER, rows))
    if arguments.json:
        arguments.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


HEADER = (
    "door", "texts", "load", "texts/s", "tokens/s", "p50 ms", "p90 ms", "p99 ms", "refused", "errors", "vectors",
    "server us/text", "own us/request", "MB", "tokenize", "queue", "run", "rows", "padding",
)  # fmt: skip


def _cells(measured: Measured) -> list[str]:
    numbers = measured.numbers
    stages = numbers.get("stages", {})

    def shown(value: float | None, digits: int = 0) -> str:
        return "-" if value is None else f"{value:.{digits}f}"

    return [
        shown(numbers["texts_per_s"]),
        shown(numbers["tokens_per_s"]),
        *(shown(numbers.get(f"latency_p{at}_ms"), 2) for at in (50, 90, 99)),
        f"{100 * numbers['rejected_share']:.1f}%",
        str(sum(numbers["errors"].values())) if numbers["errors"] else "0",
        vectors_verdict(measured),
        shown(numbers.get("server_cpu_us_per_text")),
        shown(numbers.get("own_cpu_us_per_request")),
        shown(numbers["server_rss_bytes"] / 1e6 if "server_rss_bytes" in numbers else None),
        *(shown(stages.get(f"{stage}_mean_ms"), 2) for stage in ("tokenize", "queue", "run")),
        shown(stages.get("rows_a_run"), 1),
        f"{100 * stages['padding_share']:.0f}%" if "padding_share" in stages else "-",
    ]


def vectors_verdict(measured: Measured) -> str:
    """ "ok" where every vector that came is finite and of unit length, else what is wrong."""
    if not measured.answered:
        return "none"
    lengths = np.linalg.norm(measured.vectors.astype(np.float64), axis=1)
    return "ok" if (abs(lengths - 1) <= NORM_TOLERANCE).all() else "not unit"


def _loads(target: Target, texts: Sequence[Text], load: Load, arguments: argparse.Namespace) -> Iterator[Load]:
    closed = arguments.streams if target.dialect == "stream" else arguments.clients
    if not arguments.rate:
        for clients in closed:
            yield replace(load, clients=clients)
        return
    capacity = None
    for rate in arguments.rate:
        if rate.endswith("x"):
            if capacity is None:
                full = measure(target, texts, replace(load, clients=closed[-1]))
                capacity = full.numbers["texts_per_s"] / load.batch
                say(f"capacity: {capacity:.0f} requests a second")
            yield replace(load, rate=float(rate[:-1]) * capacity, clients=arguments.connections, depth=1)
        else:
            yield replace(load, rate=float(rate), clients=arguments.connections, depth=1)


def _besides(source: Source, arguments: argparse.Namespace) -> Iterator[Beside | None]:
    yield None
    if arguments.beside:
        texts = source.texts(arguments.beside, 4 * STREAM_BATCH, seed=arguments.seed + 1)
        load = Load(Window(0, 0), clients=1, batch=STREAM_BATCH, depth=arguments.depth)
        yield Beside(_target("stream", arguments), texts, load)


def _target(door: str, arguments: argparse.Namespace) -> Target:
    grpc = not DIALECTS[door].path
    address = arguments.grpc if grpc else arguments.http
    if address is None:
        raise SystemExit(f"{door} needs --{'grpc' if grpc else 'http'} HOST:PORT")
    host, _, port = address.rpartition(":")
    samespace = arguments.path is None
    space = arguments.space
    if samespace and space is None:
        if arguments.http is None:
            raise SystemExit("name the space with --space, or give --http so that the server can be asked")
        with urllib.request.urlopen(f"http://{arguments.http}/meta", timeout=10) as reply:
            space = json.load(reply)["spaces"][0]["space_id"]
    return Target(
        dialect=door,
        host=host,
        port=int(port),
        path="" if grpc else arguments.path or f"/e/{space}{DIALECTS[door].path}",
        model=space or arguments.model,
        pid=arguments.pid or listener(int(port)),
        metrics=arguments.metrics or (f"http://{arguments.http}/metrics" if samespace and arguments.http else None),
    )


def _several(kind: Callable[[str], Value], allowed: Sequence[Value] | None = None) -> Callable[[str], list[Value]]:
    def read(value: str) -> list[Value]:
        found = [kind(each) for each in value.split(",")]
        if allowed is not None and not set(found) <= set(allowed):
            raise argparse.ArgumentTypeError(f"expected some of {', '.join(map(str, allowed))}")
        return found

    return read


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--http", metavar="HOST:PORT", help="the server's HTTP port")
    parser.add_argument("--grpc", metavar="HOST:PORT", help="the server's gRPC port")
    parser.add_argument("--space", metavar="ID", help="default: the first that /meta names")
    parser.add_argument("--doors", type=_several(str, list(DIALECTS)), default=["vectors", "grpc"])
    parser.add_argument("--texts", type=_several(str, list(LENGTHS)), default=list(LENGTHS))
    parser.add_argument("--clients", type=_several(int), default=[32], help="of a closed loop (default 32)")
    parser.add_argument("--streams", type=_several(int), default=[2], help="clients of the door stream (default 2)")
    parser.add_argument("--rate", type=_several(str), help="requests a second of an open loop; 2x: of the capacity")
    parser.add_argument("--beside", choices=list(LENGTHS), help="measure also beside a bulk stream of such texts")
    parser.add_argument("--connections", type=int, default=1000, help="the most of an open loop (default 1000)")
    parser.add_argument("--batch", type=int, help=f"texts of a request (default 1; stream: {STREAM_BATCH})")
    parser.add_argument("--depth", type=int, default=4, help="messages that a stream has under way (default 4)")
    parser.add_argument("--seconds", type=float, default=5.0, help="measured (default 5)")
    parser.add_argument("--warmup", type=float, default=1.0, help="seconds before (default 1)")
    parser.add_argument("--count", type=int, default=256, help="different texts (default 256)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, help="a set in the BEIR layout to cut texts from")
    parser.add_argument("--tokenizer", type=Path, help="tokenizer.json that counts tokens, as in an artifact")
    parser.add_argument("--path", help="the route on a server that is not samespace, such as /vectors")
    parser.add_argument("--model", default="model", help="what that server calls its model")
    parser.add_argument("--metrics", metavar="URL", help="samespace's metrics, where they have a port of their own")
    parser.add_argument("--pid", type=int, help="the server's process (default: who listens on the port)")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    return parser.parse_args()


if __name__ == "__main__":
    main()
