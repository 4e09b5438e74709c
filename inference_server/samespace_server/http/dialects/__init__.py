"""The HTTP bodies that others defined, one file each.

To add one, write a file with `DIALECTS`; nothing else has to know of it. From here: `all_dialects` and what a dialect
is. What it leaves to others: finding the space, tokens, statuses and headers (`routes`).
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from .dialect import Body, Dialect, ParsedRequest, RequestContext, flat_error, named_space

__all__ = ["Body", "Dialect", "ParsedRequest", "RequestContext", "all_dialects", "flat_error", "named_space"]


def all_dialects() -> tuple[Dialect, ...]:
    """Those of every file of this room."""
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
    return tuple(dialect for module in modules for dialect in getattr(module, "DIALECTS", ()))
