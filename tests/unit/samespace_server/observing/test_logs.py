"""Log lines for people and for machines."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from samespace_server.observing.logs import Format, Refusals, set_up, tell


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


def lines_of(form: Format, root: logging.Logger, *events: Any) -> list[str]:
    """What *events*, functions, log."""
    stream = io.StringIO()
    set_up(form, stream)
    for event in events:
        event()
    return stream.getvalue().splitlines()


def test_text_lines_are_for_people(root: logging.Logger) -> None:
    """Time, level, what happened, and its fields; None is left out, floats are short."""
    (line,) = lines_of("text", root, lambda: tell("loaded", space="0f16", worst=1.23456e-7, build=None, dims=384))
    assert line.endswith("Z INFO loaded space=0f16 worst=1.23e-07 dims=384")


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_line_stays_one_line(form: Format, root: logging.Logger) -> None:
    """Names from artifacts cannot forge lines, fields or terminal colours."""
    name = 'x\nINFO loaded space="y" \x1b[31m\u2028\u202e'
    (line,) = lines_of(form, root, lambda: tell("loaded", name=name, dims=3))
    assert line.isprintable() and line.isascii()
    if form == "json":
        assert json.loads(line)["name"] == name
    else:
        assert line.count(" space=") == 1 and line.endswith(" dims=3")
        assert json.loads(line.split("name=")[1].removesuffix(" dims=3")) == name


def test_json_lines_hold_tracebacks(root: logging.Logger) -> None:
    """Whatever is logged, by whomever, is one object a line."""

    def fail() -> None:
        try:
            raise ValueError("in a library")
        except ValueError:
            logging.getLogger("library").exception("failed: %s", "why")

    (line,) = lines_of("json", root, fail)
    told = json.loads(line)
    assert (told["level"], told["event"]) == ("error", "failed: why")
    assert "ValueError: in a library" in told["traceback"]


def test_refusals_are_told_once_in_a_while_with_their_number(root: logging.Logger) -> None:
    """A thousand refusals of one kind are two lines, which together count all of them; another kind is told at once."""
    now_ms = 0
    refusals = Refusals(lambda: now_ms)

    def refuse() -> None:
        nonlocal now_ms
        for tick in range(1000):
            now_ms = tick
            refusals.refused("0f16", "Overloaded")
        refusals.refused("0f16", "RequestInvalid")
        now_ms = Refusals.EVERY_MS
        refusals.refused("0f16", "Overloaded")

    told = [json.loads(line) for line in lines_of("json", root, refuse)]
    assert [(each["reason"], each["requests"]) for each in told] == [
        ("Overloaded", 1), ("RequestInvalid", 1), ("Overloaded", 1000)
    ]  # fmt: skip
