"""Contrastive fine-tuning: a configuration in, a model folder and a record of the run out.

Everything that can be wrong with base, data and target is found before the first step. The folder is written
whole or not at all, and holds the record, `run.json`: configuration, versions, digests of the data, loss curve.

What it leaves to others: the loop itself (the trainer of sentence-transformers), the loss (`contrastive`), data and
leaks (`data`), turning the folder into an artifact (`export`).
What it gives up: resuming. A run that is killed starts again.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from ..errors import ConfigInvalid, TrainingFailed
from ..evaluation import DenseRanker, Score, effective_rank, evaluate, load_dataset
from ..export.base import resolve_model
from ..export.checkpoint import Checkpoint, CheckpointEncoder, Overrides, load_checkpoint
from ..export.provenance import RECORD
from ..export.quiet import quiet
from ..folders import whole_folder
from ..text import Recipe, Role, TextEncoder, pad
from .config import TrainingConfig
from .contrastive import PairCollator, info_nce
from .data import TrainingPairs, load_pairs

_RANK_TEXTS: Final = 512
_RECORDED: Final = ("torch", "transformers", "sentence-transformers", "tokenizers", "accelerate", "numpy", "samespace")

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""(label, total) to a context that gives the function to call with each number of steps done."""


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """What came out.

    Attributes:
        folder: the model, a sentence-transformers folder with `run.json`.
        record: what `run.json` says.
    """

    folder: Path
    record: dict[str, Any]


@contextmanager
def silent(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A `Progress` that shows nothing."""
    yield lambda count: None


def train(config: TrainingConfig, progress: Progress = silent) -> TrainingRun:
    """Fine-tune `config.base` on the pairs of `config.data` and write the model to `config.out`.

    Raises:
        ConfigInvalid: the target exists, or a token limit is beyond the base's.
        DataInvalid: the data cannot be read, is too little, or leaks.
        ModelUnsupported: the base cannot be read or could not be exported afterwards.
        TrainingFailed: the loss is no longer a number.
    """
    if config.out.exists():
        raise ConfigInvalid(key="out", reason=f"{config.out} exists already; name another folder, or remove it")
    began = time.perf_counter()
    overrides = Overrides(query_prompt=config.query_prompt or None, passage_prompt=config.passage_prompt or None)
    checkpoint = load_checkpoint(config.base, overrides)
    text_encoders = _text_encoders(config, checkpoint)
    pairs = load_pairs(config)
    precision = chosen_precision(config.precision)
    scores = [_dev_score(config, checkpoint, progress, "before")] if config.dev_split else []

    torch.manual_seed(config.seed)
    model = _model(config, checkpoint.recipe)
    collator = PairCollator(text_encoders)
    rank_before = _effective_rank(model, pairs, text_encoders["passage"])
    trained = time.perf_counter()
    losses = _fit(config, model, pairs, collator, precision, progress)
    training_s = time.perf_counter() - trained
    rank_after = _effective_rank(model, pairs, text_encoders["passage"])

    record: dict[str, Any] = {
        "config": config.to_json(),
        "base_space_id": checkpoint.identity.space_id(),
        "data": {"folder": config.data.resolve().name, "split": config.train_split, **pairs.to_json()},
        "precision": precision,
        "steps": len(losses),
        "loss": losses,
        "loss_of_guessing": math.log(min(config.batch_size, len(pairs))),
        "texts_cut": {role: count // config.epochs for role, count in collator.cut.items()},
        "effective_rank": {
            "before": rank_before,
            "after": rank_after,
            "most": min(_RANK_TEXTS, len(pairs), checkpoint.dims),
        },
        "dev_scores": [],
        "training_s": round(training_s, 3),
        "threads": torch.get_num_threads(),
        "device": str(model.device),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in _RECORDED},
    }
    with whole_folder(config.out) as work:
        _save(model, work)
        if config.dev_split:
            scores.append(_dev_score(config, load_checkpoint(work, overrides), progress, "after"))
        record["dev_scores"] = [
            {**score.to_json(), "encoder": when} for score, when in zip(scores, ("before", "after"), strict=False)
        ]
        record["total_s"] = round(time.perf_counter() - began, 3)
        (work / RECORD).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return TrainingRun(config.out, record)


def chosen_precision(asked: str) -> str:
    """ "fp32" or "bf16": what "auto" means on this machine, bf16 where the processor computes in it."""
    if asked != "auto":
        return asked
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    supported: Callable[[], bool] = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return "bf16" if supported() else "fp32"


def _text_encoders(config: TrainingConfig, checkpoint: Checkpoint) -> dict[Role, TextEncoder]:
    """The base's text path with the training limits."""
    from tokenizers import Tokenizer

    asked: dict[Role, int] = {"query": config.query_max_tokens, "passage": config.passage_max_tokens}
    encoders: dict[Role, TextEncoder] = {}
    for role, tokens in asked.items():
        if tokens > checkpoint.recipe.token_limit:
            raise ConfigInvalid(
                key=f"{role}_max_tokens",
                reason=f"{tokens}; {config.base} takes at most {checkpoint.recipe.token_limit}",
            )
        recipe = Recipe(checkpoint.recipe.prompts, tokens or checkpoint.recipe.token_limit, window_overlap=0)
        encoders[role] = TextEncoder(Tokenizer.from_buffer(checkpoint.tokenizer), recipe)
    return encoders


def _model(config: TrainingConfig, recipe: Recipe) -> Any:
    from sentence_transformers import SentenceTransformer

    folder = str(resolve_model(config.base))
    with quiet("sentence_transformers", "transformers"):
        model = SentenceTransformer(folder, trust_remote_code=False, model_kwargs={"dtype": torch.float32})
    set_dropout(model, config.dropout)
    model.prompts = {"query": recipe.prompts["query"], "document": recipe.prompts["passage"]}
    return model


def set_dropout(model: torch.nn.Module, share: float) -> None:
    """Make *share* the dropout of every layer, also where attention keeps it as a plain number."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = share
        for name in ("attention_dropout", "dropout", "dropout_prob", "activation_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, share)


def _fit(
    config: TrainingConfig, model: Any, pairs: TrainingPairs, collator: PairCollator, precision: str, progress: Progress
) -> list[float]:
    """Train *model* in place; the loss of each step."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.base.sampler import BatchSamplers
    from transformers import PrinterCallback, TrainerCallback

    losses: list[float] = []
    steps = config.epochs * math.ceil(len(pairs) / config.batch_size)

    with (
        tempfile.TemporaryDirectory(prefix="samespace-train-") as scratch,
        progress("training steps", steps) as advance,
    ):

        class Trainer(SentenceTransformerTrainer):  # type: ignore[misc]
            def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
                """None: it would encode examples for a card that is not written."""

        class Steps(TrainerCallback):  # type: ignore[misc]
            def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
                if logs and "loss" in logs:
                    losses.append(float(logs["loss"]))
                    if not math.isfinite(losses[-1]):
                        raise TrainingFailed(
                            f"the loss is {losses[-1]} at step {len(losses)} of {steps}; lower learning_rate "
                            f"({config.learning_rate:g}) or raise temperature ({config.temperature:g})"
                        )
                    advance(1)

        trainer = Trainer(
            model=model,
            args=SentenceTransformerTrainingArguments(
                output_dir=scratch,
                num_train_epochs=config.epochs,
                per_device_train_batch_size=config.batch_size,
                learning_rate=config.learning_rate,
                weight_decay=config.weight_decay,
                warmup_steps=math.ceil(config.warmup * steps),
                lr_scheduler_type="linear",
                bf16=precision == "bf16",
                use_cpu=not torch.cuda.is_available(),
                batch_sampler=BatchSamplers.NO_DUPLICATES,
                seed=config.seed,
                data_seed=config.seed,
                logging_steps=1,
                logging_nan_inf_filter=False,
                save_strategy="no",
                eval_strategy="no",
                report_to="none",
                disable_tqdm=True,
                dataloader_pin_memory=False,
            ),
            train_dataset=Dataset.from_dict({"query": list(pairs.queries), "positive": list(pairs.passages)}),
            data_collator=collator,
            loss=info_nce(
                model,
                temperature=config.temperature,
                symmetric=config.symmetric,
                mini_batch_size=config.mini_batch_size,
                batch_size=config.batch_size,
            ),
            callbacks=[Steps()],
        )
        trainer.remove_callback(PrinterCallback)
        with quiet("sentence_transformers", "transformers", "accelerate"):
            trainer.train()
    return losses


@torch.no_grad()
def _effective_rank(model: Any, pairs: TrainingPairs, text_encoder: TextEncoder) -> float:
    """Effective rank of the vectors of some training passages, spread evenly over the data."""
    step = max(1, len(pairs) // _RANK_TEXTS)
    windows = [text.windows[0] for text in text_encoder.tokenize(pairs.passages[::step][:_RANK_TEXTS], "passage")]
    windows.sort(key=lambda window: len(window.ids))
    model.eval()
    rows = []
    for start in range(0, len(windows), 32):
        ids, mask = (torch.from_numpy(part).to(model.device) for part in pad(windows[start : start + 32]))
        rows.append(model({"input_ids": ids, "attention_mask": mask})["sentence_embedding"].float().cpu().numpy())
    return round(effective_rank(np.concatenate(rows)), 2)


def _dev_score(config: TrainingConfig, checkpoint: Checkpoint, progress: Progress, when: str) -> Score:
    dataset = load_dataset(config.data, config.dev_split)
    with progress(f"scoring {when} training", len(dataset.passages) + len(dataset.queries)) as advance:
        return evaluate(DenseRanker(CheckpointEncoder(checkpoint)), dataset, progress=advance).score


def _save(model: Any, folder: Path) -> None:
    with quiet("sentence_transformers", "transformers"):
        model.save_pretrained(str(folder), create_model_card=False)
