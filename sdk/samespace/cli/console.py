"""What commands print: sentences, tables and progress, on terminals of any width and in logs."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import click

_LOG_EVERY_S: Final = 15.0


def say(sentence: str = "") -> None:
    """A plain sentence for people, on stderr, so that stdout stays for results."""
    click.echo(sentence, err=True)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns padded to their widest cell; the first is left-aligned, the others right-aligned."""
    cells = [list(header), *(list(row) for row in rows)]
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
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal, a line now and then in a log; yields what to call with each number done."""
    if sys.stderr.isatty():
        with click.progressbar(length=total, label=label, file=sys.stderr, show_pos=True) as bar:
            yield bar.update
        return
    done, last = 0, time.monotonic()

    def advance(count: int) -> None:
        nonlocal done, last
        done += count
        if time.monotonic() - last >= _LOG_EVERY_S:
            last = time.monotonic()
            say(f"{label}: {done} of {total}")

    yield advance
    say(f"{label}: {done} of {total}, done")


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
