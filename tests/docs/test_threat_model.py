"""The threat model names tests that are there, and no attack of ours is left out of it."""

from __future__ import annotations

import re

from fakes.doc_pages import ROOT

PAGE = ROOT / "docs" / "explanation" / "threat-model.md"
ATTACKS = ROOT / "tests" / "attacks"
NAMED = re.compile(r"`(test_\w+\.py)(?:::(test_\w+))?`")


def test_every_test_that_it_names_is_there() -> None:
    """By file and function."""
    named = NAMED.findall(PAGE.read_text(encoding="utf-8"))
    assert len(named) > 20
    for file, function in named:
        source = (ATTACKS / file).read_text(encoding="utf-8")
        assert not function or f"def {function}(" in source, f"{file}::{function}"


def test_every_file_of_attacks_is_named() -> None:
    """A new kind of attack gets a line."""
    named = {file for file, _ in NAMED.findall(PAGE.read_text(encoding="utf-8"))}
    assert {file.name for file in ATTACKS.glob("test_*.py")} == named
