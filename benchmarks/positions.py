"""Put ALiBi in the place of a trained base's absolute positions, and score it at 1, 2 and 4 times the old token limit.

    python benchmarks/positions.py data/covidqa_long --base MODEL --out benchmarks/results/positions.json

The base's weights go into our ALiBi encoder; what its positions and token types add to every token on average goes
into its word embeddings. Then it learns the base's own vectors again, on pieces of the documents that are not searched,
for --steps steps. What is searched are --documents others, cut to about four times the limit, by the base as it is
served (windows), by the base with longer inputs as far as it has positions, and by the new encoder, before and after.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import torch

from loadgen.machine import machine
from samespace.cli.console import progress, quiet_libraries, say
from samespace.evaluation import Dataset, DenseRanker, Evaluation, evaluate, load_dataset
from samespace.evaluation.significance import in_points
from samespace.model.alibi import AlibiBertConfig, AlibiBertModel
from samespace.model.checkpoint import CheckpointEncoder, Overrides, load_checkpoint
from samespace.training.finetuning.config import make_config
from samespace.training.finetuning.model import load_plain, save_model
from samespace.training.finetuning.trainer import train
from samespace.training.threads import settle_threads

TIMES: Final = (1, 2, 4)
_CHARACTERS: Final = 5  # of a token and its space, about
_LAYER: Final = {
    "attention.self.query": "query", "attention.self.key": "key", "attention.self.value": "value",
    "attention.output.dense": "attention_output", "attention.output.LayerNorm": "attention_norm",
    "intermediate.dense": "intermediate", "output.dense": "output", "output.LayerNorm": "output_norm",
}  # fmt: skip


def main() -> None:
    """Convert, train, score, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder in the BEIR layout, with long passages")
    parser.add_argument("--base", required=True, help="a BERT-like encoder with absolute positions")
    parser.add_argument("--split", default="test")
    parser.add_argument("--documents", type=int, default=60, help="that are searched")
    parser.add_argument("--queries", type=int, default=120)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--read", type=int, default=128, help="tokens of a piece that are learned")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    quiet_libraries()
    if threads := settle_threads(os.environ):
        say(threads)
    checkpoint = load_checkpoint(arguments.base)
    limit, positions = checkpoint.recipe.token_limit, checkpoint.architecture.positions or 0
    whole = load_dataset(arguments.data, arguments.split)
    searched, rest = divided(whole, arguments.documents, arguments.queries, max(TIMES) * limit * _CHARACTERS)
    with tempfile.TemporaryDirectory() as scratch:
        start, end = Path(scratch) / "start", Path(scratch) / "end"
        model = load_plain(arguments.base)
        model[0].model = with_alibi(model[0].model)
        save_model(model, start, checkpoint.folder_tokenizer, arguments.base)
        encoders = {"base": arguments.base, "alibi, untrained": start, "alibi": end}
        began = time.perf_counter()
        learn(arguments, rest, Path(scratch), start, end)
        record: dict[str, Any] = {
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "base": checkpoint.identity.space_id(),
            "data": arguments.data.name,
            **{key: getattr(arguments, key) for key in ("split", "steps", "rate", "read")},
            "token_limit": limit,
            "searched": {"documents": len(searched.passages), "queries": len(searched.queries)},
            "training_s": round(time.perf_counter() - began, 1),
            "scores": scores(searched, encoders, limit, positions),
        }
    arguments.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    for row in record["scores"]:
        change = in_points(row["change"])
        say(f"{row['encoder']} at {row['times']}x: {row['ndcg@10']:.4f}, against the base at 1x {change}")


def divided(whole: Dataset, documents: int, queries: int, characters: int) -> tuple[Dataset, list[str]]:
    """The first questions over the documents that they want and others, cut; and the texts of all other documents."""
    wanted = [name for query in whole.query_ids for name in whole.qrels[query]]
    names = list(dict.fromkeys([*wanted, *whole.passage_ids]))[:documents]
    place = {name: row for row, name in enumerate(whole.passage_ids)}
    rows = [row for row, query in enumerate(whole.query_ids) if set(whole.qrels[query]) <= set(names)][:queries]
    searched = replace(
        whole,
        passage_ids=tuple(names),
        passages=tuple(whole.passages[place[name]][:characters] for name in names),
        query_ids=tuple(whole.query_ids[row] for row in rows),
        queries=tuple(whole.queries[row] for row in rows),
        qrels={whole.query_ids[row]: whole.qrels[whole.query_ids[row]] for row in rows},
    )
    return searched, [text for name, text in zip(whole.passage_ids, whole.passages, strict=True) if name not in names]


@torch.no_grad()
def with_alibi(bert: Any) -> AlibiBertModel:
    """The weights of *bert*, a transformers BertModel, in our ALiBi encoder."""
    known = AlibiBertConfig()
    shared = {key: value for key, value in bert.config.to_dict().items() if hasattr(known, key) and key != "model_type"}
    model = AlibiBertModel(AlibiBertConfig(**(shared | {"architectures": ["AlibiBertModel"]})))
    old, parts = bert.state_dict(), bert.embeddings
    state = {
        "word_embeddings.weight": parts.word_embeddings.weight
        + parts.token_type_embeddings.weight[0]
        + parts.position_embeddings.weight.mean(dim=0),
        **{f"embedding_norm.{kind}": old[f"embeddings.LayerNorm.{kind}"] for kind in ("weight", "bias")},
        **{
            f"layers.{layer}.{ours}.{kind}": old[f"encoder.layer.{layer}.{theirs}.{kind}"]
            for layer in range(bert.config.num_hidden_layers)
            for theirs, ours in _LAYER.items()
            for kind in ("weight", "bias")
        },
    }
    model.load_state_dict(state)
    return model


def learn(arguments: argparse.Namespace, texts: list[str], scratch: Path, start: Path, out: Path) -> None:
    """Teach the encoder at *start* the base's vectors of pieces of *texts*."""
    (scratch / "data").mkdir()
    with (scratch / "data" / "train.jsonl").open("w", encoding="utf-8") as file:
        for text in texts:
            words = text.split()
            for begin in range(0, max(1, len(words) - 40), 160):
                piece = words[begin : begin + 160]
                row = {"query": " ".join(piece[:12]), "passage": " ".join(piece)}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    config = make_config(
        {
            "data": scratch / "data", "out": out, "base": str(start), "loss": "imitate", "guide": arguments.base,
            "learning_rate": arguments.rate, "max_steps": arguments.steps, "epochs": 50, "batch_size": 16,
            "mask": "none", "passage_max_tokens": arguments.read, "query_max_tokens": 32, "checkpoint_every": 0,
            "score_splits": [], "dev_split": "",
            "held_out_splits": [], "on_collapse": "warn",
        }
    )  # fmt: skip
    train(config, progress, say, doctor=False)


def scores(dataset: Dataset, encoders: dict[str, Any], limit: int, positions: int) -> list[dict[str, Any]]:
    """Every encoder at every multiple of the limit that it has positions for, against the base at its own."""
    rows: list[dict[str, Any]] = []
    first: Evaluation | None = None
    for name, source in encoders.items():
        for times in TIMES:
            if name == "base" and times * limit > positions:
                continue
            encoder = CheckpointEncoder(load_checkpoint(source, Overrides(token_limit=times * limit)))
            found = evaluate(DenseRanker(encoder), dataset)
            first = first or found
            rows.append(
                {**found.score.to_json(), "encoder": name, "times": times, "change": found.against(first).to_json()}
            )
            say(f"{name}, {times}x: {found.score.ndcg_10:.4f}")
    return rows


if __name__ == "__main__":
    main()
