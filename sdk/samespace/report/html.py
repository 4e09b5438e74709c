"""The document around the pictures: headings, sentences, tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final, Literal

Kind = Literal["good", "warn", "bad", "plain"]

# Colours of marks are the ones of Okabe and Ito, which people with any colour vision can tell apart.
_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #5b6570; --line: #d5dae0; --paper: #ffffff; --band: #f5f7f9;
  --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #cc79a7; --c4: #8a6d00; --c5: #56b4e9;
  --good: #00734f; --warn: #8a6d00; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --soft: #9aa5b1; --line: #39414a; --paper: #14181c;
  --band: #1c2228; --c0: #56b4e9; --c1: #e8853b; --c2: #2fc79a; --c4: #e6c229; --c5: #8fb8ff;
  --good: #2fc79a; --warn: #e6c229; --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 120rem;
  margin: 0 auto; padding: 1.5rem clamp(.75rem, 3vw, 4rem) 4rem; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .75rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; padding-top: .5rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; }
p { margin: .5rem 0; max-width: 52rem; }
.note { border-left: 4px solid var(--soft); padding: .5rem .9rem; background: var(--band); max-width: none; }
.note.good { border-color: var(--good); } .note.warn { border-color: var(--warn); }
.note.bad { border-color: var(--bad); } .verdict { font-size: 1.15rem; }
.note b { margin-right: .4rem; } .good b { color: var(--good); } .warn b { color: var(--warn); }
.bad b { color: var(--bad); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; margin: .5rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .75rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top;
  overflow-wrap: normal; }
th { color: var(--soft); font-weight: 600; white-space: nowrap; }
td.number, th.number { text-align: right; white-space: nowrap; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 34rem), 1fr)); gap: 1rem 2.5rem; }
.grid > * { min-width: 0; }
.lists { border: 1px solid var(--line); border-radius: 6px; padding: .25rem 1rem .75rem; margin: .75rem 0; }
.lists > div { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 15rem), 1fr)); gap: .5rem 2rem; }
.lists h4 { margin: .25rem 0; font-size: .9rem; color: var(--soft); font-weight: 600; }
.lists ol { margin: 0; padding-left: 1.8rem; font-size: .92rem; line-height: 1.4; } .lists li { margin: .3rem 0; }
.lists li.marked { border-left: 3px solid var(--good); padding-left: .5rem; }
.lists li b { color: var(--good); font-weight: 600; }
figure { margin: .75rem 0; } figcaption { color: var(--soft); font-size: .9rem; }
svg { width: 100%; max-width: 46rem; height: auto; } svg text { fill: var(--soft); font-size: 12px; }
.key { margin-right: 1rem; display: inline-block; } .key svg { width: 24px; height: 12px; vertical-align: middle; }
svg .axis { stroke: var(--line); stroke-width: 1; }
details { margin: .5rem 0; } summary { cursor: pointer; color: var(--soft); }
@media print { body { max-width: none; } .lists { break-inside: avoid; } }
""".strip()

_MARKED: Final = ' class="marked"'
_WORDS: Final[dict[Kind, str]] = {"good": "Good.", "warn": "Look at this.", "bad": "Wrong.", "plain": ""}


def page(title: str, *parts: str) -> str:
    """A whole document of *parts*, under the heading *title*."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # Should something slip through unescaped, the browser still loads and runs nothing.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    )


def heading(text: str) -> str:
    """The begin of a section."""
    return f"<h2>{escape(text)}</h2>"


def paragraph(text: str) -> str:
    """Sentences."""
    return f"<p>{escape(text)}</p>"


def grid(*pieces: str) -> str:
    """Pieces side by side, as many as the screen has room for."""
    return '<div class="grid">\n' + "\n".join(pieces) + "\n</div>"


def two_lists(title: str, lists: Mapping[str, Sequence[tuple[int, str, bool]]], mark: str) -> str:
    """Lists side by side under a title.

    Args:
        lists: heading -> number, text, and whether the entry is marked.
        mark: the word for a marked entry, which is not told by colour alone.
    """
    columns = []
    for name, entries in lists.items():
        lines = "".join(
            f'<li value="{number}"{_MARKED if marked else ""}>'
            + (f"<b>{escape(mark)}</b> " if marked else "")
            + f"{escape(text)}</li>"
            for number, text, marked in entries
        )
        columns.append(f"<section><h4>{escape(name)}</h4><ol>{lines}</ol></section>")
    return f'<article class="lists"><h3>{escape(title)}</h3><div>{"".join(columns)}</div></article>'


def folded(summary: str, *pieces: str) -> str:
    """Pieces that are shown when *summary* is clicked; no script is needed for that."""
    return f"<details><summary>{escape(summary)}</summary>\n" + "\n".join(pieces) + "\n</details>"


def verdict_note(text: str, kind: Kind) -> str:
    """The sentence that a page begins with; it says itself what kind it is of."""
    return f'<p class="note verdict {kind}">{escape(text)}</p>'


def note(text: str, kind: Kind = "plain") -> str:
    """Sentences that must be seen; the kind is said in a word too, not by colour alone."""
    word = f"<b>{_WORDS[kind]}</b>" if _WORDS[kind] else ""
    return f'<p class="note {kind}">{word}{escape(text)}</p>'


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table; columns that hold numbers only stand to the right.

    Args:
        rows: cells are shown as `str` gives them; numbers that need rounding come rounded.
    """
    right = [bool(rows) and all(_is_number(row[column]) for row in rows) for column in range(len(head))]

    def line(cells: Sequence[object], tag: str) -> str:
        kinds = [' class="number"' if number else "" for number in right]
        return "".join(f"<{tag}{kind}>{escape(str(cell))}</{tag}>" for cell, kind in zip(cells, kinds, strict=True))

    body = "\n".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return f'<div class="scroll"><table>\n<tr>{line(head, "th")}</tr>\n{body}\n</table></div>'


def _is_number(cell: object) -> bool:
    if isinstance(cell, int | float):
        return True
    try:
        float(str(cell).rstrip("%").replace(",", ""))
    except ValueError:
        return str(cell) in ("", "-")
    return True
