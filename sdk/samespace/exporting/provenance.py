"""What is known about a checkpoint's making: the record that `samespace train` leaves beside the model.

An artifact travels, so no path of the machine that made it goes along.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ..errors import RequestInvalid
from ..model.checkpoint import Checkpoint
from ..model.exportable import BringsGraph

RECORD = "run.json"
_FOLDERS: Final = ("data", "out")
_MODELS: Final = ("base", "guide", "teacher")


def training_record(model: str | Path) -> dict[str, Any]:
    """{"training": the record} where *model* is a folder that samespace trained, else {}."""
    for place in (Path(model) / RECORD, Path(model).parent / RECORD):
        if place.is_file():
            record = json.loads(place.read_text(encoding="utf-8"))
            return {"training": without_paths(record)} if isinstance(record, dict) else {}
    return {}


def record_of(encoder: Checkpoint | BringsGraph) -> dict[str, Any]:
    """`training_record` of the folder that a checkpoint, or the Router that it is a route of, was read from."""
    return training_record(encoder.router or encoder.source) if isinstance(encoder, Checkpoint) else {}


def require_better(provenance: Mapping[str, Any], model: str, *, anyway: bool) -> None:
    """Raise `RequestInvalid` where the training record in *provenance* says: not better than its base."""
    if provenance.get("training", {}).get("better_than_base") is False and not anyway:
        raise RequestInvalid(
            field="MODEL",
            reason=f"its record ({RECORD}) says that {model} is not better than its base on held-out queries; keep the "
            "base, or pass --anyway (in Python anyway=True)",
        )


def not_better(provenance: Mapping[str, Any]) -> str:
    """What to tell of an encoder whose training record does not call it better than its base; "" where it does."""
    training = provenance.get("training")
    if not training:
        return ""
    verdict = training.get("better_than_base")
    if verdict is None:
        return f"its training record ({RECORD}) does not say whether it is better than its base"
    return "" if verdict else f"its training record ({RECORD}) says that it is not better than its base"


def public_name(model: str) -> str:
    """A hub's name as it is; of a folder its own name only."""
    is_folder = model.startswith((".", "/", "~")) or Path(model).is_dir()
    return Path(model).resolve().name if is_folder else model


def without_paths(record: dict[str, Any]) -> dict[str, Any]:
    """A training record whose configuration names folders by their last part alone."""
    config = record.get("config")
    if not isinstance(config, dict):
        return record
    named = {key: Path(config[key]).name for key in _FOLDERS if isinstance(config.get(key), str)}
    named |= {key: public_name(config[key]) for key in _MODELS if config.get(key)}
    return record | {"config": config | named}
