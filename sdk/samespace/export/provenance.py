"""What is known about a checkpoint's making: the record that `samespace train` leaves beside the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RECORD = "run.json"


def training_record(model: str | Path) -> dict[str, Any]:
    """{"training": the record} where *model* is a folder that samespace trained, else {}."""
    for place in (Path(model) / RECORD, Path(model).parent / RECORD):
        if place.is_file():
            record = json.loads(place.read_text(encoding="utf-8"))
            return {"training": record} if isinstance(record, dict) else {}
    return {}
