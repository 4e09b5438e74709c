"""Model folders in the file layouts that people publish, with tiny random weights: names, keys and files as on the hub.

A layout is a function that writes one. What a hub repository says of itself is in the files here; no weights of
anybody, and no file of anybody, are copied.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fakes.models.architectures import DIMS, FAMILIES, TOKENIZERS

ST = "sentence_transformers.models."
LIMIT = 256

# transformers' class, and the tiny vocabulary that it is given.
_NATIVE = {
    "bert": ("BertTokenizer", "wordpiece"),
    "mpnet": ("MPNetTokenizer", "wordpiece"),
    "roberta": ("RobertaTokenizer", "byte_bpe_roberta"),
    "xlm-roberta": ("XLMRobertaTokenizer", "unigram_roberta"),
    "t5": ("T5Tokenizer", "unigram_t5"),
    "qwen": ("Qwen2Tokenizer", "byte_bpe_last"),
    "llama": ("LlamaTokenizer", "bpe_gemma"),
}


def native_tokenizer(kind: str, **options: Any) -> Any:
    """A tiny tokenizer of the class that published folders name, as that class itself builds it."""
    import transformers

    name, source = _NATIVE[kind]
    model = json.loads(TOKENIZERS[source]())["model"]
    vocab = model["vocab"]
    if isinstance(vocab, list):
        vocab = [tuple(piece) for piece in vocab]
        if kind == "xlm-roberta":
            vocab.append(("<mask>", 0.0))
    elif kind == "mpnet":
        vocab = {token: row for row, token in enumerate(["<s>", "<pad>", "</s>", *vocab, "<mask>"])}
    elif kind == "llama":
        renamed = {"<bos>": "<s>", "<eos>": "</s>"}
        vocab = {renamed.get(token, token): row for token, row in vocab.items()}
    merges = [tuple(merge) for merge in model.get("merges", ())]
    return getattr(transformers, name)(vocab=vocab, **({"merges": merges} if merges else {}), **options)


def put(folder: Path, files: Mapping[str, Any]) -> None:
    """Write files: JSON values, or text as it is."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content, indent=2), encoding="utf-8")


def change(folder: Path, name: str, **values: Any) -> None:
    """Change keys of a JSON file; None takes one out."""
    path = folder / name
    settings = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    settings = {key: value for key, value in {**settings, **values}.items() if value is not None}
    put(folder, {name: settings})


def modules(*kinds: str) -> list[dict[str, Any]]:
    """The content of modules.json: Transformer at the top, then each of *kinds* in a folder of its own."""
    listed = [{"idx": 0, "name": "0", "path": "", "type": ST + "Transformer"}]
    for place, kind in enumerate(kinds, 1):
        listed.append({"idx": place, "name": str(place), "path": f"{place}_{kind}", "type": ST + kind})
    return listed


def legacy_pooling(*modes: str, dims: int = DIMS, **more: Any) -> dict[str, Any]:
    """1_Pooling/config.json as versions before 6 wrote it; *modes* such as "mean_tokens"."""
    known = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")
    flags = {f"pooling_mode_{mode}": mode in modes for mode in dict.fromkeys((*known, *modes))}
    return {"word_embedding_dimension": dims, **flags, **more}


def encoder(
    folder: Path,
    family: str = "bert",
    tokenizer: str = "bert",
    *,
    after: Sequence[str] = ("Pooling", "Normalize"),
    pooling: Sequence[str] = ("mean_tokens",),
    seed: int = 1,
    tokenizer_config: Mapping[str, Any] | None = None,
    **config: Any,
) -> Path:
    """A folder of *family* as sentence-transformers 2 wrote it, with a native tokenizer, to be changed from there."""
    import torch
    import transformers

    folder.mkdir(parents=True)
    native = native_tokenizer(tokenizer)
    chosen = FAMILIES[family]
    settings: dict[str, Any] = {"vocab_size": len(native)}
    if chosen.common:
        settings |= {"hidden_size": DIMS, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
                     "max_position_embeddings": LIMIT + 2}  # fmt: skip
    if family == "distilbert":
        config = {"max_position_embeddings": LIMIT + 2, **config}
    if "initializer_factor" not in chosen.settings:
        settings["initializer_range"] = 0.2
    torch.manual_seed(seed)
    made = getattr(transformers, chosen.config)(**{**settings, **chosen.settings, **config})
    getattr(transformers, chosen.model)(made).save_pretrained(folder)
    native.backend_tokenizer.save(str(folder / "tokenizer.json"))
    put(
        folder,
        {
            "modules.json": modules(*after),
            "1_Pooling/config.json": legacy_pooling(*pooling),
            "sentence_bert_config.json": {"max_seq_length": LIMIT, "do_lower_case": False},
            "config_sentence_transformers.json": {
                "__version__": {"sentence_transformers": "2.0.0", "transformers": "4.6.1", "pytorch": "1.8.1"}
            },
            "tokenizer_config.json": {
                "model_max_length": 512, "tokenizer_class": _NATIVE[tokenizer][0], **special_tokens(native),
                **(tokenizer_config or {}),
            },
        },
    )  # fmt: skip
    return folder


def special_tokens(tokenizer: Any) -> dict[str, str]:
    """The names that tokenizer_config.json gives special tokens."""
    return {key: str(token) for key, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}


def dense(
    folder: Path, place: int, size: int, out: int, *, bias: bool = True, residual: bool = False, **more: Any
) -> None:
    """A Dense module with random weights."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(place)
    name = f"{place}_Dense"
    put(folder, {f"{name}/config.json": {
        "in_features": size, "out_features": out, "bias": bias,
        "activation_function": "torch.nn.modules.activation.Tanh", **more,
    }})  # fmt: skip
    state = {"linear.weight": torch.randn(out, size) / size**0.5}
    if bias:
        state["linear.bias"] = torch.randn(out) / 4
    if residual and size != out:
        state["residual.weight"] = torch.randn(out, size) / size**0.5
    save_file(state, folder / name / "model.safetensors")


# --- tokenizers: section by section, what contradicts what ---


def multilingual_minilm(folder: Path) -> Path:
    """BERT's body, XLM-R's tokenizer.json, and no word of which class it is."""
    encoder(folder, "bert", "xlm-roberta")
    put(folder, {"tokenizer_config.json": {"model_max_length": 512}})
    return folder


def cased_by_option(folder: Path) -> Path:
    """tokenizer.json lower-cases, tokenizer_config.json says that it does not: transformers goes by the option."""
    return encoder(folder, tokenizer_config={"do_lower_case": False})


def accents_kept(folder: Path) -> Path:
    """tokenizer.json strips accents, as it lower-cases; the option says no."""
    return encoder(folder, tokenizer_config={"strip_accents": False})


def lower_case_in_settings(folder: Path) -> Path:
    """A cased tokenizer, and do_lower_case in sentence_bert_config.json."""
    encoder(folder, tokenizer_config={"do_lower_case": False})
    native_tokenizer("bert", do_lower_case=False).backend_tokenizer.save(str(folder / "tokenizer.json"))
    change(folder, "sentence_bert_config.json", do_lower_case=True)
    return folder


def prefix_space(folder: Path) -> Path:
    """RoBERTa with add_prefix_space in its options alone."""
    return encoder(folder, "roberta", "roberta", tokenizer_config={"add_prefix_space": True})


def e5_mistral(folder: Path) -> Path:
    """A decoder with last-token pooling whose </s> stands in an option, and not in tokenizer.json."""
    encoder(
        folder, "mistral", "llama", pooling=("lasttoken",),
        tokenizer_config={"add_bos_token": True, "add_eos_token": True, "pad_token": "<pad>"},
    )  # fmt: skip
    put(folder, {"config_sentence_transformers.json": {"prompts": {
        "web_search_query": "Instruct: Given a web search query, retrieve passages\nQuery: "}}})  # fmt: skip
    return folder


def tokenizer_args(folder: Path) -> Path:
    """What sentence-transformers 3 called tokenizer_args."""
    encoder(folder, "roberta", "roberta")
    change(folder, "sentence_bert_config.json", tokenizer_args={"add_prefix_space": True})
    return folder


def padding_beyond(folder: Path) -> Path:
    """A decoder's tokenizer that was given a padding token, and a table that was not."""
    return encoder(folder, "llama", "llama", pooling=("lasttoken",), tokenizer_config={"pad_token": "[PAD]"})


def added_token_beyond(folder: Path) -> Path:
    """tokenizer.json has an added token that the embedding table has no row for."""
    encoder(folder)
    value = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    extra = {**value["added_tokens"][-1], "id": 5000, "content": "<domain>"}
    value["added_tokens"].append(extra)
    put(folder, {"tokenizer.json": value})
    return folder
