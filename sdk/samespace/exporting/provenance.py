"""What is known about a checkpoint's making: the record that `samespace train` leaves beside the model.

An artifact travels, so no path of the machine that made it goes along.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ..errors import RequestInvalid
from ..model.checkpoint import Checkpoint
from ..model.exportable import BringsGraph, Exportable

RECORD = "run.json"
ENCODER: Final = "encoder"
"""Key of the record: what `encoder_record` says of the encoder that it is of."""
_BODY: Final = "backbone."
_FOLDERS: Final = ("data", "out")
_MODELS: Final = ("base", "guide", "teacher")


def training_record(encoder: Exportable, model: str) -> dict[str, Any]:
    """{"training": the record} where *model* is the folder that samespace trained *encoder* to, else {}.

    Other programs write other weights into such a folder and leave the record there. Then it is left out, and
    "record_note" says so.
    """
    for place in (Path(model), Path(model).parent):
        record = read_record(place)
        if not record:
            continue
        if problem := of_another(record, encoder):
            return {} if place != Path(model) else {"record_note": f"{RECORD} {problem}, so it is not used"}
        if ENCODER in record:
            return {"training": without_paths(record)}
        if place == Path(model):
            note = (
                f"{RECORD} is of a version that did not say of which weights it is; whether these are they is not known"
            )
            return {"training": without_paths(record), "record_note": note}
    return {}


def read_record(folder: Path) -> dict[str, Any]:
    """The training record that lies in *folder*, of whatever encoder it is; {} where there is none."""
    if not (folder / RECORD).is_file():
        return {}
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    return record if isinstance(record, dict) else {}


def encoder_record(encoder: Exportable) -> dict[str, Any]:
    """What ties a record to an encoder: its weights before any head or transform, and its prompts."""
    digest = hashlib.sha256()
    for weight in sorted(encoder.identity.weights, key=lambda each: each.name):
        if weight.name.startswith(_BODY):
            digest.update(f"{weight.name} {weight.sha256}\n".encode())
    return {"weights": digest.hexdigest(), "prompts": dict(encoder.recipe.prompts)}


def of_another(record: Mapping[str, Any], encoder: Exportable) -> str:
    """What shows that *record* is of another encoder; "" where nothing does, or it does not say of which it is."""
    trained, here = record.get(ENCODER), encoder_record(encoder)
    if not isinstance(trained, dict) or trained == here:
        return ""
    if trained.get("weights") != here["weights"]:
        return "is the record of other weights than those beside it"
    return f"is the record of an encoder with prompts {trained.get('prompts')}, and not {here['prompts']}"


def record_of(encoder: Checkpoint | BringsGraph) -> dict[str, Any]:
    """`training_record` of the folder that a checkpoint, or the Router that it is a route of, was read from."""
    return training_record(encoder, encoder.router or encoder.source) if isinstance(encoder, Checkpoint) else {}


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
