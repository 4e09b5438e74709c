"""Training: a configuration in, a model folder and a record of the run out.

Everything that can be wrong with base, data and target is found before the first step. The folder is written
whole or not at all, and holds the record, `run.json`: configuration, versions, digests of the data, loss curve, what
the sentinel measured, and how the encoder does beside its base and BM25.

What it leaves to others: the loop (`loop`), the loss (`batch_loss`), data and leaks (`data`), judging (`sentinel`,
`outcome`), turning the folder into an artifact (`export`).
"""

from __future__ import annotations

import json
import math
import platform
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import torch

from ...errors import ConfigInvalid, DataInvalid, TrainingFailed
from ...exporting.provenance import ENCODER, RECORD, encoder_record
from ...folders import held, require_room, whole_file, whole_folder
from ...model.checkpoint import load_checkpoint
from ...progress import Progress, silent
from ...report.verdicts import doubts
from ..data.examples import Examples
from ..data.sources import load_data
from ..doctor.examine import Questions, Show, checkup
from ..scoring import outcome, report
from ..scoring.record import versions
from ..sentinel import judge as sentinel
from . import rates
from .checkpoints import folder_of
from .config import AUTO, TrainingConfig
from .dev_score import rows_apart
from .encoding import reciprocal_rank
from .keeping import Keeper, Weights, kept_sentence, load_weights, look_steps, soup_of
from .loop import Alarmed, History, fit, is_main, processes
from .model import blend, load_start, merge_adapters, mixtures, save_model
from .setup import Setup, bases, prepare, sample_rows

_RESTARTS: Final = 2
_POOL: Final = 128  # development pairs that the rate probe looks at

Say = Callable[[str], None]
Look = Callable[[Any], float]
"""A model to its nDCG@10 on the development questions."""


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """What came out.

    Attributes:
        folder: the model, a sentence-transformers folder with `run.json`.
        record: what `run.json` says; {} in processes that only helped.
    """

    folder: Path
    record: dict[str, Any]


def train(
    config: TrainingConfig,
    progress: Progress = silent,
    say: Say = lambda _: None,
    *,
    doctor: bool = True,
    diagnosed: Show = lambda _: None,
    picked: rates.Picked | None = None,
) -> TrainingRun:
    """Fine-tune `config.base` on the examples of `config.data` and write the model to `config.out`.

    A run that was killed is gone on with: its checkpoints are in a folder beside `out`, with the configuration and
    the data that they belong to.

    Args:
        doctor: look at the data first, and stop at errors; False trains on it all the same.
        diagnosed: gets what the doctor says, before it stops anything.
        picked: how the rate of *config* was chosen on its development split, where it was: for record and report.

    Raises:
        OutputBusy: another process trains to the same target.
        OutputFailed: the target cannot be written.
        ConfigInvalid: the target exists, a limit is beyond the base's, or checkpoints of another run are there.
        DataInvalid: the data cannot be read, is too little, leaks, or the doctor found an error in it.
        ModelUnsupported: the base cannot be read or could not be exported afterwards.
        TrainingFailed: the sentinel stopped the run, or the loss is no longer a number.
    """
    # Of several processes of one run, the one that writes holds the target for all, and speaks for all.
    with held(config.out) if is_main() else nullcontext():
        return _train(config, progress, say if is_main() else unsaid, diagnosed if doctor else None, picked)


def unsaid(sentence: str) -> None:
    """What another process says."""


def _train(
    config: TrainingConfig, progress: Progress, say: Say, diagnosed: Show | None, picked: rates.Picked | None
) -> TrainingRun:
    if config.out.exists():
        raise ConfigInvalid(key="out", reason=f"{config.out} exists already; name another folder, or remove it")
    if diagnosed is not None:
        look_at_data(config, diagnosed)
    began = time.perf_counter()
    setup = prepare(config)
    # A checkpoint has the weights and the two moments of the optimiser.
    numbers = sum(weight.numel() for weight in setup.model.parameters())
    require_room(config.out, 4 * numbers * (4 if config.checkpoint_every else 1))
    look = _dev_look(setup) if config.chooses else None
    checkpoints = folder_of(config, setup, writes=is_main())
    fitted = _fitted(setup, checkpoints, look, progress, say)
    if look is not None:
        fitted = _souped(setup, fitted, checkpoints, look, progress, say)
        say(kept_sentence(fitted.kept))
    if picked is not None:
        fitted = replace(fitted, picked=picked)
    for alarm in fitted.history.alarms:
        say(str(alarm))
    if not is_main():
        return TrainingRun(config.out, {})

    record = _record(setup, fitted)
    if config.blend < 1:
        blend(setup.model, load_start(config), config.blend)
    with whole_folder(config.out) as work:
        save_model(setup.model, work, setup.checkpoint.folder_tokenizer, config.base)
        datasets = outcome.held_out(setup.data.data, config.data, config.score_splits)
        trained = load_checkpoint(work, setup.overrides)
        fair = {split: each for split, each in datasets.items() if split not in doubts(record)}
        base = outcome.strongest(bases(setup), fair or datasets, progress)
        found = outcome.score(base, trained, datasets, progress, config.teacher)
        record |= {"base_prompts": dict(base.recipe.prompts), ENCODER: encoder_record(trained)}
        record |= found.to_json(doubts(record)) | {"total_s": round(time.perf_counter() - began, 3)}
        (work / report.REPORT).write_text(report.html_report(record, found), encoding="utf-8")
        (work / report.CARD).write_text(report.model_card(record), encoding="utf-8")
        (work / RECORD).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    _forget(checkpoints)
    return TrainingRun(config.out, record)


def look_at_data(config: TrainingConfig, show: Show = lambda _: None) -> None:
    """The doctor's errors end it; leaks are an error unless the configuration lets them pass.

    Of several processes one looks, and speaks for all.

    Raises:
        DataInvalid: the data cannot be read, or the doctor found an error.
    """
    if not is_main():
        return
    allowed = "all" if config.drop_leaks else config.allow_leakage
    data = load_data(config.data)
    held_out = tuple(split for split in config.unseen_splits if split in data.splits)
    checkup(data, Questions(config.train_split, held_out, allowed, cost=False), show)


@dataclass(frozen=True, slots=True)
class _Fitted:
    """The run that went to its end, and those before it that did not."""

    rate: float
    picked: rates.Picked | None
    history: History
    restarts: list[dict[str, Any]]
    seconds: float
    keeper: Keeper | None
    kept: Mapping[str, Any] = field(default_factory=dict)


def _dev_look(setup: Setup) -> Look:
    """The yardstick by which weights are chosen: of a model as it would be written, mixed with its base where asked."""
    config, questions = setup.config, setup.dev_questions()
    base = load_start(config).to(setup.model.device) if config.blend < 1 else None

    def look(model: Any) -> float:
        if base is not None:
            ((_, model),) = mixtures(model, base, (config.blend,))
        return float(questions.scores(model, setup.text_encoders, bf16=setup.precision == "bf16").mean())

    return look


def _keeper(setup: Setup, look: Look | None) -> Keeper | None:
    """Who chooses among the weights of one run; None where the last ones are taken unseen."""
    if look is None:
        return None
    config, total = setup.config, setup.plan(0.0).total_steps()
    looks = min(total, config.looks) if config.keep == "best" else 1
    return Keeper(look, look_steps(total, looks), config.patience, config.ema)


def _souped(
    setup: Setup, first: _Fitted, checkpoints: Path | None, look: Look, progress: Progress, say: Say
) -> _Fitted:
    """Runs with other seeds, and the mean of those that do not make it worse, which the model is afterwards."""
    config, keeper, began = setup.config, first.keeper, time.perf_counter()
    assert keeper is not None
    runs, failed = [(keeper.best.best, _merged(setup.model))], []
    for seed in range(config.seed + 1, config.seed + config.seeds):
        other, keeps = setup.seeded(seed), _keeper(setup, look)
        assert keeps is not None
        other.start_over()
        plan = other.plan(first.rate, checkpoints / f"seed-{seed}" if checkpoints else None)
        try:
            fit(replace(plan, keeper=keeps), progress)
        except (Alarmed, TrainingFailed) as error:
            failed.append(f"seed {seed}: {error}")
            say(failed[-1])
            continue
        runs.append((keeps.best.best, _merged(setup.model)))
        say(f"seed {seed}: development nDCG@10 {keeps.best.best:.4f}")
    merge_adapters(setup.model)
    scratch = deepcopy(setup.model)

    def score(weights: Weights) -> float:
        load_weights(scratch, weights)
        return look(scratch)

    soup = soup_of(runs, score)
    load_weights(setup.model, soup.weights)
    kept = {"chosen_on": config.dev_split, **keeper.to_json(), **soup.to_json()}
    kept |= {"runs": [score for score, _ in runs], "failed": failed}
    return replace(first, seconds=first.seconds + time.perf_counter() - began, kept=kept)


def _merged(model: Any) -> dict[str, Any]:
    """All weights, with adapters in them."""
    copied = deepcopy(model)
    merge_adapters(copied)
    return {name: value.detach() for name, value in copied.named_parameters()}


def _fitted(setup: Setup, checkpoints: Path | None, look: Look | None, progress: Progress, say: Say) -> _Fitted:
    """Train, and start again with another rate where the sentinel says so and the configuration wants it.

    Raises:
        TrainingFailed: the sentinel stopped the run for good, or the loss is no longer a number.
    """
    config, began = setup.config, time.perf_counter()
    picked = _picked(setup, checkpoints, progress) if config.learning_rate == AUTO else None
    if picked is not None:
        say(f"learning_rate {picked.rate:g}: {picked.reason}")
    rate = picked.rate if picked is not None else config.rate
    restarts: list[dict[str, Any]] = []
    while True:
        # A folder for each rate: a resumed run takes the same turns, and finds the checkpoints of its own rate.
        plan = setup.plan(rate, checkpoints / f"{rate:.3g}" if checkpoints else None)
        plan = replace(plan, keeper=_keeper(setup, look), say=say)
        try:
            history = fit(plan, progress)
            return _Fitted(rate, picked, history, restarts, time.perf_counter() - began, plan.keeper)
        except Alarmed as alarmed:
            rate_then = _another_rate(config, rate, alarmed.alarm, len(restarts))
            if rate_then is None:
                _forget(checkpoints)
                raise TrainingFailed(f"{alarmed.alarm}; on_collapse = 'warn' goes on regardless") from alarmed
            say(f"{alarmed.alarm}. Starting again with learning_rate {rate_then:g}.")
            restarts.append({"rate": rate, "alarm": alarmed.alarm.to_json()})
            rate = rate_then
            setup.start_over()


def _record(setup: Setup, fitted: _Fitted) -> dict[str, Any]:
    """What run.json says of the training; the scores come later."""
    config, history, picked = setup.config, fitted.history, fitted.picked
    whole = setup.plan(0.0)
    # Not the steps of the history: processes may have changed in between.
    done = fitted.keeper.looks[-1].step if fitted.keeper is not None else whole.total_steps()
    epochs = done / whole.steps_of_an_epoch()
    return {
        "config": config.to_json(),
        "base_space_id": setup.checkpoint.identity.space_id(),
        "data": {"folder": config.data.resolve().name, "split": config.train_split, **setup.data.to_json()},
        "precision": setup.precision,
        "learning_rate": fitted.rate,
        "rate_probe": picked.to_json() if picked is not None else None,
        "kept": dict(fitted.kept) or None,
        "temperature": setup.loss.temperature_now(),
        "steps": len(history.losses),
        "epochs": round(epochs, 3),
        "loss": history.losses,
        "gradient_norm": history.norms,
        "loss_of_guessing": setup.trivial,
        "sentinel": {
            "alarms": [alarm.to_json() for alarm in history.alarms],
            "restarts": fitted.restarts,
            **{name: [each.to_json() for each in sample.vitals] for name, sample in setup.samples.items()},
        },
        "texts_cut": {role: round(count / max(1.0, epochs)) for role, count in setup.collator.cut.items()},
        "training_s": round(fitted.seconds, 3),
        "predicted_s": round(history.predicted_s, 3),
        "processes": processes(),
        "threads": torch.get_num_threads(),
        "device": str(setup.model.device),
        "python": platform.python_version(),
        "versions": versions(),
    }


def probe_rates(
    config: TrainingConfig, progress: Progress = silent, *, doctor: bool = True, diagnosed: Show = lambda _: None
) -> rates.Picked:
    """Try learning rates in short runs, whatever that is of a whole run; nothing is written. See `train`."""
    if doctor:
        look_at_data(config, diagnosed)
    setup = prepare(config)
    steps = rates.steps_each(setup.plan(0.0).total_steps()) or rates.LEAST_STEPS
    return try_rates(setup, steps, progress)


def try_rates(setup: Setup, steps: int, progress: Progress = silent) -> rates.Picked:
    """A short run of *steps* at each rate, each from the untouched base, which is what *setup* has afterwards."""
    examples = setup.data.data.splits.get(setup.config.dev_split, setup.data.examples)
    examples = _unreported(setup, examples)
    rows = sample_rows(examples, _POOL, right=True)
    pool = list(dict.fromkeys(examples.passages[row] for row in rows))
    queries = [examples.queries[row] for row in rows]
    own = [pool.index(examples.passages[row]) for row in rows]

    def score() -> float:
        return reciprocal_rank(setup.model, setup.text_encoders, queries, pool, own, bf16=setup.precision == "bf16")

    def run(rate: float) -> rates.RateTrial:
        setup.start_over()
        plan = replace(setup.plan(rate, steps=steps), mine=None, stop_on_alarm=False)
        try:
            fit(plan, progress)
        except TrainingFailed:
            return rates.RateTrial(rate, 0.0, math.nan, setup.trivial)
        measured = list(setup.samples.values())[-1].vitals[-1]
        return rates.RateTrial(rate, score(), measured.loss, measured.trivial)

    start = score()
    picked = rates.probe(run, start, steps)
    setup.start_over()
    return picked


def _unreported(setup: Setup, examples: Examples) -> Examples:
    """*examples* without those whose query a reported split asks too: these may not choose.

    Raises:
        DataInvalid: none is left.
    """
    config, splits = setup.config, setup.data.data.splits
    reported = [name for name in config.score_splits if name != config.dev_split and name in splits]
    rows = rows_apart(examples.queries, [text for name in reported for text in splits[name].queries])
    if not rows:
        raise DataInvalid(
            path=str(config.data),
            reason=f"all queries of split {config.dev_split} are asked by {' or '.join(reported)} too, so nothing can "
            "be chosen on them; split the set anew",
        )
    return examples.rows(rows)


def _picked(setup: Setup, checkpoints: Path | None, progress: Progress) -> rates.Picked:
    """The rate by trial; a run that goes on takes the one that was picked when it began."""
    kept = checkpoints / "rate.json" if checkpoints is not None else None
    if kept is not None and kept.exists():
        said = json.loads(kept.read_text(encoding="utf-8"))
        return rates.Picked(**(said | {"trials": tuple(rates.RateTrial(**trial) for trial in said["trials"])}))
    steps = setup.plan(0.0).total_steps()
    each = rates.steps_each(steps)
    picked = try_rates(setup, each, progress) if each else rates.not_tried(steps)
    if kept is not None and is_main():
        with whole_file(kept) as file:
            file.write(json.dumps(picked.to_json()).encode("utf-8"))
    return picked


def _another_rate(config: TrainingConfig, rate: float, alarm: sentinel.Alarm, restarts: int) -> float | None:
    """The rate to start again with, or None to stop."""
    wanted = {
        ("lower_rate", sentinel.RATE_TOO_HIGH): rate / 10,
        ("raise_rate", sentinel.RATE_TOO_LOW): rate * 10,
    }
    return wanted.get((config.on_collapse, alarm.cause)) if restarts < _RESTARTS else None


def _forget(checkpoints: Path | None) -> None:
    if checkpoints is not None and is_main():
        shutil.rmtree(checkpoints, ignore_errors=True)
