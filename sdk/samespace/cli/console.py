"""What commands print: sentences, tables and progress, on terminals of any width and in logs."""

from __future__ import annotations

import shutil
import sys
import textwrap
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from typing import Final

import click

from ..text import printable, shortened

_LOG_EVERY_S: Final = 15.0
_PACE_OVER_S: Final = 10.0
_WIDE: Final = 72
"""Columns from which a bar has room beside the numbers."""


def echo(text: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Print *text*, on stderr with *err*; control characters out of strangers' files are escaped, see `printable`."""
    click.echo(printable(str(text)), err=err, nl=nl)


def say(sentence: str = "") -> None:
    """A plain sentence for people, on stderr, so that stdout stays for results."""
    echo(sentence, err=True)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns padded to their widest cell; the first is left-aligned, the others right-aligned."""
    cells = [list(header), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = []
    for row in cells:
        parts = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(parts).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def one_line(text: str, *, indent: int = 0) -> str:
    """The beginning of *text* that fits the terminal's width behind *indent* columns."""
    most = max(20, shutil.get_terminal_size().columns - indent)
    return shortened(printable(" ".join(text.split())), most)


def wrapped(text: str, *, first: str = "") -> str:
    """*text* behind *first*, over as many lines as the terminal's width needs; the others are indented as deep."""
    most = max(40, shutil.get_terminal_size().columns)
    return textwrap.fill(
        printable(text),
        most,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, a line now and then in a log, with rate and time left; yields what to call with each number
    done. A *total* of 0 is not known, and one that is passed was none: only what is done is told."""
    if sys.stderr.isatty():
        with _bar(label, total) as step:
            yield step
        return
    pace, last = RecentPace(total, time.monotonic()), time.monotonic()

    def of_all() -> str:
        return f" of {total}" if total >= pace.done and total else ""

    def advance(count: int) -> None:
        nonlocal last
        now = time.monotonic()
        rate = pace.step(count, now)
        if now - last >= _LOG_EVERY_S:
            last = now
            pieces = f"{rate:.0f}" if rate >= 10 else f"{rate:.2g}"
            left = f", {pace.left_s:.0f} s left" if of_all() and isfinite(pace.left_s) else ""
            say(f"{label}: {pace.done}{of_all()}, {pieces} a second{left}")

    yield advance
    say(f"{label}: {pace.done}{of_all()}, done")


@contextmanager
def _bar(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """rich's bar; where there is little room, the label is cut, and rate and time left are not shown."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    width = shutil.get_terminal_size().columns
    least = (TextColumn("{task.description}", markup=False), MofNCompleteColumn())
    rate = TextColumn("{task.fields[rate]:.0f}/s", markup=False)
    columns = least if width < _WIDE else (*least, BarColumn(), rate, TimeRemainingColumn())
    cut = shortened(label, max(4, width // 3))
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(printable(cut), total=total or None, rate=0.0)
        pace = RecentPace(total, time.monotonic())

        def step(count: int) -> None:
            rate = pace.step(count, time.monotonic())
            shown.update(task, total=max(total, pace.done) if total else None, completed=pace.done, rate=rate)

        yield step


class RecentPace:
    """How fast something goes at the moment: over the last steps of at least ten seconds, so that a slow start, or what
    was skipped, is soon forgotten."""

    def __init__(self, total: int, now_s: float) -> None:
        self.done, self._total, self._rate = 0, total, 0.0
        self._steps = deque([(now_s, 0)])

    def step(self, count: int, now_s: float) -> float:
        """Note *count* more; how many a second."""
        self.done += count
        self._steps.append((now_s, self.done))
        while len(self._steps) > 2 and now_s - self._steps[1][0] >= _PACE_OVER_S:
            self._steps.popleft()
        since_s, before = self._steps[0]
        self._rate = (self.done - before) / (now_s - since_s) if now_s > since_s else 0.0
        return self._rate

    @property
    def left_s(self) -> float:
        """Seconds left at this pace; infinite before there is one."""
        return max(0, self._total - self.done) / self._rate if self._rate else float("inf")


def quiet_libraries() -> None:
    """Turn off the progress bars and notices of libraries under us: a command has its own words."""
    import logging
    import os

    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    for name in ("huggingface_hub", "weaviate-client"):
        logging.getLogger(name).setLevel(logging.ERROR)
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
