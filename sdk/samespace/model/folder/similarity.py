"""Whether a folder's vectors are meant for cosine: vectors are scaled to unit length here, and lengths are dropped.

A model for dot products says so in its settings, in its name, or in its card alone. Such a folder is refused where
nothing in it scales the vectors: with cosine it is another, worse encoder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ...errors import ModelUnsupported
from ..hub import read_json

_SIMILARITIES: Final = ("cosine", "dot", "euclidean", "manhattan")
_BY_SUMS: Final = "manhattan"
_DOT_NAME: Final = re.compile(r"-dot(-|$)|\btas-b\b|\bcontriever\b|\bdpr-(ctx|question)|-dpr-")
_DOT_CARD: Final = re.compile(r"dot_score\(|similarity function:\W*dot|dot[- ]product", re.IGNORECASE)
_COSINE_CARD: Final = re.compile(r"cos_sim|cosine", re.IGNORECASE)
_CARD_CHARACTERS: Final = 20_000


def require_cosine(settings: Mapping[str, Any], folder: Path, unit: bool, source: str) -> None:
    """Refuse an encoder whose lengths carry a meaning.

    Args:
        settings: of config_sentence_transformers.json.
        unit: whether its last module scales vectors to unit length.

    Raises:
        ModelUnsupported: it is made for another similarity, or says one that is not known.
    """
    said = settings.get("similarity_fn_name") or "cosine"
    if said not in _SIMILARITIES:
        raise ModelUnsupported(
            model=source, reason=f"its similarity is {said!r}", remedy=f"known: {', '.join(_SIMILARITIES)}"
        )
    if said == _BY_SUMS:
        raise ModelUnsupported(
            model=source,
            reason=f"says similarity {said!r}, which ranks otherwise than cosine, also for vectors of unit length",
            remedy="if cosine is what you want, say so in a copy of config_sentence_transformers.json, and measure it",
        )
    if unit:
        return
    told = f"says similarity {said!r}" if said != "cosine" else dot_product(folder, source)
    if told:
        raise ModelUnsupported(
            model=source,
            reason=f"{told}, and does not scale its vectors to unit length: their lengths count, and cosine drops them",
            remedy="if cosine is what you want, add a Normalize module at the end of its modules.json, and measure it",
        )


def dot_product(folder: Path, source: str) -> str:
    """What makes *folder* a model for dot products, by its names and its card; "" for nothing."""
    by_name = next((name for name in [source, *names_of(folder)] if _DOT_NAME.search(name.lower())), None)
    if by_name is not None:
        return f"is called {by_name}, a model for dot products"
    card = _card(folder)
    if _DOT_CARD.search(card) and not _COSINE_CARD.search(card):
        return "has a card (README.md) that compares by dot products"
    return ""


def names_of(folder: Path) -> tuple[str, ...]:
    """What the folder's files call the model, or what it was made from: to know a family by."""
    names = []
    config = folder / "config.json"
    if config.is_file():
        said = read_json(config, str(folder))
        names += [said[key] for key in ("_name_or_path", "name_or_path") if isinstance(said.get(key), str)]
    return (*names, *re.findall(r"^#\s+(.+)$", _card(folder), re.MULTILINE)[:1])


def _card(folder: Path) -> str:
    path = folder / "README.md"
    return path.read_text(encoding="utf-8", errors="replace")[:_CARD_CHARACTERS] if path.is_file() else ""
