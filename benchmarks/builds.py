"""Measure every build on every runtime: speed, distance to fp32, and what it changes in nDCG@10.

    python benchmarks/builds.py DATA_FOLDER... --out benchmarks/results/builds.json --docs benchmarks/results/builds.md

Each DATA_FOLDER is a set in the BEIR layout with a test split; the first also needs a dev split, on which int8 is
gated, and train queries, with which it is calibrated. The int8 file is measured on both runtimes, also on one that its
gate refused, and so is the dynamic int8, which is written only where the calibrated one fails.

`--speed-of ARTIFACT` measures speed alone, anew, with an artifact exported before, and keeps the rest of the record.

Speed is the wall time of the whole path, text to vector, on all cores: each repetition runs every build once, so
that they share whatever else the machine does; medians are compared with onnxruntime's fp32. "short" is up to 32
tokens, "medium" 96 to 192, "mixed" is drawn from all passages and queries. Distances are 1 - cos to onnxruntime's
fp32 over all texts of all sets. fp16 is for GPUs and is left out.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from loadgen.machine import machine
from samespace import Vectors
from samespace.artifact import Artifact, open_artifact
from samespace.cli.console import quiet_libraries, say, table
from samespace.embed import embed_texts
from samespace.evaluation import Dataset, DenseRanker, evaluate, load_dataset
from samespace.exporting.builds.exact import session_over
from samespace.exporting.builds.int8 import FILE as INT8
from samespace.exporting.builds.quantise import dynamic
from samespace.exporting.package import export_artifact
from samespace.model.checkpoint import load_checkpoint
from samespace.runtime import Session, open_session
from samespace.runtime.load import session_of
from samespace.text import Role, TextEncoder
from samespace.vectors import Float32, cosine_distance

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
EXACT = ("fp32", "onnxruntime")
PAUSE_S = 0.05
"""Before each run: onnxruntime's threads spin for a while after one, and would slow whoever comes next."""
SIZES = {"short": 128, "medium": 64, "mixed": 96}
BEGIN, END = "<!-- table: written by benchmarks/builds.py -->", "<!-- end of table -->"
Key = tuple[str, str]


@dataclass
class Build:
    """One build on one runtime, as what `evaluate` scores; keeps the vectors that it made."""

    name: str
    space_id: str
    session: Session
    text_encoder: TextEncoder
    dims: int
    bytes: int
    made: list[Float32] = field(default_factory=list)

    def encode(self, texts: Sequence[str], role: Role, *, progress: Callable[[int], None] | None = None) -> Vectors:
        """One vector a text."""
        rows = embed_texts(self.session, self.text_encoder, texts, role, dims=self.dims, progress=progress).vectors
        self.made.append(rows)
        return Vectors(rows, self.space_id)


def main() -> None:
    """Run everything and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--model", default=MINILM)
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--docs", type=Path, help="The page whose table is written anew.")
    parser.add_argument("--speed-of", type=Path, metavar="ARTIFACT")
    arguments = parser.parse_args()
    quiet_libraries()
    sets = [load_dataset(folder, "test") for folder in arguments.data]
    if arguments.speed_of:
        record = _speed_anew(
            arguments.speed_of, json.loads(arguments.out.read_text("utf-8")), sets, arguments.repetitions
        )
    else:
        record = _all(arguments.model, sets, load_dataset(arguments.data[0], "dev"), arguments.repetitions)
    arguments.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    if arguments.docs:
        page = arguments.docs.read_text(encoding="utf-8")
        before, after = page.partition(BEGIN)[0], page.partition(END)[2]
        arguments.docs.write_text(f"{before}{BEGIN}\n\n{_markdown(record)}\n\n{END}{after}", encoding="utf-8")
    print(_table(record["builds"]))
    print(f"written: {arguments.out}")


def _all(model: str, sets: Sequence[Dataset], gate: Dataset, repetitions: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        exported = export_artifact(
            load_checkpoint(model),
            Path(folder) / "artifact",
            builds=("fp32", "int8"),
            gate=gate,
            say=say,
        )
        artifact = exported.artifact
        builds = _builds(artifact, stack)
        texts = _texts(sets, artifact.text_encoder())
        where = machine()
        speeds = {name: _times(builds, each, repetitions) for name, each in texts}
        scores = {key: _scores(build, sets) for key, build in builds.items()}
        rows = [_row(key, builds, speeds, scores) for key in builds]
        return {
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "model": model,
            "space_id": artifact.space_id,
            "refused": [str(error) for error in (*exported.refused, *exported.fallbacks)],
            "int8": artifact.manifest.provenance.get("int8"),
            "machine": where,
            "versions": {name: version(name) for name in ("torch", "onnxruntime", "openvino", "nncf", "onnx")},
            "repetitions": repetitions,
            "texts": SIZES,
            "builds": rows,
        }


def _speed_anew(folder: Path, record: dict[str, Any], sets: Sequence[Dataset], repetitions: int) -> dict[str, Any]:
    """*record* with the speeds of the artifact in *folder*, which has to be of the very same files."""
    artifact = open_artifact(folder)
    if (artifact.space_id, artifact.manifest.provenance.get("int8")) != (record["space_id"], record["int8"]):
        raise SystemExit(f"{folder} is not what the record was measured with: another space, or another int8")
    with ExitStack() as stack:
        builds, where = _builds(artifact, stack), machine()
        speeds = {name: _times(builds, texts, repetitions) for name, texts in _texts(sets, artifact.text_encoder())}
    for row in record["builds"]:
        row |= _speed_of((row["build"], row["runtime"]), speeds)
    written = datetime.now(UTC).isoformat(timespec="seconds")
    return record | {"speed_written": written, "machine": where, "repetitions": repetitions}


def _builds(artifact: Artifact, stack: ExitStack) -> dict[Key, Build]:
    """Every build on every CPU runtime, and the dynamic int8."""
    text_encoder, dims = artifact.text_encoder(), artifact.manifest.encoder.dims
    builds: dict[Key, Build] = {}

    def add(name: str, session: Session, size: int) -> None:
        key = (name, session.runtime)
        builds[key] = Build(" on ".join(key), artifact.space_id, session, text_encoder, dims, size)

    for build in artifact.manifest.builds:
        for measured in build.measured:
            if build.name != "fp16":
                add(build.name, open_session(artifact, build, measured), artifact.manifest.files[build.file].bytes)
    file = artifact.graph(INT8)
    for runtime in ("onnxruntime", "openvino"):
        if ("int8", runtime) not in builds:
            add("int8", session_of(file, runtime, "int8"), len(file.data))
    data = dynamic(artifact.path("model.fp32.onnx").read_bytes())
    add("int8 dynamic", stack.enter_context(session_over(data, "onnxruntime", "int8")), len(data))
    return builds


def _texts(sets: Sequence[Dataset], text_encoder: TextEncoder) -> list[tuple[str, list[str]]]:
    """The texts that speed is measured with."""
    chosen = random.Random(0)
    texts = sorted({text for data in sets for text in (*data.passages, *data.queries)})
    tokens = [text.tokens for text in text_encoder.tokenize(texts, "passage")]
    kinds = {
        "short": [text for text, count in zip(texts, tokens, strict=True) if count <= 32],
        "medium": [text for text, count in zip(texts, tokens, strict=True) if 96 <= count <= 192],
        "mixed": texts,
    }
    return [(name, chosen.sample(found, min(SIZES[name], len(found)))) for name, found in kinds.items()]


def _times(builds: Mapping[Key, Build], texts: Sequence[str], repetitions: int) -> dict[Key, float]:
    """Median seconds of each build for all of *texts*; one run before, unmeasured."""
    times: dict[Key, list[float]] = {key: [] for key in builds}
    for repetition in range(repetitions + 1):
        for key, build in builds.items():
            time.sleep(PAUSE_S)
            began = time.perf_counter()
            embed_texts(build.session, build.text_encoder, texts, "passage", dims=build.dims)
            if repetition:
                times[key].append(time.perf_counter() - began)
    return {key: median(each) for key, each in times.items()}


def _scores(build: Build, sets: Sequence[Dataset]) -> dict[str, float]:
    scores = {}
    for data in sets:
        scores[data.name] = evaluate(DenseRanker(build), data).score.ndcg_10
        say(f"{build.name} on {data.name}: {scores[data.name]:.4f}")
    return scores


def _row(
    key: Key,
    builds: Mapping[Key, Build],
    speeds: Mapping[str, Mapping[Key, float]],
    scores: Mapping[Key, Mapping[str, float]],
) -> dict[str, Any]:
    distances = cosine_distance(np.concatenate(builds[key].made), np.concatenate(builds[EXACT].made))
    return {
        "build": key[0],
        "runtime": key[1],
        "bytes": builds[key].bytes,
        **_speed_of(key, speeds),
        "mean_distance": float(distances.mean()),
        "worst_distance": float(distances.max()),
        "ndcg@10": dict(scores[key]),
        "change_points": {name: round(100 * (score - scores[EXACT][name]), 3) for name, score in scores[key].items()},
    }


def _speed_of(key: Key, speeds: Mapping[str, Mapping[Key, float]]) -> dict[str, Any]:
    return {
        "speed": {name: round(times[EXACT] / times[key], 3) for name, times in speeds.items()},
        "texts_per_s": {name: round(SIZES[name] / times[key], 1) for name, times in speeds.items()},
    }


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    sets = list(rows[0]["ndcg@10"])
    cells = [
        [
            f"{row['build']} on {row['runtime']}",
            *(f"{row['speed'][name]:.2f}" for name in SIZES),
            f"{row['mean_distance']:.1e}",
            f"{row['worst_distance']:.1e}",
            *(f"{row['change_points'][name]:+.2f}" for name in sets),
        ]
        for row in rows
    ]
    return table(["build", *SIZES, "mean", "worst", *sets], cells)


def _markdown(record: Mapping[str, Any]) -> str:
    """The table of the page, as it follows from the record alone."""
    rows: list[Mapping[str, Any]] = record["builds"]
    sets = list(rows[0]["ndcg@10"])
    head = ["build", "MB", *SIZES, "mean 1 - cos", "worst", *sets]
    lines = [
        f"{record['written'][:10]}, {record['machine']['processor']}, {record['machine']['cores']} cores;"
        f" onnxruntime {record['versions']['onnxruntime']}, OpenVINO {record['versions']['openvino']}.",
        "",
        f"| {' | '.join(head)} |",
        f"| --- |{' --- |' * (len(head) - 1)}",
    ]
    for row in rows:
        cells = [
            f"{row['build']} on {row['runtime']}",
            f"{row['bytes'] / 1e6:.0f}",
            *(f"{row['speed'][name]:.2f}" for name in SIZES),
            f"{row['mean_distance']:.0e}",
            f"{row['worst_distance']:.0e}",
            *(f"{100 * row['ndcg@10'][name]:.1f} ({row['change_points'][name]:+.2f})" for name in sets),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
