"""Everything that a run of the loop is made from, read and checked before the first step.

What it leaves to others: running it (`trainer`), the parts themselves (`training_set`, `mining`, `model`, `losses`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from ...errors import ConfigInvalid, DataInvalid, ModelUnsupported
from ...model.checkpoint import Checkpoint, CheckpointEncoder, Overrides, load_checkpoint
from ...model.folder.saving import require_savable
from ...text import Role, TextEncoder
from ..data.examples import Examples
from ..imitating.vector_table import SUFFIX, read_vectors
from ..losses.batch_loss import BatchLoss, LossSettings
from ..losses.masking import Known, known_pairs, nothing_known
from ..scoring.outcome import held_out
from ..sentinel import judge as sentinel
from ..sentinel.vitals import SAMPLE_PAIRS, Sample, spread_evenly
from .batches import Collator, Guide, Negatives, Taught
from .config import TrainingConfig
from .dev_score import DevQuestions
from .encoding import encode_many, reciprocal_rank, training_path
from .loop import Mine, TrainingPlan, batches_of, processes
from .mining import Mining, choose, interleave, rank_bm25, rank_vectors
from .model import load_model
from .score_table import ScoreTable
from .teachers import Teacher, open_teacher
from .training_set import TrainingSet, load_training_set

_SAME_SCORE: Final = 0.005  # of a reciprocal rank in [0, 1]: what bf16 may lose in the check
_CHECK_PAIRS: Final = 64


@dataclass(frozen=True)
class Setup:
    """Everything that a run of the loop is made from, and what its first batch says of it.

    Attributes:
        overrides: the prompts that the base was read with.
        text_encoders: the base's text path with the training limits.
        samples: "train" and, where there is a development split, "dev".
        precision: "fp32" or "bf16".
        trivial: the loss of an encoder that tells nothing apart, on the first batch.
        negatives: mean number of negatives that a query has in a step, over all processes.
    """

    config: TrainingConfig
    overrides: Overrides
    checkpoint: Checkpoint
    data: TrainingSet
    text_encoders: Mapping[Role, TextEncoder]
    model: Any
    known: Known
    loss: BatchLoss
    collator: Collator
    samples: Mapping[str, Sample]
    precision: str
    trivial: float
    negatives: float

    def plan(self, rate: float, checkpoints: Path | None = None, steps: int = 0) -> TrainingPlan:
        """One run at *rate*; *steps* for a short one."""
        config = self.config
        watched = sentinel.RunFacts(
            loss=config.loss,
            steps=0,
            temperature=config.temperature,
            negatives=self.negatives,
            label_spread=float(np.std(self.data.examples.labels)) if self.data.examples.labelled else 1.0,
            learning_rate=rate,
        )
        return TrainingPlan(
            config=config,
            model=self.model,
            loss=self.loss,
            collator=self.collator,
            samples=self.samples,
            watched=watched,
            precision=self.precision,
            rate=rate,
            steps=steps,
            checkpoints=checkpoints,
            mine=_miner(self) if config.mine != "none" else None,
            stop_on_alarm=config.on_collapse != "warn",
        )

    def seeded(self, seed: int) -> Setup:
        """The same model and data in another order, with measurements of its own; `start_over` makes it begin."""
        negatives = replace(self.collator.negatives, seed=seed)
        return replace(
            self,
            config=replace(self.config, seed=seed),
            collator=replace(self.collator, negatives=negatives),
            samples={name: replace(sample, vitals=[], start=None) for name, sample in self.samples.items()},
        )

    def dev_questions(self) -> DevQuestions:
        """The questions that choose: those of the development split that no reported split asks.

        Raises:
            ConfigInvalid: there is no development split.
            DataInvalid: reported splits ask every one of them.
        """
        config, dev = self.config, self.config.dev_split
        found = held_out(self.data.data, config.data, (dev, *config.score_splits))
        if dev not in found:
            raise ConfigInvalid(
                key="dev_split",
                reason=f"keep = 'best', ema and seeds choose on it, and the data has no split {dev!r}; it has "
                f"{', '.join(self.data.data.splits)}",
            )
        others = [each for name, each in found.items() if name != dev]
        return DevQuestions.of(found[dev], others, config.look_passages)

    def start_over(self) -> None:
        """The untouched base again, in place, and nothing measured."""
        torch.manual_seed(self.config.seed)  # for weights that the base's folder lacks, such as an unused pooler
        fresh = load_model(self.config, self.checkpoint.recipe).state_dict()
        self.model.load_state_dict(fresh)
        self.loss.reset()
        self.collator.negatives.mined = {}
        self.collator.epoch, self.collator.cut = 0, {"query": 0, "passage": 0}
        for sample in self.samples.values():
            sample.start_over()


def prepare(config: TrainingConfig) -> Setup:
    """Read and check everything that *config* names; nothing is trained yet. Raises as `train` does."""
    overrides = Overrides(query_prompt=config.query_prompt or None, passage_prompt=config.passage_prompt or None)
    checkpoint = load_checkpoint(config.base, overrides)
    require_savable(checkpoint)
    text_encoders = _text_encoders(config, checkpoint)
    if config.loss == "imitate" and not config.guide:
        raise ConfigInvalid(key="guide", reason="loss = 'imitate' learns a guide's vectors; name one")
    if over := [dim for dim in config.matryoshka_dims if dim > checkpoint.dims]:
        raise ConfigInvalid(key="matryoshka_dims", reason=f"{over[0]}; {config.base} gives {checkpoint.dims} dims")
    teacher = open_teacher(config.teacher) if config.teacher else None
    data = load_training_set(config)
    examples = data.examples

    torch.manual_seed(config.seed)
    model = load_model(config, checkpoint.recipe)
    if torch.cuda.is_available():
        model.to("cuda")
    corpus = tuple(dict.fromkeys(text for text in data.data.corpus.values() if text)) if config.mine != "none" else ()
    known = _known(config, examples, corpus)
    if teacher is not None:
        given = [text for texts in examples.negatives for text in texts]
        teacher.read(examples.queries, [*examples.passages, *given, *corpus], lambda _: None)
    loss = BatchLoss(model, _loss_settings(config, checkpoint.dims, teacher), known)
    collator = Collator(
        examples=examples,
        text_encoders=text_encoders,
        negatives=Negatives(examples.negatives, config.negatives, config.seed, corpus),
        known=known,
        teacher=None if teacher is None else teacher.scores,
        whole=isinstance(teacher, ScoreTable),
        guide=_guide(config.guide, checkpoint.dims if config.loss == "imitate" else 0) if config.guide else None,
        windows=config.passage_windows,
    )
    sample_guide = collator.guide if config.loss == "imitate" else None
    samples = {"train": _sample(config, examples, text_encoders, known, collator.teacher, sample_guide)}
    dev = data.data.splits.get(config.dev_split)
    if dev is not None:
        samples["dev"] = _sample(config, dev, text_encoders, known_pairs(_right(dev), near_duplicates=False))
    precision = chosen_precision(config.precision, model, text_encoders, dev or examples)
    trivial, negatives = _first_batch(config, collator, loss)
    return Setup(
        config, overrides, checkpoint, data, text_encoders, model, known, loss, collator, samples, precision, trivial,
        negatives,
    )  # fmt: skip


def bases(setup: Setup) -> list[Checkpoint]:
    """The base as the run reads it, and, where the run gives prompts, with its own, unless it has to be told which."""
    found = [setup.checkpoint]
    if setup.overrides != Overrides():
        with suppress(ModelUnsupported):
            found.append(load_checkpoint(setup.config.base))
    return found


def _loss_settings(config: TrainingConfig, dims: int, teacher: Teacher | None) -> LossSettings:
    natural = config.temperature if teacher is not None and teacher.cosines else 1.0
    return LossSettings(
        kind=config.loss,
        temperature=config.temperature,
        learn_temperature=config.learn_temperature,
        symmetric=config.symmetric,
        mini_batch_size=config.mini_batch_size,
        matryoshka_dims=_nested_dims(config, dims),
        teacher_temperature=config.teacher_temperature or natural,
    )


def _first_batch(config: TrainingConfig, collator: Collator, loss: BatchLoss) -> tuple[float, float]:
    """The trivial loss, and the negatives of a query in a step; the collator has counted nothing afterwards.

    Raises:
        DataInvalid: a teacher scores nothing in it that could be learned from.
    """
    first = collator.batch(next(iter(batches_of(collator, config.batch_size, config.seed))))
    if loss.loss.needs == "teacher" and config.mine == "none" and not bool((first.rivals >= 0).any()):
        raise DataInvalid(
            path=config.teacher,
            reason=f"scores no pair of the first batch together with one of its negatives; {config.loss} needs both",
        )
    pairs = loss.pairs(first)
    mined = config.negatives * len(pairs) if config.mine != "none" else 0
    open_to_it = float((~pairs.masked[pairs.queries]).sum(dim=1).float().mean())
    collator.cut = {"query": 0, "passage": 0}
    return loss.loss.trivial(pairs, loss.terms()), processes() * (open_to_it - 1 + mined)


def chosen_precision(asked: str, model: Any, text_encoders: Mapping[Role, TextEncoder], examples: Examples) -> str:
    """ "fp32" or "bf16": what "auto" means here, bf16 where the processor has it and a short check scores the same."""
    if asked != "auto":
        return asked
    if not has_bf16():
        return "fp32"
    rows = sample_rows(examples, _CHECK_PAIRS, right=True)
    queries, passages = [examples.queries[row] for row in rows], [examples.passages[row] for row in rows]
    exact, quick = (
        reciprocal_rank(model, text_encoders, queries, passages, range(len(rows)), bf16=bf16) for bf16 in (False, True)
    )
    return "bf16" if quick >= exact - _SAME_SCORE else "fp32"


def has_bf16() -> bool:
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    supported: Callable[[], bool] = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return supported()


def sample_rows(examples: Examples, most: int, *, right: bool = False) -> list[int]:
    """Up to *most* examples, evenly spread: one for each query, or of labelled pairs any, or the *right* ones."""
    rows = [row for row, label in enumerate(examples.labels) if not right or label >= 0.5]
    if not examples.labelled:
        rows = list({query: row for row, query in reversed(list(enumerate(examples.queries)))}.values())[::-1]
    return [rows[place] for place in spread_evenly(len(rows), most)]


def _right(examples: Examples) -> list[tuple[str, str]]:
    return [
        (query, passage)
        for query, passage, label in zip(examples.queries, examples.passages, examples.labels, strict=True)
        if label >= 0.5
    ]


def _known(config: TrainingConfig, examples: Examples, corpus: Sequence[str]) -> Known:
    if config.mask == "none":
        return nothing_known()
    others = [*corpus, *(text for texts in examples.negatives for text in texts)]
    return known_pairs(_right(examples), others, near_duplicates=config.mask == "near")


def _nested_dims(config: TrainingConfig, dims: int) -> tuple[int, ...]:
    return tuple(dict.fromkeys([dims, *sorted(config.matryoshka_dims, reverse=True)])) if config.matryoshka_dims else ()


def _sample(
    config: TrainingConfig,
    examples: Examples,
    text_encoders: Mapping[Role, TextEncoder],
    known: Known,
    teacher: Taught | None = None,
    guide: Guide | None = None,
) -> Sample:
    """Fixed pairs; where a teacher is learned from, with negatives: the data's own, or each other's passages."""
    rows = sample_rows(examples, SAMPLE_PAIRS)
    own: list[tuple[str, ...]] = list(examples.negatives)
    for place, row in enumerate(rows):
        others = (*rows[place + 1 :], *rows[:place])[: config.negatives]
        own[row] = own[row] or tuple(examples.passages[other] for other in others)
    negatives = Negatives(own, config.negatives if teacher is not None else 0, 0)
    collator = Collator(examples, text_encoders, negatives, known, teacher, guide=guide, windows=config.passage_windows)
    return Sample(collator.batch(rows), known)


def _guide(model: str, dims: int) -> Guide:
    """Vectors of another encoder, each text's made once, or those of a file; of *dims* unless that is 0."""
    if model.endswith(SUFFIX):
        return read_vectors(Path(model))
    encoder = CheckpointEncoder(load_checkpoint(model))
    if dims and encoder.dims != dims:
        raise ConfigInvalid(
            key="guide",
            reason=f"{model} gives {encoder.dims} dims and the base {dims}; vectors to imitate have as many",
        )
    done: dict[tuple[Role, str], Any] = {}

    def vectors(texts: Sequence[str], role: Role) -> Any:
        new = [text for text in texts if (role, text) not in done]
        if new:
            done.update(zip(((role, text) for text in new), np.asarray(encoder.encode(new, role)), strict=True))
        return np.stack([done[role, text] for text in texts]).astype(np.float32)

    return vectors


def _miner(setup: Setup) -> Mine:
    """Hard negatives of the distinct training queries, in the corpus, by BM25 (once) and the encoder as it is."""
    config, corpus = setup.config, setup.collator.negatives.corpus
    queries = list(dict.fromkeys(setup.data.examples.queries))
    mining = Mining(config.mine_count, config.mine_margin)
    by_words: list[list[int]] = []

    def mine(model: Any) -> dict[str, list[int]]:
        rankings = []
        if config.mine in ("bm25", "both"):
            if not by_words:
                by_words.extend(choose(queries, corpus, rank_bm25(queries, corpus), setup.known, mining))
            rankings.append(by_words)
        if config.mine in ("encoder", "both"):
            q, p = encode_many(
                model, setup.text_encoders, queries, corpus, overrides=setup.overrides, bf16=setup.precision == "bf16"
            )
            rankings.append(choose(queries, corpus, rank_vectors(q, p), setup.known, mining))
        return {query: interleave(lists, config.mine_count) for query, *lists in zip(queries, *rankings, strict=True)}

    return mine


def _text_encoders(config: TrainingConfig, checkpoint: Checkpoint) -> dict[Role, TextEncoder]:
    """The base's text path with the training limits."""
    asked: dict[Role, int] = {"query": config.query_max_tokens, "passage": config.passage_max_tokens}
    encoders: dict[Role, TextEncoder] = {}
    for role, tokens in asked.items():
        if tokens > checkpoint.recipe.token_limit:
            raise ConfigInvalid(
                key=f"{role}_max_tokens",
                reason=f"{tokens}; {config.base} takes at most {checkpoint.recipe.token_limit}",
            )
        encoders[role] = training_path(checkpoint, tokens)
    return encoders
