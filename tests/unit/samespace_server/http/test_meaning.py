"""A word that changes the answer elsewhere is read or refused, and never ignored."""

from __future__ import annotations

from typing import Any

import pytest

from samespace.errors import RequestInvalid
from samespace_server.http.dialects import RequestContext, all_dialects, named_space
from samespace_server.http.dialects.meaning import RERANK_WORDS, WORDS, check_words
from samespace_server.http.dialects.rerank import RERANKERS

ALIKE = RequestContext(role_matters=False)
OTHERWISE: dict[str, Any] = {
    "dimensions": 8, "output_dimension": 8, "encoding_format": "base64", "output_dtype": "int8",
    "embedding_type": "binary", "embedding_types": ["int8"], "truncate": False, "truncation": False,
    "long_texts": "reject", "max_tokens": 4, "truncate_prompt_tokens": 4, "normalize": False, "normalized": False,
    "late_chunking": True, "return_multivector": True,
}  # fmt: skip
"""By word, a value that asks for something else than what is done without it."""


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("dialect", all_dialects(), ids=lambda dialect: dialect.routes[0])
def test_no_route_ignores_a_word_that_means_something(dialect: Any, word: str) -> None:
    """It is refused, or what is asked for differs from what is asked for without it."""
    plain = dialect.parse(dialect.example, ALIKE)
    body = {**dialect.example, word: OTHERWISE[word]}
    try:
        check_words(body, dialect.request["properties"])
        asked = dialect.parse(body, ALIKE)
    except RequestInvalid:
        return
    assert asked != plain


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("dialect", all_dialects(), ids=lambda dialect: dialect.routes[0])
def test_what_is_done_anyway_may_be_asked_for(dialect: Any, word: str) -> None:
    for value in (None, *WORDS[word]):
        if word not in dialect.request["properties"]:
            check_words({**dialect.example, word: value}, dialect.request["properties"])


@pytest.mark.parametrize("value", ["false", 0, 1, "no", []])
@pytest.mark.parametrize("word", ["truncate", "normalize"])
def test_a_flag_is_true_or_false(word: str, value: Any) -> None:
    (embed,) = (each for each in all_dialects() if each.routes[0] == "embed")
    with pytest.raises(RequestInvalid):
        embed.parse({**embed.example, word: value}, ALIKE)


@pytest.mark.parametrize(
    "more",
    [
        {"dimensions": 8, "output_dimension": 16},
        {"output_dtype": "int8", "embedding_type": "binary"},
    ],
)
def test_two_words_for_one_thing_agree(more: dict[str, Any]) -> None:
    (openai,) = (each for each in all_dialects() if each.routes[0] == "v1/embeddings")
    with pytest.raises(RequestInvalid, match="keep one of them"):
        openai.parse({"input": "a", **more}, ALIKE)


def test_the_role_of_a_similarity_is_where_tei_has_it() -> None:
    (similarity,) = (each for each in all_dialects() if each.routes[0] == "similarity")
    inputs = {"inputs": {"source_sentence": "a", "sentences": ["b"]}}
    matters = RequestContext(role_matters=True)
    assert similarity.parse({**inputs, "parameters": {"prompt_name": "query"}}, matters).role == "query"
    for more in ({"prompt_name": "passage"}, {"normalize": False}):
        with pytest.raises(RequestInvalid):
            similarity.parse({**inputs, "prompt_name": "query", "parameters": more}, matters)


@pytest.mark.parametrize("word", RERANK_WORDS)
@pytest.mark.parametrize("dialect", RERANKERS, ids=lambda dialect: dialect.routes[0])
def test_no_rerank_route_ignores_a_word_that_means_something(dialect: Any, word: str) -> None:
    value = {"truncate": False, "truncation": False, "rank_fields": ["title"], "raw_scores": True}.get(word, 1)
    body = {**dialect.example, word: value}
    try:
        assert dialect.parse(body) != dialect.parse(dialect.example)
    except RequestInvalid:
        return


def test_a_model_that_begins_as_an_id_does_is_one() -> None:
    """Ollama's tags and blanks around it count for nothing; what is no id is not taken for "yours"."""
    space = "0f16853b96e8" * 5 + "0f16"
    for model in (space, space.upper(), f"{space}:latest", f" {space}\n", f"{space[:12]}:latest"):
        assert named_space({"model": model}) == model.strip().lower().partition(":")[0]
    for wrong in (f"{space}0", f"{space[:12]}x", [space], 1):
        with pytest.raises(RequestInvalid):
            named_space({"model": wrong})
    for other in ("text-embedding-3-small", "nomic-embed-text:latest", "", None, "embed-4"):
        assert named_space({"model": other}) is None
