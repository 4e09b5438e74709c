"""The text path of rerankers: pairs as texts, windows of long passages, scores of logits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from fakes.models.encoders import tiny_pair_tokenizer
from samespace.errors import RequestInvalid
from samespace.reranking.pairs import PairEncoder, activated, pair_text, split_pair
from samespace.text import BEST_WINDOW, PROMPT_MASK, Recipe, pad, pool_windows

LIMIT, OVERLAP = 32, 8


def encoder(limit: int = LIMIT, *, query: str = "", passage: str = "") -> PairEncoder:
    prompts = {"query": query, "passage": passage}
    tokenizer = Tokenizer.from_buffer(tiny_pair_tokenizer())
    return PairEncoder(tokenizer, Recipe(prompts, limit, OVERLAP, BEST_WINDOW))


@given(st.text(), st.text())
def test_a_pair_comes_back_as_it_was(query: str, passage: str) -> None:
    """Whatever the two hold: digits and colons, or nothing."""
    assert split_pair(pair_text(query, passage)) == (query, passage)


@pytest.mark.parametrize("text", ["", "a text", "3:ab", ":ab", "-1:ab", "²:ab", "9999999999:a"])
def test_what_is_no_pair_is_refused(text: str) -> None:
    """A text alone has no score; its length may not be taken from it by chance."""
    with pytest.raises(RequestInvalid, match="a query and a passage"):
        split_pair(text)


def test_a_short_pair_is_one_input_as_the_tokenizer_joins_it() -> None:
    """Ids are the tokenizer's own; the mask marks the query's side, which BERT's types are made of."""
    own = Tokenizer.from_buffer(tiny_pair_tokenizer()).encode("reset the password", "a list")
    (found,) = encoder().tokenize([pair_text("reset the password", "a list")], "passage")
    assert list(found.windows[0].ids) == own.ids
    _, mask = pad(found.windows)
    assert ((mask[0] != PROMPT_MASK).astype(int)).tolist() == own.type_ids


@pytest.mark.parametrize(("query", "passage"), [("", "a list"), ("a list", ""), ("", ""), (" ", " ")])
def test_empty_sides_keep_their_separators(query: str, passage: str) -> None:
    """Without a token of its own the passage's side is its separator, which has the passage's type."""
    own = Tokenizer.from_buffer(tiny_pair_tokenizer()).encode(query, passage)
    (found,) = encoder().tokenize([pair_text(query, passage)], "passage")
    assert list(found.windows[0].ids) == own.ids
    assert ((pad(found.windows)[1][0] != PROMPT_MASK).astype(int)).tolist() == own.type_ids


def test_a_long_passage_is_read_in_windows_with_the_whole_query() -> None:
    """No token is lost, neighbours share the overlap, every window begins with the query and fits the limit."""
    passage = " ".join(["value index error file"] * 20)
    (found,) = encoder().tokenize([pair_text("reset the password", passage)], "passage")
    one = Tokenizer.from_buffer(tiny_pair_tokenizer()).encode("reset the password", passage)
    start = one.sequence_ids.index(1)
    read: list[int] = []
    for window in found.windows:
        assert len(window.ids) <= LIMIT
        assert list(window.ids[:start]) == one.ids[:start] and window.ids[-1] == one.ids[-1]
        inner = list(window.ids[start:-1])
        read += inner if not read else inner[OVERLAP:]
        assert window.unpooled == start
    assert read == one.ids[start:-1]
    assert (found.windows[0].start, found.windows[-1].end) == (0, len(passage))


def test_prompts_stand_before_their_side_and_are_no_part_of_spans() -> None:
    """The span of a passage is in its own characters."""
    passage = " ".join(["value"] * 60)
    (found,) = encoder(query="how ", passage="text ").tokenize([pair_text("reset", passage)], "passage")
    joined = Tokenizer.from_buffer(tiny_pair_tokenizer()).encode("how reset", "text " + passage)
    assert found.tokens == len(joined.ids)
    assert (found.windows[0].start, found.windows[-1].end) == (0, len(passage))


def test_a_query_without_room_for_its_passage_is_refused() -> None:
    """With the place of the pair, and how long a query may be."""
    with pytest.raises(RequestInvalid, match=r"texts\[1\].*at most 23 tokens"):
        encoder().tokenize([pair_text("a", "a"), pair_text("a " * 40, "a list " * 40)], "passage")


def test_the_best_window_counts() -> None:
    """One good window is enough: a mean would bury the answer of a long passage."""
    scores = np.array([[-3.0], [2.5], [0.1]], dtype=np.float32)
    assert pool_windows(scores, [1, 1, 1], BEST_WINDOW).tolist() == [2.5]


def test_scores_of_logits() -> None:
    """A sigmoid in double precision, where good passages are not all 1.0; infinite logits are 0 and 1."""
    logits = np.array([-800.0, -1.5, 0.0, 18.0, 19.0, 800.0], dtype=np.float32)
    expected = [0.0, 1 / (1 + math.exp(1.5)), 0.5, 1 / (1 + math.exp(-18)), 1 / (1 + math.exp(-19)), 1.0]
    found = activated(logits, "sigmoid")
    assert found.tolist() == pytest.approx(expected, abs=1e-15)
    assert found[3] < found[4]
    assert activated(logits, "identity").tolist() == logits.tolist()
