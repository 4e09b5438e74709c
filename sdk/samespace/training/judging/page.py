"""The pages of the form: plain HTML, nothing from elsewhere, no script. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from .ballot import LEFT, NEITHER, RIGHT, Ballot, Matter

_SHOWN: Final = 600
_STYLE: Final = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 90rem; margin: 1.5rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } .lists { display: grid; grid-template-columns: 1fr 1fr; gap: 1.5rem; }
ol { padding-left: 1.4rem; } li { margin-bottom: .8rem; overflow-wrap: anywhere; }
button { font: inherit; padding: .5rem 1.2rem; margin-right: .6rem; } .note { opacity: .7; }
@media (max-width: 45rem) { .lists { grid-template-columns: 1fr; } }
"""


def form(ballot: Ballot, matter: Matter, token: str) -> str:
    """The page for one question."""
    left, right = ballot.sides(matter)
    done, all_of = len(ballot.answers), len(ballot.matters)
    buttons = "".join(
        f'<button name="choice" value="{choice}">{label}</button>'
        for choice, label in ((LEFT, "Left is better"), (NEITHER, "Neither"), (RIGHT, "Right is better"))
    )
    return _page(
        f"<h1>{escape(matter.question)}</h1>"
        '<form method="post" action="/">'
        f'<input type="hidden" name="token" value="{escape(token)}">'
        f'<input type="hidden" name="question" value="{escape(matter.question)}">'
        f"<p>{buttons}</p></form>"
        f'<div class="lists"><section><h2>Left</h2>{_list(left)}</section>'
        f"<section><h2>Right</h2>{_list(right)}</section></div>"
        f'<p class="note">{done} of {all_of} answered. It ends by itself when the answer is known.</p>'
    )


def ending(ballot: Ballot) -> str:
    """The page after the last question."""
    return _page(f"<h1>{escape(ballot.evidence().sentence())}</h1><p>This page can be closed.</p>")


def _list(passages: Sequence[str]) -> str:
    return f"<ol>{''.join(f'<li>{escape(_short(text))}</li>' for text in passages)}</ol>"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]} …"


def _page(body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>samespace judge</title><style>{_STYLE}</style></head><body>{body}</body></html>"
    )
