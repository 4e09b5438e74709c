"""Score centring, PCA, whitening and truncation of one encoder on retrieval sets, and write what was seen.

    python benchmarks/transforms.py DATA_FOLDER... --out benchmarks/results/transforms.json \\
        --page benchmarks/results/transforms.md

Each DATA_FOLDER is a set in the BEIR layout with a dev and a test split. Passages are encoded once, in exact fp32;
transforms are fitted on up to 5000 of their windows; dev chooses, and test stands beside it, chosen or not. Without
DATA_FOLDERs the page's tables are written anew from the JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from loadgen.machine import machine
from samespace.cli.console import progress, quiet_libraries
from samespace.evaluation import load_dataset
from samespace.exporting.fastest import exact_session
from samespace.exporting.transforms.choice import SAMPLE, best, encode_windows, fit_all, score_all, smallest
from samespace.exporting.transforms.fit import default_candidates, moments
from samespace.model.checkpoint import load_checkpoint

MINILM: Final = "sentence-transformers/all-MiniLM-L6-v2"
SPLITS: Final = ("dev", "test")
BEGIN, END = "<!-- tables: written by benchmarks/transforms.py -->", "<!-- end of tables -->"


def main() -> None:
    """Run everything, write one JSON, and put its tables into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="*", type=Path)
    parser.add_argument("--model", default=MINILM)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--page", type=Path)
    arguments = parser.parse_args()
    if arguments.data:
        record = _run(arguments.model, arguments.data)
        arguments.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        print(f"written: {arguments.out}")
    if arguments.page:
        before, _, rest = arguments.page.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        tables = "\n\n".join(_section(each) for each in json.loads(arguments.out.read_text("utf-8"))["sets"])
        arguments.page.write_text(f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}", encoding="utf-8")
        print(f"written: {arguments.page}")


def _run(model: str, folders: list[Path]) -> dict[str, Any]:
    quiet_libraries()
    checkpoint = load_checkpoint(model)
    dims, text_encoder = checkpoint.dims, checkpoint.text_encoder
    space, sets = checkpoint.identity.space_id(), []
    with exact_session(checkpoint) as session:
        for folder in folders:
            datasets = {split: load_dataset(folder, split) for split in SPLITS}
            texts = datasets["dev"].passages
            with progress(f"passages of {folder.name}", len(texts)) as advance:
                passages = encode_windows(session, text_encoder, texts, "passage", dims=dims, progress=advance)
            sample = moments(passages.sample(SAMPLE))
            transforms, refused = fit_all(default_candidates(dims), sample, fitted_on=space)
            scores = {}
            for split, dataset in datasets.items():
                queries = encode_windows(session, text_encoder, dataset.queries, "query", dims=dims)
                scores[split] = score_all(dataset, queries, passages, transforms)
            sets.append(
                {
                    "data": folder.resolve().name,
                    "passages": len(texts),
                    "windows": len(passages.vectors),
                    "sampled_windows": sample.samples,
                    "shrinkage": sample.shrinkage,
                    "queries": {split: len(dataset.queries) for split, dataset in datasets.items()},
                    "best_on_dev": str(best(scores["dev"]).candidate),
                    "smallest_on_dev": str(smallest(scores["dev"]).candidate),
                    "left_out": [str(error) for error in refused],
                    "scores": {split: [each.to_json() for each in rows] for split, rows in scores.items()},
                }
            )
        runtime = f"{session.runtime} {session.version} {session.precision}"
    return {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": model,
        "space_id": space,
        "encoded_with": runtime,
        "machine": machine(),
        "versions": {name: version(name) for name in ("numpy", "torch", "transformers", "onnxruntime", "openvino")},
        "sets": sets,
    }


def _section(found: Mapping[str, Any]) -> str:
    """One set's heading, table and what dev would have chosen, as markdown."""
    queries = found["queries"]
    lines = [
        f"### {found['data']}",
        "",
        f"{found['passages']} passages, {queries['dev']} dev and {queries['test']} test queries; fitted on "
        f"{found['sampled_windows']} of {found['windows']} windows, shrinkage {found['shrinkage']:.4f}.",
        "",
        "| transform | dims | bytes | nDCG@10 dev | change (p) | nDCG@10 test | change (p) | recall@100 test "
        "| effective rank | mean cosine |",
        "| --- " + "| ---: " * 9 + "|",
    ]
    for dev, test in zip(found["scores"]["dev"], found["scores"]["test"], strict=True):
        cells = [
            dev["transform"],
            dev["dims"],
            dev["bytes"],
            *(cell for each in (dev, test) for cell in (_figure(each["ndcg@10"]), _change(each["ndcg@10_change"]))),
            _figure(test["recall@100"]),
            f"{dev['effective_rank']:.0f}",
            f"{dev['mean_cosine']:.3f}",
        ]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    lines += [
        "",
        f"Chosen on dev: best is `{found['best_on_dev']}`, the smallest within one point is "
        f"`{found['smallest_on_dev']}`.",
    ]
    return "\n".join(lines)


def _figure(value: float) -> str:
    return f"{value:.4f}".lstrip("0")


def _change(change: Mapping[str, float] | None) -> str:
    return "" if change is None else f"{100 * change['mean']:+.2f} ({change['p_value']:.3f})"


if __name__ == "__main__":
    main()
