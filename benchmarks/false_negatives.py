"""How well the doctor's suspicion of false negatives finds positives that were hidden from it.

    python benchmarks/false_negatives.py DATA_FOLDER... --encoder ARTIFACT --out benchmarks/results/false_negatives.json

Of each query with several judged answers only the first is told; the others are negatives, as unjudged answers are in
real sets. Two rules are compared at several margins: by the score alone (a negative within the margin of the positive),
and the doctor's, which also wants it nearer to the positive than the query is. Precision is a lower bound: what is
neither told nor hidden may still be an answer that nobody judged.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from samespace.cli.encoders import open_encoder
from samespace.evaluation.retrieval import Embedder
from samespace.training.data.examples import Examples, join
from samespace.training.data.sources import load_data
from samespace.training.doctor.false_negatives import suspicions
from samespace.vectors import Vectors

MARGINS = (0.0, 0.05, 0.1)


class Remembering:
    """An encoder that encodes each list of texts once."""

    def __init__(self, encoder: Embedder) -> None:
        self.encoder, self.name, self.space_id = encoder, encoder.name, encoder.space_id
        self._known: dict[tuple[str, tuple[str, ...]], Vectors] = {}

    def encode(self, texts: Sequence[str], role: Any, *, progress: Any = None) -> Vectors:
        key = (role, tuple(texts))
        if key not in self._known:
            self._known[key] = self.encoder.encode(texts, role)
        return self._known[key]


def main() -> None:
    """Run everything and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    with open_encoder(arguments.encoder) as encoder:
        rows = [row for folder in arguments.data for row in _measured(folder, Remembering(encoder))]
        record = {
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "encoder": encoder.space_id,
            "rows": rows,
        }
    arguments.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"written: {arguments.out}")


def _measured(folder: Path, encoder: Remembering) -> list[dict[str, Any]]:
    told, hidden = _halved(join(list(load_data(folder).splits.values())))
    rows = []
    for margin in MARGINS:
        doctor = {(each.query, each.negative) for each in suspicions(told, told, encoder, margin)[0]}
        for rule, found in (("doctor", doctor), ("score alone", _by_score(told, encoder, margin))):
            right = len(found & hidden)
            rows.append(
                {
                    "data": folder.resolve().name,
                    "rule": rule,
                    "margin": margin,
                    "queries": len(told),
                    "hidden": len(hidden),
                    "suspected": len(found),
                    "right": right,
                    "precision": round(right / max(1, len(found)), 3),
                    "recall": round(right / max(1, len(hidden)), 3),
                }
            )
            print(rows[-1])
    return rows


def _halved(examples: Examples) -> tuple[Examples, set[tuple[str, str]]]:
    """The first example of each query with several, every other passage as its negative; and which are answers."""
    texts = dict(zip(examples.passage_ids, examples.passages, strict=True))
    answers: dict[str, list[int]] = {}
    for row, query in enumerate(examples.query_ids):
        answers.setdefault(query, []).append(row)
    several = [rows for rows in answers.values() if len(rows) > 1]
    told = examples.rows([rows[0] for rows in several])
    names = tuple(tuple(name for name in texts if name != positive) for positive in told.passage_ids)
    hidden = {(examples.query_ids[row], examples.passage_ids[row]) for rows in several for row in rows[1:]}
    columns = {
        name: getattr(told, name) for name in ("queries", "passages", "labels", "weights", "query_ids", "passage_ids")
    }
    negatives = tuple(tuple(texts[name] for name in each) for each in names)
    return Examples(**columns, negatives=negatives, negative_ids=names), hidden


def _by_score(told: Examples, encoder: Remembering, margin: float) -> set[tuple[str, str]]:
    texts: dict[str, str] = {}
    for negatives, names in zip(told.negatives, told.negative_ids, strict=True):
        texts.update(zip(names, negatives, strict=True))
    texts.update(zip(told.passage_ids, told.passages, strict=True))
    names = list(texts)
    place = {name: row for row, name in enumerate(names)}
    queries = np.asarray(encoder.encode(list(told.queries), "query"))
    passages = np.asarray(encoder.encode(list(texts.values()), "passage"))
    found = set()
    for row, (query, positive) in enumerate(zip(told.query_ids, told.passage_ids, strict=True)):
        scores = passages @ queries[row]
        near = np.flatnonzero(scores >= scores[place[positive]] - margin)
        found |= {(query, names[each]) for each in near if names[each] != positive}
    return found


if __name__ == "__main__":
    main()
