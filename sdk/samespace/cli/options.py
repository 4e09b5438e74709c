"""Options that belong together, handed to a command as one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def gathered(into: str, make: Callable[..., Any], options: Mapping[str, Decorator]) -> Decorator:
    """Give a command *options* in this order; it gets what *make* makes of their values, by name, as *into*."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def called(*args: Any, **given: Any) -> Any:
            values = {name: given.pop(name) for name in options}
            return command(*args, **{into: make(**values)}, **given)

        decorated: Callable[..., Any] = called
        for option in reversed(list(options.values())):
            decorated = option(decorated)
        return decorated

    return decorate
