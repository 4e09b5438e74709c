"""What a migration costs those who write and search meanwhile: latency before it, and while it copies.

    WEAVIATE_BINARY=/path/to/weaviate python benchmarks/cutover.py artifacts/old artifacts/new \\
        --out benchmarks/results/cutover.json

A writer and a reader go on all the time, each at a fixed rate (an open loop: latency counts from when a request was
due). The writer puts objects with text alone by the alias, so Weaviate's module encodes them; the reader asks by text.
In each round both are measured before a migration, while it copies, and while it copies with --max-objects-per-s; then
it is rolled back. Ratios are taken within a round; medians of the rounds count.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from fakes.weaviate.nodes import Nodes, weaviate_nodes
from faultlab.site import EncoderProcess, text_of
from loadgen.machine import command_line, machine, versions
from samespace import Encoder
from samespace.cli.console import say
from samespace_weaviate import CollectionSpec, Passage, PinnedCollection, Store, StoredObject, create
from samespace_weaviate.access.values import object_uuid

NAME, ALIAS = "Article", "Articles"
PER_S: Final = 20.0
QUIET_S: Final = 8.0


@dataclass
class Client:
    """Sends at a fixed rate until it is stopped.

    Attributes:
        send: one request, by its number.
        taken: (when it was due, milliseconds until it was answered).
    """

    send: Callable[[int], None]
    taken: list[tuple[float, float]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    failed: Exception | None = None

    def run(self) -> None:
        """Until stopped."""
        began, number = time.monotonic(), 0
        while not self.stopped.is_set():
            due = began + number / PER_S
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                self.send(number)
            except Exception as error:  # noqa: BLE001 - raised again where the client is asked; a thread's own is seen by nobody
                self.failed = error
                return
            self.taken.append((due, 1000 * (time.monotonic() - due)))
            number += 1

    def between(self, start: float, end: float) -> dict[str, float]:
        """Percentiles of what was due in between, in milliseconds."""
        if self.failed is not None:
            raise self.failed
        found = [ms for due, ms in self.taken if start <= due < end]
        p50, p99 = np.percentile(found, (50, 99))
        return {"requests": len(found), "p50_ms": round(float(p50), 2), "p99_ms": round(float(p99), 2)}


def main() -> None:
    """Run all rounds, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, help="artifact")
    parser.add_argument("new", type=Path, help="artifact of another space")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--objects", type=int, default=4000)
    parser.add_argument("--pace", type=float, default=200.0, help="--max-objects-per-s of the slow migration")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cutover-") as made, ExitStack() as stack:
        folder = Path(made)
        nodes = stack.enter_context(weaviate_nodes(Path(os.environ["WEAVIATE_BINARY"]), folder / "weaviate"))
        old, new = (EncoderProcess(artifact, folder) for artifact in (arguments.old, arguments.new))
        stack.callback(old.kill)
        stack.callback(new.kill)
        rounds = _rounds(arguments, nodes, old, new, folder)
    record = {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command_line(),
        "machine": machine(),
        "versions": versions(("samespace", "weaviate-client", "openvino", "onnxruntime")),
        "objects": arguments.objects,
        "per_s": PER_S,
        "pace": arguments.pace,
        "rounds": rounds,
        "ratios": _ratios(rounds),
    }
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    say(json.dumps(record["ratios"]))


def _rounds(
    arguments: argparse.Namespace, nodes: Nodes, old: EncoderProcess, new: EncoderProcess, folder: Path
) -> list[dict[str, Any]]:
    node = nodes[0]
    with Store.connect(node.address) as store, Encoder.connect(old.grpc) as encoder:
        create(store, CollectionSpec(NAME, encoder.space_id, old.http, guard=False))
        collection = PinnedCollection.open(store, NAME, encoder)
        collection.import_passages([Passage(str(n), text_of(n)) for n in range(arguments.objects)])
        store.point_alias(ALIAS, NAME)

        def write(number: int) -> None:
            text = f"{text_of(number)} again"
            refused = store.write(ALIAS, [StoredObject(object_uuid(NAME, str(number % 500)), {"text": text})])
            assert not refused, refused

        def read(number: int) -> None:
            store.near_text(ALIAS, "", text_of(number), 10)

        found = []
        for number in range(arguments.rounds):
            clients = {"writes": Client(write), "searches": Client(read)}
            threads = [threading.Thread(target=client.run) for client in clients.values()]
            for thread in threads:
                thread.start()
            time.sleep(2)
            spans = {"before": (time.monotonic(), time.monotonic() + QUIET_S)}
            time.sleep(QUIET_S)
            for name, pace in (("copying", 0.0), ("copying slowly", arguments.pace)):
                spans[name] = _copied(store, arguments.new, new, folder / f"{number}-{pace}", pace)
            for client in clients.values():
                client.stopped.set()
            for thread in threads:
                thread.join()
            found.append({key: {who: client.between(*span) for who, client in clients.items()} for key, span in
                          spans.items()} | {"copied_s": {key: round(span[1] - span[0], 1) for key, span in
                                                         spans.items()}})  # fmt: skip
            say(json.dumps(found[-1]))
        return found


def _copied(store: Store, artifact: Path, new: EncoderProcess, journal: Path, pace: float) -> tuple[float, float]:
    """Migrate until the alias has moved, and roll back; the span of copying."""
    where = ["--url", store.address, "--grpc-port", str(store.grpc_port), "--journal", str(journal), "--yes"]
    command = [sys.executable, "-m", "samespace", "weaviate", "migrate", ALIAS, *where]
    to = ["--to", new.grpc, "--server", new.http, "--max-objects-per-s", str(pace), "--no-guard"]
    began = time.monotonic()
    with subprocess.Popen([*command, *to], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        while running.poll() is None and store.alias_target(ALIAS) == NAME:
            time.sleep(0.02)
        ended = time.monotonic()
    assert running.returncode == 0, running.returncode
    subprocess.run([*command, "--rollback"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return began, ended


def _ratios(rounds: list[dict[str, Any]]) -> dict[str, float]:
    """Each percentile while copying as a multiple of that before, the median of the rounds."""
    return {
        f"{who}, {span}, {key}": round(median(each[span][who][key] / each["before"][who][key] for each in rounds), 2)
        for who in ("writes", "searches")
        for span in ("copying", "copying slowly")
        for key in ("p50_ms", "p99_ms")
    }


if __name__ == "__main__":
    main()
