"""Options of a folder have the effect that sentence-transformers gives them, or are refused with both values."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from fakes.models.layouts import change, dense, encoder, modules, put
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


def test_a_limit_beyond_the_positions_is_told(tmp_path: Path) -> None:
    """sentence-transformers would fail at a text that long; here it has windows."""
    folder = encoder(tmp_path / "model")
    positions = json.loads((folder / "config.json").read_text())["max_position_embeddings"]
    change(folder, SETTINGS, max_seq_length=positions)
    assert not any("max_seq_length" in note for note in load_checkpoint(folder).notes)
    change(folder, SETTINGS, max_seq_length=positions + 1)
    told = load_checkpoint(folder)
    assert told.recipe.token_limit == positions
    assert f"max_seq_length {positions + 1} beyond the model's {positions} positions" in " ".join(told.notes)


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


@pytest.mark.parametrize("name", ["passage", "corpus"])
def test_a_prompt_that_encode_document_would_not_take_is_told(name: str, tmp_path: Path) -> None:
    """sentence-transformers gives itself an empty prompt of the name "document", and that one counts there."""
    from sentence_transformers import SentenceTransformer

    folder = encoder(tmp_path / "model")
    change(folder, "config_sentence_transformers.json", prompts={"query": "ask: ", name: "find: "})
    model = SentenceTransformer(str(folder), device="cpu")
    theirs = model.encode_document(["a text"], normalize_embeddings=True)
    checkpoint = load_checkpoint(folder)
    assert cosine_distance(CheckpointEncoder(checkpoint).encode(["a text"], "passage"), theirs).max() > 0.001
    assert "'find: '" in checkpoint.advice and "--passage-prompt" in checkpoint.advice


def test_two_spellings_of_the_pooling_may_not_contradict_each_other(tmp_path: Path) -> None:
    folder = encoder(tmp_path / "model")
    place = "1_Pooling/config.json"
    change(folder, place, pooling_mode="cls", pooling_mode_mean_tokens=True)
    with pytest.raises(ModelUnsupported, match="pooling_mode is cls, and by its older keys it is mean"):
        load_checkpoint(folder)
    change(folder, place, pooling_mode="mean")
    assert load_checkpoint(folder).pooling == "mean"


@pytest.mark.parametrize("settings", [{"padding_side": "left"}, {"model_input_names": ["input_ids", "token_type_ids"]}])
def test_a_folder_whose_vectors_depend_on_the_batch_is_told(tmp_path: Path, settings: dict[str, object]) -> None:
    """One by one the vectors are ours; together, as everybody encodes, sentence-transformers has others."""
    folder = encoder(tmp_path / "model")
    whole = check_original(load_checkpoint(folder))
    assert whole.in_batches < 1e-6 and whole.advice == ""
    change(folder, "tokenizer_config.json", **settings)
    found = check_original(load_checkpoint(folder))
    assert found.worst <= GATE and found.in_batches > 1e-3 and "depends on the others of its batch" in found.advice


def test_layers_that_the_configuration_does_not_count_are_told(tmp_path: Path) -> None:
    """sentence-transformers leaves them out in silence, and the vectors are the same; but two files contradict."""
    folder = encoder(tmp_path / "model")
    assert load_checkpoint(folder).advice == ""
    weights = load_file(folder / "model.safetensors")
    more = {
        name.replace("layer.1.", "layer.2."): value.clone() for name, value in weights.items() if "layer.1." in name
    }
    save_file({**weights, **more, "cls.predictions.bias": weights["embeddings.LayerNorm.bias"].clone()},
              folder / "model.safetensors", metadata={"format": "pt"})  # fmt: skip
    checkpoint = load_checkpoint(folder)
    assert check_original(checkpoint).worst <= GATE
    assert f"{len(more)} weights are of layers beyond" in checkpoint.advice and "layer.2." in checkpoint.advice


def test_weights_of_another_shape_are_refused_with_both(tmp_path: Path) -> None:
    """It was a traceback of transformers."""
    folder = encoder(tmp_path / "model")
    change(folder, "config.json", type_vocab_size=3)
    with pytest.raises(ModelUnsupported, match=r"token_type_embeddings.weight is \(2, .*by config.json \(3, "):
        load_checkpoint(folder)


def twice(path: Path, key: str, value: object) -> None:
    """Write *key* again, with another value, at the end of the outermost object of a JSON file."""
    text = path.read_text(encoding="utf-8").rstrip()
    path.write_text(f"{text[:-1].rstrip()}, {json.dumps(key)}: {json.dumps(value)}}}", encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        ("config.json", "hidden_act", "relu"),
        ("1_Pooling/config.json", "pooling_mode_cls_token", True),
        ("2_Dense/config.json", "activation_function", "torch.nn.modules.linear.Identity"),
        ("sentence_bert_config.json", "max_seq_length", 5),
        ("config_sentence_transformers.json", "prompts", {"query": "again: "}),
        ("tokenizer_config.json", "model_max_length", 5),
        ("tokenizer.json", "normalizer", None),
        ("special_tokens_map.json", "cls_token", "[MASK]"),
    ],
)
def test_a_key_twice_is_refused_in_every_file(tmp_path: Path, file: str, key: str, value: object) -> None:
    """The last one won, by the rule of Python's parser, and nobody knows which was trained."""
    folder = encoder(tmp_path / "model", after=("Pooling", "Dense"))
    dense(folder, 2, 32, 24)
    if file == "special_tokens_map.json":
        put(folder, {file: {"cls_token": "[CLS]"}})
    if key == "prompts":
        change(folder, file, prompts={"query": "once: "})
    load_checkpoint(folder)
    twice(folder / file, key, value)
    with pytest.raises(ModelUnsupported, match=rf"{Path(file).name} has the key '{key}' twice, with "):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", ["sentence_roberta_config.json", "sentence_xlnet_config.json"])
def test_two_files_of_settings_may_not_contradict_each_other(tmp_path: Path, name: str) -> None:
    """sentence-transformers reads the first of seven that says something."""
    folder = encoder(tmp_path / "model")
    first = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    put(folder, {name: {**first, "max_seq_length": 16}})
    wanted = rf"{SETTINGS} says max_seq_length = {first['max_seq_length']}, and {name} beside it 16"
    with pytest.raises(ModelUnsupported, match=wanted):
        load_checkpoint(folder)
    put(folder, {name: first})
    assert load_checkpoint(folder).recipe.token_limit == first["max_seq_length"]
    put(folder, {SETTINGS: {}})
    with pytest.raises(ModelUnsupported, match=f"{SETTINGS} says max_seq_length = None"):
        load_checkpoint(folder)


@pytest.mark.parametrize("other", [True, False])
def test_shards_beside_whole_weights_are_told_where_they_differ(tmp_path: Path, other: bool) -> None:
    """The whole ones are read, by transformers and sentence-transformers too."""
    from sentence_transformers import SentenceTransformer

    folder = encoder(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    shard = "model-00001-of-00001.safetensors"
    changed = {name: value * 0.5 if other else value.clone() for name, value in weights.items()}
    save_file(changed, folder / shard, metadata={"format": "pt"})
    put(folder, {"model.safetensors.index.json": {"metadata": {}, "weight_map": dict.fromkeys(weights, shard)}})
    checkpoint = load_checkpoint(folder)
    wanted = SentenceTransformer(str(folder), device="cpu").encode(["a text"], normalize_embeddings=True)
    assert cosine_distance(CheckpointEncoder(checkpoint).encode(["a text"], "query"), wanted).max() <= 1e-6
    assert (f"model.safetensors is read, as transformers and sentence-transformers read it; {shard}" in
            checkpoint.advice) == other  # fmt: skip
