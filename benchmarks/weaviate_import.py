"""Objects a second into one Weaviate: samespace's import, and every way that goes through a vectorizer module.

    WEAVIATE_URL=http://localhost:8080 python benchmarks/weaviate_import.py data/stackfaq data/medquad \\
        --artifact artifacts/minilm --model MODEL_FOLDER --container-python PYTHON --container-code FOLDER \\
        --out benchmarks/results/weaviate_import.json --docs benchmarks/results/weaviate_import.md

MODEL_FOLDER is the sentence-transformers folder that the artifact was exported from; the container is
weaviate/t2v-transformers-models, started as `benchmarks/peers.py` does. The Weaviate runs on this machine, with
text2vec-transformers and text2vec-cohere (and COHERE_APIKEY set to anything).

Everybody imports the same passages, one object a passage, into a collection that is new each time:

    import       `samespace weaviate import`'s code: encodes over gRPC, writes object and vector together
    container    Weaviate's module asks Weaviate's own container; plain batches from several clients
    transformers the same, and the module asks samespace
    cohere       the same through the module text2vec-cohere, which sends many texts in a request
    encoder      no Weaviate: the same texts through the same gRPC streams; the most that an import could reach

In each round everybody has a turn, another one comes first each time, and the encoder servers that are not needed are
suspended. Ratios are taken within a round; medians count.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from statistics import median
from typing import Any, Final
from uuid import uuid4

import numpy as np

import weaviate
from loadgen.contestants import Door
from loadgen.machine import command_line, machine, versions, versions_of
from loadgen.others import CONTAINER_MODES, Installed, container
from loadgen.processes import Running, start
from samespace import Encoder
from samespace.cli.console import say, table
from samespace_weaviate import CollectionSpec, ImportOptions, Passage, PinnedCollection, Store, create
from samespace_weaviate.access.address import Address, NoWeaviate, find_weaviate
from samespace_weaviate.access.values import object_uuid
from samespace_weaviate.importing.pipeline import Crew, run
from samespace_weaviate.importing.sources import read_passages
from samespace_weaviate.pinning.spec import MODULE

BEGIN, END = "<!-- table: written by benchmarks/weaviate_import.py -->", "<!-- end of table -->"
PACKAGES: Final = ("weaviate-client", "grpcio", "openvino", "onnxruntime", "numpy", "tokenizers")
PEER_PACKAGES: Final = ("torch", "transformers", "fastapi", "uvicorn")
GOALS: Final = (
    ("import against container", "import", "container", 5.0),
    ("import against the encoder alone", "import", "encoder", 0.85),
    ("transformers against container", "transformers", "container", 3.0),
)
TOLD: Final = {
    "import": "`samespace weaviate import`",
    "transformers": "`text2vec-transformers`, asking samespace",
    "cohere": "`text2vec-cohere`, asking samespace",
    "container": "`text2vec-transformers`, asking Weaviate's container",
    "encoder": "samespace's encoder alone, no Weaviate",
}


@dataclass(frozen=True, slots=True)
class Bench:
    """What everybody needs.

    Attributes:
        client: for plain batches, as a user without samespace sends them.
        ours: the server's line when it was ready.
        container_url: of Weaviate's container; "" where it is not installed.
    """

    store: Store
    client: weaviate.WeaviateClient
    encoder: Encoder
    passages: Sequence[Passage]
    ours: dict[str, Any]
    container_url: str
    clients: int
    batch: int
    crew: Crew

    @property
    def server(self) -> str:
        """Our server's HTTP address."""
        return f"http://127.0.0.1:{self.ours['http_port']}"


def main() -> None:
    """Run everything and write one JSON, after each round."""
    arguments = _arguments()
    where = find_weaviate("url", os.environ)
    if isinstance(where, NoWeaviate) or not isinstance(where, Address):
        raise SystemExit(f"{where}; WEAVIATE_URL has to name a Weaviate on this machine")
    passages = _passages(arguments.data, arguments.limit)
    with ExitStack() as stack:
        work = Path(arguments.work or stack.enter_context(tempfile.TemporaryDirectory())).resolve()
        work.mkdir(parents=True, exist_ok=True)
        ours, ready = _serve(arguments.artifact, arguments.build, work)
        stack.callback(ours.stop)
        peer = _container(arguments, work)
        if peer is not None:
            stack.callback(peer.running.stop)
        store = stack.enter_context(Store.connect(where))
        client = stack.enter_context(_plain_client(where))
        with ours.awake():
            encoder = stack.enter_context(Encoder.connect(f"127.0.0.1:{ready['grpc_port']}"))
        url = f"http://127.0.0.1:{peer.target.port}" if peer else ""
        crew = Crew(arguments.streams, arguments.writers, arguments.ahead)
        bench = Bench(store, client, encoder, passages, ready, url, arguments.clients, arguments.batch, crew)
        circumstances = {
            "command": command_line(),
            "model": encoder.name,
            "space_id": encoder.space_id,
            "served": {name: ready["spaces"][0][name] for name in ("build", "runtime", "precision")},
            "weaviate": store.version,
            "container": peer.name if peer else None,
            "machine": machine(),
            "versions": {**versions(PACKAGES), "container": versions_of(arguments.container_python, PEER_PACKAGES)},
            "passages": len(passages),
            "mean_characters": round(float(np.mean([len(each.text) for each in passages]))),
            "clients": arguments.clients,
            "client_batch": 100,
            "import_batch": arguments.batch,
            "crew": [crew.encoders, crew.writers, crew.ahead],
        }
        runners = {"import": (_import, ours), "transformers": (_transformers, ours), "cohere": (_cohere, ours)}
        runners["encoder"] = (_encoder_alone, ours)
        if peer is not None:
            runners["container"] = (_container_route, peer.running)
        names = [name for name in TOLD if name in runners and (not arguments.only or name in arguments.only)]
        rounds: dict[str, list[float]] = {name: [] for name in names}
        for number in range(arguments.repetitions + 1):
            turn = number % len(names)
            for name in [*names[turn:], *names[:turn]]:
                act, running = runners[name]
                some = passages if number else passages[: max(64, len(passages) // 20)]  # round 0 warms up
                with running.awake():
                    rate = act(bench, some)
                say(f"round {number}, {name}: {rate:.0f} a second")
                if number:
                    rounds[name].append(rate)
            if number:
                record = _record(circumstances | {"repetitions": number}, rounds)
                arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    rows = _rows(record)
    if arguments.docs:
        page = arguments.docs.read_text(encoding="utf-8")
        before, after = page.partition(BEGIN)[0], page.partition(BEGIN)[2].partition(END)[2]
        arguments.docs.write_text(f"{before}{BEGIN}\n\n{_markdown(rows)}\n\n{END}{after}", encoding="utf-8")
    print(table(rows[0], rows[1:]))
    for goal in record["goals"]:
        print(f"{goal['goal']}: wanted {goal['wanted']}, found {goal['found']:.2f}")
    print(f"written: {arguments.out}")


# -- the ways; each gives objects (or texts) a second


def _import(bench: Bench, passages: Sequence[Passage]) -> float:
    with _collection(bench, CollectionSpec(_name(), bench.encoder.space_id, bench.server, long_texts="pool")) as name:
        collection = PinnedCollection.open(bench.store, name, bench.encoder)
        began = time.perf_counter()
        report = collection.import_passages(passages, batch=bench.batch, options=ImportOptions(crew=bench.crew))
        return _rate(bench, name, passages, began, len(report.failed))


def _encoder_alone(bench: Bench, passages: Sequence[Passage]) -> float:
    batches = [passages[start : start + bench.batch] for start in range(0, len(passages), bench.batch)]

    def encode(some: Sequence[Passage]) -> int:
        return len(bench.encoder.encode([each.text for each in some], "passage"))

    began = time.perf_counter()
    done = sum(run(batches, encode, lambda count: count, bench.crew))
    return done / (time.perf_counter() - began)


def _transformers(bench: Bench, passages: Sequence[Passage]) -> float:
    with _collection(bench, CollectionSpec(_name(), bench.encoder.space_id, bench.server, long_texts="pool")) as name:
        return _plain(bench, name, passages)


def _cohere(bench: Bench, passages: Sequence[Passage]) -> float:
    spec = CollectionSpec(_name(), bench.encoder.space_id, bench.server, long_texts="pool", route="cohere")
    with _collection(bench, spec) as name:
        return _plain(bench, name, passages)


def _container_route(bench: Bench, passages: Sequence[Passage]) -> float:
    """A collection as Weaviate's own documentation makes it, with its container behind it."""
    name = _name()
    settings = {"inferenceUrl": bench.container_url, "properties": ["text"], "vectorizeClassName": False}
    schema = CollectionSpec(name, bench.encoder.space_id, bench.server, long_texts="pool").schema()
    schema["vectorConfig"] = {"default": {"vectorizer": {MODULE: settings}, "vectorIndexType": "hnsw"}}
    bench.store.create(schema)
    try:
        return _plain(bench, name, passages)
    finally:
        bench.store.delete_collection(name)


def _plain_client(where: Address) -> weaviate.WeaviateClient:
    """A slow encoder on a busy machine may take longer for a batch than the client waits by itself (90 s)."""
    from weaviate.classes.init import AdditionalConfig, Timeout

    patient = AdditionalConfig(timeout=Timeout(insert=600))
    return weaviate.connect_to_local(where.host, where.port, where.grpc_port, additional_config=patient)


def _plain(bench: Bench, name: str, passages: Sequence[Passage]) -> float:
    """What a client without samespace does: batches of 100 without vectors, several at a time."""
    from weaviate.classes.data import DataObject

    collection = bench.client.collections.use(name)
    objects = [
        DataObject(properties={"text": each.text, "passageId": each.id}, uuid=object_uuid(name, each.id))
        for each in passages
    ]
    batches = [objects[start : start + 100] for start in range(0, len(objects), 100)]
    began = time.perf_counter()
    with ThreadPoolExecutor(bench.clients) as pool:
        failed = sum(pool.map(lambda some: len(collection.data.insert_many(some).errors), batches))
    return _rate(bench, name, passages, began, failed)


def _rate(bench: Bench, name: str, passages: Sequence[Passage], began: float, failed: int) -> float:
    seconds = time.perf_counter() - began
    stored = bench.store.count(name)
    vectors = sum(vector is not None for _, vector in islice(bench.store.vectors(name, _vector(bench, name)), 100))
    if failed or stored != len(passages) or vectors != min(100, stored):
        raise SystemExit(f"{name}: {failed} failed, {stored} of {len(passages)} stored, {vectors} of 100 with a vector")
    return len(passages) / seconds


def _vector(bench: Bench, name: str) -> str:
    (vector,) = (bench.store.schema(name) or {})["vectorConfig"]
    return str(vector)


@contextmanager
def _collection(bench: Bench, spec: CollectionSpec) -> Iterator[str]:
    create(bench.store, spec)
    try:
        yield spec.name
    finally:
        bench.store.delete_collection(spec.name)


def _name() -> str:
    return f"Bench{uuid4().hex[:12]}"


# -- servers and data


def _serve(artifact: Path, build: str, work: Path) -> tuple[Running, dict[str, Any]]:
    command = ["-m", "samespace", "serve", str(artifact), "--http-port", "0", "--grpc-port", "0", "--build", build]
    running = start([sys.executable, *command], work / "samespace.log")
    return running, json.loads(running.line)


def _container(arguments: argparse.Namespace, work: Path) -> Door | None:
    if arguments.container_code is None or (arguments.only and "container" not in arguments.only):
        return None
    installed = Installed(arguments.model, work, arguments.container_python, arguments.container_code, None)
    (door,) = container(installed, arguments.container_mode, arguments.clients)
    assert isinstance(door, Door)
    return door


def _passages(folders: Sequence[Path], limit: int) -> list[Passage]:
    """*limit* passages, spread evenly over all sets, under ids that no other set has; without properties."""
    everything = list(
        chain.from_iterable(
            (Passage(f"{folder.name}/{each.id}", each.text) for each in read_passages(folder)) for folder in folders
        )
    )
    step = max(1.0, len(everything) / limit)
    return [everything[int(place * step)] for place in range(min(limit, len(everything)))]


# -- results


def _record(circumstances: dict[str, Any], rounds: dict[str, list[float]]) -> dict[str, Any]:
    def ratio(one: str, other: str) -> float:
        return median(a / b for a, b in zip(rounds[one], rounds[other], strict=True))

    goals = [
        {"goal": goal, "wanted": wanted, "found": ratio(one, other), "passed": ratio(one, other) >= wanted}
        for goal, one, other, wanted in GOALS
        if one in rounds and other in rounds
    ]
    base = "container" if "container" in rounds else next(iter(rounds))
    return {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        **circumstances,
        "rounds": rounds,
        "median": {name: median(rates) for name, rates in rounds.items()},
        "ratio_to": base,
        "ratio": {name: ratio(name, base) for name in rounds},
        "goals": goals,
    }


def _rows(record: dict[str, Any]) -> list[list[str]]:
    rows = [["", "a second", f"times {record['ratio_to']}"]]
    for name, rate in record["median"].items():
        rows.append([TOLD[name], f"{rate:.0f}", f"{record['ratio'][name]:.1f}"])
    return rows


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], f"|{' --- |' * len(rows[0])}", *lines[1:]])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path, help="sets in the BEIR layout")
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--build", default="auto", help="of our server (default: auto)")
    parser.add_argument("--model", type=Path, help="the sentence-transformers folder, for the container")
    parser.add_argument("--container-python", type=Path)
    parser.add_argument("--container-code", type=Path)
    parser.add_argument("--container-mode", choices=sorted(CONTAINER_MODES), default="Weaviate's container")
    parser.add_argument("--limit", type=int, default=2000, help="passages (default 2000)")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--clients", type=int, default=4, help="plain clients at a time (default 4)")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--streams", type=int, default=Crew().encoders)
    parser.add_argument("--writers", type=int, default=Crew().writers)
    parser.add_argument("--ahead", type=int, default=Crew().ahead)
    parser.add_argument("--only", action="append", default=[], choices=sorted(TOLD))
    parser.add_argument("--work", type=Path, help="keep the container's model and logs here, for the next time")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/weaviate_import.json"))
    parser.add_argument("--docs", type=Path, help="The page whose table is written anew.")
    arguments = parser.parse_args()
    arguments.artifact = arguments.artifact.resolve()
    for name in ("model", "container_code"):
        if getattr(arguments, name) is not None:
            setattr(arguments, name, getattr(arguments, name).resolve())
    if arguments.container_python is not None:  # an interpreter in a venv is a link: keep it
        arguments.container_python = arguments.container_python.absolute()
    if arguments.container_code is not None and (arguments.model is None or arguments.container_python is None):
        parser.error("the container needs --model and --container-python")
    return arguments


if __name__ == "__main__":
    main()
