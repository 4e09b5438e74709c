"""Layouts that differ in how their weights and settings are stored, as published folders of many years do."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from fakes.models import hub_folders
from fakes.models.architectures import DIMS
from fakes.models.layouts import change, dense, encoder, legacy_pooling, modules, put

IDENTITY = "torch.nn.modules.linear.Identity"
_WEIGHTS = "model.safetensors"


def _rewritten(folder: Path, name: Callable[[str], str], **others: torch.Tensor) -> None:
    """The same weights under other names."""
    state = {name(key): value for key, value in load_file(folder / _WEIGHTS).items()}
    save_file({**state, **others}, folder / _WEIGHTS, metadata={"format": "pt"})


def _listed(folder: Path) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads((folder / "modules.json").read_text())
    return listed


def dense_of_each_length(folder: Path) -> None:
    """Stella: a Dense for each length, and modules.json names one of them."""
    encoder(folder, after=("Pooling", "Dense"))
    dense(folder, 2, DIMS, 24, activation_function=IDENTITY)
    (folder / "2_Dense").rename(folder / "2_Dense_1024")
    dense(folder, 2, DIMS, 16, activation_function=IDENTITY)
    (folder / "2_Dense").rename(folder / "2_Dense_256")
    listed = _listed(folder)
    listed[-1]["path"] = "2_Dense_1024"
    put(folder, {"modules.json": listed})


def gte_modernbert(folder: Path) -> None:
    hub_folders.modernbert(folder)
    put(folder, {"1_Pooling/config.json": legacy_pooling("cls_token"), "modules.json": modules("Pooling")})


def clip_multilingual(folder: Path) -> None:
    encoder(folder, "distilbert", "bert", after=("Pooling", "Dense"))
    dense(folder, 2, DIMS, 24, bias=False, activation_function=IDENTITY)


def shards(folder: Path) -> None:
    encoder(folder)
    state = load_file(folder / _WEIGHTS)
    (folder / _WEIGHTS).unlink()
    names = sorted(state)
    where: dict[str, str] = {}
    for number, keys in enumerate((names[::2], names[1::2]), start=1):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file({key: state[key] for key in keys}, folder / file, metadata={"format": "pt"})
        where |= dict.fromkeys(keys, file)
    put(folder, {"model.safetensors.index.json": {"metadata": {"total_size": 1}, "weight_map": where}})


def shard_missing(folder: Path) -> None:
    shards(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()


def weights_of_2018(folder: Path) -> None:
    """gamma and beta, under the name of the model that was pre-trained, with its head."""
    encoder(folder)

    def name(key: str) -> str:
        return f"bert.{key}".replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")

    _rewritten(folder, name, **{"cls.predictions.bias": torch.zeros(5)})
    change(folder, "config.json", architectures=["BertForMaskedLM"])


def no_settings(folder: Path) -> None:
    """modules.json and 1_Pooling alone beside the transformer."""
    encoder(folder)
    for name in ("config_sentence_transformers.json", "sentence_bert_config.json", "tokenizer_config.json"):
        (folder / name).unlink()


def cut_by_its_tokenizer(folder: Path) -> None:
    """tokenizer.json with the padding and truncation of somebody's last call."""
    encoder(folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["truncation"] = {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0}
    tokenizer["padding"] = {
        "strategy": {"Fixed": 32}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
        "pad_token": "[PAD]",
    }  # fmt: skip
    put(folder, {"tokenizer.json": tokenizer})


def qwen(folder: Path, pooling: str = "lasttoken", **config: Any) -> None:
    encoder(folder, "qwen3", "qwen", pooling=(pooling,), tokenizer_config={"padding_side": "left"})
    change(folder, "config.json", **config)


def left_padding(folder: Path) -> None:
    """SGPT and others: a decoder that pads on the left, with a weighted mean."""
    qwen(folder, "weightedmean_tokens")
    (folder / "chat_template.jinja").write_text("{{ messages }}")


def rope_scaling(folder: Path) -> None:
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
    qwen(folder, rope_scaling=yarn)


def onnx_beside(folder: Path) -> None:
    """Builds and cards of other programs beside the weights."""
    encoder(folder)
    put(folder, {"onnx/model.onnx": "", "openvino/openvino_model.xml": "", "README.md": "---\ntags: [x]\n---\n"})


def truncated_after_dense(folder: Path) -> None:
    encoder(folder, after=("Pooling", "Dense", "Normalize"))
    dense(folder, 2, DIMS, 24)
    change(folder, "config_sentence_transformers.json", truncate_dim=8)


def document_and_passage(folder: Path) -> None:
    """Two prompts for one role: sentence-transformers takes the document's."""
    encoder(folder)
    prompts = {"query": "q: ", "document": "d: ", "passage": "p: "}
    change(folder, "config_sentence_transformers.json", prompts=prompts)


def dense_pickled(folder: Path) -> None:
    encoder(folder, after=("Pooling", "Dense"))
    dense(folder, 2, DIMS, 24)
    (folder / "2_Dense" / _WEIGHTS).rename(folder / "2_Dense" / "pytorch_model.bin")


def order_of_modules(folder: Path) -> None:
    encoder(folder, after=("Pooling", "Normalize", "Dense"))
    dense(folder, 3, DIMS, 24)
    listed = _listed(folder)
    put(folder, {"modules.json": [*listed[:2], listed[3], listed[2]]})


def pointer(folder: Path) -> None:
    """Cloned without git lfs."""
    encoder(folder)
    (folder / _WEIGHTS).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 90868376\n")


def quantised(folder: Path) -> None:
    encoder(folder)
    change(folder, "config.json", quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True})


def model_arguments(folder: Path) -> None:
    encoder(folder)
    change(folder, "sentence_bert_config.json", model_args={"torch_dtype": "float16"})


def jina_2(folder: Path) -> None:
    encoder(folder)
    code = {"AutoModel": "jinaai/jina-bert-implementation--modeling_bert.JinaBertModel"}
    change(folder, "config.json", auto_map=code, position_embedding_type="alibi")


def own_type(folder: Path) -> None:
    encoder(folder)
    change(folder, "config.json", model_type="new", auto_map={"AutoModel": "Alibaba-NLP/new-impl--modeling.NewModel"})


def first_module(kind: str, settings: Mapping[str, Any]) -> Callable[[Path], None]:
    """A folder whose first module is no transformer of text."""

    def write(folder: Path) -> None:
        encoder(folder)
        listed = [{"idx": 0, "name": "0", "path": f"0_{kind}", "type": f"sentence_transformers.models.{kind}"}]
        put(folder, {"modules.json": listed, f"0_{kind}/config.json": settings})

    return write
