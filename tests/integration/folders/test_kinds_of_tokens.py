"""A build that is right for every text of words, and wrong for one script, for numbers or for signs."""

from __future__ import annotations

import shutil
import string
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers

from fakes.models.forgery import forge_graph
from samespace.artifact import open_artifact
from samespace.errors import ProbesFailed
from samespace.runtime.fresh import OF_A_KIND, fresh_texts, fresh_vectors, require_near
from samespace.runtime.load import open_session
from samespace.text import Recipe, TextEncoder


def with_rows_turned(tokens: str, tokenizer: Tokenizer) -> Callable[[onnx.ModelProto], None]:
    """A change of a graph: the embeddings of *tokens* point the other way."""

    def change(model: onnx.ModelProto) -> None:
        (table,) = (each for each in model.graph.initializer if each.dims[:1] == [tokenizer.get_vocab_size()])
        values = numpy_helper.to_array(table).copy()
        rows = np.array([tokenizer.token_to_id(token) for token in tokens])
        values[rows] *= -1
        table.CopyFrom(numpy_helper.from_array(values, table.name))

    return change


@pytest.mark.parametrize("kind", [string.digits, string.punctuation])
def test_a_kind_of_tokens_that_was_destroyed_is_seen(kind: str, tiny_artifact: Path, tmp_path: Path) -> None:
    """Whatever the texts that are drawn: fresh texts had words alone, and no probe may have these."""
    honest = open_artifact(tiny_artifact)
    forged = Path(shutil.copytree(tiny_artifact, tmp_path / "forged"))
    forge_graph(forged, with_rows_turned(kind, honest.text_encoder().tokenizer))
    other = open_artifact(forged)
    encoder, dims = honest.text_encoder(), honest.manifest.identity.dims
    for seed in range(5):
        fresh = fresh_texts(encoder, seed=seed)
        found, wanted = (
            fresh_vectors(open_session(each, build, build.measured[0]), encoder, fresh, dims)
            for each, build in ((each, each.manifest.builds[0]) for each in (other, honest))
        )
        with pytest.raises(ProbesFailed):
            require_near(found, wanted, bound=0.01, build="int8", runtime="onnxruntime")


def test_every_script_is_drawn_from() -> None:
    """Also of single characters, of which all words of Chinese are made; rare ones together."""
    scripts = {
        "CJK": "東京都大学人口北市民会",
        "HIRAGANA": "あいうえおかきくけこ",
        "DIGIT": "0123456789",
        "rare": "ກຂ€½",
    }
    tokens = ["[UNK]", *(token for script in scripts.values() for token in script), "word", "##s", "another"]
    tokenizer = Tokenizer(models.WordPiece({token: row for row, token in enumerate(tokens)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    encoder = TextEncoder(tokenizer, Recipe(prompts={"query": "", "passage": ""}, token_limit=64, window_overlap=8))
    texts = fresh_texts(encoder, seed=1).texts
    for script in ("CJK", "HIRAGANA", "DIGIT"):
        (text,) = (text for text in texts if set(text.split()) <= set(scripts[script]))
        assert len(text.split()) == OF_A_KIND
    assert any(set(text.split()) & set(scripts["rare"]) for text in texts)
