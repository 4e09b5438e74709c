"""The tokenizer that was loaded is the one that is kept, with the ids that sentence-transformers gives."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from fakes.models import layouts
from fakes.models.architectures import save_tiny
from samespace.errors import ModelUnsupported
from samespace.model.checkpoint import Checkpoint, CheckpointEncoder, Overrides, load_checkpoint
from samespace.model.folder.saving import require_savable, save_folder
from samespace.model.folder.tokenizer import HARD_TEXTS, require_same_ids, write_tokenizer
from samespace.model.scratch import Scratch, write_scratch
from samespace.text import Role
from samespace.vectors import cosine_distance

SAME = 1e-6  # 1 - cos, fp32 on a CPU
FITTING = [text for text in HARD_TEXTS if len(text) < 20]  # within the 40 tokens of `save_tiny`
OPTIONS = ["cased_by_option", "accents_kept", "lower_case_in_settings", "prefix_space", "e5_mistral", "tokenizer_args"]
# Said as E5 Mistral wants it, whose prompts have names of no role; sentence-transformers then puts none in front.
NO_PROMPTS = Overrides(query_prompt="", passage_prompt="")
# Families whose transformers class builds a tokenizer anew, with another normaliser than these files have.
REBUILT = ["xlm-roberta", "t5", "deberta-v2", "albert", "qwen3", "llama", "roberta", "gemma3", "bert"]


def theirs(folder: Path, texts: Sequence[str], role: Role = "query") -> Any:
    """sentence-transformers' unit vectors for the folder, a text at a time."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    encode = model.encode_query if role == "query" else model.encode_document
    return np.asarray(encode(list(texts), normalize_embeddings=True, batch_size=1), dtype=np.float32)


def ours(checkpoint: Checkpoint, texts: Sequence[str], role: Role = "query") -> Any:
    return np.asarray(CheckpointEncoder(checkpoint).encode(list(texts), role))


def resaved(folder: Path, target: Path, said: Overrides | None = None) -> Path:
    """*folder* as a training without a step leaves it behind."""
    from samespace.training.finetuning.model import load_plain

    base = load_checkpoint(folder, said)
    require_savable(base)
    save_folder(load_plain(str(folder)), target, base.folder_tokenizer, str(folder))
    return target


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_of_a_configuration_takes_effect(name: str, tmp_path: Path) -> None:
    """Ids of tokenizer.json alone would be others; sentence-transformers goes by the option."""
    folder = getattr(layouts, name)(tmp_path / name)
    loaded = load_checkpoint(folder, NO_PROMPTS)
    assert cosine_distance(ours(loaded, HARD_TEXTS), theirs(folder, HARD_TEXTS)).max() <= SAME


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_is_kept_when_a_model_is_saved(name: str, tmp_path: Path) -> None:
    """Saved and read by sentence-transformers again, the vectors are those of the folder that was loaded."""
    folder = getattr(layouts, name)(tmp_path / name)
    saved = resaved(folder, tmp_path / "saved", NO_PROMPTS)
    assert cosine_distance(theirs(saved, HARD_TEXTS), theirs(folder, HARD_TEXTS)).max() <= SAME
    assert load_checkpoint(saved, NO_PROMPTS).tokenizer == load_checkpoint(folder, NO_PROMPTS).tokenizer


@pytest.mark.parametrize("name", REBUILT)
def test_a_saved_folder_gives_the_ids_of_the_loaded_one(name: str, tmp_path: Path) -> None:
    """transformers' own save names a class that builds another tokenizer from the vocabulary."""
    folder = save_tiny(tmp_path / name, name)
    saved = resaved(folder, tmp_path / "saved")
    own = Tokenizer.from_file(str(folder / "tokenizer.json"))
    require_same_ids(saved, own, name)
    assert cosine_distance(theirs(saved, HARD_TEXTS), theirs(folder, HARD_TEXTS)).max() <= SAME


@pytest.mark.parametrize("name", ["xlm-roberta", "t5", "deberta-v2", "albert", "qwen3"])
def test_a_contradiction_is_refused_with_both_sides(name: str, tmp_path: Path) -> None:
    """No class in the configuration: transformers takes the model type's, whose ids are not those of the file."""
    folder = save_tiny(tmp_path / name, name)
    layouts.change(folder, "tokenizer_config.json", tokenizer_class=None)
    with pytest.raises(ModelUnsupported, match=r"contradict each other: .* by the file, and .* by \w+Tokenizer"):
        load_checkpoint(folder)
    layouts.change(folder, "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    assert cosine_distance(ours(load_checkpoint(folder), FITTING), theirs(folder, FITTING)).max() <= SAME


def test_another_familys_tokenizer_without_its_class_is_refused(tmp_path: Path) -> None:
    """The old multilingual MiniLM: trained on tokenizer.json's ids it scored, and as it was saved it scored 0."""
    folder = layouts.multilingual_minilm(tmp_path / "multilingual")
    with pytest.raises(ModelUnsupported, match=r"cannot read its tokenizer.*tokenizer_class"):
        load_checkpoint(folder)
    layouts.change(folder, "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast", pad_token="<pad>")
    saved = resaved(folder, tmp_path / "saved")
    assert cosine_distance(theirs(saved, HARD_TEXTS), ours(load_checkpoint(folder), HARD_TEXTS)).max() <= SAME


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("padding_beyond", r"ids up to \d+ \('\[PAD\]'\), and its token embedding has \d+ rows"),
        ("added_token_beyond", r"ids up to \d+ \('<domain>'\), and its token embedding has \d+ rows"),
    ],
)
def test_a_tokenizer_that_cannot_be_used_is_refused_before_the_weights_are_read(
    name: str, message: str, tmp_path: Path
) -> None:
    folder = getattr(layouts, name)(tmp_path / name)
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelUnsupported, match=message):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("installed", "message"),
    [
        (True, "sentencepiece.bpe.model alone, which cannot be converted"),
        (False, r"sentencepiece.bpe.model alone, and the package sentencepiece is not installed.*samespace\[train\]"),
    ],
)
def test_a_sentencepiece_file_that_cannot_be_read_says_why(
    installed: bool, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line, before the weights are read."""
    folder = layouts.encoder(tmp_path / "model", "xlm-roberta", "xlm-roberta")
    (folder / "tokenizer.json").unlink()
    (folder / "sentencepiece.bpe.model").write_bytes(b"\x0e no such file")
    (folder / "model.safetensors").write_bytes(b"")
    monkeypatch.setattr("samespace.model.folder.tokenizer.find_spec", lambda name: object() if installed else None)
    with pytest.raises(ModelUnsupported, match=message):
        load_checkpoint(folder)


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    """A file that another program leaves in the folder, and that wins over tokenizer.json, is found."""
    folder = layouts.encoder(tmp_path / "model")
    tokenizer = load_checkpoint(folder).folder_tokenizer
    write_tokenizer(folder, tokenizer, "model")
    changed = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    changed["normalizer"]["lowercase"] = False
    layouts.put(folder, {"tokenizer.json": changed})
    with pytest.raises(ModelUnsupported, match="its tokenizer cannot be kept"):
        require_same_ids(folder, tokenizer, "model")


def test_an_encoder_from_scratch_keeps_its_tokenizer(tmp_path: Path) -> None:
    """Whatever class the architecture suggests: the file is what counts."""
    file = save_tiny(tmp_path / "donor", "gemma3") / "tokenizer.json"
    folder = write_scratch(tmp_path / "scratch", file, Scratch(layers=1, width=24, heads=2, token_limit=128))
    require_same_ids(folder, Tokenizer.from_file(str(file)), "scratch")
