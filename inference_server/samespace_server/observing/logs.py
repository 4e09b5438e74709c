"""What the server says on stderr: one line for each thing that happens, for people or for machines.

text:  2026-11-21T16:00:00.123Z INFO loaded space=0f16853b96e8 name=minilm build=int8
json:  {"time": "2026-11-21T16:00:00.123Z", "level": "info", "event": "loaded", "space": "0f16853b96e8", ...}

Nothing that a caller sent is ever part of a line: no text, no token, no id that was asked for. Whatever comes from
an artifact is one value on one line, whatever it holds.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable
from typing import Final, Literal, TextIO

Format = Literal["text", "json"]
FORMATS: Final[tuple[Format, ...]] = ("text", "json")
Value = str | int | float | bool | None

_FIELDS: Final = "samespace_fields"
_PLAIN: Final = re.compile(r"[^\s\"=\\]+")
_log = logging.getLogger("samespace")


def tell(event: str, *, level: int = logging.INFO, **fields: Value) -> None:
    """Log that *event* happened, a word or a few; fields that are None are left out."""
    told = {name: value for name, value in fields.items() if value is not None}
    _log.log(level, event, extra={_FIELDS: told})


class Refusals:
    """Log lines about refusals, at most one of a kind in a while: overload must not fill a disk."""

    EVERY_MS: Final = 10_000

    def __init__(self, now_ms: Callable[[], int]) -> None:
        """*now_ms* is a monotonic clock."""
        self._now_ms = now_ms
        self._last_ms: dict[tuple[str, str], int] = {}
        self._untold: dict[tuple[str, str], int] = {}

    def refused(self, space: str, reason: str) -> None:
        """Tell of a refusal, or count it for the next line of its kind.

        Args:
            space, reason: of few values, both: they are remembered.
        """
        kind, now_ms = (space, reason), self._now_ms()
        untold = self._untold[kind] = self._untold.get(kind, 0) + 1
        last_ms = self._last_ms.get(kind)
        if last_ms is not None and now_ms - last_ms < self.EVERY_MS:
            return
        self._last_ms[kind], self._untold[kind] = now_ms, 0
        tell("refused", level=logging.WARNING, space=space, reason=reason, requests=untold)


def set_up(form: Format, stream: TextIO) -> None:
    """Send every log line of this process to *stream*, from INFO on."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    handler.addFilter(_is_news)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)


def _is_news(record: logging.LogRecord) -> bool:
    """Not that a client was gone when its reply was sent, of which gRPC makes a traceback each time."""
    return not (record.name.startswith("grpc") and "ExecuteBatchError" in record.getMessage())


class TextLines(logging.Formatter):
    """Lines for people; a value with blanks or quotes in it is quoted, so that a line stays one."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a traceback below it where there is one."""
        fields = getattr(record, _FIELDS, {})
        parts = [_time(record), record.levelname, record.getMessage().replace("\n", "\\n")]
        parts += [f"{name}={_word(value)}" for name, value in fields.items()]
        line = " ".join(parts)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonLines(logging.Formatter):
    """Lines for machines: one JSON object each, tracebacks too."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        told = {"time": _time(record), "level": record.levelname.lower(), "event": record.getMessage()}
        told |= getattr(record, _FIELDS, {})
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=True, allow_nan=True)


def _time(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03}Z"


def _word(value: Value) -> str:
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    return text if _PLAIN.fullmatch(text) and text.isprintable() else json.dumps(text)
