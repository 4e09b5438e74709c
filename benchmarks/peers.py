"""Measure samespace's server, other servers and the bare runtimes in one run, and check everybody's vectors.

    python benchmarks/peers.py ARTIFACT --model MODEL_FOLDER --out benchmarks/results/peers.json \\
        --container-python PYTHON --container-code FOLDER --infinity-python PYTHON --tei BINARY

ARTIFACT is MODEL_FOLDER (a sentence-transformers folder) exported with `samespace export --build int8`. Others are
measured where their interpreters are named: --container-code is a checkout of weaviate/t2v-transformers-models with
its requirements installed in --container-python (and, for its default mode, nltk's punkt_tab in FOLDER/nltk_data);
--infinity-python has infinity-emb with its extras torch, optimum and server; --tei is the `text-embeddings-router` of
huggingface/text-embeddings-inference, built by cargo with its feature `ort`. What is not named, or does not start, is
listed as not measured with the reason.

In each round everybody is measured once for each class of texts, one after the other, while all others are suspended;
ratios are taken within a round, and their median over the rounds counts. The load generator runs on the same cores;
its CPU time is in the results. Vectors are compared with those of sentence-transformers on torch in fp32.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil

from loadgen.agreement import Rows, compare
from loadgen.contestants import Contestant
from loadgen.goals import BUILDS, CONTAINER, KINDS, bare_name, goals, ratio
from loadgen.machine import command_line, machine, versions, versions_of
from loadgen.others import CONTAINER_MODES, INFINITY_MODES, TEI_MODES, Installed, container, infinity, tei
from loadgen.ours import in_process, served
from loadgen.plot import draw
from loadgen.processes import NotStarted
from loadgen.summary import summary
from loadgen.texts import Source, Text, load_tokenizer
from samespace import __version__
from samespace.artifact import open_artifact
from samespace.cli.console import say, table
from samespace.errors import SamespaceError

COUNTS = {"short": 256, "medium": 128, "mixed": 192}
REFERENCE = "sentence-transformers"
_PACKAGES = ("onnxruntime", "openvino", "numpy", "tokenizers", "grpcio", "uvloop", "torch", "sentence-transformers")
_PEER_PACKAGES = ("torch", "transformers", "optimum", "onnxruntime", "fastapi", "uvicorn", "infinity-emb")
_KEPT = (
    "texts_per_s", "texts_per_s_with_tokenizing", "tokens_per_s", "latency_p50_ms", "latency_p90_ms", "latency_p99_ms",
    "seconds", "requests", "rejected_share", "errors", "own_cpu_s", "server_cpu_s", "server_cpu_us_per_text",
    "own_cpu_us_per_request", "batch_tokens", "sessions", "stages",
)  # fmt: skip


def main() -> None:
    """Run everything, and write one JSON, one Markdown page, one PNG and one SVG."""
    arguments = _arguments()
    for each in (signal.SIGTERM, signal.SIGINT):  # also when started in the background, where SIGINT is ignored
        signal.signal(each, lambda number, frame: sys.exit(128 + number))
    if arguments.redraw:
        record = json.loads(arguments.redraw.read_text(encoding="utf-8"))
    else:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        for record in _measure(arguments):  # written after each round: what was measured is not lost
            arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(_speeds(record))
    rows = goals(record)
    words = {True: "reached", False: "NOT reached", None: "-"}
    print(table(["goal", "wanted", "found", ""], [[r.goal, r.wanted, r.found, words[r.passed]] for r in rows]))
    for missing in record["not_measured"]:
        print(f"not measured: {missing['name']}: {missing['reason']}")
    out = arguments.redraw or arguments.out
    page = out.with_suffix(".md")
    page.write_text(summary(record, out.name), encoding="utf-8")
    for file in (page, *draw(record, out.with_suffix(""))):
        print(f"written: {file}")


def _measure(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The record after each round; the last one is of all rounds."""
    artifact = open_artifact(arguments.artifact)
    source = Source(load_tokenizer(arguments.artifact / "tokenizer.json"), data=arguments.data)
    texts = {kind: source.texts(kind, COUNTS[kind], seed=arguments.seed) for kind in KINDS}
    circumstances = {
        "command": command_line(),
        "model": artifact.manifest.name if arguments.name is None else arguments.name,
        "space_id": artifact.space_id,
        "machine": machine(),
        "versions": {
            "samespace": __version__,
            **versions(_PACKAGES),
            "container": versions_of(arguments.container_python, _PEER_PACKAGES),
            "infinity": versions_of(arguments.infinity_python, _PEER_PACKAGES),
        },
        "seed": arguments.seed,
        "clients": arguments.clients,
        "seconds": arguments.seconds,
        "texts": {
            kind: {"count": len(each), "mean_tokens": float(np.mean([text.tokens for text in each]))}
            for kind, each in texts.items()
        },
    }
    with _work_folder(arguments.work) as work:
        installed = Installed(
            arguments.model, work, arguments.container_python, arguments.container_code, arguments.infinity_python,
            arguments.tei,
        )  # fmt: skip
        missing: list[dict[str, str]] = []
        contestants: list[Contestant] = []
        try:
            _start(contestants, arguments, installed, missing)
            for number, (results, rows) in enumerate(_rounds(contestants, texts, arguments, missing), start=1):
                yield _record(circumstances | {"repetitions": number}, results, rows, missing)
        finally:
            for running in {id(each.running): each.running for each in contestants}.values():
                running.stop()


def _record(
    circumstances: dict[str, Any], results: list[dict[str, Any]], rows: dict[str, Rows], missing: list[dict[str, str]]
) -> dict[str, Any]:
    reference = REFERENCE if any(each["name"] == REFERENCE for each in results) else results[0]["name"]
    record = {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        **circumstances,
        "reference": reference,
        "contestants": [each | {"vectors": compare(rows[each["name"]], rows[reference])} for each in results],
        "not_measured": missing,
    }
    record["goals"] = [asdict(row) for row in goals(record)]
    return record


def _start(
    found: list[Contestant], arguments: argparse.Namespace, installed: Installed, missing: list[dict[str, str]]
) -> None:
    """Everybody that can be started, into *found*; each is timed while all others are suspended."""
    work, clients, artifact = installed.work, arguments.clients, str(arguments.artifact)

    def add(name: str, make: Callable[[], list[Contestant]]) -> None:
        if arguments.only and not any(each in name for each in arguments.only):
            return
        say(f"starting {name}")
        try:
            found.extend(make())
        except NotStarted as error:
            missing.append({"name": name, "reason": str(error)})
            say(f"  not measured: {error}")

    options = tuple(arguments.serve_option)
    for build in BUILDS:
        add(f"samespace {build}", partial(served, arguments.artifact, build, work, clients, options))
    bare = {("fp32", "onnxruntime"), ("fp32", "openvino")}
    bare |= {(str(each.facts["build"]), str(each.facts["runtime"]).partition(" ")[0]) for each in found}
    for build, runtime in sorted(bare, key=lambda each: (BUILDS.index(each[0]), each[1])):
        name = bare_name(build, runtime)
        add(name, partial(in_process, name, "bare", work, "bare", artifact, build, runtime))
    add(REFERENCE, partial(in_process, REFERENCE, "library", work, REFERENCE, str(installed.model)))
    for name in CONTAINER_MODES:
        add(name, partial(container, installed, name, clients))
    for name in INFINITY_MODES:
        add(name, partial(infinity, installed, name, clients))
    for name in TEI_MODES:
        add(name, partial(tei, installed, name, clients))
    if not found:
        raise SystemExit("nothing could be started")


def _rounds(
    contestants: Sequence[Contestant],
    texts: dict[str, list[Text]],
    arguments: argparse.Namespace,
    missing: list[dict[str, str]],
) -> Iterator[tuple[list[dict[str, Any]], dict[str, Rows]]]:
    """After each round everybody's numbers by class and round, and vectors; of round 0, which warms up, only vectors.

    Whoever fails on the way is left out from there on, and is not in the results.
    """
    alive = list(contestants)
    results = {each.name: _empty_result(each) for each in alive}
    rows: dict[str, Rows] = {each.name: {kind: {} for kind in KINDS} for each in alive}
    for number in range(arguments.repetitions + 1):
        seconds = arguments.seconds if number else min(1.0, arguments.seconds)
        for kind in KINDS:
            # Another one comes first in each round, so that nobody always follows the same one.
            turn = number % len(alive)
            for contestant in [*alive[turn:], *alive[:turn]]:
                result = results[contestant.name]
                try:
                    with contestant.running.awake():
                        cell = contestant.load(kind, texts[kind], seconds, arguments.seed + number)
                        alone = None
                        if kind == "short" and number:
                            alone = contestant.alone(kind, texts[kind], arguments.seconds / 2)
                        result["peak_rss_bytes"] = contestant.running.tree.peak_rss_bytes()
                except (OSError, ValueError, psutil.Error, SamespaceError) as error:
                    alive.remove(contestant)
                    reason = f"failed in round {number} on {kind} texts: {type(error).__name__}: {error}"
                    missing.append({"name": contestant.name, "reason": reason})
                    say(f"{contestant.name}: {reason}")
                    continue
                for index, row in zip(cell.answered, cell.vectors, strict=True):
                    rows[contestant.name][kind].setdefault(index, []).append(row)
                if number:
                    result["rounds"][kind].append({key: cell.numbers[key] for key in _KEPT if key in cell.numbers})
                if alone is not None:
                    result["alone"].append(alone)
        say(f"round {number} of {arguments.repetitions} is done" + ("" if number else " (warming up)"))
        if number:
            yield [results[each.name] for each in alive], rows


def _empty_result(contestant: Contestant) -> dict[str, Any]:
    return {
        "name": contestant.name,
        "group": contestant.group,
        "facts": dict(contestant.facts),
        "ready_s": contestant.running.ready_s,
        "peak_rss_bytes": 0,
        "rounds": {kind: [] for kind in KINDS},
        "alone": [],
    }


def _speeds(record: dict[str, Any]) -> str:
    """Texts a second of everybody, and how many times the container that is."""
    base = next((each for each in record["contestants"] if each["name"] == CONTAINER), None)
    rows = []
    for each in record["contestants"]:
        cells = []
        for kind in KINDS:
            times = ratio(each, base, kind)
            rate = median(one["texts_per_s"] for one in each["rounds"][kind])
            cells.append(f"{rate:.0f}" + ("" if times is None else f" ({times:.1f}x)"))
        alone = f"{median(one['latency_p50_ms'] for one in each['alone']):.2f}" if each["alone"] else "-"
        vectors = each["vectors"]
        distances = [f"{vectors['mean_distance']:.1e}", f"{vectors['worst_distance']:.1e}"]
        memory = f"{each['peak_rss_bytes'] / 1e6:.0f}"
        rounds = [one for kind in KINDS for one in each["rounds"][kind]]
        refused = f"{max(one.get('rejected_share', 0.0) for one in rounds):.0%}"
        failed = str(sum(sum(one.get("errors", {}).values()) for one in rounds))
        rows.append([each["name"], *cells, alone, *distances, refused, failed, f"{each['ready_s']:.1f}", memory])
    header = ["alone p50 ms", "mean 1-cos", "worst 1-cos", "refused", "errors", "ready s", "peak MB"]
    return table(["", *KINDS, *header], rows)


@contextmanager
def _work_folder(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder.resolve()
        return
    made = Path(tempfile.mkdtemp(prefix="peers-"))
    try:
        yield made
    finally:
        shutil.rmtree(made)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", nargs="?", type=Path, help="folder of the exported encoder, with int8")
    parser.add_argument("--model", type=Path, help="the sentence-transformers folder that it was exported from")
    parser.add_argument("--name", help="what to call the model (default: the artifact's name)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/peers.json"))
    parser.add_argument("--redraw", type=Path, metavar="JSON", help="measure nothing; tables and plot of a result")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement (default 2)")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, help="a set in the BEIR layout to cut texts from")
    parser.add_argument("--work", type=Path, help="keep prepared models and logs here, for the next time")
    parser.add_argument("--only", action="append", default=[], help="only whose name has this in it; may be repeated")
    parser.add_argument("--serve-option", action="append", default=[], help="passed to `samespace serve`; repeatable")
    parser.add_argument("--container-python", type=Path)
    parser.add_argument("--container-code", type=Path)
    parser.add_argument("--infinity-python", type=Path)
    parser.add_argument("--tei", type=Path, metavar="BINARY", help="text-embeddings-router")
    arguments = parser.parse_args()
    if not arguments.redraw and (arguments.artifact is None or arguments.model is None):
        parser.error("ARTIFACT and --model are needed, or --redraw")
    for name in ("artifact", "model", "container_code"):
        if getattr(arguments, name) is not None:
            setattr(arguments, name, getattr(arguments, name).resolve())
    for name in ("container_python", "infinity_python", "tei"):  # an interpreter in a venv is a link: keep it
        if getattr(arguments, name) is not None:
            setattr(arguments, name, getattr(arguments, name).absolute())
    return arguments


if __name__ == "__main__":
    main()
