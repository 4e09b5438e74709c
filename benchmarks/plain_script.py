"""`samespace train DATA` beside the script that sentence-transformers' documentation shows, at no more wall time.

    python benchmarks/plain_script.py DATA --base MODEL --out benchmarks/results/plain_script.json

DATA holds sets in the BEIR layout. The plain script is one epoch over the pairs of train with in-batch negatives
(MultipleNegativesRankingLoss, no duplicates in a batch), batches of 16, and a rate of 2e-5 after a tenth of warm-up.
Ours gets the same pairs and the same base, and the seconds that the plain script took as its budget: what it tries on
development questions is in them. It leaves out what the script has no counterpart of, the doctor and the report. Both
are scored on test, which neither has seen; a set without one has its dev as test. The difference has a paired bootstrap
over the distinct questions.

Each run is a process of its own, for its time and its processor time. A set that the file has is not run again, so a
benchmark that was broken off goes on; --again forgets them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from loadgen.machine import command_line, machine
from samespace.cli.console import quiet_libraries, say, table
from samespace.evaluation import Dataset, DenseRanker, Evaluation, evaluate, load_dataset
from samespace.evaluation.significance import in_points
from samespace.exporting.fastest import fastest
from samespace.model.checkpoint import load_checkpoint
from samespace.training.scoring.outcome import Once, all_texts

SETS: Final = ("stackfaq", "scifact", "cranfield", "medquad", "covidqa_long")
BASE: Final = "sentence-transformers/all-MiniLM-L6-v2"
SPLITS: Final = ("train", "dev", "test")

_PLAIN: Final = """
import json, sys
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.losses import MultipleNegativesRankingLoss
from sentence_transformers.training_args import BatchSamplers
base, pairs, out = sys.argv[1:]
rows = Dataset.from_dict(json.load(open(pairs, encoding="utf-8")))
model = SentenceTransformer(base, device="cpu")
settings = SentenceTransformerTrainingArguments(
    output_dir=out + "-states", num_train_epochs=1, per_device_train_batch_size=16, learning_rate=2e-5,
    warmup_ratio=0.1, batch_sampler=BatchSamplers.NO_DUPLICATES, save_strategy="no", report_to=[], use_cpu=True,
)
SentenceTransformerTrainer(
    model=model, args=settings, train_dataset=rows, loss=MultipleNegativesRankingLoss(model)
).train()
model.save_pretrained(out)
"""
_OURS: Final = """
import sys
import samespace
data, base, out, budget, seed = sys.argv[1:]
keys = [f"base={base}", f"seed={seed}", "score_splits=[]"]
samespace.train(data, out, overrides=keys, budget_s=float(budget), doctor=False, say=print)
"""


def main() -> None:
    """Run every set that is not there yet, and write after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--base", default=BASE, help="model folder or hub name")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--pairs", type=int, default=3000, help="most training pairs, drawn from those of the set")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--again", action="store_true")
    arguments = parser.parse_args()
    quiet_libraries()
    fresh = arguments.again or not arguments.out.exists()
    record: dict[str, Any] = {"runs": []} if fresh else json.loads(arguments.out.read_text(encoding="utf-8"))
    for name in arguments.sets:
        if any((each["set"], each["seed"]) == (name, arguments.seed) for each in record["runs"]):
            continue
        record["runs"].append(_one_set(arguments, name))
        record |= {
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": command_line(),
            "machine": machine(),
            "versions": {
                each: version(each) for each in ("torch", "transformers", "sentence-transformers", "samespace")
            },
        }
        arguments.out.write_text(json.dumps(record) + "\n", encoding="utf-8")
    print(_shown(record))


def _one_set(arguments: argparse.Namespace, name: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="plain-", dir=arguments.out.parent) as scratch:
        work = Path(scratch)
        data = _smaller(arguments.data / name, work / name, arguments.pairs, arguments.seed)
        train = load_dataset(data, "train")
        texts = dict(zip(train.passage_ids, train.passages, strict=True))
        pairs = [
            (query, texts[passage])
            for query, own in zip(train.queries, train.query_ids, strict=True)
            for passage, grade in train.qrels[own].items()
            if grade > 0
        ]
        rows = work / "pairs.json"
        rows.write_text(json.dumps({"anchor": [q for q, _ in pairs], "positive": [p for _, p in pairs]}))
        say(f"{name}: {len(pairs)} pairs, the plain script")
        plain = _timed(_PLAIN, arguments.base, rows, work / "plain")
        say(f"{name}: ours, within {plain['seconds']:.0f} s")
        ours = _timed(_OURS, data, arguments.base, work / "ours", plain["seconds"], arguments.seed)
        test = load_dataset(data, "test")
        scores = {
            who: _score(folder, test)
            for who, folder in (("base", arguments.base), ("plain", work / "plain"), ("ours", work / "ours"))
        }
    entry: dict[str, Any] = {"set": name, "seed": arguments.seed, "pairs": len(pairs), "queries": len(test.queries)}
    entry |= {"base": {"ndcg@10": scores["base"].score.ndcg_10}}
    for who, run in (("plain", plain), ("ours", ours)):
        against = scores[who].against(scores["base"]).to_json()
        entry[who] = run | {"ndcg@10": scores[who].score.ndcg_10, "against_base": against}
    entry["ours_against_plain"] = scores["ours"].against(scores["plain"]).to_json()
    return entry


def _smaller(source: Path, folder: Path, most: int, seed: int) -> Path:
    """The set with at most *most* judgements of train, and a test split."""
    folder.mkdir()
    for each in ("corpus.jsonl", "queries.jsonl"):
        (folder / each).symlink_to((source / each).resolve())
    (folder / "qrels").mkdir()
    for split in SPLITS:
        if (source / "qrels" / f"{split}.tsv").exists():
            shutil.copy(source / "qrels" / f"{split}.tsv", folder / "qrels")
    if not (folder / "qrels" / "test.tsv").exists():
        (folder / "qrels" / "dev.tsv").rename(folder / "qrels" / "test.tsv")
    train = folder / "qrels" / "train.tsv"
    head, *lines = train.read_text(encoding="utf-8").splitlines()
    chosen = random.Random(seed).sample(lines, min(most, len(lines)))
    train.write_text("\n".join([head, *sorted(chosen)]) + "\n", encoding="utf-8")
    return folder


def _timed(code: str, *values: object) -> dict[str, float]:
    """Wall and processor seconds of *code* in a process of its own; its imports are in both."""
    began, used = time.monotonic(), os.times()
    subprocess.run([sys.executable, "-c", code, *map(str, values)], check=True)
    now = os.times()
    children = now.children_user + now.children_system - used.children_user - used.children_system
    return {"seconds": time.monotonic() - began, "processor_s": children}


def _score(folder: Path | str, test: Dataset) -> Evaluation:
    checkpoint = load_checkpoint(folder)
    with fastest(checkpoint, all_texts([test])) as (encoder, _):
        return evaluate(DenseRanker(Once(encoder)), test)


def _shown(record: Mapping[str, Any]) -> str:
    rows = []
    for each in record["runs"]:
        rows.append([
            each["set"], f"{each['base']['ndcg@10']:.3f}", f"{each['plain']['ndcg@10']:.3f}",
            f"{each['ours']['ndcg@10']:.3f}", in_points(each["ours_against_plain"]),
            f"{each['ours']['seconds'] / each['plain']['seconds']:.2f}",
        ])  # fmt: skip
    return table(["set", "base", "plain script", "samespace train", "difference, points", "time, ratio"], rows)


if __name__ == "__main__":
    main()
