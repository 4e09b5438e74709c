"""Values of data in messages, cut to what a person reads: no message grows with the file."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from ..text import shortened

_CHARS: Final = 60
_NAMES: Final = 12


def clipped(value: Any) -> str:
    """The value as Python writes it, at most 60 characters of it."""
    plain = repr(value[: 2 * _CHARS] if isinstance(value, str | bytes) else value)
    return shortened(plain, _CHARS)


def shown(value: Any) -> str:
    """A value with its type."""
    return f"{clipped(value)} ({type(value).__name__})"


def listed(names: Collection[Any]) -> str:
    """The first twelve of *names*, and how many more there are; "nothing" for none."""
    if not names:
        return "nothing"
    first = ", ".join(clipped(name) for name, _ in zip(names, range(_NAMES), strict=False))
    return first if len(names) <= _NAMES else f"{first} and {len(names) - _NAMES} more"
