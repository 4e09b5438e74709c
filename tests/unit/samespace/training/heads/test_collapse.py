"""The page about a head that learned nothing is what its committed results say."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import collapse
from samespace.training.heads.watch import FLAT

ROOT = Path(__file__).parents[5]
RECORD = json.loads((ROOT / "benchmarks" / "results" / "collapse.json").read_text(encoding="utf-8"))


def test_the_page_shows_the_committed_results() -> None:
    """Table and picture are made of the JSON, so nobody has typed a number into them."""
    page = (ROOT / "benchmarks" / "results" / "collapse.md").read_text(encoding="utf-8")
    assert f"{collapse.BEGIN}\n\n{collapse.table(RECORD)}\n\n{collapse.END}" in page
    assert (ROOT / "benchmarks" / "results" / "collapse.svg").read_text(encoding="utf-8") == collapse.svg(RECORD)
    ElementTree.fromstring(collapse.svg(RECORD))


def test_the_story_is_what_happened() -> None:
    """The mistake told nothing apart and was named with its cause; the rate of the alarm learned the same pairs."""
    rows = {row["name"]: row for row in RECORD["rows"]}
    mistake, named = rows["the mistake"], rows["the rate that the alarm names"]
    end, better = mistake["measured"][-1], named["measured"][-1]
    assert end["loss"] >= FLAT * end["trivial"] and "likely cause: rate too low" in mistake["alarm"]
    assert f"take rate {named['rate']:g}, not 1e-05" in mistake["alarm"]
    assert better["loss"] < 0.5 * better["trivial"] and named["alarm"] is None
    assert rows["InfoNCE, started as the encoder"]["scores"]["test"]["change"]["low"] > 0
