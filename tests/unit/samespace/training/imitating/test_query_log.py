"""Logs of queries as people have them, and what becomes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the extra train")

from samespace.errors import DataInvalid
from samespace.model.checkpoint import load_checkpoint
from samespace.training.adapting.distill import imitation_rows
from samespace.training.adapting.heldout import not_asked
from samespace.training.adapting.signals import SIGNALS, MadePair
from samespace.training.imitating.query_log import read_queries


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("log.txt", "reset  password\n\nrefund\nreset password\n" + "x" * 2000),
        ("log.jsonl", '{"query": "reset password", "at": 3}\n{"query": "refund"}\n'),
        ("log.json", '[{"q": "reset password"}, {"q": "refund"}]'),
        ("log.csv", "when,question\n1,reset password\n2,refund\n"),
    ],
)
def test_logs_are_read_as_they_come(tmp_path: Path, name: str, content: str) -> None:
    """Each query once, with single spaces; empty lines and pasted pages are none."""
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert read_queries(tmp_path / name) == ["reset password", "refund"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("log.txt", "\n \n", "has no query"),
        ("log.jsonl", '{"clicks": 3}\n', "expected a column query, question, q; found 'clicks'"),
    ],
)
def test_what_is_no_log_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    """With the line where there is one; a missing file too."""
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataInvalid, match=message):
        read_queries(tmp_path / name)
    with pytest.raises(DataInvalid, match="no such file"):
        read_queries(tmp_path / "nowhere.txt")


def test_what_judges_is_taken_out() -> None:
    """The same question in other case, and nearly the same one."""
    asked = ["How do I reset the password of my account on the old site?"]
    log = [asked[0].upper(), asked[0].replace("old", "older"), "refund"]
    assert not_asked(log, asked)[-1:] == ["refund"] and asked[0].upper() not in not_asked(log, asked)


def test_a_log_takes_the_place_of_random_words(tiny_checkpoint: Path) -> None:
    """Each section is there with a made-up query, then with the log's; all of a long log is used."""
    encoder = load_checkpoint(tiny_checkpoint).text_encoder
    encoders: Any = {"query": encoder, "passage": encoder}
    sections = {(row, 0): f"a{row} b c d e f g h" for row in range(4)}
    train = {signal.name: () for signal in SIGNALS} | {"openings": (MadePair("a0 b c", "d e f g h", 0, 0),)}
    for log in (["ab", "cd"], [f"ab {row}" for row in range(7)]):
        rows = imitation_rows(sections, train, encoders, log)
        assert {row["passage"] for row in rows} == set(sections.values())
        assert set(log) <= {row["query"] for row in rows}
        assert any(row["query"] == "a0 b c" for row in rows[:4])
        assert json.loads(json.dumps(rows)) == rows
    assert len(imitation_rows(sections, train, encoders)) <= 8
