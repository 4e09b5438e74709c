"""How fast training is, beside sentence-transformers' own script: same model, loss, batch, texts and precision.

    python benchmarks/train.py DATA_FOLDER --out benchmarks/results/train.json

InfoNCE with cached gradients, pairs without hard negatives. The rounds alternate, so that what else the machine does
meets both; reported is the median of the rounds, in pairs per second of the training loop, and the ratio. Both cut
texts at the same token limits. What differs is ours to claim: batches name each text once, and their texts lie in the
order of length, so that mini-batches hold less padding; and our
sentinel's measurements, and setting the trainer up, are in our time only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from loadgen.machine import machine
from samespace.cli.console import quiet_libraries, say
from samespace.model.hub import MINILM, resolve_model
from samespace.training.finetuning.config import make_config
from samespace.training.finetuning.loop import fit
from samespace.training.finetuning.model import set_dropout
from samespace.training.finetuning.setup import Setup, prepare


def main() -> None:
    """Alternate the two and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--base", default=MINILM)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--mini-batch-size", type=int, default=32)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    arguments = parser.parse_args()
    quiet_libraries()
    import sentence_transformers.sentence_transformer.trainer  # noqa: F401 - importing is nobody's training time

    settings = {
        "data": arguments.data,
        "out": "unused",
        "base": arguments.base,
        "batch_size": arguments.batch_size,
        "mini_batch_size": arguments.mini_batch_size,
        "query_max_tokens": arguments.max_tokens,
        "passage_max_tokens": arguments.max_tokens,
        "max_steps": arguments.steps,
        "precision": arguments.precision,
        "allow_leakage": "all",
        "mine": "none",
        "negatives": 0,
        "on_collapse": "warn",
        "checkpoint_every": 0,
    }
    setup = prepare(make_config(settings))
    ways: dict[str, Callable[[], float]] = {
        "samespace": lambda: ours(setup),
        "sentence-transformers": lambda: theirs(arguments, setup),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(arguments.rounds):
        for name, run in ways.items():
            seconds[name].append(run())
            say(f"round {number + 1}: {name} {seconds[name][-1]:.1f} s")
    pairs = arguments.steps * arguments.batch_size
    speed = {name: pairs / statistics.median(values) for name, values in seconds.items()}
    record = {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": {key: str(value) if isinstance(value, Path) else value for key, value in settings.items()},
        "data": arguments.data.resolve().name,
        "machine": machine(),
        "versions": {name: version(name) for name in ("torch", "transformers", "sentence-transformers")},
        "seconds": seconds,
        "pairs_per_s": speed,
        "ratio": speed["samespace"] / speed["sentence-transformers"],
    }
    arguments.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(f"pairs/s: {speed}; ratio {record['ratio']:.2f}")


def ours(setup: Setup) -> float:
    """Seconds of our loop from the untouched base."""
    setup.start_over()
    plan = setup.plan(setup.config.rate)
    began = time.perf_counter()
    fit(plan)
    return time.perf_counter() - began


def theirs(arguments: Any, setup: Setup) -> float:
    """Seconds of `SentenceTransformerTrainer.train` with its cached loss and no duplicates in a batch."""
    import torch
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.base.sampler import BatchSamplers
    from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss

    model = SentenceTransformer(str(resolve_model(arguments.base)), device="cpu", model_kwargs={"dtype": torch.float32})
    model.max_seq_length = arguments.max_tokens
    set_dropout(model, setup.config.dropout)  # as ours, or the two would not compute the same
    examples = setup.data.examples
    loss = CachedMultipleNegativesRankingLoss(
        model,
        scale=1 / setup.config.temperature,
        mini_batch_size=arguments.mini_batch_size,
        directions=("query_to_doc", "doc_to_query"),
        partition_mode="per_direction",
    )
    with tempfile.TemporaryDirectory() as scratch:
        trainer = SentenceTransformerTrainer(
            model=model,
            args=SentenceTransformerTrainingArguments(
                output_dir=scratch,
                max_steps=arguments.steps,
                per_device_train_batch_size=arguments.batch_size,
                learning_rate=setup.config.rate,
                bf16=arguments.precision == "bf16",
                use_cpu=True,
                batch_sampler=BatchSamplers.NO_DUPLICATES,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                dataloader_pin_memory=False,
                logging_steps=1000,
            ),
            train_dataset=Dataset.from_dict({"query": list(examples.queries), "positive": list(examples.passages)}),
            loss=loss,
        )
        began = time.perf_counter()
        trainer.train()
        return time.perf_counter() - began


if __name__ == "__main__":
    main()
