"""Options of a folder have the effect that sentence-transformers gives them, or are refused with both values."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fakes.models.layouts import change, encoder, modules, put
from fakes.models.static import save_static
from samespace.errors import GateFailed, ModelUnsupported
from samespace.exporting.builds.original import GATE, check_original
from samespace.model.checkpoint import CheckpointEncoder, Overrides, load_checkpoint
from samespace.vectors import cosine_distance

SETTINGS = "sentence_bert_config.json"


@pytest.mark.parametrize("name", ["tokenizer_args", "processor_kwargs"])
@pytest.mark.parametrize("own", [256, None])
def test_the_token_limit_is_the_one_of_sentence_transformers(name: str, own: int | None, tmp_path: Path) -> None:
    """model_max_length among the tokenizer's options comes before max_seq_length."""
    from sentence_transformers import SentenceTransformer

    folder = encoder(tmp_path / "model")
    change(folder, SETTINGS, max_seq_length=own, **{name: {"model_max_length": 32}})
    wanted = SentenceTransformer(str(folder), device="cpu").max_seq_length
    assert load_checkpoint(folder).recipe.token_limit == wanted == 32


def test_a_limit_that_we_read_otherwise_fails_the_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference keeps the limit that it reads, unless the user says another one."""
    folder = encoder(tmp_path / "model")
    change(folder, SETTINGS, max_seq_length=16)
    chosen = load_checkpoint(folder, Overrides(token_limit=64))
    assert check_original(chosen).worst <= GATE
    monkeypatch.setattr("samespace.model.checkpoint.token_limit", lambda *args, **options: 64)
    with pytest.raises(GateFailed, match="the model as it was read"):
        check_original(load_checkpoint(folder))


def test_a_limit_that_is_no_number_is_refused(tmp_path: Path) -> None:
    folder = encoder(tmp_path / "model")
    change(folder, SETTINGS, max_seq_length="128")
    with pytest.raises(ModelUnsupported, match="its token limit is '128'"):
        load_checkpoint(folder)


def test_two_names_for_the_same_options_may_not_contradict_each_other(tmp_path: Path) -> None:
    folder = encoder(tmp_path / "model")
    options = {"tokenizer_args": {"do_lower_case": False}, "processor_kwargs": {"do_lower_case": True}}
    change(folder, SETTINGS, **options)
    with pytest.raises(ModelUnsupported, match=r"tokenizer_args are .*False.*processor_kwargs .*True"):
        load_checkpoint(folder)


def test_a_normaliser_that_lower_cases_already_is_left_as_it_is(tmp_path: Path) -> None:
    """What comes before it may depend on case."""
    from sentence_transformers import SentenceTransformer

    folder = encoder(tmp_path / "model")
    value = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    steps = [{"type": "Replace", "pattern": {"String": "T"}, "content": "z"}, {"type": "Lowercase"}]
    value["normalizer"] = {"type": "Sequence", "normalizers": steps}
    put(folder, {"tokenizer.json": value})
    change(folder, "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    change(folder, SETTINGS, do_lower_case=True)
    texts = ["The Text and the encoder", "two"]
    wanted = SentenceTransformer(str(folder), device="cpu").encode(texts, normalize_embeddings=True, batch_size=1)
    found = np.asarray(CheckpointEncoder(load_checkpoint(folder)).encode(texts, "query"))
    assert cosine_distance(found, np.asarray(wanted)).max() <= 1e-6


def test_a_module_without_files_may_have_no_folder(tmp_path: Path) -> None:
    """Normalize with the path "", and a Dropout behind it: the vectors have unit length."""
    folder = encoder(tmp_path / "model", after=("Pooling", "Normalize", "Dropout"))
    listed = modules("Pooling", "Normalize", "Dropout")
    listed[2]["path"] = ""
    put(folder, {"modules.json": listed, "3_Dropout/config.json": {"dropout": 0.1}})
    change(folder, "config_sentence_transformers.json", similarity_fn_name="dot")
    assert load_checkpoint(folder).dims == 32


def test_static_embeddings_are_cut_where_their_tokenizer_cuts(tmp_path: Path) -> None:
    folder = save_static(tmp_path / "model")
    (file,) = folder.rglob("tokenizer.json")
    value = json.loads(file.read_text(encoding="utf-8"))
    cut = {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0}
    put(folder, {str(file.relative_to(folder)): {**value, "truncation": cut}})
    assert load_checkpoint(folder).recipe.token_limit == 8


def test_another_prompt_than_sentence_transformers_takes_is_told(tmp_path: Path) -> None:
    """It stops at an empty "document", which every folder has; here the first that says something counts."""
    folder = encoder(tmp_path / "model")
    prompts = {"query": "q: ", "document": "", "passage": "p: "}
    change(folder, "config_sentence_transformers.json", prompts=prompts)
    loaded = load_checkpoint(folder)
    assert loaded.recipe.prompts["passage"] == "p: "
    assert "Passages get the prompt 'p: ', and '' by sentence-transformers' encode_document" in loaded.advice
    assert "encode_document" not in load_checkpoint(folder, Overrides(passage_prompt="p: ")).advice
    change(folder, "config_sentence_transformers.json", prompts={**prompts, "document": "p: "})
    assert "encode_document" not in load_checkpoint(folder).advice


def test_weights_under_another_name_are_told(tmp_path: Path) -> None:
    """Getting the folder anew would not help."""
    folder = encoder(tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "model.fp16.safetensors")
    with pytest.raises(ModelUnsupported, match=r"no model.safetensors, only model.fp16.safetensors"):
        load_checkpoint(folder)
