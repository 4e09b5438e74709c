"""Lengths of time on the command line: 90s, 15m, 1.5h."""

from __future__ import annotations

import re
from typing import Any, Final

import click

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600}
_FORM: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smh]?)")


class Duration(click.ParamType[float]):
    """A time as seconds, a float above 0."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        match = _FORM.fullmatch(str(value).strip().lower())
        seconds = float(match.group(1)) * _UNITS[match.group(2)] if match else 0.0
        if seconds <= 0:
            self.fail(f"{value!r} is no time; expected a number above 0 with s, m or h, such as 90s or 15m", param, ctx)
        return seconds
