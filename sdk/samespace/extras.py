"""Parts of samespace that a user may not have installed, asked for with a clear answer."""

from __future__ import annotations

from importlib.util import find_spec

from .errors import ExtraMissing


def require_extra(extra: str, *, feature: str, modules: tuple[str, ...]) -> None:
    """Raise `ExtraMissing`, with the pip line, for the first of *modules* that is not installed; imports nothing."""
    for module in modules:
        if find_spec(module) is None:
            raise ExtraMissing(feature=feature, extra=extra, module=module)
