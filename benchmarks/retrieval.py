"""Score BM25 and the builds of one checkpoint on retrieval sets, and write what was seen.

    python benchmarks/retrieval.py DATA_FOLDER... --out benchmarks/results/retrieval.json

Each DATA_FOLDER is a set in the BEIR layout with a test split. The checkpoint is exported with int8, gated on the
first set's development split; every build is then scored on the test split, beside BM25. torch is left out: the
export's parity gate has held the fp32 build to within 1e-6 of it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from loadgen.machine import machine
from samespace import Encoder
from samespace.cli.console import progress, quiet_libraries
from samespace.evaluation import Bm25Ranker, DenseRanker, Ranker, evaluate, load_dataset
from samespace.exporting.package import export_artifact
from samespace.model.checkpoint import load_checkpoint

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


def main() -> None:
    """Run everything and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--model", default=MINILM)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    quiet_libraries()
    checkpoint = load_checkpoint(arguments.model)
    with tempfile.TemporaryDirectory() as folder:
        gate = load_dataset(arguments.data[0], "dev")
        exported = export_artifact(checkpoint, Path(folder) / "artifact", builds=("fp32", "int8"), gate=gate)
        rankers: dict[str, Ranker] = {"bm25": Bm25Ranker()}
        for build in exported.artifact.manifest.builds:
            runtime = build.measured[0].runtime
            encoder = Encoder.load(exported.artifact, build=build.name, runtime=runtime)
            rankers[f"{build.name} on {runtime}"] = DenseRanker(encoder)
        rows = [_row(name, ranker, data) for data in arguments.data for name, ranker in rankers.items()]
        record = {
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "model": arguments.model,
            "space_id": exported.artifact.space_id,
            "refused_builds": [str(error) for error in exported.refused],
            "machine": machine(),
            "versions": {name: version(name) for name in ("torch", "transformers", "onnxruntime", "openvino", "bm25s")},
            "scores": rows,
        }
    arguments.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"written: {arguments.out}")


def _row(name: str, ranker: Ranker, data: Path) -> dict[str, Any]:
    dataset = load_dataset(data, "test")
    with progress(f"{name} on {dataset.name}", len(dataset.passages) + len(dataset.queries)) as advance:
        score = evaluate(ranker, dataset, progress=advance).score
    return {**score.to_json(), "encoder": name, "space_id": None}


if __name__ == "__main__":
    main()
