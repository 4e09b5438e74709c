"""Reports for people: HTML that opens offline, in one file, with pictures as SVG. Pure: values in, text out.

Each function but `page` gives a piece of HTML; `page` makes a document of the pieces. All text is escaped here, so
that what stands in data cannot become markup. Nothing is loaded from anywhere and no script runs.

What it leaves to others: what to say. What it gives up: pictures that answer to the mouse.
"""

from .html import folded, grid, heading, note, page, paragraph, table, two_lists, verdict_note
from .pictures import bars, histogram, lines, scatter

__all__ = [
    "bars", "folded", "grid", "heading", "histogram", "lines", "note", "page", "paragraph", "scatter", "table",
    "two_lists", "verdict_note",
]  # fmt: skip
