"""Layouts of folders that are no encoder as they stand, or say in an unusual place what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from fakes.models.layouts import ST, change, dense, encoder, modules, put
from fakes.models.stored import qwen

_WEIGHTS = "model.safetensors"


def reranker(folder: Path) -> None:
    """bge-reranker: a transformers folder with a head of one label."""
    _plain(folder)
    change(folder, "config.json", architectures=["BertForSequenceClassification"], id2label={"0": "LABEL_0"})
    state = {f"bert.{key}": value for key, value in load_file(folder / _WEIGHTS).items()}
    head = {"classifier.weight": torch.zeros(1, 32), "classifier.bias": torch.zeros(1)}
    save_file({**state, **head}, folder / _WEIGHTS, metadata={"format": "pt"})


def reranker_of_sentence_transformers(folder: Path) -> None:
    """ms-marco-MiniLM: saved by CrossEncoder of version 4."""
    _plain(folder)
    says = {"activation_fn": "torch.nn.modules.activation.Sigmoid", "version": "4.1.0"}
    change(folder, "config.json", sentence_transformers=says)


def reranker_of_today(folder: Path) -> None:
    """Saved by CrossEncoder of version 6, with modules."""
    encoder(folder)
    first = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"}
    put(folder, {"modules.json": [first], "config_sentence_transformers.json": {"model_type": "CrossEncoder"}})


def splade(folder: Path) -> None:
    """As SparseEncoder saves it."""
    encoder(folder)
    kind = "sentence_transformers.sparse_encoder.models."
    listed = [
        {"idx": 0, "name": "0", "path": "", "type": f"{kind}MLMTransformer"},
        {"idx": 1, "name": "1", "path": "1_SpladePooling", "type": f"{kind}SpladePooling"},
    ]
    put(folder, {"modules.json": listed, "1_SpladePooling/config.json": {"pooling_strategy": "max"}})


def late_interaction(folder: Path) -> None:
    """ColBERT as PyLate saves it: a Dense over tokens, and no pooling."""
    encoder(folder, after=("Dense",))
    dense(folder, 1, 32, 24, bias=False)
    listed = json.loads((folder / "modules.json").read_text())
    listed[1]["type"] = "pylate.models.Dense.Dense"
    put(folder, {"modules.json": listed})


def dense_over_tokens(folder: Path) -> None:
    encoder(folder, after=("Pooling", "Dense"))
    dense(folder, 2, 32, 24, module_input_name="token_embeddings", module_output_name="token_embeddings")


def dense_of_another_model(folder: Path) -> None:
    encoder(folder, after=("Pooling", "Dense"))
    dense(folder, 2, 48, 24)


def asymmetric(folder: Path) -> None:
    """Asym, before it was called Router, with routes of its own names."""
    encoder(folder)
    listed = [*modules("Pooling"), {"idx": 2, "name": "2", "path": "2_Asym", "type": f"{ST}Asym"}]
    routes = {"query": ["q_Dense"], "doc": ["d_Dense"]}
    types = {"q_Dense": f"{ST}Dense", "d_Dense": f"{ST}Dense"}
    put(folder, {"modules.json": listed, "2_Asym/config.json": {"types": types, "structure": routes,
                                                                "parameters": {"allow_empty_key": True}}})  # fmt: skip


def onnx_alone(folder: Path) -> None:
    encoder(folder)
    (folder / _WEIGHTS).unlink()
    put(folder, {"onnx/model.onnx": "no weights that were trained"})


def tokenizer_in_code(folder: Path) -> None:
    """GTE-Qwen2: a tokenizer of its own beside a native one."""
    qwen(folder)
    code = {"AutoTokenizer": ["tokenization_qwen.Qwen2Tokenizer", "tokenization_qwen.Qwen2TokenizerFast"]}
    change(folder, "tokenizer_config.json", auto_map=code)


def attention_both_ways(folder: Path) -> None:
    """A decoder's class that is told to look both ways."""
    qwen(folder, "mean_tokens", is_causal=False)


def under_a_head(folder: Path) -> None:
    """E5 Mistral, SFR: the weights of a language model, with its head."""
    qwen(folder, architectures=["Qwen3ForCausalLM"])
    state = load_file(folder / _WEIGHTS)
    head = {"lm_head.weight": state["embed_tokens.weight"].clone()}
    save_file({**{f"model.{key}": value for key, value in state.items()}, **head}, folder / _WEIGHTS,
              metadata={"format": "pt"})  # fmt: skip


def tuples(folder: Path) -> None:
    """config.json with how its caller wanted answers."""
    encoder(folder)
    change(folder, "config.json", return_dict=False, output_hidden_states=True)


def saved_by_five(folder: Path) -> None:
    """Every key that sentence-transformers 5 writes."""
    encoder(folder)
    put(folder, {"config_sentence_transformers.json": {
        "__version__": {"sentence_transformers": "5.1.0", "transformers": "4.56.0", "pytorch": "2.8.0"},
        "model_type": "SentenceTransformer", "prompts": {"query": "query: ", "document": "passage: ", "STS": "sts: "},
        "default_prompt_name": None, "similarity_fn_name": "cosine",
    }})  # fmt: skip


def pooled_in_another_order(folder: Path) -> None:
    encoder(folder)
    put(folder, {"1_Pooling/config.json": {"embedding_dimension": 32, "pooling_mode": ["mean", "cls"]}})


_SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
          "max_position_embeddings": 258, "initializer_range": 0.2}  # fmt: skip
_ONE_AND_MORE = {"short_factor": [1.0] * 4, "long_factor": [8.0] * 4, "rope_theta": 10_000.0}


def of_class(folder: Path, model: str, *, sized: bool = True, **settings: Any) -> None:
    """MiniLM's files around a body of transformers' class *model*."""
    import transformers

    encoder(folder)
    vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
    torch.manual_seed(1)
    config = getattr(transformers, f"{model}Config")(vocab_size=vocabulary, **{**(_SIZES if sized else {}), **settings})
    getattr(transformers, f"{model}Model")(config).save_pretrained(folder)


def convolutions(folder: Path) -> None:
    """ConvBERT: its convolutions go over the padding."""
    of_class(folder, "ConvBert", embedding_size=32, conv_kernel_size=3)


def sparse_attention(folder: Path) -> None:
    """BigBird as published: block_sparse, until the first short input."""
    of_class(folder, "BigBird", attention_type="block_sparse", block_size=4, num_random_blocks=1)


def long_rope(folder: Path) -> None:
    """Phi 3, MiniCPM: other frequencies for a batch that has one long text."""
    rope = {"rope_type": "longrope", "original_max_position_embeddings": 100, **_ONE_AND_MORE}
    of_class(folder, "Llama", num_key_value_heads=2, head_dim=8, rope_parameters=rope)


def funnel(folder: Path) -> None:
    """Two classes for one configuration."""
    sizes = {"d_model": 32, "n_head": 4, "d_head": 8, "d_inner": 64}
    of_class(folder, "Funnel", sized=False, block_sizes=[1, 1], num_decoder_layers=1, initializer_std=0.2, **sizes)


def not_a_number(folder: Path) -> None:
    """A training that failed."""
    encoder(folder)
    state = load_file(folder / _WEIGHTS)
    state["embeddings.word_embeddings.weight"][7] = float("nan")
    save_file(state, folder / _WEIGHTS, metadata={"format": "pt"})


def _plain(folder: Path) -> None:
    encoder(folder)
    for name in ("modules.json", "1_Pooling/config.json", "sentence_bert_config.json"):
        (folder / name).unlink()
    (folder / "1_Pooling").rmdir()
    (folder / "config_sentence_transformers.json").unlink()
