"""Contradictions of a tokenizer's two files that a handful of texts does not show: a part by its name, or a reading."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from fakes.models import hub_folders, layouts
from samespace.errors import ModelUnsupported
from samespace.model.checkpoint import CheckpointEncoder, load_checkpoint
from samespace.model.folder.tokenizer import canonical_tokenizer, require_same_ids
from samespace.vectors import cosine_distance

SAME = 1e-6  # 1 - cos, fp32 on a CPU


def rewrite(folder: Path, edit: Callable[[dict[str, Any]], None]) -> Path:
    """Change tokenizer.json alone; transformers' class builds its own from the vocabulary."""
    value = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    edit(value)
    layouts.put(folder, {"tokenizer.json": value})
    return folder


def add_tokens(folder: Path, count: int, **flags: bool) -> Path:
    """*count* added tokens, the last of them with other *flags* in added_tokens_decoder."""
    file = folder / "tokenizer.json"
    value = json.loads(file.read_text(encoding="utf-8"))
    last = max(value["model"]["vocab"].values())
    usual = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    value["added_tokens"] += [{**usual, "content": f"<T{row}>", "id": last + 1 + row} for row in range(count)]
    layouts.put(folder, {"tokenizer.json": value})
    decoder = {str(each["id"]): {k: v for k, v in each.items() if k != "id"} for each in value["added_tokens"]}
    decoder[str(last + count)] |= flags
    layouts.change(folder, "tokenizer_config.json", added_tokens_decoder=decoder)
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder)
    model.resize_token_embeddings(last + 1 + count)
    model.save_pretrained(folder)
    return folder


def theirs(folder: Path, texts: list[str]) -> Any:
    """sentence-transformers' unit vectors, a text at a time."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    return np.asarray(model.encode(texts, normalize_embeddings=True, batch_size=1), dtype=np.float32)


def replaces(value: dict[str, Any]) -> None:
    """A normaliser that changes one rare character, and is otherwise the class's own."""
    rare = {"type": "Replace", "pattern": {"String": "\u2031"}, "content": "ten thousand"}
    value["normalizer"] = {"type": "Sequence", "normalizers": [rare, value["normalizer"]]}


def digits_one_by_one(value: dict[str, Any]) -> None:
    steps = [value["pre_tokenizer"], {"type": "Digits", "individual_digits": True}]
    value["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": steps}


CONTRADICTIONS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "longest word": (
        lambda value: value["model"].update(max_input_chars_per_word=40),
        r"model.max_input_chars_per_word is 40 by the file, and 100 by BertTokenizer",
    ),
    "the vocabulary": (
        lambda value: value["model"].update(continuing_subword_prefix="#"),
        r"continuing_subword_prefix is '#' by the file, and '##' by BertTokenizer|has the ids",
    ),
    "a rare character": (replaces, r"'.*\u2031.*' in a text is \[.*\] by the file, and \[.*\] by BertTokenizer"),
    "digits": (digits_one_by_one, r"by the file, and .* by BertTokenizer"),
    "dropout": (lambda value: None, r"gives a text other ids each time \(model.dropout = 0.3\)"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_contradiction_that_few_texts_show_is_refused_by_name(name: str, tmp_path: Path) -> None:
    """With both values; the part differs and 17 texts have equal ids by both."""
    edit, message = CONTRADICTIONS[name]
    if name == "dropout":
        folder = layouts.encoder(tmp_path / "model", "roberta", "roberta")
        rewrite(folder, lambda value: value["model"].update(dropout=0.3))
    else:
        folder = rewrite(layouts.encoder(tmp_path / "model"), edit)
    with pytest.raises(ModelUnsupported, match=message):
        load_checkpoint(folder)


@pytest.mark.parametrize(("count", "flags"), [(1, {"normalized": True}), (90, {"single_word": True})])
def test_the_flags_of_every_added_token_take_effect(count: int, flags: dict[str, bool], tmp_path: Path) -> None:
    """As transformers lets tokenizer_config.json decide, however many there are."""
    folder = add_tokens(layouts.encoder(tmp_path / "model"), count, **flags)
    name = f"<T{count - 1}>"
    texts = [f"a {name.lower()} b", f"a {name} b", f"glued{name}glued", "plain"]
    found = np.asarray(CheckpointEncoder(load_checkpoint(folder)).encode(texts, "query"))
    assert cosine_distance(found, theirs(folder, texts)).max() <= SAME


def test_a_tokenizer_written_in_another_way_is_kept(tmp_path: Path) -> None:
    """XLM-R as saved in 2024 has other steps that do the same: its id stays what it was."""
    folder = tmp_path / "model"
    hub_folders.xlm_roberta_of_2024(folder)
    own = Tokenizer.from_file(str(folder / "tokenizer.json"))
    loaded = load_checkpoint(folder)
    assert loaded.tokenizer == canonical_tokenizer(own)
    assert "control character U+0085 have other ids" in loaded.advice


def test_what_was_written_is_compared_part_by_part(tmp_path: Path) -> None:
    """No text tells the two apart, and a word of 50 letters would."""
    folder = layouts.encoder(tmp_path / "model")
    layouts.change(folder, "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    wanted = Tokenizer.from_file(str(folder / "tokenizer.json"))
    rewrite(folder, lambda value: value["model"].update(max_input_chars_per_word=40))
    with pytest.raises(ModelUnsupported, match=r"cannot be kept.*max_input_chars_per_word is 100 .*, and 40"):
        require_same_ids(folder, wanted, "model")


def test_token_types_that_move_a_vector_are_refused(tmp_path: Path) -> None:
    """A template that gives type 1 to a single text, and a tokenizer that hands types to the model."""
    folder = layouts.encoder(tmp_path / "model")

    def typed(value: dict[str, Any]) -> None:
        for part in value["post_processor"]["single"]:
            next(iter(part.values()))["type_id"] = 1

    rewrite(folder, typed)
    layouts.change(
        folder, "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )  # fmt: skip
    with pytest.raises(ModelUnsupported, match=r"gives token_type_ids \[1\], which sentence-transformers hands to"):
        load_checkpoint(folder)
    layouts.change(folder, "tokenizer_config.json", model_input_names=["input_ids", "attention_mask"])
    texts = ["plain"]
    found = np.asarray(CheckpointEncoder(load_checkpoint(folder)).encode(texts, "query"))
    assert cosine_distance(found, theirs(folder, texts)).max() <= SAME
