"""Checkpoints of a run: what is in one beside the trainer's own, which one counts, and taking it up again.

What it leaves to others: when one is written (`loop`).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from ...errors import ConfigInvalid
from ...folders import whole_file
from ..sentinel.judge import Alarm, Vitals

if TYPE_CHECKING:
    from .config import TrainingConfig
    from .loop import History, TrainingPlan
    from .setup import Setup

_STARTS, _KEPT = "samespace.npz", "kept.pt"
STATE: Final = "samespace.json"
_TRAINER, _SCHEDULE = "trainer_state.json", "scheduler.pt"  # names of transformers' trainer


def folder_of(config: TrainingConfig, setup: Setup, *, writes: bool) -> Path | None:
    """The folder beside `out` for checkpoints; what is there already has to be of this very run.

    Args:
        writes: whether this is the process that writes.
    """
    if not config.checkpoint_every:
        return None
    folder = config.out.with_name(f".{config.out.name}.checkpoints")
    said = config.to_json() | {"out": "", "checkpoint_every": 0, "report_to": []}
    digest = hashlib.sha256(
        json.dumps([said, setup.data.examples.digest(), setup.checkpoint.identity.space_id(), setup.precision]).encode()
    ).hexdigest()
    stamp = folder / "run.sha256"
    if stamp.exists() and stamp.read_text().strip() != digest:
        raise ConfigInvalid(
            key="out",
            reason=f"{folder} has checkpoints of a run with other settings or data; go on with those, or remove it",
        )
    if writes and not stamp.exists():
        folder.mkdir(parents=True, exist_ok=True)
        stamp.write_text(digest + "\n")
    _same_threads(folder / "threads", writes=writes)
    return folder


def _same_threads(noted: Path, *, writes: bool) -> None:
    """A run goes on with as many threads as it began with: another number adds up in another order, to other bits."""
    if noted.exists():
        torch.set_num_threads(int(noted.read_text()))
    elif writes:
        noted.write_text(f"{torch.get_num_threads()}\n")


def newest(folder: Path) -> Path | None:
    """The checkpoint of most steps that was written to its end, or None."""
    whole = [path.parent for path in folder.glob(f"checkpoint-*/{STATE}")]
    return max(whole, key=_step, default=None)


def in_steps_of(found: Path, then: int, now: int, scratch: Path) -> Path:
    """*found*; or where an epoch had *then* steps and has *now*, a copy in *scratch* at the same share of its epochs.

    That is so where the run goes on with another number of processes: each step then takes more or fewer examples.
    Weights, optimiser and schedule go on from the same place; at the seam some examples are seen twice, or not.
    """
    if then == now:
        return found
    step = round(_step(found) * now / then)
    copy = scratch / f"checkpoint-{step}"
    shutil.copytree(found, copy)
    state = json.loads((copy / _TRAINER).read_text(encoding="utf-8"))
    (copy / _TRAINER).write_text(json.dumps(state | {"global_step": step}), encoding="utf-8")
    schedule = torch.load(copy / _SCHEDULE, map_location="cpu", weights_only=True)
    torch.save(schedule | {"last_epoch": step, "_step_count": step + 1}, copy / _SCHEDULE)
    return copy


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.partition("-")[2])


def keep(folder: Path, plan: TrainingPlan, history: History) -> None:
    """Write what the trainer's own checkpoint lacks; the JSON last, by a rename: it says that all is there."""
    samples = {name: sample for name, sample in plan.samples.items() if sample.start is not None}
    starts: dict[str, Any] = {name: sample.start for name, sample in samples.items()}
    np.savez(folder / _STARTS, **starts)
    if plan.keeper is not None:
        torch.save(plan.keeper.state(), folder / _KEPT)
    state = {
        "losses": history.losses,
        "norms": history.norms,
        "alarms": [alarm.to_json() for alarm in history.alarms],
        "predicted_s": history.predicted_s,
        "vitals": {name: [each.to_json() for each in sample.vitals] for name, sample in samples.items()},
        "log_temperature": float(plan.loss.log_temperature.detach()),
        "mined": {query: list(rows) for query, rows in plan.collator.negatives.mined.items()},
        "cut": plan.collator.cut,
        "steps_of_an_epoch": plan.steps_of_an_epoch(),
    }
    with whole_file(folder / STATE) as file:
        file.write(json.dumps(state).encode("utf-8"))


def restore(folder: Path, plan: TrainingPlan, history: History) -> int:
    """Take up what `keep` wrote; the steps that an epoch had then."""
    state = json.loads((folder / STATE).read_text(encoding="utf-8"))
    history.losses[:], history.norms[:] = state["losses"], state["norms"]
    history.alarms[:], history.predicted_s = [Alarm(**each) for each in state["alarms"]], state["predicted_s"]
    with np.load(folder / _STARTS) as starts:
        for name, vitals in state["vitals"].items():
            plan.samples[name].vitals = [Vitals(**each) for each in vitals]
            plan.samples[name].start = starts[name]
    if plan.keeper is not None:
        plan.keeper.restore(torch.load(folder / _KEPT, map_location=plan.model.device, weights_only=True))
    with torch.no_grad():
        plan.loss.log_temperature.fill_(state["log_temperature"])
    plan.collator.negatives.mined = state["mined"]
    plan.collator.cut.update(state["cut"])
    return int(state["steps_of_an_epoch"])
