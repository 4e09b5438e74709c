"""How a fleet of replicas behaves and what it costs, from 1 to 200, simulated from measured service times.

    python benchmarks/replicas.py --artifact artifacts/minilm                  # measures, simulates, draws
    python benchmarks/replicas.py --table benchmarks/results/replicas.json     # simulates again from what was measured

1. Measures what a run takes on one core by number of texts and their length, on a real server.
2. Checks the simulation: against M/D/1 and M/M/c, and against one and two real replicas under Poisson arrivals.
3. Simulates 1 to 200 replicas that take turns (gRPC's round_robin), and works out costs, and the time and cost of
   importing a billion passages. Prices, GPU speed and Weaviate's rates are assumptions, and stand in the result.

A replica is one core with one run at a time: `samespace serve --threads 1 --runners 1`. Writes
benchmarks/results/replicas.json, .png and .svg.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory
from typing import Any, Final

from loadgen import fleet_plot
from loadgen.fleet import Assumptions, import_of, listed, usd_per_million
from loadgen.machine import command_line, machine, versions
from loadgen.processes import start
from loadgen.queueing import Fleet, ServiceTable, md1_wait_us, mmc_wait_us, percentile, poisson, simulate
from loadgen.texts import Source, load_tokenizer
from samespace.rpc.client import Client

RESULT: Final = Path(__file__).parent / "results" / "replicas.json"
REPLICAS: Final = (1, 2, 4, 8, 16, 32, 64, 100, 150, 200)
LOADS: Final = (0.5, 0.8, 0.95)
ROWS: Final = (1, 2, 4, 8, 16)
"""Of one run. 16 texts of 128 tokens are the server's own bound of 2048 tokens, and more gain nothing on a CPU."""
KIND: Final = "medium"
TOKENS: Final = 127  # of a text of that class, on average
BILLION: Final = 10**9


def main() -> None:
    """Measure unless a table was given; check, simulate, write, draw."""
    arguments = _arguments()
    if arguments.table:
        record = json.loads(arguments.table.read_text(encoding="utf-8"))
    else:
        record = {"written": datetime.now(UTC).isoformat(timespec="seconds"), "command": command_line()}
        record |= {"machine": machine(), "versions": versions(["samespace", "openvino", "onnxruntime", "grpcio"])}
        record |= measured(arguments)
    table = ServiceTable(tuple(record["service"]["rows"]), tuple(record["service"]["us"]))
    record["checks"] = {**theory(arguments.count), "real": against_real(table, record["real"])}
    record["simulated"] = [row for count in REPLICAS for row in simulated(table, count, arguments.count)]
    record |= costs(table, Assumptions())
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    fleet_plot.draw(record, arguments.out.with_suffix(""))
    print(json.dumps({key: record[key] for key in ("service", "checks", "costs", "imports")}, indent=1))


def measured(arguments: argparse.Namespace) -> dict[str, Any]:
    """Service times of one core, and what one and two replicas do under random arrivals."""
    texts = [each.text for each in Source(load_tokenizer(None)).texts(KIND, 256)]
    real = []
    with serving(arguments, 1) as address, Client(address) as client:
        space = client.find_space(None).space_id
        service = {"kind": KIND, "tokens": TOKENS, "rows": list(ROWS), "us": service_times(client, space, texts)}
    capacity = ServiceTable(ROWS, tuple(service["us"])).full_texts_per_s(ROWS[-1])
    for replicas in (1, 2):
        with serving(arguments, replicas) as address, Client(address) as client:
            for load in (0.3, 0.6):
                rate = load * capacity * replicas
                waits = poisson(rate, max(50, round(rate * arguments.seconds)), seed=replicas)
                latencies = asked_at(client, space, texts, waits)
                real.append({"replicas": replicas, "load": load, "arrivals_us": waits, "latencies_us": latencies})
            real.append({"replicas": replicas, "full_texts_per_s": full_speed(client, space, texts, arguments.seconds)})
    return {"service": service, "real": real}


@contextmanager
def serving(arguments: argparse.Namespace, replicas: int) -> Iterator[str]:
    """The gRPC addresses of so many servers of one core each."""
    command = [sys.executable, "-m", "samespace", "serve", str(arguments.artifact), "--http-port", "0"]
    command += ["--grpc-port", "0", "--threads", "1", "--runners", "1", "--max-queue-ms", "60000"]
    command += ["--build", arguments.build, "--runtime", arguments.runtime]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        ports = []
        for replica in range(replicas):
            running = start(command, folder / f"{replica}.log")
            stack.callback(running.stop)
            stack.enter_context(running.awake())
            ports.append(json.loads(running.line)["grpc_port"])
        yield ",".join(f"127.0.0.1:{port}" for port in ports)


def service_times(client: Client, space: str, texts: Sequence[str], times: int = 15) -> list[float]:
    """Median microseconds from asking to the answer, of an idle server, by number of texts."""
    chosen, found = random.Random(0), []
    for rows in ROWS:
        taken = []
        for turn in range(times + 3):
            asked = chosen.sample(list(texts), rows)
            began_ns = time.monotonic_ns()
            client.embed(space, "passage", asked)
            if turn >= 3:
                taken.append((time.monotonic_ns() - began_ns) / 1000)
        found.append(median(taken))
    return found


def asked_at(client: Client, space: str, texts: Sequence[str], arrivals_us: Sequence[int]) -> list[int]:
    """Microseconds from when each request was meant to be sent to its answer."""
    found = [0] * len(arrivals_us)
    began_ns = time.monotonic_ns() + 100_000_000

    def ask(request: int) -> None:
        client.embed(space, "passage", [texts[request % len(texts)]])
        found[request] = (time.monotonic_ns() - began_ns) // 1000 - arrivals_us[request]

    with ThreadPoolExecutor(128) as pool:
        for request, at in enumerate(arrivals_us):
            pause_ns = began_ns + at * 1000 - time.monotonic_ns()
            if pause_ns > 0:
                time.sleep(pause_ns / 1e9)
            pool.submit(ask, request)
    return found


def full_speed(client: Client, space: str, texts: Sequence[str], seconds: float) -> float:
    """Texts a second of 64 callers that always wait for an answer."""
    over, done = time.monotonic() + seconds, [0] * 64
    began = time.monotonic()

    def ask(worker: int) -> None:
        while time.monotonic() < over:
            client.embed(space, "passage", [texts[(worker + done[worker]) % len(texts)]])
            done[worker] += 1

    threads = [threading.Thread(target=ask, args=(worker,)) for worker in range(len(done))]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return sum(done) / (time.monotonic() - began)


def theory(count: int) -> dict[str, Any]:
    """Mean waits of the simulation beside those of the formulas, at a service of 10 ms."""
    chosen = random.Random(7)
    one = simulate(Fleet(1, lambda rows: 10_000, 1), poisson(80, count, seed=1))
    many = Fleet(16, lambda rows: round(chosen.expovariate(1 / 10_000)), 1, "one_queue")
    several = simulate(many, poisson(16 * 90, 4 * count, seed=2))
    return {
        "M/D/1 at 0.8": {"formula_us": md1_wait_us(80, 10_000), "simulated_us": mean(one.waits_us)},
        "M/M/16 at 0.9": {"formula_us": mmc_wait_us(16 * 90, 10_000, 16), "simulated_us": mean(several.waits_us)},
    }


def against_real(table: ServiceTable, real: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was measured on real replicas beside what the simulation says for the same arrivals."""
    found = []
    for row in real:
        if "latencies_us" not in row:
            expected = row["replicas"] * table.full_texts_per_s(ROWS[-1])
            found.append({**row, "simulated_full_texts_per_s": expected})
            continue
        outcome = simulate(Fleet(row["replicas"], table, ROWS[-1]), row["arrivals_us"])
        entry: dict[str, Any] = {"replicas": row["replicas"], "load": row["load"], "requests": len(row["arrivals_us"])}
        for at in (0.5, 0.9, 0.99):
            name = f"p{round(100 * at)}_us"
            entry[name] = percentile(row["latencies_us"], at)
            entry[f"simulated_{name}"] = percentile(outcome.sojourns_us, at)
        found.append(entry)
    return found


def simulated(table: ServiceTable, replicas: int, count: int) -> list[dict[str, Any]]:
    """Throughput and latency of *replicas* at several loads, taking turns and by chance."""
    found = []
    full = table.full_texts_per_s(ROWS[-1]) * replicas
    for load in LOADS:
        arrivals = poisson(load * full, max(count, 500 * replicas), seed=replicas)
        outcome = simulate(Fleet(replicas, table, ROWS[-1]), arrivals)
        by_chance = simulate(Fleet(replicas, table, ROWS[-1], "random"), arrivals, seed=replicas)
        found.append(
            {
                "replicas": replicas,
                "load": load,
                "texts_per_s": len(arrivals) / outcome.span_us * 1e6,
                "p50_us": percentile(outcome.sojourns_us, 0.5),
                "p99_us": percentile(outcome.sojourns_us, 0.99),
                "p99_by_chance_us": percentile(by_chance.sojourns_us, 0.99),
                "texts_a_run": len(arrivals) / outcome.runs,
                "busy": outcome.busy_us / outcome.span_us / replicas,
            }
        )
    return found


def costs(table: ServiceTable, given: Assumptions) -> dict[str, Any]:
    """Dollars for a million texts, and the time and cost of a billion passages."""
    core = table.full_texts_per_s(ROWS[-1])
    fleets = [("CPU cores", count, count * core, count * given.cpu_core_usd_per_h) for count in REPLICAS]
    fleets += [("GPUs", n, n * given.gpu_texts_per_s, n * given.gpu_usd_per_h) for n in (1, 2, 4, 8, 16)]
    return {
        "assumptions": listed(given),
        "costs": {
            "cpu_texts_per_s_per_core": core,
            "cpu_usd_per_million": usd_per_million(core, given.cpu_core_usd_per_h),
            "gpu_usd_per_million_not_measured": usd_per_million(given.gpu_texts_per_s, given.gpu_usd_per_h),
            "gpu_texts_per_s_at_which_both_cost_the_same": core * given.gpu_usd_per_h / given.cpu_core_usd_per_h,
        },
        "imports": [
            {"on": name, "count": count, **import_of(BILLION, 128, speed, price, given)}
            for name, count, speed, price in fleets
        ],
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--artifact", type=Path, help="measure this one")
    what.add_argument("--table", type=Path, help="a result of this program, to simulate from what it measured")
    parser.add_argument("--build", default="auto")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--seconds", type=float, default=20, help="of each real point (default 20)")
    parser.add_argument("--count", type=int, default=50_000, help="simulated requests of a point (default 50000)")
    parser.add_argument("--out", type=Path, default=RESULT)
    return parser.parse_args()


if __name__ == "__main__":
    main()
