"""samespace.report: documents that open anywhere and show what they were given."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest

from samespace.report import (
    bars,
    folded,
    grid,
    heading,
    histogram,
    lines,
    note,
    page,
    paragraph,
    scatter,
    table,
    two_lists,
    verdict_note,
)  # fmt: skip

HOSTILE = "<script>alert('&\"')</script>"


def parsed(html: str) -> ElementTree.Element:
    """A piece as XML: a tag that is not closed or a character that is not escaped is an error."""
    return ElementTree.fromstring(f"<div>{html}</div>")


@pytest.mark.parametrize(
    "piece",
    [
        heading(HOSTILE),
        paragraph(HOSTILE),
        note(HOSTILE, "bad"),
        table([HOSTILE, "b"], [[HOSTILE, 1]]),
        histogram({HOSTILE: [0.1, 0.2]}, label=HOSTILE),
        lines({HOSTILE: [(0, 1), (1, 2)]}, x=HOSTILE, y=HOSTILE),
        scatter({HOSTILE: [(0, 1)]}, x=HOSTILE),
        bars({HOSTILE: 1.0}, label=HOSTILE),
        grid(paragraph(HOSTILE), folded(HOSTILE, paragraph("x"))),
        two_lists(HOSTILE, {HOSTILE: [(1, HOSTILE, True)]}, HOSTILE),
        verdict_note(HOSTILE, "good"),
    ],
)
def test_text_never_becomes_markup(piece: str) -> None:
    """Names and labels out of data are shown as they are."""
    assert "<script" not in piece
    assert HOSTILE[:20] in "".join(parsed(piece).itertext())


def test_a_page_loads_nothing() -> None:
    """It opens offline: no address, no script, one title."""
    html = page("A & B", heading("one"), paragraph("two"))
    assert "<title>A &amp; B</title>" in html and html.count("<h1>") == 1
    assert not re.search(r"https?://|<script|<link|@import|src=", html)
    assert "default-src 'none'" in html


def test_numbers_stand_to_the_right() -> None:
    """A column of numbers is aligned, one with a word is not."""
    cells = parsed(table(["name", "n", "mixed"], [["a", 1, 2], ["b", "3.5%", "x"]])).findall(".//td")
    assert [cell.get("class") for cell in cells] == [None, "number", None] * 2


def test_a_histogram_has_each_share_at_its_height() -> None:
    """Three of four values in the upper half: its outline is three times as high as the lower one's."""
    picture = parsed(histogram({"a": [0.1, 0.9, 0.9, 0.9]}, label="cosine", low=0, high=1, bins=2))
    outline = picture.find(".//polygon")
    assert outline is not None
    heights = [float(point.split(",")[1]) for point in outline.attrib["points"].split()]
    base = heights[0]
    assert (base - heights[3]) / (base - heights[1]) == pytest.approx(3, rel=0.01)


def test_values_that_are_not_finite_are_told() -> None:
    """They are left out of the picture, and the caption counts them."""
    assert "2 values are not finite" in histogram({"a": [0.5, math.nan, math.inf]}, label="x")
    assert len(parsed(lines({"a": [(0, 1), (1, math.nan), (2, 1), (3, 2)]}, x="x", y="y")).findall(".//polyline")) == 1
    assert len(parsed(scatter({"a": [(0, 1), (1, math.nan)]})).findall(".//circle")) == 1
    assert "nan" in bars({"a": math.nan, "b": 2.0}, label="x")


def test_nothing_and_one_value_are_pictures_too() -> None:
    """Empty series and equal values do not divide by nothing."""
    for piece in (
        histogram({}, label="x"),
        histogram({"a": []}, label="x"),
        histogram({"a": [0.5, 0.5]}, label="x"),
        lines({}, x="x", y="y"),
        lines({"a": [(1e-5, 0.3)]}, x="x", y="y", log_x=True),
        scatter({"a": []}),
        bars({}, label="x"),
        bars({"a": 0.0}, label="x"),
    ):
        parsed(piece)
        assert "nan" not in piece


def test_a_logarithmic_axis_has_powers_of_ten() -> None:
    """Rates from 1e-6 to 1e-3: each power of ten stands at the same distance from the next."""
    picture = parsed(lines({"a": [(1e-6, 0), (1e-3, 1)]}, x="rate", y="loss", log_x=True))
    at = {
        text.text: float(text.attrib["x"]) for text in picture.findall(".//text") if text.get("text-anchor") == "middle"
    }
    steps = [at["1e-05"] - at["1e-06"], at["0.0001"] - at["1e-05"], at["0.001"] - at["0.0001"]]
    assert max(steps) - min(steps) < 0.2


def test_two_lists_keep_their_places_and_mark_by_a_word() -> None:
    """A right answer far down keeps its number, and is told by a word beside the colour."""
    piece = parsed(
        two_lists("q", {"base": [(1, "a", False), (37, "b", True)], "new": [(1, "b", True)]}, "right answer")
    )
    entries = piece.findall(".//li")
    assert [(each.attrib["value"], each.get("class")) for each in entries] == [
        ("1", None), ("37", "marked"), ("1", "marked")
    ]  # fmt: skip
    assert ["right answer" in "".join(each.itertext()) for each in entries] == [False, True, True]
