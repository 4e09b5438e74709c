"""Whether a tokenizer's vocabulary is there, and is the model's.

What it leaves to others: reading it (`tokenizer`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tokenizers import Tokenizer

from ...artifact.tokenizer_check import largest_id
from ...errors import ModelUnsupported

OLD_VOCABULARY: Final = (
    "vocab.txt", "vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json", "sentencepiece.bpe.model",
    "spiece.model", "spm.model", "tokenizer.model",
)  # fmt: skip
"""Files of a vocabulary that a library could read instead of tokenizer.json."""
_WORDS_IN: Final = (
    "tokenizer.json",
    *(name for name in OLD_VOCABULARY if "added" not in name and "map" not in name),
)


def require_words(tokenizer: Tokenizer, root: Path, source: str) -> None:
    """Refuse a vocabulary of special tokens alone: transformers makes one where the files are not there."""
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    if not tokenizer.get_vocab(with_added_tokens=False).keys() - special:
        there = [name for name in _WORDS_IN if (root / name).is_file()]
        raise ModelUnsupported(
            model=source,
            reason=f"its tokenizer has special tokens alone: of its vocabulary {' and '.join(there) or 'no file'} is "
            "there, and every word would be the same unknown token",
            remedy="copy tokenizer.json, or vocab.txt and the like, from where the model was published",
        )


def require_rows(tokenizer: Tokenizer, rows: int, source: str) -> None:
    """Raise `ModelUnsupported` for a tokenizer that gives ids which a token embedding of *rows* rows does not have."""
    largest = largest_id(tokenizer)
    if largest >= rows:
        raise ModelUnsupported(
            model=source,
            reason=f"its tokenizer gives ids up to {largest} ({tokenizer.id_to_token(largest)!r}), and its token "
            f"embedding has {rows} rows: a text with that token has no vector",
            remedy="the tokenizer may be another model's: compare its files with those that were published; "
            "else resize the model's token embeddings and train them",
        )
