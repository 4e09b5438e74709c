"""Checkpoints of a run: which one counts, and what becomes of it where an epoch has another number of steps now.

What is in one, and taking it up again, is the loop's.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Final

import torch

STATE: Final = "samespace.json"
_TRAINER, _SCHEDULE = "trainer_state.json", "scheduler.pt"  # names of transformers' trainer


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
