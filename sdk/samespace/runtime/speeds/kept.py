"""Measured speeds, kept for the next start in a folder that only this user can write to.

A file holds what was measured, not what is to be done: the choice is made from it again, and the probes of what is
chosen are computed again. It is believed where it says of exactly the same ways, on the same CPU, of the same files and
by the same versions. Whatever else is there is as good as no file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from ..folder import digest_of, private_folder, write_whole
from .race import RunWay, WaySpeed

Circumstances = Mapping[str, Any]
"""Everything that a speed depends on, as plain JSON."""
KIND: Final = "speeds"
_NAME: Final = "speeds.json"
_MOST_BYTES: Final = 1 << 16


def recall(circumstances: Circumstances, ways: Sequence[RunWay], *, home: Path | None = None) -> list[WaySpeed] | None:
    """What was kept of *ways*, and of more streams of them; None where nothing is that can be believed."""
    folder = private_folder(KIND, digest_of(circumstances), home=home)
    if folder is None:
        return None
    try:
        with (folder / _NAME).open("rb") as stream:
            kept = json.loads(stream.read(_MOST_BYTES))
        if kept["circumstances"] != json.loads(json.dumps(circumstances)):
            return None
        speeds = [_speed(each) for each in kept["speeds"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    allowed = {(way.build, way.runtime, way.precision) for way in ways}
    known = {(each.way.build, each.way.runtime, each.way.precision) for each in speeds}
    return speeds if speeds and known <= allowed else None


def keep(circumstances: Circumstances, speeds: Sequence[WaySpeed], *, home: Path | None = None) -> bool:
    """Write *speeds* down; whether they could be."""
    folder = private_folder(KIND, digest_of(circumstances), home=home)
    if folder is None:
        return False
    data = {"circumstances": circumstances, "speeds": [asdict(each) for each in speeds]}
    return write_whole(folder / _NAME, [json.dumps(data, indent=1).encode()])


def _speed(entry: Mapping[str, Any]) -> WaySpeed:
    """One entry; raises `ValueError`, `KeyError` or `TypeError` where it is none."""
    way = RunWay(**entry["way"])
    texts = (way.build, way.runtime, way.precision)
    load_ms = tuple(float(each) for each in entry["load_ms"])
    speed = WaySpeed(way, float(entry["speed"]), load_ms, entry["settled"])
    sound = all(math.isfinite(each) and each > 0 for each in (speed.speed, *load_ms))
    if not (sound and speed.settled is True and all(type(each) is str for each in texts)):
        raise ValueError("not a speed")
    if type(way.streams) is not int or not 1 <= way.streams <= 256:
        raise ValueError("not a number of runs")
    return speed
