"""The story of a head that learned nothing, told in numbers: what went wrong, who noticed, and what helps.

    python benchmarks/collapse.py ENCODER DATA --out benchmarks/results/collapse.json \\
        --page benchmarks/results/collapse.md

ENCODER is an artifact or a model; DATA a folder in the BEIR layout with train, dev and test splits. All heads are
trained on the same frozen vectors and the same pairs. Without ENCODER and DATA the page's table and the picture beside
it are written anew from the JSON.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

from loadgen.machine import machine
from samespace.cli.console import progress, quiet_libraries
from samespace.evaluation import Bm25Ranker, VectorRanker, evaluate, paired_bootstrap
from samespace.heads import Heads
from samespace.training.heads.choice import alarms, score
from samespace.training.heads.config import HeadConfig
from samespace.training.heads.data import HeadData, of_texts
from samespace.training.heads.frozen import FrozenEncoder, default_cache, open_frozen
from samespace.training.heads.run import train_head

BEGIN, END = "<!-- table: written by benchmarks/collapse.py -->", "<!-- end of table -->"
INSTRUCTIONS: Final = (
    "Represent this sentence for searching relevant passages: ",
    "Given a question about a web application, retrieve the answer that solves it: ",
)
MISTAKE: Final = HeadConfig(kind="mlp", start="random", loss="cosine_mse", rate=1e-5, epochs=1)
"""What one writes first: layers as torch initialises them, (cosine - label)^2, and the rate of full fine-tuning."""
LADDER: Final = dataclasses.replace(MISTAKE, rate=0.0)
HEADS: Final[Mapping[str, HeadConfig]] = {
    "the mistake": MISTAKE,
    "the rate that the alarm names": LADDER,
    "the same loss, started as the encoder": HeadConfig(loss="cosine_mse"),
    "InfoNCE, started as the encoder": HeadConfig(),
}
_BINS: Final = np.linspace(-0.4, 1.0, 57)


def main() -> None:
    """Run everything, write one JSON, and put its table and picture into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder", nargs="?")
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--cache", type=Path, default=None)
    arguments = parser.parse_args()
    if arguments.encoder:
        record = run(arguments.encoder, arguments.data, arguments.cache or default_cache())
        arguments.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        print(f"written: {arguments.out}")
    if arguments.page:
        record = json.loads(arguments.out.read_text(encoding="utf-8"))
        before, _, rest = arguments.page.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        arguments.page.write_text(f"{before}{BEGIN}\n\n{table(record)}\n\n{END}{after}", encoding="utf-8")
        picture = arguments.page.with_suffix(".svg")
        picture.write_text(svg(record), encoding="utf-8")
        print(f"written: {arguments.page}, {picture}")


def run(encoder: str, folder: Path, cache: Path) -> dict[str, Any]:
    """Everything that the page tells, as plain values."""
    quiet_libraries()
    frozen = open_frozen(encoder, cache=cache)
    data = of_texts(folder, {"query": frozen, "passage": frozen}, progress)
    base = {split: score(data, split, None).per_query["ndcg@10"] for split in data.splits}
    rows = [
        {"name": "BM25", "scores": _means({name: evaluate(Bm25Ranker(), each.dataset).per_query["ndcg@10"]
                                           for name, each in data.splits.items()}, base)},
        {"name": "the encoder, untouched", "scores": _means(base, base), "cosines": _cosines(data, None)},
        *({"name": f"untouched, queries begin with {each!r}", "scores": _means(_prompted(frozen, data, each), base)}
          for each in INSTRUCTIONS),
    ]  # fmt: skip
    for name, config in HEADS.items():
        trained = train_head(data, config, progress)
        taken, last = trained.taken, trained.taken.best
        if config in (MISTAKE, LADDER):
            # Both are judged by what they end with, and the ladder by its loss: that is how the story goes, and
            # the development split, which would have taken another state, is in the table.
            taken = min(trained.tried, key=lambda each: each.measured[-1].loss)
            last = len(taken.states) - 1
        heads = taken.states[last].heads
        alarm = trained.alarm if len(trained.tried) == 1 else alarms(trained.tried)[trained.tried.index(taken)]
        scores = {split: score(data, split, heads).per_query["ndcg@10"] for split in data.splits}
        rows.append(
            {
                "name": name,
                "config": dict(config.to_json()),
                "rate": taken.rate,
                "steps": taken.states[-1].step,
                "taken_step": taken.states[last].step,
                "trivial_loss": trained.trivial,
                "measured": [each.to_json() for each in taken.measured],
                "alarm": None if alarm is None else str(alarm),
                "measured_at": last,
                "ladder": [
                    {"rate": each.rate, "dev_ndcg@10": each.score, "end": each.measured[-1].to_json()}
                    for each in trained.tried
                ],
                "scores": _means(scores, base),
                "cosines": _cosines(data, heads),
            }
        )
    return {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "encoder": frozen.name,
        "space_id": frozen.space_id,
        "data": dict(data.record),
        "queries": {name: len(each.dataset.queries) for name, each in data.splits.items()},
        "machine": machine(),
        "versions": {name: version(name) for name in ("numpy", "torch", "onnxruntime")},
        "bins": [round(float(each), 4) for each in _BINS],
        "rows": rows,
    }


def _means(found: Mapping[str, np.ndarray], base: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """nDCG@10 of each split, and its change against the untouched encoder."""
    return {
        split: {"ndcg@10": float(values.mean()), "change": paired_bootstrap(values, base[split]).to_json()}
        for split, values in found.items()
    }


def _prompted(frozen: FrozenEncoder, data: HeadData, instruction: str) -> dict[str, np.ndarray]:
    """Each query's nDCG@10 with the instruction in front of it; passages stay as they are."""
    passages = data.passages.pooled()
    found = {}
    for name, split in data.splits.items():
        queries = frozen.embed([instruction + text for text in split.dataset.queries], "query").pooled()
        found[name] = evaluate(VectorRanker("prompted", queries, passages), split.dataset).per_query["ndcg@10"]
    return found


def _cosines(data: HeadData, heads: Heads | None) -> dict[str, Any]:
    """How the cosines of test queries are spread: with their right answers, and with random other passages."""
    queries, passages = data.pooled("test", heads)
    cosines = queries @ passages.T
    dataset = data.splits["test"].dataset
    rows = {name: row for row, name in enumerate(dataset.passage_ids)}
    right = np.zeros(cosines.shape, dtype=bool)
    for query, name in enumerate(dataset.query_ids):
        for passage, grade in dataset.qrels[name].items():
            right[query, rows[passage]] = grade > 0
    kinds = {"right": cosines[right], "other": cosines[~right]}
    return {
        name: {
            "mean": float(values.mean()),
            "spread": float(values.std()),
            "share": (np.histogram(np.clip(values, _BINS[0], _BINS[-1]), _BINS)[0] / len(values)).round(5).tolist(),
        }
        for name, values in kinds.items()
    }


def table(record: Mapping[str, Any]) -> str:
    """The page's table, as markdown."""
    lines = [
        "| | rate | nDCG@10 dev | test | against the untouched (p) | cosine, right | other | loss / trivial "
        "| what the sentinel says |",
        "| --- " + "| ---: " * 7 + "| --- |",
    ]
    for row in record["rows"]:
        change = row["scores"]["test"]["change"]
        cells = [
            row["name"],
            f"{row['rate']:g}" if "rate" in row else "",
            *(f"{row['scores'][split]['ndcg@10']:.4f}".lstrip("0") for split in ("dev", "test")),
            "" if row["name"] == "the encoder, untouched" else f"{100 * change['mean']:+.2f} ({change['p_value']:.4f})",
            *(_spread(row["cosines"][kind]) if "cosines" in row else "" for kind in ("right", "other")),
            _loss(row) if "measured" in row else "",
            (row["alarm"] or "nothing") if "measured" in row else "",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _loss(row: Mapping[str, Any]) -> str:
    found = row["measured"][row["measured_at"]]
    return f"{found['loss']:.3f} / {found['trivial']:.3f}"


def _spread(kind: Mapping[str, float]) -> str:
    return f"{kind['mean']:.2f} ± {kind['spread']:.2f}"


def svg(record: Mapping[str, Any]) -> str:
    """Histograms of cosines, one above the other: of right answers and of other passages."""
    rows = [row for row in record["rows"] if "cosines" in row]
    edges, width, height, left = record["bins"], 760, 96, 250
    scale = (width - left - 20) / (edges[-1] - edges[0])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height * len(rows) + 56}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height * len(rows) + 56}" fill="#ffffff"/>',
    ]
    for number, row in enumerate(rows):
        bottom = height * (number + 1)
        most = max(max(kind["share"]) for kind in row["cosines"].values())
        score_text = f"nDCG@10 {row['scores']['test']['ndcg@10']:.3f}"
        parts.append(f'<text x="8" y="{bottom - 40}">{row["name"]}</text>')
        parts.append(f'<text x="8" y="{bottom - 22}" fill="#555555">{score_text}</text>')
        for kind, colour, dash in (("other", "#8a8a8a", "4 2"), ("right", "#0a63b0", "")):
            path = _steps(row["cosines"][kind]["share"], edges, left, scale, bottom, (height - 22) / most)
            parts.append(
                f'<path d="{path}" fill="{colour}" fill-opacity="0.25" stroke="{colour}" stroke-dasharray="{dash}"/>'
            )
        parts.append(f'<path d="M{left} {bottom}H{width - 20}" stroke="#333333"/>')
    bottom = height * len(rows)
    for tick in (-0.4, -0.2, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        at = left + (tick - edges[0]) * scale
        parts.append(f'<text x="{at:.1f}" y="{bottom + 17}" text-anchor="middle">{tick:g}</text>')
    parts.append(
        f'<text x="{left}" y="{bottom + 42}">cosine of a test query with '
        '<tspan fill="#0a63b0">its right answers (solid)</tspan> and '
        '<tspan fill="#555555">other passages (dashed)</tspan></text></svg>'
    )
    return "\n".join(parts) + "\n"


def _steps(
    shares: Sequence[float], edges: Sequence[float], left: float, scale: float, bottom: float, tall: float
) -> str:
    """An outline of a histogram as an SVG path."""
    points = [f"M{left:.1f} {bottom}"]
    for share, low, high in zip(shares, edges, edges[1:], strict=False):
        top = bottom - share * tall
        points.append(f"L{left + (low - edges[0]) * scale:.1f} {top:.1f}H{left + (high - edges[0]) * scale:.1f}")
    return "".join([*points, f"V{bottom}Z"])


if __name__ == "__main__":
    main()
