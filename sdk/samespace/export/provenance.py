"""What is known about a checkpoint's making: the record that `samespace train` leaves beside the model.

An artifact travels, so no path of the machine that made it goes along.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

RECORD = "run.json"
_FOLDERS: Final = ("data", "out", "teacher")
_MODELS: Final = ("base", "guide")


def training_record(model: str | Path) -> dict[str, Any]:
    """{"training": the record} where *model* is a folder that samespace trained, else {}."""
    for place in (Path(model) / RECORD, Path(model).parent / RECORD):
        if place.is_file():
            record = json.loads(place.read_text(encoding="utf-8"))
            return {"training": _without_paths(record)} if isinstance(record, dict) else {}
    return {}


def public_name(model: str) -> str:
    """A hub's name as it is; of a folder its own name only."""
    is_folder = model.startswith((".", "/", "~")) or Path(model).is_dir()
    return Path(model).resolve().name if is_folder else model


def _without_paths(record: dict[str, Any]) -> dict[str, Any]:
    config = record.get("config")
    if not isinstance(config, dict):
        return record
    named = {key: Path(config[key]).name for key in _FOLDERS if isinstance(config.get(key), str)}
    named |= {key: public_name(config[key]) for key in _MODELS if config.get(key)}
    return record | {"config": config | named}
