"""Entries for whole words in a tokenizer's vocabulary, so that nothing else is tokenised in another way.

How differs, because the three kinds of model look words up differently:

BPE         a real entry, and `ignore_merges`: a word that is an entry as a whole is taken before any merge. Merges
            alone could not do it: those that build the word would also act inside other words.
Unigram     a real entry whose score is a hair above that of the pieces that it replaces. So it wins exactly where they
            stood, at the beginning of a word and before punctuation. A longer word that began with all of these pieces
            begins with the entry now.
WordPiece   an added token that matches whole words only (`single_word`), after normalisation, so that it survives
            lower-casing and the removal of accents. A real entry would be the beginning of any longer word: WordPiece
            takes the longest match, and has no mark for the end of a word.

What it leaves to others: which words (`terms`), their embeddings (`extension`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from tokenizers import AddedToken, Tokenizer

from .terms import Term, model_kind

_HAIR: Final = 1e-4
"""Of a score, which is a natural logarithm: far below the differences that texts make, far above rounding."""


def add_terms(tokenizer: Tokenizer, terms: Sequence[Term], source: str = "the model") -> tuple[Tokenizer, list[Term]]:
    """A tokenizer with entries for *terms*, and the terms that it takes, whose ids follow the old ones in this order.

    A term whose word does not become one token (another part of the tokenizer gets at it first) is left out.

    Raises:
        ModelUnsupported: the tokenizer is of a kind that cannot be extended.
    """
    kind = model_kind(tokenizer, source)
    taken, made = list(terms), tokenizer
    while taken:
        made = _with(tokenizer, kind, taken)
        whole = [term for term in taken if _is_whole(made, kind, term)]
        if len(whole) == len(taken):
            return made, taken
        taken = whole
    return Tokenizer.from_str(tokenizer.to_str()), []


def first_new_id(tokenizer: Tokenizer) -> int:
    """The id after the highest one that is taken."""
    return max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1


def _with(tokenizer: Tokenizer, kind: str, terms: Sequence[Term]) -> Tokenizer:
    first = first_new_id(tokenizer)
    if kind == "WordPiece":
        copy = Tokenizer.from_str(tokenizer.to_str())
        copy.add_tokens([AddedToken(term.text, single_word=True, normalized=True, special=False) for term in terms])
        value = json.loads(copy.to_str())
        numbers = {term.text: first + place for place, term in enumerate(terms)}
        for added in value["added_tokens"]:  # the library counts entries: where ids have holes, it would reuse some
            added["id"] = numbers.get(added["content"], added["id"])
        return Tokenizer.from_str(json.dumps(value))
    value = json.loads(tokenizer.to_str())
    model: dict[str, Any] = value["model"]
    if kind == "BPE":
        model["ignore_merges"] = True
        model["vocab"] |= {term.piece: first + place for place, term in enumerate(terms)}
    else:
        entries = model["vocab"]
        scores = [score for _, score in entries]
        # An id is a place in the list: tokens that were added behind its end take theirs.
        names = {number: token for token, number in tokenizer.get_vocab(with_added_tokens=True).items()}
        entries += [[names.get(number, f"<unused{number}>"), 0.0] for number in range(len(entries), first)]
        entries += [[term.piece, _score(term, scores)] for term in terms]
    return Tokenizer.from_str(json.dumps(value))


def _score(term: Term, scores: Sequence[float]) -> float:
    return sum(scores[piece] for piece in term.pieces) + _HAIR


def _is_whole(tokenizer: Tokenizer, kind: str, term: Term) -> bool:
    if kind == "WordPiece":
        return len(tokenizer.encode(term.text, add_special_tokens=False).ids) == 1
    return [token.value for token in tokenizer.model.tokenize(term.piece)] == [term.piece]
