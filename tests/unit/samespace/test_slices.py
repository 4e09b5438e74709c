"""samespace.slices: pieces of a long text that are texts of their own"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from fakes.models.encoders import tiny_tokenizer
from samespace.embed import embed_texts
from samespace.errors import RequestInvalid
from samespace.slices import halve, slice_texts, word_spans
from samespace.text import Int64, Recipe, Role, TextEncoder, TokenizedText, Window
from samespace.vectors import Float32, normalise

WORDS = ("the", "list", "of", "index", "error", "unbelievably", "x", "password", "北京", "ℵ", "a-b", "...")
SEPARATORS = (" ", "  ", "\n", "\n\n\t", " ")


def make(limit: int = 16, overlap: int = 4, passage: str = "") -> TextEncoder:
    recipe = Recipe({"query": "", "passage": passage}, limit, overlap)
    return TextEncoder(Tokenizer.from_buffer(tiny_tokenizer()), recipe)


@st.composite
def long_texts(draw: st.DrawFn) -> str:
    """Words with all sorts of white space between them, and stretches without any."""
    parts = draw(st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from((*SEPARATORS, ""))), max_size=120))
    return "".join(word + blank for word, blank in parts)


def test_short_texts_are_as_they_are() -> None:
    """Nothing is stripped or cut within the limit: the same model input as without slices."""
    encoder = make()
    texts = [" reset the password\n", "x"]
    assert slice_texts(encoder, texts, "passage") == encoder.tokenize(texts, "passage")


@settings(max_examples=60, deadline=None)
@given(text=long_texts(), overlap=st.sampled_from((0, 1, 4, 8)), limit=st.sampled_from((13, 16, 24)))
def test_each_slice_is_a_text_of_its_own_and_nothing_is_left_out(text: str, overlap: int, limit: int) -> None:
    """Encoding a slice's characters gives its model input exactly; only white space is in no slice."""
    encoder = make(limit, overlap, passage="data ")
    (whole,) = encoder.tokenize([text], "passage")
    (found,) = slice_texts(encoder, [text], "passage")
    assert found.tokens == whole.tokens
    if len(whole.windows) == 1:
        assert found == whole
        return
    covered = 0
    for window in found.windows:
        piece = text[window.start : window.end]
        assert piece == piece.strip() != ""
        (alone,) = encoder.tokenize([piece], "passage")
        assert (alone.windows[0].ids, len(alone.windows)) == (window.ids, 1)
        assert not text[covered : window.start].strip()
        assert window.end > covered  # each adds something
        covered = window.end
    assert not text[covered:].strip()


def test_slices_begin_and_end_with_words() -> None:
    """A word that a window's edge would cut in two is in neither half: it is in the neighbour whole."""
    text = "internationalization " * 40
    for window in slice_texts(make(64, 16), [text], "passage")[0].windows:
        assert set(text[window.start : window.end].split()) == {"internationalization"}


def test_text_without_spaces_is_cut_anywhere() -> None:
    """Scripts without spaces have no words to look for; nothing is lost."""
    text = "北京" * 200
    windows = slice_texts(make(16, 4), [text], "passage")[0].windows
    assert windows[0].start == 0 and windows[-1].end == len(text)
    assert all(right.start <= left.end for left, right in pairwise(windows))


def test_a_span_that_cannot_be_cut_between_words_is_cut_in_the_middle() -> None:
    """Halving always ends: each half is shorter than the whole."""
    assert halve("abcdef", (0, 6)) == [(0, 3), (3, 6)]
    assert halve("ab cdef", (0, 7)) == [(0, 2), (3, 7)]
    assert halve("ab", (0, 2)) == [(0, 1), (1, 2)]


def test_edges_are_moved_inwards_and_leave_no_gap() -> None:
    """Without an overlap, what one span gave up at its end is where the next begins."""
    assert word_spans("aaaa bbb ccccc dddd", [(0, 7), (7, 19)]) == [(0, 4), (5, 19)]
    assert word_spans("    ", [(0, 2), (2, 4)]) == [(0, 2)]


def test_a_character_beyond_the_limit_is_refused() -> None:
    """There is nothing left to cut; the error names the text."""

    class Greedy(TextEncoder):
        def tokenize(self, texts: Sequence[str], role: Role) -> list[TokenizedText]:
            window = Window((1,) * 8, 6, 0, 1)
            return [TokenizedText(16, (window, window)) for _ in texts]

    encoder = Greedy(Tokenizer.from_buffer(tiny_tokenizer()), Recipe({"query": "", "passage": ""}, 8, 2))
    with pytest.raises(RequestInvalid) as caught:
        slice_texts(encoder, ["x"], "passage")
    assert caught.value.field == "texts[0]"


def test_embedding_slices_gives_the_vectors_of_their_characters() -> None:
    """One row a slice with its span, and each row is what embedding the piece alone gives."""

    def model(ids: Int64, mask: Int64) -> Float32:
        weights = np.arange(1, ids.shape[1] + 1)
        return normalise(np.stack([(ids * mask) @ weights + 1.0, mask.sum(1) + 0.0], axis=1).astype(np.float32))

    texts = ["the list of index error password " * 9, "x"]
    found = embed_texts(model, make(), texts, "passage", dims=2, long_texts="slices")
    pieces = [texts[index][start:end] for index, start, end in found.spans]
    assert sum(found.windows) == len(pieces) > 2
    alone = embed_texts(model, make(), pieces, "passage", dims=2)
    assert set(alone.windows) == {1}
    np.testing.assert_array_equal(alone.vectors, found.vectors)
