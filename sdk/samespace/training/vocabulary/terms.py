"""Which words of a domain a vocabulary shatters: frequent, and many tokens each. Pure but for the tokenizer.

A word is what the tokenizer itself makes one: the text goes through its normaliser and its pre-tokenizer, so a term is
counted in the very form that the model would see (lower-cased or not, with the mark of the space before it or not).
Of these, words of letters and digits count, with a letter among them.

What it leaves to others: adding the terms (`vocabulary`), giving them vectors (`extension`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tokenizers import Tokenizer

from ...errors import ModelUnsupported
from ...text import UNKNOWN_TOKENS

LEAST_PIECES: Final = 3
"""Tokens from which a word is shattered. Two are the stem and ending of ordinary words, which the base knows well."""
LEAST_COUNT: Final = 5
"""Occurrences from which a word is frequent, as the doctor has it: an embedding has to be learned from them."""
KINDS: Final = ("WordPiece", "BPE", "Unigram")
_WORD: Final = re.compile(r"\w{2,}")
_HEAD: Final = re.compile("▁\\w{2,}")
_MARKS: Final = "▁ "


@dataclass(frozen=True, slots=True)
class Term:
    """A word that is worth an entry of its own.

    Attributes:
        text: the word, as the tokenizer's normaliser leaves it.
        piece: the entry: the word as the tokenizer's model gets it, "Ġmetformin" or "▁metformin".
        count: how often it occurs.
        pieces: the ids of the tokens that it falls into, two or more.
    """

    text: str
    piece: str
    count: int
    pieces: tuple[int, ...]

    @property
    def saved(self) -> int:
        """Tokens that an entry of its own saves in the texts that were counted."""
        return self.count * (len(self.pieces) - 1)


def model_kind(tokenizer: Tokenizer, source: str) -> str:
    """One of `KINDS`.

    Raises:
        ModelUnsupported: the tokenizer is of another kind, or does not divide texts into words.
    """
    kind = type(tokenizer.model).__name__
    if kind not in KINDS:
        raise ModelUnsupported(
            model=source,
            reason=f"its tokenizer is {kind}",
            remedy=f"vocabularies of {', '.join(KINDS)} can be extended",
        )
    if tokenizer.pre_tokenizer is None:
        raise ModelUnsupported(
            model=source,
            reason="its tokenizer does not divide texts into words, so no entry can be kept to whole words",
            remedy="take a base whose tokenizer has a pre-tokenizer",
        )
    return kind


def find_terms(tokenizer: Tokenizer, texts: Iterable[str], most: int, source: str = "the model") -> list[Term]:
    """The up to *most* shattered frequent words that save most tokens, the best first.

    Args:
        tokenizer: with the normaliser that texts will go through; see `canonical_tokenizer`.
        texts: what is counted.
        source: the model's name, for errors.

    Raises:
        ModelUnsupported: see `model_kind`.
    """
    kind = model_kind(tokenizer, source)
    counts, words = _count(tokenizer, texts)
    if kind == "Unigram":
        counts, words = _heads(counts)
    known = tokenizer.get_vocab()
    # A word with a token that stands for everything unknown has nothing that its own could start from.
    unknown = {known.get(token) for token in UNKNOWN_TOKENS} - {None}
    terms = []
    for piece, count in counts.items():
        if count < LEAST_COUNT or not _is_word(words[piece]) or piece in known:
            continue
        made = tuple(token.id for token in tokenizer.model.tokenize(piece))
        if len(made) >= LEAST_PIECES and unknown.isdisjoint(made):
            terms.append(Term(words[piece], piece, count, made))
    terms.sort(key=lambda term: (-term.saved, term.piece))
    return terms[:most]


def _count(tokenizer: Tokenizer, texts: Iterable[str]) -> tuple[Counter[str], dict[str, str]]:
    """How often each pre-token occurs, and the part of a text that it stands for."""
    counts: Counter[str] = Counter()
    words: dict[str, str] = {}
    normaliser, divide = tokenizer.normalizer, tokenizer.pre_tokenizer.pre_tokenize_str
    for text in texts:
        plain = text if normaliser is None else normaliser.normalize_str(text)
        divided: Sequence[tuple[str, tuple[int, int]]] = divide(plain)
        for piece, (start, end) in divided:
            if piece not in counts:
                words[piece] = plain[start:end].strip(_MARKS)
            counts[piece] += 1
    return counts, words


def _heads(counts: Counter[str]) -> tuple[Counter[str], dict[str, str]]:
    """Of SentencePiece's words, which end with the next space, the part before any punctuation."""
    heads: Counter[str] = Counter()
    for piece, count in counts.items():
        if (found := _HEAD.match(piece)) is not None:
            heads[found.group()] += count
    return heads, {head: head.strip(_MARKS) for head in heads}


def _is_word(text: str) -> bool:
    return _WORD.fullmatch(text) is not None and "_" not in text and any(letter.isalpha() for letter in text)
