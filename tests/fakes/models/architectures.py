"""A tiny random model of every architecture that people encode with, each with a tokenizer of its own kind.

Two layers (four where local and global attention take turns), 32 dims; local windows are far below the token
limit, so that a text at the limit goes beyond them. Nothing is downloaded: vocabularies are trained on the probes.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakes.models.encoders import tiny_tokenizer

DIMS, TOKEN_LIMIT, LOCAL_WINDOW, SPREAD = 32, 40, 8, 0.2
"""SPREAD: of random weights; transformers' usual 0.02 would make all vectors of a text alike."""


@dataclass(frozen=True, slots=True)
class Family:
    """One architecture.

    Attributes:
        model: the transformers class, as a name, and its configuration's settings without those of `common`.
        tokenizer: one of `TOKENIZERS`.
        pooling: what encoders of this family are trained with.
        common: whether the configuration uses BERT's names.
    """

    model: str
    config: str
    settings: dict[str, Any]
    tokenizer: str
    pooling: str = "mean"
    common: bool = True


_GROUPED = {"num_key_value_heads": 2, "head_dim": 8, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_GEMMA = {**_GROUPED, "sliding_window": LOCAL_WINDOW, "layer_types": ["sliding_attention", "full_attention"]}
_T5 = {"d_model": DIMS, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "initializer_factor": 1.0}

FAMILIES: dict[str, Family] = {
    # absolute positions
    "bert": Family("BertModel", "BertConfig", {}, "wordpiece"),
    "mpnet": Family("MPNetModel", "MPNetConfig", {"pad_token_id": 1}, "byte_bpe_roberta"),
    "roberta": Family("RobertaModel", "RobertaConfig", {"pad_token_id": 1}, "byte_bpe_roberta"),
    "xlm-roberta": Family("XLMRobertaModel", "XLMRobertaConfig", {"pad_token_id": 1}, "unigram_roberta", "cls"),
    "distilbert": Family(
        "DistilBertModel",
        "DistilBertConfig",
        {"dim": DIMS, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": 64},
        "wordpiece",
        common=False,
    ),
    "electra": Family("ElectraModel", "ElectraConfig", {"embedding_size": 16}, "wordpiece"),
    "albert": Family("AlbertModel", "AlbertConfig", {"embedding_size": 16}, "unigram_albert"),
    # relative positions
    "t5": Family("T5EncoderModel", "T5Config", _T5, "unigram_t5", common=False),
    "deberta-v2": Family(
        "DebertaV2Model",
        "DebertaV2Config",
        {
            "relative_attention": True,
            "position_buckets": 8,
            "pos_att_type": ["p2c", "c2p"],
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "position_biased_input": False,
        },
        "unigram_albert",
    ),
    "alibi": Family("AlibiBertModel", "AlibiBertConfig", {}, "wordpiece"),
    # rotary positions
    "modernbert": Family(
        "ModernBertModel",
        "ModernBertConfig",
        {"num_hidden_layers": 4, "local_attention": LOCAL_WINDOW, "pad_token_id": 0, "cls_token_id": 2,
         "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3},
        "byte_bpe_cls",
        "cls",
    ),
    "nomic_bert": Family("NomicBertModel", "NomicBertConfig", {}, "wordpiece"),
    "eurobert": Family("EuroBertModel", "EuroBertConfig", {**_GROUPED, "mask_token_id": 0}, "byte_bpe_last"),
    "jina_embeddings_v3": Family(
        "JinaEmbeddingsV3Model", "JinaEmbeddingsV3Config", {"pad_token_id": 1}, "unigram_roberta"
    ),
    "gte": Family("GteModel", "GteConfig", {"pad_token_id": 1}, "unigram_roberta", "cls"),
    "ultrabert": Family(
        "UltrabertModel", "UltrabertConfig", {"num_key_value_heads": 2, "sliding_window": LOCAL_WINDOW}, "wordpiece"
    ),
    # decoders
    "qwen3": Family("Qwen3Model", "Qwen3Config", _GROUPED, "byte_bpe_last", "last"),
    "llama": Family("LlamaModel", "LlamaConfig", _GROUPED, "bpe_gemma", "last"),
    "mistral": Family(
        "MistralModel", "MistralConfig", {**_GROUPED, "sliding_window": LOCAL_WINDOW}, "bpe_gemma", "last"
    ),
    "gemma3": Family("Gemma3TextModel", "Gemma3TextConfig", _GEMMA, "bpe_gemma", "last"),
    "embedding_gemma": Family(
        "Gemma3TextModel", "Gemma3TextConfig", {**_GEMMA, "use_bidirectional_attention": True}, "bpe_gemma"
    ),
    "embedding_gemma2": Family(
        "EmbeddingGemma2TextModel",
        "EmbeddingGemma2TextConfig",
        {**_GEMMA, "hidden_size_per_layer_input": 16, "embedding_dim": 24},
        "bpe_gemma",
    ),
}  # fmt: skip


_SIZES = frozenset({
    "hidden_size", "intermediate_size", "max_position_embeddings", "d_model", "d_kv", "d_ff", "dim", "hidden_dim",
    "head_dim", "embedding_size", "hidden_size_per_layer_input", "embedding_dim",
})  # fmt: skip


def save_tiny(folder: Path, name: str, *, pooling: str | None = None, seed: int = 1, scale: int = 1) -> Path:
    """Write a sentence-transformers folder of the family *name*.

    Args:
        pooling: None is the family's natural one.
        scale: multiplies widths and positions, for timings; weights become smaller with it.
    """
    import torch
    import transformers
    from tokenizers import Tokenizer

    from samespace.model import alibi

    family = FAMILIES[name]
    folder.mkdir(parents=True)
    tokenizer = TOKENIZERS[family.tokenizer]()
    settings: dict[str, Any] = {"vocab_size": Tokenizer.from_buffer(tokenizer).get_vocab_size()}
    if family.common:
        settings |= {
            "hidden_size": DIMS,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 64,
            "max_position_embeddings": 66,
        }
    if "initializer_factor" not in family.settings:
        settings["initializer_range"] = SPREAD / scale**0.5
    if name == "alibi":
        del settings["max_position_embeddings"]
    settings = {
        key: value * scale if key in _SIZES else value for key, value in {**settings, **family.settings}.items()
    }
    place = alibi if name == "alibi" else transformers
    config = getattr(place, family.config)(**settings)
    torch.manual_seed(seed)
    getattr(place, family.model)(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes(tokenizer)
    dims = scale * family.settings.get("embedding_dim", DIMS)
    write_modules(folder, pooling or family.pooling, dims, dense=(48, 16) if name == "embedding_gemma" else ())
    specials = {"unk_token": "[UNK]", "pad_token": "[PAD]"} if family.tokenizer == "wordpiece" else {}
    for key, token in (("pad_token", "<pad>"), ("eos_token", "</s>")):
        if Tokenizer.from_buffer(tokenizer).token_to_id(token) is not None:
            specials[key] = token
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": TOKEN_LIMIT, **specials})
    )
    return folder


def write_modules(folder: Path, pooling: str, dims: int, *, dense: tuple[int, ...] = ()) -> None:
    """The files that make a transformers folder one of sentence-transformers."""
    import torch
    from safetensors.torch import save_file

    names = {"last": "lasttoken", "weighted_mean": "weightedmean"}
    attention = pooling == "attention"
    types = [
        "sentence_transformers.models.Transformer",
        "samespace.model.attention_pooling.AttentionPooling" if attention else "sentence_transformers.models.Pooling",
        *("sentence_transformers.models.Dense" for _ in dense),
        "sentence_transformers.models.Normalize",
    ]
    modules = [
        {"idx": index, "name": str(index), "path": f"{index}_{kind.rpartition('.')[2]}" if index else "", "type": kind}
        for index, kind in enumerate(types)
    ]
    for module in modules[1:]:
        (folder / str(module["path"])).mkdir()
    first = folder / str(modules[1]["path"])
    if attention:
        (first / "config.json").write_text(json.dumps({"dimension": dims}))
        save_file({"query": torch.randn(dims)}, first / "model.safetensors")
    else:
        mode = names.get(pooling, pooling)
        settings = {"embedding_dimension": dims, "pooling_mode": mode, "include_prompt": True}
        (first / "config.json").write_text(json.dumps(settings))
    size = dims
    for index, out in enumerate(dense):
        place = folder / str(modules[2 + index]["path"])
        identity = "torch.nn.modules.linear.Identity"
        (place / "config.json").write_text(
            json.dumps({"in_features": size, "out_features": out, "bias": False, "activation_function": identity})
        )
        save_file({"linear.weight": torch.randn(out, size) / size**0.5}, place / "model.safetensors")
        size = out
    (folder / str(modules[-1]["path"]) / "config.json").write_text("{}")
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": TOKEN_LIMIT}))
    (folder / "config_sentence_transformers.json").write_text(
        json.dumps({"prompts": {"query": "query: ", "passage": ""}})
    )


def corpus() -> list[str]:
    from samespace.artifact.probes import probe_texts
    from samespace.text import Recipe

    texts, _ = probe_texts(Recipe({"query": "", "passage": ""}, token_limit=64, window_overlap=16))
    return sorted(set(texts))


def _byte_bpe(before: str, after: str, specials: list[str]) -> bytes:
    """RoBERTa's, ModernBERT's and Qwen's kind: bytes as letters, merged by frequency."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(
        corpus(),
        trainers.BpeTrainer(vocab_size=400, special_tokens=specials, initial_alphabet=alphabet, show_progress=False),
    )
    template = _template(before, after, tokenizer)
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    return tokenizer.to_str().encode()


def _unigram(before: str, after: str, specials: list[str], unknown: str) -> bytes:
    """SentencePiece's kind: XLM-R, T5, ALBERT. Counted, because the library's own training is not repeatable."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    words = Counter("▁" + word for text in corpus() if text.isascii() for word in text.split())
    letters = Counter(letter for text in corpus() if text.isascii() for letter in "▁" + "".join(text.split()))
    halves = Counter(part for word in words for part in (word[: len(word) // 2], word[len(word) // 2 :]))
    total = sum(words.values())
    pieces = {letter: math.log(0.1 * count / total) for letter, count in letters.items()}
    for counts in (halves, words):
        pieces |= {piece: math.log(count / total) for piece, count in counts.most_common(120) if len(piece) > 1}
    vocabulary = [(token, 0.0) for token in specials] + sorted(pieces.items())
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=specials.index(unknown)))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("  ", " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(specials)
    tokenizer.post_processor = _template(before, after, tokenizer)
    return tokenizer.to_str().encode()


def _gemma_bpe() -> bytes:
    """Gemma's and Llama's kind: SentencePiece's BPE with bytes for what is unknown; <bos> before, <eos> after."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    specials = ["<pad>", "<bos>", "<eos>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trained = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    trained.normalizer = normalizers.Replace(" ", "▁")
    trained.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    trained.train_from_iterator(
        [text for text in corpus() if text.isascii()],
        trainers.BpeTrainer(vocab_size=450, special_tokens=specials, show_progress=False),
    )
    value = json.loads(trained.to_str())
    value["added_tokens"] = value["added_tokens"][:4]  # bytes are pieces of the model, not added tokens
    value["model"]["byte_fallback"] = True
    tokenizer = Tokenizer.from_str(json.dumps(value))
    tokenizer.post_processor = _template("<bos>", "<eos>", tokenizer)
    return tokenizer.to_str().encode()


def _template(before: str, after: str, tokenizer: Any) -> Any:
    from tokenizers import processors

    used = [token for token in (before, after) if token]
    return processors.TemplateProcessing(
        single=" ".join(filter(None, [before, "$A", after])),
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in used],
    )


TOKENIZERS: dict[str, Callable[[], bytes]] = {
    "wordpiece": tiny_tokenizer,
    "byte_bpe_roberta": lambda: _byte_bpe("<s>", "</s>", ["<s>", "<pad>", "</s>", "<unk>"]),
    "byte_bpe_cls": lambda: _byte_bpe("[CLS]", "[SEP]", ["<pad>", "[UNK]", "[CLS]", "[SEP]"]),
    "byte_bpe_last": lambda: _byte_bpe("", "<|endoftext|>", ["<pad>", "<|im_start|>", "<|endoftext|>"]),
    "unigram_roberta": lambda: _unigram("<s>", "</s>", ["<s>", "<pad>", "</s>", "<unk>"], "<unk>"),
    "unigram_albert": lambda: _unigram("[CLS]", "[SEP]", ["<pad>", "<unk>", "[CLS]", "[SEP]"], "<unk>"),
    "unigram_t5": lambda: _unigram("", "</s>", ["<pad>", "</s>", "<unk>"], "<unk>"),
    "bpe_gemma": _gemma_bpe,
}
