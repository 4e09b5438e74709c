"""Can questions that are made of documents be trusted? A ranker that is better on them may be worse on people's.

    python benchmarks/made_up.py DATA --out benchmarks/results/made_up.json --sets stackfaq cranfield
    python benchmarks/made_up.py DATA --out benchmarks/results/made_up.json --sets stackfaq --steps 24

Base, BM25, both together and the mixtures that `adapt` chooses from (`adapting.fusion`) answer the made-up questions of
each set, and those that people asked; each kind also by thirds of how many words a question shares with its answers.
With --steps the base also learns the order of both together (loss "listwise"), and is asked again. 128 tokens of each
passage are read.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from loadgen.machine import machine
from samespace.cli.console import quiet_libraries, say
from samespace.evaluation import Bm25Ranker, Dataset, VectorRanker, evaluate, load_dataset, paired_bootstrap, splits
from samespace.evaluation.baselines import tokenized
from samespace.evaluation.metrics import ndcg
from samespace.evaluation.significance import in_points
from samespace.model.checkpoint import load_checkpoint
from samespace.progress import silent
from samespace.training.adapting.bench import Yardstick
from samespace.training.adapting.course import cutter
from samespace.training.adapting.distill import asked, mine
from samespace.training.adapting.documents import Library, read_documents
from samespace.training.adapting.fusion import MIXTURES, Mixture, fused
from samespace.training.adapting.heldout import HeldOut, hold_out
from samespace.training.adapting.stage import Stage, Workshop, reading
from samespace.training.finetuning.encoding import encode
from samespace.training.finetuning.loop import fit
from samespace.training.finetuning.model import blend, load_plain
from samespace.vectors import Float32

BASE: Final = "sentence-transformers/all-MiniLM-L6-v2"
PerQuery = Mapping[str, npt.NDArray[np.float64]]


def main() -> None:
    """Ask everybody, set by set, and write after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["stackfaq", "cranfield", "scifact"])
    parser.add_argument("--steps", type=int, default=0, help="of learning from both together; 0 for none")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16")
    arguments = parser.parse_args()
    quiet_libraries()
    record = json.loads(arguments.out.read_text(encoding="utf-8")) if arguments.out.exists() else {"sets": {}}
    for name in arguments.sets:
        record["sets"][name] = _one(Asking.of(arguments.data / name, arguments.precision), arguments.steps)
        record |= {"written": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine()}
        arguments.out.write_text(json.dumps(record) + "\n", encoding="utf-8")
    print(table(record))


@dataclass(frozen=True)
class Asking:
    """The questions of one set: "asked dev" of people, "made test openings" and such of documents."""

    library: Library
    held: HeldOut
    questions: Mapping[str, Dataset]
    encoders: Any
    bf16: bool

    @staticmethod
    def of(folder: Path, precision: str) -> Asking:
        """Read the set in *folder*."""
        library = read_documents(folder)
        held, encoders = hold_out(library), reading(load_checkpoint(BASE))
        cut = cutter(encoders)
        named = {f"asked {split}": load_dataset(folder, split) for split in splits(folder) if split != "train"}
        for part, kinds in held.questions.items():
            named |= {f"made {part} {kind}": dataset for kind, dataset in kinds.items()}
        ready = {name: replace(each, passages=tuple(cut(each.passages))) for name, each in named.items()}
        return Asking(library, held, ready, encoders, precision == "bf16")

    def vectors(self, model: Any) -> dict[str, tuple[Float32, Float32]]:
        """Of the queries and passages of each kind; each text is encoded once."""
        queries, passages = (
            list(dict.fromkeys(text for each in self.questions.values() for text in getattr(each, name)))
            for name in ("queries", "passages")
        )
        q = encode(model, self.encoders["query"], queries, "query", bf16=self.bf16)
        p = encode(model, self.encoders["passage"], passages, "passage", bf16=self.bf16)
        row_q, row_p = ({text: row for row, text in enumerate(texts)} for texts in (queries, passages))
        return {
            name: (q[[row_q[text] for text in each.queries]], p[[row_p[text] for text in each.passages]])
            for name, each in self.questions.items()
        }

    def scores(self, vectors: Mapping[str, tuple[Float32, Float32]]) -> PerQuery:
        """nDCG@10 of vectors."""
        return {
            name: evaluate(VectorRanker("model", *vectors[name]), each).per_query["ndcg@10"]
            for name, each in self.questions.items()
        }


def _one(asking: Asking, steps: int) -> dict[str, Any]:
    model = load_plain(BASE)
    vectors = asking.vectors(model)
    words = {name: evaluate(Bm25Ranker(), each) for name, each in asking.questions.items()}
    found: dict[str, PerQuery] = {
        "base": asking.scores(vectors),
        "bm25": {name: each.per_query["ndcg@10"] for name, each in words.items()},
        "together": {
            name: _together(each, *vectors[name], words[name].run.rows, words[name].run.scores)
            for name, each in asking.questions.items()
        },
    }
    for mixture in MIXTURES[1:]:
        found[f"base + {mixture}"] = {
            name: _ranked(each, mixture.scores(*vectors[name], words[name].run))
            for name, each in asking.questions.items()
        }
    if steps:
        learned = _learned(asking, model, steps)
        for share in (1.0, 0.5):
            mixed = deepcopy(learned)
            if share < 1:
                blend(mixed, load_plain(BASE), share)
            found[f"learned, blend {share:g}"] = asking.scores(asking.vectors(mixed))
    shared = {name: _shared(each) for name, each in asking.questions.items()}
    say(str({who: {name: round(float(each.mean()), 3) for name, each in per.items()} for who, per in found.items()}))
    return {
        "steps": steps,
        "scores": {who: {name: float(each.mean()) for name, each in per.items()} for who, per in found.items()},
        "versus_base": {
            who: {name: _thirds(per[name], found["base"][name], shared[name]) for name in per}
            for who, per in found.items()
            if who != "base"
        },
    }


def _together(
    dataset: Dataset, q: Float32, p: Float32, rows: npt.NDArray[np.int64], scores: Float32
) -> npt.NDArray[np.float64]:
    both = [fused(q[query] @ p.T, rows[query], scores[query]) for query in range(len(q))]
    return _ranked(dataset, np.stack(both))


def _ranked(dataset: Dataset, scores: Float32) -> npt.NDArray[np.float64]:
    grades = np.zeros((len(scores), 10))
    for query, name in enumerate(dataset.query_ids):
        order = np.argsort(-scores[query], kind="stable")[:10]
        grades[query, : len(order)] = [dataset.qrels[name].get(dataset.passage_ids[row], 0) for row in order]
    return ndcg(grades, [dataset.judged(name) for name in dataset.query_ids], 10)


def _learned(asking: Asking, model: Any, steps: int) -> Any:
    texts = {
        (place, number): section.text
        for place, (document, part) in enumerate(zip(asking.library.documents, asking.held.parts, strict=True))
        if part == "train"
        for number, section in enumerate(document.sections)
    }
    lists = mine(
        asked(asking.held.train, 600),
        texts,
        lambda some, role: encode(model, asking.encoders[role], some, role, bf16=asking.bf16),
        asking.encoders,
    )
    with tempfile.TemporaryDirectory(prefix="made-up-") as work:
        taught = Path(work) / "teacher.npz"
        lists.table("both", Mixture(1.0), lists.q, lists.p).write(taught)
        settings = {"loss": "listwise", "teacher": str(taught), "teacher_temperature": 0.05, "negatives": 1}
        settings |= {"batch_size": 24, "mini_batch_size": 48}
        shop = Workshop(BASE, Path(work), Yardstick({}), asking.encoders, 1, silent)
        setup = shop.prepared(BASE, Stage("lists", lists.rows(), settings, 5e-5))
        fit(setup.plan(5e-5, steps=steps))
        return setup.model


def _shared(dataset: Dataset) -> npt.NDArray[np.float64]:
    """(questions,): share of a question's stems that its answers have."""
    place = {name: row for row, name in enumerate(dataset.passage_ids)}
    answers = [
        " ".join(dataset.passages[place[name]] for name in dataset.qrels[query] if name in place)
        for query in dataset.query_ids
    ]
    stems = zip(tokenized(dataset.queries, return_ids=False), tokenized(answers, return_ids=False), strict=True)
    return np.array([len(set(q) & set(p)) / max(1, len(set(q))) for q, p in stems])


def _thirds(
    new: npt.NDArray[np.float64], base: npt.NDArray[np.float64], shared: npt.NDArray[np.float64]
) -> dict[str, Any]:
    order, third = np.argsort(shared, kind="stable"), len(shared) // 3
    parts = {"all": order, "fewest shared words": order[:third], "most shared words": order[-third:]}
    return {
        name: paired_bootstrap(new[rows], base[rows]).to_json() | {"shared": float(shared[rows].mean())}
        for name, rows in parts.items()
    }


def table(record: Mapping[str, Any]) -> str:
    """Markdown: points against the base, a row a set and ranker, made-up and asked questions beside each other."""
    lines = ["| set | ranker | questions | base | points (95 %) | fewest shared words | most shared words |"]
    lines.append("| --- " * 7 + "|")
    for name, one in record["sets"].items():
        for who, kinds in one["versus_base"].items():
            for kind, parts in kinds.items():
                cells = [in_points(parts[part]) for part in ("all", "fewest shared words", "most shared words")]
                lines.append(f"| {name} | {who} | {kind} | {one['scores']['base'][kind]:.3f} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
