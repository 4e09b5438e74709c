"""A query and a passage as model inputs: one pair is one input, and a long passage is read in windows, never cut.

A pair travels as one text, "LENGTH:QUERYPASSAGE", so that queues, batches, probes and caches need not know of pairs.

In a mask, tokens of the query's side are `PROMPT_MASK` and those of the passage's side 1: the graph makes BERT's token
types of that, and so a reranker's graph has the same two inputs as an encoder's.

A passage beyond the token limit is read in windows, each with the whole query before it, and the best window counts.
Source: Dai and Callan 2019, section 3 (MaxP), arXiv:1905.09217.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import RequestInvalid
from ..text import Role, TextEncoder, TokenizedText, Window, check_text, window_starts

_QUERY_WORDS: Final = 6


def pair_text(query: str, passage: str) -> str:
    """The one text that a pair travels as."""
    return f"{len(query)}:{query}{passage}"


def split_pair(text: str) -> tuple[str, str]:
    """(query, passage) of what `pair_text` made; raises `RequestInvalid` for any other text."""
    length, colon, rest = text.partition(":")
    if not colon or not (length.isascii() and length.isdigit()) or len(length) > 9 or int(length) > len(rest):
        raise RequestInvalid(field="texts", reason="a reranker reads a query and a passage, not a text")
    return rest[: int(length)], rest[int(length) :]


class PairEncoder(TextEncoder):
    """The text path of one reranker; its texts are pairs (`pair_text`), and roles mean nothing to it."""

    def as_input(self, text: str) -> str:
        """*text* as a passage, and its first words as the query."""
        return pair_text(" ".join(text.split()[:_QUERY_WORDS]), text)

    def tokenize(self, texts: Sequence[str], role: Role) -> list[TokenizedText]:
        """Model inputs for each pair, in order; spans are of the passage.

        Raises:
            RequestInvalid: not a pair of strings that UTF-8 can carry, or a query that leaves no room for its passage.
        """
        pairs = []
        prompts = self.recipe.prompts
        for index, text in enumerate(texts):
            query, passage = split_pair(check_text(text, index))
            pairs.append((prompts["query"] + query, prompts["passage"] + passage))
        encodings = self._tokenizer.encode_batch(pairs)  # type: ignore[arg-type,unused-ignore]
        return [self._pair(encoding, len(pairs[index][1]), index) for index, encoding in enumerate(encodings)]

    def _pair(self, encoding: Any, passage_chars: int, index: int) -> TokenizedText:
        ids, types, limit = encoding.ids, encoding.type_ids, self.recipe.token_limit
        prompt = len(self.recipe.prompts["passage"])
        # Without types of their own all tokens count as the query's side, and the graph reads no types.
        query_side = types.index(1) if 1 in types else len(ids)
        if len(ids) <= limit:
            return TokenizedText(len(ids), (Window(tuple(ids), 1, 0, passage_chars - prompt, query_side),))
        owners = encoding.sequence_ids
        first = owners.index(1) if 1 in owners else len(ids)
        last = len(owners) - owners[::-1].index(1) if 1 in owners else len(ids)
        before, after = tuple(ids[:first]), tuple(ids[last:])
        size, overlap = limit - len(before) - len(after), self.recipe.window_overlap
        if size <= overlap:
            raise RequestInvalid(
                field=f"texts[{index}]",
                reason=f"the query and the special tokens take {limit - size} of {limit} tokens, and windows of the "
                f"passage share {overlap}; shorten the query to at most {limit - overlap - 1} tokens in all",
            )
        windows = []
        for start in window_starts(last - first, size, overlap):
            low, high = first + start, min(first + start + size, last)
            windows.append(
                Window(
                    ids=(*before, *ids[low:high], *after),
                    content=high - low,
                    start=0 if low == first else max(0, encoding.offsets[low][0] - prompt),
                    end=passage_chars - prompt if high == last else max(0, encoding.offsets[high - 1][1] - prompt),
                    unpooled=len(before) if 1 in types else len(before) + high - low + len(after),
                )
            )
        return TokenizedText(len(ids), tuple(windows))


def activated(logits: npt.NDArray[Any], activation: str) -> npt.NDArray[np.float64]:
    """Scores of logits, same shape, float64: in float32 a sigmoid would make equals of good passages.

    Args:
        activation: "sigmoid" or "identity".
    """
    values = np.asarray(logits, dtype=np.float64)
    if activation == "identity":
        return values
    positive = values >= 0
    small = np.exp(-np.abs(values))
    return np.asarray(np.where(positive, 1.0 / (1.0 + small), small / (1.0 + small)), dtype=np.float64)
