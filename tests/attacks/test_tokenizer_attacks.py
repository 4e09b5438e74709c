"""tokenizer.json that means harm, or belongs to another encoder."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.models.encoders import tiny_tokenizer
from fakes.models.forgery import MODEL, forge_file, forge_graph, forge_tokenizer
from samespace.artifact.tokenizer_check import largest_id, read_tokenizer
from samespace.errors import ArtifactDamaged


def add_words(count: int) -> Callable[[dict[str, Any]], None]:
    def change(value: dict[str, Any]) -> None:
        vocabulary = value["model"]["vocab"]
        vocabulary |= {f"word{number}": len(vocabulary) + number for number in range(count)}

    return change


def test_a_tokenizer_of_a_larger_vocabulary_is_refused(artifact: Path, refused: Callable[..., None]) -> None:
    """Its ids would be looked up beyond the embedding; both sizes are in the message."""
    forge_tokenizer(artifact, add_words(3))
    refused("tokenizer.json", f"up to 179, but the token embedding of {MODEL} has 177 rows")


def test_an_added_token_counts(artifact: Path, refused: Callable[..., None]) -> None:
    """Tokens may come from outside the model's vocabulary."""
    token = {
        "id": 177, "content": "<new>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
        "special": True,
    }  # fmt: skip
    forge_tokenizer(artifact, lambda value: value["added_tokens"].append(token))
    refused("tokenizer.json", "up to 177")


def test_a_hidden_embedding_is_found_in_the_identity(artifact: Path, refused: Callable[..., None]) -> None:
    """A graph that looks its rows up in a roundabout way still has the weights' names and shapes in the manifest."""

    def hide(model: Any) -> None:
        for node in model.graph.node:
            if "input_ids" in node.input and node.op_type == "Gather":
                node.op_type = "GatherND"

    forge_graph(artifact, hide)
    forge_tokenizer(artifact, add_words(1))
    refused("tokenizer.json", "177 rows")


DOUBLING = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda value: value.update(normalizer={"type": "Sequence", "normalizers": [DOUBLING] * 40}),
            "characters of one",
        ),
        (lambda value: value.update(normalizer=DOUBLING | {"pattern": {"String": ""}}), "empty text"),
        (lambda value: value.update(normalizer=DOUBLING | {"content": "x" * 10**6}), "characters of one"),
        (lambda value: value.update(normalizer=DOUBLING | {"pattern": {"Regex": "."}, "content": "x" * 99}), "of one"),
        (lambda value: value.update(normalizer={"type": "Prepend", "prepend": "x" * 10**6}), "before a text"),
        (
            lambda value: value.update(normalizer={"type": "Sequence", "normalizers": [{"type": "NFC"}] * 10_000}),
            "more than 256 steps",
        ),
        (
            lambda value: value["post_processor"]["single"].extend(value["post_processor"]["single"][1:2] * 3),
            "template",
        ),
        (
            lambda value: value["post_processor"]["single"].extend(value["post_processor"]["single"][:1] * 99),
            "template",
        ),
        (lambda value: value.update(model={"type": "WordPiece"}), "tokenizer"),
        (lambda value: value.update(normalizer={"type": "Exec"}), "tokenizer"),
        (lambda value: value.clear(), "tokenizer"),
    ],
)
def test_a_tokenizer_that_blows_texts_up_is_refused(
    artifact: Path, refused: Callable[..., None], change: Callable[[dict[str, Any]], Any], reason: str
) -> None:
    """Forty doublings make a terabyte of one letter: what a step can make of a text is counted first."""
    forge_tokenizer(artifact, change)
    refused("tokenizer.json", reason)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"[" * 1_000_000, "recursion"),
        (b'{"a":' * 1_000_000, "recursion"),
        (b"[" + b"0," * 5_000_000 + b"0]", "5000001 values"),
        (b"[" + b"[]," * 2_500_000 + b"[]]", "values"),
        (b" " * ((64 << 20) + 1), "at most"),
        (b'{"normalizer": null, "normalizer": null}', "stands twice"),
        (b"\xff\xfe", "tokenizer"),
        (b"null", "tokenizer"),
        (b"", "tokenizer"),
    ],
)
def test_enormous_or_endless_json_is_refused(
    artifact: Path, refused: Callable[..., None], data: bytes, reason: str
) -> None:
    """Depth, number of values and bytes are bounded before the file is parsed."""
    forge_file(artifact, "tokenizer.json", data)
    refused("tokenizer.json", reason)


@given(data=st.data())
@settings(max_examples=1500, deadline=None)
def test_mutated_tokenizers_never_crash(data: st.DataObject) -> None:
    """Any value at any place: a tokenizer, or an error of ours, also where the Rust side panics."""
    value = json.loads(tiny_tokenizer())
    value["model"]["vocab"] = dict(list(value["model"]["vocab"].items())[:40])
    for _ in range(data.draw(st.integers(1, 2))):
        node: Any = value
        while True:
            key = data.draw(st.sampled_from(list(node) if isinstance(node, dict) else list(range(len(node)))))
            if isinstance(node[key], dict | list) and node[key] and data.draw(st.integers(0, 3)):
                node = node[key]
                continue
            node[key] = data.draw(
                st.none() | st.booleans() | st.integers(-2, 2**33) | st.text(max_size=4) | st.just([]) | st.just({})
            )
            break
    with contextlib.suppress(ArtifactDamaged):
        assert largest_id(read_tokenizer(json.dumps(value).encode(), file="x")) >= 0
