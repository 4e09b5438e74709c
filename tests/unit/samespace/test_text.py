"""The one text path: exact for short texts, windowed and never cut for long ones."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from fakes.models.encoders import tiny_tokenizer
from samespace.embed import embed_texts
from samespace.errors import RequestInvalid
from samespace.text import PROMPT_MASK, Recipe, TextEncoder, pad, pool_windows, window_starts

CLS, SEP = 2, 3


def make(limit: int = 16, overlap: int = 4, query: str = "", passage: str = "") -> TextEncoder:
    recipe = Recipe({"query": query, "passage": passage}, limit, overlap)
    return TextEncoder(Tokenizer.from_buffer(tiny_tokenizer()), recipe)


def test_a_short_text_gives_the_tokenizers_own_ids() -> None:
    """Within the limit, prompt + text is tokenised in one piece, exactly as the checkpoint was trained."""
    plain = Tokenizer.from_buffer(tiny_tokenizer())
    (text,) = make(query="query ").tokenize(["reset the password"], "query")
    assert list(text.windows[0].ids) == plain.encode("query reset the password").ids
    assert text.tokens == len(text.windows[0].ids)


def test_a_long_text_is_windowed_and_nothing_is_lost() -> None:
    """Every content token is in a window, every window has prompt and special tokens, and fits the limit."""
    encoder = make(limit=16, overlap=4, passage="data ")
    words = [
        "the",
        "list",
        "of",
        "index",
        "value",
        "error",
        "file",
        "text",
        "vector",
        "space",
        "encoder",
        "query",
        "passage",
        "return",
        "reset",
        "password",
    ]
    source = " ".join(words * 3)
    (text,) = encoder.tokenize([source], "passage")
    whole = Tokenizer.from_buffer(tiny_tokenizer()).encode("data " + source).ids
    assert text.tokens == len(whole) and len(text.windows) > 1
    prompt = whole[1]
    for window in text.windows:
        assert len(window.ids) <= 16
        assert window.ids[0] == CLS and window.ids[1] == prompt and window.ids[-1] == SEP
        # The span says which characters the window stands for: tokenised alone they give its tokens.
        alone = Tokenizer.from_buffer(tiny_tokenizer()).encode(source[window.start : window.end]).ids[1:-1]
        assert alone == list(window.ids[2:-1])
    assert text.windows[0].start == 0 and text.windows[-1].end == len(source)


def test_a_prompt_that_is_not_pooled_is_marked_in_every_window() -> None:
    """In front, with what stands before it; the special token after it is not the prompt's."""
    recipe = Recipe({"query": "", "passage": "data "}, 16, 4, pool_prompt=False)
    encoder = TextEncoder(Tokenizer.from_buffer(tiny_tokenizer()), recipe)
    (text,) = encoder.tokenize(["the list of index value error " * 5], "passage")
    assert len(text.windows) > 1
    _, mask = pad(text.windows)
    assert (mask[:, :2] == PROMPT_MASK).all()
    assert (mask[:, 2:] <= 1).all()
    _, mask = pad(encoder.tokenize(["the list"], "query")[0].windows)
    assert mask.tolist() == [[1, 1, 1, 1]]


def test_a_text_of_nothing_but_its_prompt_is_its_last_token() -> None:
    """Pooling over nothing would be no vector."""
    recipe = Recipe({"query": "data list", "passage": ""}, 16, 4, pool_prompt=False)
    (text,) = TextEncoder(Tokenizer.from_buffer(tiny_tokenizer()), recipe).tokenize([""], "query")
    _, mask = pad(text.windows)
    assert mask.tolist() == [[2, 2, 2, 1]]


def test_a_recipe_names_the_pooled_prompt_only_where_it_is_left_out() -> None:
    """So the ids of all other spaces stay what they were."""
    recipe = Recipe({"query": "a", "passage": ""}, 16, 4)
    assert "pool_prompt" not in recipe.to_dict()
    without = Recipe({"query": "a", "passage": ""}, 16, 4, pool_prompt=False)
    assert Recipe.from_dict(without.to_dict()) == without
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    for value in (True, None, 0):
        with pytest.raises(RequestInvalid, match="pool_prompt"):
            Recipe.from_dict({**recipe.to_dict(), "pool_prompt": value})


@given(content=st.integers(0, 5000), size=st.integers(1, 300), share=st.floats(0, 0.99))
@settings(max_examples=300, deadline=None)
def test_windows_cover_and_overlap(content: int, size: int, share: float) -> None:
    """Windows cover every token, neighbours share the overlap, and the last one brings something new."""
    overlap = int((size - 1) * share)
    starts = window_starts(content, size, overlap)
    assert starts[0] == 0 and (content <= size) == (len(starts) == 1)
    if len(starts) > 1:
        assert starts[-1] + overlap < content <= starts[-1] + size
        assert all(later - earlier == size - overlap for earlier, later in itertools.pairwise(starts))


@pytest.mark.parametrize("text", ["", " ", "\n", "[CLS] [SEP]", "🙂🙂", "\u0301"])
def test_odd_texts_have_one_window(text: str) -> None:
    """Empty and odd texts are texts like others."""
    (result,) = make().tokenize([text], "query")
    assert len(result.windows) == 1 and result.windows[0].content >= 1


def test_bad_input_is_named() -> None:
    """A wrong role, a number and a lone surrogate are refused with the place of the fault."""
    encoder = make()
    with pytest.raises(RequestInvalid, match="role"):
        encoder.tokenize(["a"], "doc")  # type: ignore[arg-type]
    with pytest.raises(RequestInvalid, match=r"texts\[1\]: expected a string, got int"):
        encoder.tokenize(["a", 3], "query")  # type: ignore[list-item]
    with pytest.raises(RequestInvalid, match=r"texts\[0\].*surrogate"):
        encoder.tokenize(["\ud800"], "query")


def test_a_prompt_that_leaves_no_room_is_refused() -> None:
    """A recipe whose prompt and overlap fill the limit could never window a text."""
    with pytest.raises(RequestInvalid, match="nothing is left"):
        make(limit=8, overlap=4, query="the list of index ")


@pytest.mark.parametrize(
    "recipe",
    [
        {"prompts": {"query": ""}, "token_limit": 8, "window_overlap": 2, "combine": "token_weighted_mean"},
        {
            "prompts": {"query": "", "passage": ""},
            "token_limit": 8,
            "window_overlap": 8,
            "combine": "token_weighted_mean",
        },
        {
            "prompts": {"query": "", "passage": ""},
            "token_limit": True,
            "window_overlap": 0,
            "combine": "token_weighted_mean",
        },
        {"prompts": {"query": "", "passage": ""}, "token_limit": 8, "window_overlap": 2, "combine": "max"},
        {"prompts": {"query": "", "passage": ""}, "token_limit": 8, "window_overlap": 2},
    ],
)
def test_recipes_that_make_no_sense_are_refused(recipe: dict[str, object]) -> None:
    """A recipe is valid from birth."""
    with pytest.raises(RequestInvalid):
        Recipe.from_dict(recipe)


@pytest.mark.parametrize("role", ["query", "passage"])
def test_a_prompt_has_to_be_text(role: str) -> None:
    """A lone surrogate is refused with the role and the place, before any tokenizer or digest meets it."""
    prompts = {"query": "", "passage": "", role: "find \udcff"}
    with pytest.raises(RequestInvalid, match=rf"recipe\.prompts: {role}: character 5 is a lone surrogate") as caught:
        Recipe(prompts, token_limit=8, window_overlap=2)
    assert caught.value.field == "recipe.prompts"
    assert Recipe({**prompts, role: "🙂 "}, token_limit=8, window_overlap=2).prompts[role] == "🙂 "


def test_padding_is_masked() -> None:
    """Ids and mask are as long as the longest row, and the mask counts each row's own tokens."""
    texts = make().tokenize(["a", "a list of index"], "query")
    ids, mask = pad([text.windows[0] for text in texts])
    assert ids.shape == mask.shape == (2, 6) and mask.sum(1).tolist() == [3, 6] and (ids[mask == 0] == 0).all()


def test_pooling_is_the_weighted_mean() -> None:
    """Window vectors count by their content tokens, and the result has unit length."""
    rows = np.eye(3, dtype=np.float32)[:2]
    pooled = pool_windows(rows, [3, 4])
    assert pooled == pytest.approx([0.6, 0.8, 0.0])


def test_progress_counts_each_text_once() -> None:
    """However many windows a text has, the numbers add up to the texts."""
    encoder, done = make(), list[int]()
    texts = ["a", "list of index value " * 30, "the", "error file text " * 20]
    embedded = embed_texts(
        lambda ids, _: np.ones((len(ids), 1), dtype=np.float32), encoder, texts, "passage", dims=1, progress=done.append
    )
    assert sum(embedded.windows) > len(texts) == sum(done)
