"""Score a concatenation of two encoders beside its parts and BM25, and write what was seen.

    python benchmarks/combine.py DATA_FOLDER... --models MODEL MODEL --out benchmarks/results/combine.json

Each MODEL is a checkpoint; each DATA_FOLDER is a set in the BEIR layout with a test split. Both encoders are exported,
combined with equal weights, and scored by their exact builds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from loadgen.machine import machine
from samespace import Encoder
from samespace.artifact import open_artifact
from samespace.cli.console import progress, quiet_libraries
from samespace.evaluation import Bm25Ranker, DenseRanker, Ranker, evaluate, load_dataset
from samespace.exporting.composites.concatenate import combine
from samespace.exporting.package import export_artifact
from samespace.model.checkpoint import load_checkpoint


def main() -> None:
    """Run everything and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--models", nargs=2, required=True, help="checkpoints, or artifacts that exist")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    quiet_libraries()
    with tempfile.TemporaryDirectory() as folder:
        parts = [
            open_artifact(model)
            if (Path(model) / "manifest.json").is_file()
            else export_artifact(load_checkpoint(model), Path(folder) / f"part{number}").artifact
            for number, model in enumerate(arguments.models, start=1)
        ]
        both = combine(parts, Path(folder) / "both")
        rankers: dict[str, Ranker] = {"bm25": Bm25Ranker()}
        for label, artifact in zip([*arguments.models, "both"], [*parts, both], strict=True):
            rankers[label] = DenseRanker(Encoder.load(artifact))
        rows = []
        for path in arguments.data:
            dataset = load_dataset(path, "test")
            for name, ranker in rankers.items():
                with progress(f"{name} on {dataset.name}", len(dataset.passages) + len(dataset.queries)) as advance:
                    score = evaluate(ranker, dataset, progress=advance).score
                rows.append({**score.to_json(), "encoder": name})
        record = {
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "spaces": {"parts": [part.space_id for part in parts], "both": both.space_id},
            "machine": machine(),
            "versions": {name: version(name) for name in ("torch", "transformers", "onnxruntime", "openvino", "bm25s")},
            "scores": rows,
        }
    arguments.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"written: {arguments.out}")


if __name__ == "__main__":
    main()
