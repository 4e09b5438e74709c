"""What domain vocabulary and pretraining are worth: MiniLM on medquad, before and after a short fine-tuning.

    python benchmarks/vocabulary.py DATA/medquad --out benchmarks/results/vocabulary.json

Four encoders: the base, with domain terms, pretrained on masked tokens, and with terms and pretrained; each as it is
and fine-tuned for the same few steps. Scored on the dev split by nDCG@10 over the first 128 tokens of each text, on all
relevant passages of the split and others spread evenly over the corpus, --passages in all: numbers of a smaller corpus,
to compare with each other and nothing else. Differences have a paired bootstrap over the queries; one seed.

What the file has already is not run again, so a benchmark that was broken off goes on; models are kept in --models.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from samespace.cli.console import progress, quiet_libraries, say, table
from samespace.evaluation import Bm25Ranker, Dataset, DenseRanker, evaluate, load_dataset, paired_bootstrap
from samespace.evaluation.significance import in_points
from samespace.model.checkpoint import Overrides, load_checkpoint
from samespace.model.hub import MINILM
from samespace.text import Role
from samespace.training.finetuning.config import read_config
from samespace.training.finetuning.encoding import encode
from samespace.training.finetuning.model import load_plain
from samespace.training.finetuning.trainer import train
from samespace.training.pretraining.domain import DomainTexts, read_domain
from samespace.training.pretraining.run import PretrainingSettings, pretrain
from samespace.training.scoring.record import versions
from samespace.training.vocabulary.extension import extend
from samespace.vectors import Vectors

RECIPE: Final = Path(__file__).resolve().parents[1] / "recipes" / "medquad.toml"
TOKENS: Final = 128
PATHS: Final = ("base", "base + terms", "base + mlm", "base + terms + mlm")
TUNED: Final = ", fine-tuned"


class FirstTokens:
    """An encoder that sees the first tokens of a text, as training does."""

    def __init__(self, folder: str) -> None:
        checkpoint = load_checkpoint(folder, Overrides(token_limit=TOKENS, window_overlap=0))
        self._model, self._texts = load_plain(folder), checkpoint.text_encoder
        self.name, self.space_id = folder, checkpoint.identity.space_id()

    def encode(self, texts: Sequence[str], role: Role, *, progress: Any = None) -> Vectors:
        """Unit vectors, (texts, dim)."""
        return Vectors(encode(self._model, self._texts, texts, role), self.space_id)


def main() -> None:
    """Run what is not in the file yet, and write after each encoder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=Path("models/vocabulary"))
    parser.add_argument("--base", default=MINILM)
    parser.add_argument("--passages", type=int, default=4000)
    parser.add_argument("--terms", type=int, default=500)
    parser.add_argument("--mlm-steps", type=int, default=300)
    parser.add_argument("--tune-steps", type=int, default=60, help="0 leaves fine-tuning out")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--runs", nargs="+", default=list(PATHS), choices=PATHS)
    arguments = parser.parse_args()
    quiet_libraries()
    record: dict[str, Any] = json.loads(arguments.out.read_text()) if arguments.out.exists() else {"runs": {}}
    dataset, domain = smaller(load_dataset(arguments.data, "dev"), arguments.passages), read_domain(arguments.data)
    settings = {
        key: getattr(arguments, key) for key in ("base", "passages", "terms", "mlm_steps", "tune_steps", "batch_size")
    }
    if record.get("settings", settings) != settings:
        raise SystemExit(f"{arguments.out} is of other settings: {record['settings']}")
    record |= {
        "settings": settings,
        "tokens": TOKENS,
        "passages": len(dataset.passages),
        "queries": len(dataset.queries),
    }
    if "bm25" not in record["runs"]:
        record["runs"]["bm25"] = row(evaluate(Bm25Ranker(), dataset))
    for run in arguments.runs:
        for name in (run, run + TUNED) if arguments.tune_steps else (run,):
            if name in record["runs"]:
                continue
            say(name)
            began = time.perf_counter()
            folder, said = made(name, arguments, domain)
            made_s, began = time.perf_counter() - began, time.perf_counter()
            found = row(evaluate(DenseRanker(FirstTokens(folder)), dataset))
            record["runs"][name] = found | said | {
                "made_s": round(made_s, 1), "scored_s": round(time.perf_counter() - began, 1)
            }  # fmt: skip
            compare(record)
            record |= {"written": datetime.now(UTC).isoformat(timespec="seconds"), "versions": versions()}
            arguments.out.parent.mkdir(parents=True, exist_ok=True)
            arguments.out.write_text(json.dumps(record) + "\n", encoding="utf-8")
    print(shown(record))


def smaller(dataset: Dataset, passages: int) -> Dataset:
    """*dataset* with all relevant passages of its queries, and others, evenly spread, up to *passages*."""
    right = {name for graded in dataset.qrels.values() for name, grade in graded.items() if grade > 0}
    others = [place for place, name in enumerate(dataset.passage_ids) if name not in right]
    spread = np.linspace(0, len(others) - 1, max(0, min(passages - len(right), len(others)))).astype(int)
    kept = {others[place] for place in spread}
    rows = [place for place, name in enumerate(dataset.passage_ids) if name in right or place in kept]
    return replace(
        dataset,
        passage_ids=tuple(dataset.passage_ids[place] for place in rows),
        passages=tuple(dataset.passages[place] for place in rows),
    )


def made(name: str, arguments: argparse.Namespace, domain: DomainTexts) -> tuple[str, dict[str, Any]]:
    """The folder of the encoder *name*, made from the one before it where it is not there, and what to say of it."""
    if name == PATHS[0]:
        return arguments.base, {}
    folder: Path = arguments.models / name.replace(" + ", "-").replace(", ", "-")
    before = name.removesuffix(TUNED) if name.endswith(TUNED) else name.rpartition(" + ")[0]
    if not (folder / "run.json").exists():
        source, _ = made(before, arguments, domain)
        if name.endswith(TUNED):
            steps, size = arguments.tune_steps, arguments.batch_size
            overrides = ["mine=none", "score_splits=[]", "checkpoint_every=0", f"passage_max_tokens={TOKENS}"]
            overrides += [f"data={arguments.data}", f"base={source}", f"max_steps={steps}", f"batch_size={size}"]
            train(read_config(RECIPE, overrides, folder), progress, say)
        elif name.endswith("mlm"):
            chosen = PretrainingSettings(steps=arguments.mlm_steps, batch_size=arguments.batch_size, max_tokens=TOKENS)
            pretrain(source, domain, folder, chosen, {}, progress)
        else:
            extend(source, domain, folder, arguments.terms, {}, progress)
    said = json.loads((folder / "run.json").read_text())
    kept = {key: said[key] for key in ("size", "held_out_loss", "training_s", "precision", "threads") if key in said}
    if "terms" in said:
        kept |= {"terms": len(said["terms"]), "first_terms": said["terms"][:15]}
    return str(folder), kept


def row(evaluation: Any) -> dict[str, Any]:
    """What is kept of a score."""
    score = evaluation.score
    each = [round(float(value), 4) for value in evaluation.per_query["ndcg@10"]]
    return {"ndcg@10": score.ndcg_10, "recall@100": score.recall_100, "per_query": each}


def compare(record: dict[str, Any]) -> None:
    """Each run against the base, and each fine-tuned one against the fine-tuned base."""
    runs = record["runs"]
    for name, found in runs.items():
        against = PATHS[0] + (TUNED if name.endswith(TUNED) else "")
        if against in runs and name != against:
            change = paired_bootstrap(np.array(found["per_query"]), np.array(runs[against]["per_query"]))
            found["against"] = {"name": against, **change.to_json()}


def shown(record: dict[str, Any]) -> str:
    """The runs as a table."""
    rows = []
    for name, found in record["runs"].items():
        change = found.get("against")
        told = in_points(change) if change else ""
        rows.append([name, f"{found['ndcg@10']:.4f}", f"{found['recall@100']:.4f}", told])
    return table(["", "nDCG@10", "recall@100", "against the base, 95 %"], rows)


if __name__ == "__main__":
    main()
