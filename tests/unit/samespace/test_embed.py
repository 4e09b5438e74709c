"""Texts to vectors over any model; the model here writes down what it was given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from samespace.artifact import open_artifact
from samespace.embed import embed_roles, embed_texts
from samespace.text import Int64, TextEncoder
from samespace.vectors import Float32

TEXTS = ["a list", "how do i reset it", "a list", "a list", "the value of the index is in the file " * 20]
ROLES = ["query", "passage", "passage", "query", "passage"]


class NotedModel:
    """Vectors that tell inputs apart, and the number of rows that were asked for."""

    def __init__(self) -> None:
        self.rows = 0

    def __call__(self, ids: Int64, mask: Int64, /) -> Float32:
        self.rows += len(ids)
        weights = np.cos(np.arange(1, 5)[:, None] * (1.0 + np.arange(ids.shape[1])))  # (4, tokens)
        vectors = (ids * mask) @ weights.T + 1.0
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def text_encoder(artifact: Path, **prompts: str) -> TextEncoder:
    """The tiny encoder's text path, with other prompts."""
    recipe = open_artifact(artifact).recipe
    return TextEncoder(Tokenizer.from_file(str(artifact / "tokenizer.json")), replace(recipe, prompts=prompts))


def test_what_comes_twice_is_computed_once(tiny_artifact: Path) -> None:
    """Without prompts a role changes nothing, so three of five texts are one; every row has its own text's vector."""
    model, encoder = NotedModel(), text_encoder(tiny_artifact, query="", passage="")
    found = embed_roles(model, encoder, TEXTS, ROLES, dims=4)
    windows = sum(len(each.windows) for each in encoder.tokenize([TEXTS[0], TEXTS[1], TEXTS[4]], "query"))
    assert model.rows == windows
    for row, (text, role) in enumerate(zip(TEXTS, ROLES, strict=True)):
        alone = embed_texts(NotedModel(), encoder, [text], role, dims=4).vectors[0]
        assert np.allclose(found[row], alone, atol=1e-6)


def test_a_prompt_tells_roles_apart(tiny_artifact: Path) -> None:
    """With prompts, the same text is computed for each role."""
    model, encoder = NotedModel(), text_encoder(tiny_artifact, query="find the", passage="")
    found = embed_roles(model, encoder, TEXTS[:4], ROLES[:4], dims=4)
    assert model.rows == 3
    assert np.allclose(found[0], found[3]) and not np.allclose(found[0], found[2], atol=1e-3)
