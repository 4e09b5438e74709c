"""Which prompts a folder gives its roles: by the names that are known, or by what the user says; none is dropped.

What is known of families whose prompts stand in the model card alone is in `families`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ...errors import ModelUnsupported

QUERY_NAMES: Final = ("query",)
PASSAGE_NAMES: Final = ("document", "passage", "corpus")
"""sentence-transformers' own names, in the order in which it tries them."""
_REMEDY: Final = (
    "say both --query-prompt and --passage-prompt ('' for none), or call them query and document in a copy of "
    "config_sentence_transformers.json"
)


@dataclass(frozen=True, slots=True)
class ChosenPrompts:
    """Prompts by role, the names of those that no role has, and what the user should know; "" for nothing."""

    by_role: Mapping[str, str]
    unused: tuple[str, ...] = ()
    advice: str = ""


def choose_prompts(
    settings: Mapping[str, Any], source: str, *, query: str | None = None, passage: str | None = None
) -> ChosenPrompts:
    """The user's *query* and *passage*, else those of the folder's *settings*.

    sentence-transformers writes an empty "document" into every folder, which then hides a "passage" that somebody had
    given; here the first that says something counts.

    Raises:
        ModelUnsupported: the folder has prompts, and which role they belong to is for the user to say.
    """
    own = settings.get("prompts") or {}
    if not isinstance(own, Mapping) or not all(isinstance(text, str | None) for text in own.values()):
        raise ModelUnsupported(
            model=source, reason=f"its prompts are {own!r}, expected texts by name", remedy="the folder is damaged"
        )
    known = {"query": _first(own, QUERY_NAMES), "passage": _first(own, PASSAGE_NAMES)}
    others = {name: text for name, text in own.items() if text and name not in (*QUERY_NAMES, *PASSAGE_NAMES)}
    said = {"query": query, "passage": passage}
    prompts = {role: (known[role] or "") if text is None else text for role, text in said.items()}
    if None in said.values():
        _require_clear(prompts, known, others, settings.get("default_prompt_name"), own, source)
    hidden = {name for name in PASSAGE_NAMES if passage is None and own.get(name) not in (None, "", prompts["passage"])}
    advice = "" if passage is not None else _otherwise(own, prompts["passage"])
    return ChosenPrompts(prompts, tuple(sorted({*others, *hidden})), advice)


def _otherwise(own: Mapping[str, str], prompt: str) -> str:
    """Where sentence-transformers' encode_document takes an empty prompt that hides the one which is taken here."""
    theirs = own.get("document") or ""  # it gives itself an empty one where the folder has none
    if theirs == prompt:
        return ""
    return (
        f"Passages get the prompt {prompt!r}, and {theirs!r} by sentence-transformers' encode_document, which stops at "
        "the name document: say --passage-prompt for the one that it was trained with."
    )


def _require_clear(
    prompts: Mapping[str, str],
    known: Mapping[str, str | None],
    others: Mapping[str, str],
    default: Any,
    own: Mapping[str, str],
    source: str,
) -> None:
    unnamed = [role for role, text in known.items() if text is None]
    if others and (unnamed or not any(known.values())):
        raise ModelUnsupported(
            model=source,
            reason=f"has prompts under names that are no role: {_listed(others)}",
            remedy=_REMEDY,
        )
    if default is not None and any(text != own.get(default) for text in prompts.values()):
        raise ModelUnsupported(
            model=source,
            reason=f"has the default prompt {default!r} ({own.get(default)!r}), which encode() puts before "
            f"every text, and {_listed(prompts)} by role",
            remedy=_REMEDY,
        )


def _first(own: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    """The first of *names* that says something, else "" where one is there; None where none is."""
    there = [own[name] or "" for name in names if name in own]
    return next(filter(None, there), "") if there else None


def _listed(prompts: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {text!r}" for name, text in list(prompts.items())[:8])
