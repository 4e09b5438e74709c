"""What can be had without labels, as vectors first and then learned, on the questions that people asked.

    python benchmarks/imitation.py DATA --out benchmarks/results/imitation.json --sets stackfaq
    python benchmarks/imitation.py DATA --out benchmarks/results/imitation.json --sets stackfaq --teacher FOLDER

Base, teacher and wanted vectors (`training.imitating`) rank each set's passages; then the base learns the wanted
vectors of the documents that `adapt` trains on, or of --all, and is asked again, whole and mixed half with the base.
Questions are only asked, never learned. Texts are cut at 128 tokens, for the teacher at --read, and computed in bf16.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from loadgen.machine import machine
from samespace.cli.console import quiet_libraries, say
from samespace.evaluation import Dataset, VectorRanker, evaluate, load_dataset, paired_bootstrap, splits
from samespace.evaluation.significance import in_points
from samespace.model.checkpoint import load_checkpoint
from samespace.progress import silent
from samespace.text import TextEncoder
from samespace.training.adapting.bench import Yardstick
from samespace.training.adapting.course import cutter
from samespace.training.adapting.distill import imitation_rows
from samespace.training.adapting.documents import read_documents
from samespace.training.adapting.heldout import hold_out
from samespace.training.adapting.stage import Stage, Workshop, reading
from samespace.training.finetuning.encoding import encode
from samespace.training.finetuning.loop import fit
from samespace.training.finetuning.model import load_plain, mixtures
from samespace.training.imitating.alignment import Alignment
from samespace.training.imitating.neighbours import drawn_together
from samespace.training.imitating.vector_table import VectorTable
from samespace.vectors import Float32

BASE: Final = "sentence-transformers/all-MiniLM-L6-v2"
SHARES: Final = (1.0, 0.5)
Vectors = dict[str, Float32]


def main() -> None:
    """One run a set; what the file has of the same set and teacher is replaced."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["stackfaq", "cranfield"])
    parser.add_argument("--teacher", default="", help="model folder or hub name of a larger encoder")
    parser.add_argument("--read", type=int, default=64, help="tokens of a passage that the teacher reads")
    parser.add_argument("--neighbours", type=float, default=0.25)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--all", action="store_true", help="learn of all documents")
    arguments = parser.parse_args()
    quiet_libraries()
    record = json.loads(arguments.out.read_text(encoding="utf-8")) if arguments.out.exists() else {"runs": []}
    for name in arguments.sets:
        run = Imitation(arguments, name).run()
        same = ("set", "teacher", "all", "neighbours", "steps")
        others = [each for each in record["runs"] if any(each[key] != run[key] for key in same)]
        record = {"runs": [*others, run], "written": datetime.now(UTC).isoformat(timespec="seconds"),
                  "machine": machine()}  # fmt: skip
        arguments.out.write_text(json.dumps(record) + "\n", encoding="utf-8")
    print(table(record))


class Imitation:
    """One set."""

    def __init__(self, arguments: argparse.Namespace, name: str) -> None:
        self.arguments, self.name = arguments, name
        self.encoders = reading(load_checkpoint(BASE))
        folder = arguments.data / name
        cut = cutter(self.encoders)
        self.asked = {split: load_dataset(folder, split) for split in splits(folder) if split != "train"}
        first = next(iter(self.asked.values()))
        self.passages = list(cut(first.passages))
        self.library = read_documents(folder)
        self.began = time.perf_counter()

    def run(self) -> dict[str, Any]:
        """Rank, learn, rank again."""
        queries = list(dict.fromkeys(text for each in self.asked.values() for text in each.queries))
        rows = self._rows()
        texts_q = list(dict.fromkeys([*queries, *(row["query"] for row in rows)]))
        texts_p = list(dict.fromkeys([*self.passages, *(row["passage"] for row in rows)]))
        base = load_plain(BASE)
        ours = self._encoded(base, self.encoders, texts_q, texts_p)
        self._tell("the base has read")
        wanted, scored = ours, {"base": self._scores(ours, queries, texts_q, texts_p)}
        if self.arguments.teacher:
            checkpoint = load_checkpoint(self.arguments.teacher)
            limits = {"query": 64, "passage": self.arguments.read}
            theirs_read = {
                role: TextEncoder(each.tokenizer, replace(each.recipe, token_limit=limits[role], window_overlap=0))
                for role, each in reading(checkpoint).items()
            }
            theirs = self._encoded(load_plain(self.arguments.teacher), theirs_read, texts_q, texts_p)
            self._tell("the teacher has read")
            scored["teacher"] = self._scores(theirs, queries, texts_q, texts_p)
            alignment = Alignment.between(np.concatenate(list(theirs.values())), np.concatenate(list(ours.values())))
            wanted = {side: alignment.mixed(theirs[side], ours[side]) for side in ours}
            scored["base and teacher"] = self._scores(wanted, queries, texts_q, texts_p)
        drawn = {"q": wanted["q"], "p": drawn_together(wanted["p"], self.arguments.neighbours)}
        scored["wanted"] = self._scores(drawn, queries, texts_q, texts_p)
        self._tell(str({who: {split: round(float(each.mean()), 4) for split, each in kinds.items()}
                        for who, kinds in scored.items()}))  # fmt: skip
        learned, seconds = self._learned(rows, VectorTable.of(texts_q, drawn["q"], texts_p, drawn["p"]))
        for share, model in mixtures(learned, base, SHARES):
            made = self._encoded(model, self.encoders, queries, self.passages)
            scored[f"learned, blend {share:g}"] = self._scores(made, queries, queries, self.passages)
        return {
            "set": self.name,
            "teacher": Path(self.arguments.teacher).name,
            **{key: getattr(self.arguments, key) for key in ("all", "neighbours", "steps", "rate", "read")},
            "documents": len(self.library.documents),
            "texts_learned": len({row["passage"] for row in rows}),
            "training_s": seconds,
            "total_s": time.perf_counter() - self.began,
            "scores": {who: {split: float(each.mean()) for split, each in kinds.items()}
                       for who, kinds in scored.items()},
            "versus_base": {
                who: {split: paired_bootstrap(each, scored["base"][split]).to_json() for split, each in kinds.items()}
                for who, kinds in scored.items() if who != "base"
            },
        }  # fmt: skip

    def _rows(self) -> list[dict[str, Any]]:
        held = hold_out(self.library)
        sections = {
            (place, number): section.text
            for place, (document, part) in enumerate(zip(self.library.documents, held.parts, strict=True))
            if part == "train" or self.arguments.all
            for number, section in enumerate(document.sections)
        }
        return imitation_rows(sections, held.train, self.encoders)[: self.arguments.steps * 32]

    def _encoded(self, model: Any, encoders: Mapping[Any, Any], queries: list[str], passages: list[str]) -> Vectors:
        return {
            "q": encode(model, encoders["query"], queries, "query", bf16=True),
            "p": encode(model, encoders["passage"], passages, "passage", bf16=True),
        }

    def _scores(self, vectors: Vectors, queries: list[str], texts_q: list[str], texts_p: list[str]) -> dict[str, Any]:
        row_q, row_p = ({text: row for row, text in enumerate(texts)} for texts in (texts_q, texts_p))
        p = vectors["p"][[row_p[text] for text in self.passages]]
        return {split: self._ndcg(vectors["q"][[row_q[text] for text in each.queries]], p, each)
                for split, each in self.asked.items()}  # fmt: skip

    def _ndcg(self, q: Float32, p: Float32, dataset: Dataset) -> Any:
        return evaluate(VectorRanker("model", q, p), dataset).per_query["ndcg@10"]

    def _learned(self, rows: list[dict[str, Any]], guide: VectorTable) -> tuple[Any, float]:
        with tempfile.TemporaryDirectory(prefix="imitation-") as work:
            file = Path(work) / "guide.npz"
            guide.write(file)
            shop = Workshop(BASE, Path(work), Yardstick({}), self.encoders, 1, silent, precision="bf16")
            stage = Stage("imitate", rows, {"loss": "imitate", "guide": str(file)}, self.arguments.rate)
            setup, began = shop.prepared(BASE, stage), time.perf_counter()
            history = fit(setup.plan(self.arguments.rate, steps=self.arguments.steps))
            self._tell(f"loss {history.losses[0]:.3f} to {np.mean(history.losses[-5:]):.3f}")
            return deepcopy(setup.model), time.perf_counter() - began

    def _tell(self, what: str) -> None:
        say(f"{time.perf_counter() - self.began:.0f} s, {self.name}: {what}")


def table(record: Mapping[str, Any]) -> str:
    """Markdown: a row a set, ranker and split."""
    lines = ["| set | teacher | ranker | split | nDCG@10 | points against the base (95 %) |", "| --- " * 6 + "|"]
    for run in record["runs"]:
        for who, kinds in run["scores"].items():
            for split, score in kinds.items():
                against = run["versus_base"].get(who, {}).get(split)
                cells = [run["set"], run["teacher"] or "none", who, split, f"{score:.3f}"]
                lines.append(f"| {' | '.join([*cells, in_points(against) if against else ''])} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
