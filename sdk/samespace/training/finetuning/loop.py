"""The training loop: sentence-transformers' trainer, with our batches and loss, the sentinel, and resuming.

What a step depends on is in the checkpoint or follows from seed and epoch: weights, optimiser, random states, the
learned temperature, the mined negatives. So a run that is killed and resumed ends in the same weights as one that was
not. A checkpoint counts once its last file, ours, is there: a half-written one is passed over.

What it leaves to others: what is trained and why (`trainer`), judging (`sentinel`).
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import distributed

from ...errors import TrainingFailed
from ...model.quiet import quiet
from ...progress import Advance, Progress, silent
from ..forecast import AFTER, STEP, Forecast, in_words
from ..losses.batch_loss import BatchLoss
from ..sentinel.judge import Alarm, RunFacts, first_judged, judge
from ..sentinel.vitals import Sample
from . import checkpoints
from .batches import BATCH, Batches, Collator
from .config import TrainingConfig
from .keeping import Keeper

_WEIGHTS: Final = "weights.pt"
_LOOK, _MINING = "look", "mining"
_KEPT_CHECKPOINTS: Final = 2
_LOOKS: Final = 20
"""How often the sentinel looks after its first judgement."""

Mine = Callable[[Any], Mapping[str, Sequence[int]]]
"""The model to the mined negatives of each query, as `batches.Negatives` has them."""


class Alarmed(Exception):
    """The sentinel ends a run: an `Alarm` that is no mere risk."""

    def __init__(self, alarm: Alarm) -> None:
        self.alarm = alarm
        super().__init__(str(alarm))


@dataclass
class History:
    """What is kept of the steps.

    Attributes:
        losses, norms: of each step; norms before clipping.
        alarms: of the sentinel, one for each cause.
        predicted_s: seconds of the run, as they were told after ten steps; 0 where it was shorter.
    """

    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    predicted_s: float = 0.0


@dataclass
class TrainingPlan:
    """One run of the loop.

    Attributes:
        samples: "train" and, where there is a development split, "dev"; what the sentinel measures.
        watched: what it judges by; the steps and the rate are filled in here.
        steps: ends the run early, for short runs; 0 for all epochs.
        checkpoints: folder for checkpoints, or None.
        mine: makes hard negatives, or None.
        keeper: says which weights are kept; None for those of the last step.
        say: gets how long the run will take.
    """

    config: TrainingConfig
    model: Any
    loss: BatchLoss
    collator: Collator
    samples: Mapping[str, Sample]
    watched: RunFacts
    precision: str
    rate: float
    steps: int = 0
    checkpoints: Path | None = None
    mine: Mine | None = None
    stop_on_alarm: bool = True
    keeper: Keeper | None = None
    say: Callable[[str], None] = lambda _: None

    def batches(self) -> Batches:
        """The batches of this process's part of the run."""
        return batches_of(self.collator, self.config.batch_size, self.config.seed)

    def steps_of_an_epoch(self) -> int:
        """Optimiser steps in which each example is seen once."""
        return len(self.batches()) // processes()

    def total_steps(self) -> int:
        """Optimiser steps of the whole run."""
        if self.steps:
            return self.steps
        whole = self.config.epochs * self.steps_of_an_epoch()
        return min(whole, self.config.max_steps) if self.config.max_steps else whole


def batches_of(collator: Collator, batch_size: int, seed: int) -> Batches:
    """The batches of a run, for each epoch; each process takes its share of them."""
    examples, known = collator.examples, collator.known
    # Texts that are in no group get numbers below 0 that say nothing: here each distinct text needs its own.
    return Batches(
        _marks(known.groups(examples.queries, known.queries), examples.queries),
        _marks(known.groups(examples.passages, known.passages), examples.passages),
        batch_size,
        seed=seed,
        multiple=processes(),
    )


def processes() -> int:
    """How many processes train together."""
    import os

    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_world_size()
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this is the process that writes and speaks."""
    import os

    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank() == 0
    return os.environ.get("RANK", "0") == "0"


def seconds_a_step(plan: Callable[[int], TrainingPlan], steps: int, clock: Callable[[], float]) -> float:
    """Seconds of a step of *plan*, which is a plan of so many steps; the steps that tell are thrown away.

    The first one makes ready, and is not counted.
    """
    fit(plan(1))
    began = clock()
    fit(plan(steps))
    return max(1e-3, (clock() - began) / steps)


def fit(plan: TrainingPlan, progress: Progress = silent) -> History:
    """Train `plan.model` in place.

    Goes on from the newest whole checkpoint in `plan.checkpoints`, if there is one.

    Raises:
        Alarmed: the sentinel saw a collapse, or that nothing is learned, and *plan* stops on that.
        TrainingFailed: the loss is no longer a number.
    """
    history, total = History(), plan.total_steps()
    with (
        tempfile.TemporaryDirectory(prefix="samespace-train-") as scratch,
        progress("training steps", total) as advance,
        quiet("sentence_transformers", "transformers", "accelerate"),
    ):
        trainer = _trainer(plan, history, Path(scratch), total, advance)
        found = checkpoints.newest(plan.checkpoints) if plan.checkpoints else None
        if found is not None:
            steps_then = checkpoints.restore(found, plan, history)
            advance(len(history.losses))
            found = checkpoints.in_steps_of(found, steps_then, plan.steps_of_an_epoch(), Path(scratch))
        elif plan.keeper is not None:
            plan.keeper.begin(plan.model)
        trainer.train(resume_from_checkpoint=str(found) if found else None)
        if plan.keeper is not None:
            plan.keeper.settle(plan.model)
    return history


def _trainer(plan: TrainingPlan, history: History, scratch: Path, total: int, advance: Advance) -> Any:
    from datasets import Dataset
    from transformers import PrinterCallback

    sampler = plan.batches()
    trainer = _trainer_class(plan)(
        model=plan.model,
        args=_arguments(plan, sampler, scratch, total),
        train_dataset=Dataset.from_dict({"row": list(range(len(plan.collator.examples)))}),
        data_collator=plan.collator,
        loss=plan.loss,
        callbacks=[_steps(plan, history, sampler, total, advance)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _trainer_class(plan: TrainingPlan) -> Any:
    """sentence-transformers' trainer with our loss, and weights in a file of their own."""
    from sentence_transformers import SentenceTransformerTrainer

    class Trainer(SentenceTransformerTrainer):  # type: ignore[misc]
        def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
            """None: it would encode examples for a card that is not written."""

        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
            plan.loss.model = model  # with several processes, the wrapper that averages gradients
            return plan.loss(inputs[BATCH].to(plan.model.device))

        def get_decay_parameter_names(self, model: Any) -> list[str]:
            """All but the temperature: decay would draw it to 1."""
            return [name for name in super().get_decay_parameter_names(model) if name != "log_temperature"]

        def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
            assert output_dir is not None
            Path(output_dir).mkdir(parents=True, exist_ok=True)
            torch.save(plan.model.state_dict(), Path(output_dir) / _WEIGHTS)

        def _load_from_checkpoint(self, checkpoint_path: str, model: Any = None) -> None:
            weights = torch.load(Path(checkpoint_path) / _WEIGHTS, map_location="cpu", weights_only=True)
            plan.model.load_state_dict(weights)

    return Trainer


def _steps(plan: TrainingPlan, history: History, sampler: Batches, total: int, advance: Advance) -> Any:
    """What is done between the trainer's steps: looking, mining, keeping."""
    from transformers import TrainerCallback

    config, watch = plan.config, _Watch(plan, history, total)
    keeper, forecast = plan.keeper, Forecast(time.perf_counter)

    def foretell(step: int) -> None:
        looking_s = 0.0 if keeper is None else keeper.look_s * sum(at > step for at in keeper.steps)
        minings = sum(_due(config, epoch) for epoch in range(1, math.ceil(total / plan.steps_of_an_epoch())))
        left = {STEP: total - step, _LOOK: watch.left(step), _MINING: minings}
        history.predicted_s = forecast.whole_s(left) + looking_s
        plan.say(
            f"{AFTER} steps done, {total - step} to go: training takes about {in_words(history.predicted_s)} in all; "
            "scoring comes on top"
        )

    class Steps(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            with forecast.timing(_LOOK):
                watch.look(int(state.global_step))

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            forecast.step_begins()

        def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            epoch = int(state.epoch or 0)
            plan.collator.epoch = epoch
            sampler.set_epoch(epoch)
            goes_on = state.global_step % plan.steps_of_an_epoch() != 0  # resumed: its negatives are restored
            if plan.mine is not None and not goes_on and _due(config, epoch):
                with forecast.timing(_MINING):
                    plan.collator.negatives.mined = plan.mine(plan.model)

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            step, here = int(state.global_step), forecast.step_ends()
            with forecast.timing(_LOOK):
                watch.look(step)
            if keeper is not None and keeper.after(plan.model, step):
                control.should_training_stop = True
            if here == AFTER and total - step >= AFTER and is_main():
                foretell(step)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if not logs or "loss" not in logs:
                return
            history.losses.append(float(logs["loss"]))
            history.norms.append(float(logs.get("grad_norm", math.nan)))
            if not math.isfinite(history.losses[-1]):
                raise TrainingFailed(
                    f"the loss is {history.losses[-1]} at step {len(history.losses)} of {total}; lower learning_rate "
                    f"({plan.rate:g}) or raise temperature ({config.temperature:g})"
                )
            advance(1)

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if is_main():
                checkpoints.keep(Path(args.output_dir) / f"checkpoint-{state.global_step}", plan, history)

    return Steps()


def _connect() -> None:
    """Join the other processes over gloo; each start by torchrun under keys of its own.

    torchrun keeps its store when it starts processes again. A process that read there the address that another had
    before would wait for it without end.
    """
    import os

    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    if processes() > 1 and not torch.cuda.is_available() and not distributed.is_initialized():
        store, rank, size = next(rendezvous("env://"))
        start = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        distributed.init_process_group("gloo", store=PrefixStore(f"start {start}", store), rank=rank, world_size=size)


def _arguments(plan: TrainingPlan, sampler: Batches, scratch: Path, total: int) -> Any:
    from sentence_transformers import SentenceTransformerTrainingArguments

    _connect()
    config = plan.config
    saved = plan.checkpoints is not None and config.checkpoint_every > 0
    return SentenceTransformerTrainingArguments(
        output_dir=str(plan.checkpoints if saved else scratch),
        num_train_epochs=config.epochs,
        max_steps=total,
        per_device_train_batch_size=config.batch_size,
        learning_rate=plan.rate,
        weight_decay=config.weight_decay,
        warmup_steps=math.ceil(config.warmup * total),
        lr_scheduler_type="linear",
        bf16=plan.precision == "bf16",
        use_cpu=not torch.cuda.is_available(),
        batch_sampler=lambda *_, **__: sampler,
        seed=config.seed,
        data_seed=config.seed,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps" if saved else "no",
        save_steps=max(1, config.checkpoint_every),
        save_total_limit=_KEPT_CHECKPOINTS,
        eval_strategy="no",
        report_to=list(config.report_to) or "none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        ddp_find_unused_parameters=processes() > 1,  # such as the pooler that BERT has and an encoder does not use
        ddp_backend="gloo" if not torch.cuda.is_available() and processes() > 1 else None,
    )


class _Watch:
    """When the sentinel looks, and what comes of it."""

    def __init__(self, plan: TrainingPlan, history: History, total: int) -> None:
        self._plan, self._history = plan, history
        first = first_judged(total)
        every = max(first, total // _LOOKS)
        self._steps = {0, first, total, *range(first, total, every)}
        self._run = replace(plan.watched, steps=total, learning_rate=plan.rate)

    def left(self, step: int) -> int:
        """Looks after *step*."""
        return sum(at > step for at in self._steps)

    def look(self, step: int) -> None:
        plan, history = self._plan, self._history
        if step not in self._steps or not plan.samples or plan.samples["train"].measured(step):
            return
        for sample in plan.samples.values():
            sample.measure(plan.model, plan.loss, step)
        looks = {name: sample.vitals for name, sample in plan.samples.items()}
        known = {(alarm.what, alarm.cause) for alarm in history.alarms}
        for alarm in judge(self._run, looks["train"], looks.get("dev", ()), history.norms):
            if (alarm.what, alarm.cause) not in known:
                history.alarms.append(alarm)
            if alarm.what != "risk" and plan.stop_on_alarm:
                raise Alarmed(alarm)


def _due(config: TrainingConfig, epoch: int) -> bool:
    return epoch == 0 or (config.mine_every > 0 and epoch % config.mine_every == 0)


def _marks(groups: Any, texts: Sequence[str]) -> Any:
    first: dict[str, int] = {}
    alone = np.array([first.setdefault(text, -1 - row) for row, text in enumerate(texts)], dtype=np.int64)
    return np.where(groups >= 0, groups, alone)
