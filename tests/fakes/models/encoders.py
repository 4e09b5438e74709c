"""Tiny random encoders, built in fixtures: a WordPiece tokenizer over letters and a few words, and a small BERT."""

from __future__ import annotations

import json
import string
from pathlib import Path

WORDS = [
    "the",
    "a",
    "of",
    "to",
    "and",
    "in",
    "is",
    "it",
    "list",
    "dict",
    "index",
    "value",
    "error",
    "file",
    "text",
    "vector",
    "space",
    "encoder",
    "query",
    "passage",
    "return",
    "reset",
    "password",
    "refund",
    "error",
    "code",
    "how",
    "do",
    "i",
    "flatten",
    "what",
    "why",
    "when",
    "user",
    "name",
    "update",
    "install",
    "model",
    "data",
]


def tiny_tokenizer() -> bytes:
    """The bytes of a tokenizer.json: lower-casing WordPiece with [CLS] and [SEP]."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = list(string.ascii_lowercase + string.digits + string.punctuation)
    pieces = specials + letters + [f"##{letter}" for letter in letters] + sorted(set(WORDS) - set(letters))
    tokenizer = Tokenizer(models.WordPiece({piece: row for row, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.add_special_tokens(specials)
    return tokenizer.to_str().encode("utf-8")


def tiny_pair_tokenizer() -> bytes:
    """The same with a template of pairs: the passage's side has type 1."""
    from tokenizers import Tokenizer, processors

    tokenizer = Tokenizer.from_buffer(tiny_tokenizer())
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer.to_str().encode("utf-8")


def save_tiny_bert(
    folder: Path,
    *,
    seed: int,
    token_limit: int = 32,
    pooling: str = "mean",
    prompts: dict[str, str] | None = None,
    dims: int = 32,
) -> Path:
    """Write a sentence-transformers folder of a random BERT with 2 layers."""
    import torch
    from tokenizers import Tokenizer
    from transformers import BertConfig, BertModel

    folder.mkdir(parents=True)
    tokenizer = tiny_tokenizer()
    config = BertConfig(
        vocab_size=Tokenizer.from_buffer(tokenizer).get_vocab_size(),
        hidden_size=dims,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.2,
    )
    torch.manual_seed(seed)
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes(tokenizer)
    module = "sentence_transformers.models."
    files = {
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": module + "Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": module + "Pooling"},
            {"idx": 2, "name": "2", "path": "2_Normalize", "type": module + "Normalize"},
        ],
        "1_Pooling/config.json": {"embedding_dimension": dims, "pooling_mode": pooling, "include_prompt": True},
        "2_Normalize/config.json": {},
        "sentence_bert_config.json": {"max_seq_length": token_limit, "do_lower_case": False},
        "config_sentence_transformers.json": {"prompts": prompts or {}},
        "tokenizer_config.json": {
            "tokenizer_class": "BertTokenizer",
            "model_max_length": token_limit,
            "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]",
            "mask_token": "[MASK]",
        },
    }  # fmt: skip
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
    return folder


def save_tiny_cross_encoder(folder: Path, *, seed: int, labels: int = 1) -> Path:
    """Write a transformers folder of a random BERT that reads two texts and has *labels* outputs."""
    import torch
    from tokenizers import Tokenizer
    from transformers import BertConfig, BertForSequenceClassification

    folder.mkdir(parents=True)
    tokenizer = Tokenizer.from_buffer(tiny_pair_tokenizer())
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.2,
        num_labels=labels,
    )
    torch.manual_seed(seed)
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "BertTokenizerFast", "model_max_length": 64, "cls_token": "[CLS]", "sep_token": "[SEP]",
        "pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]",
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder
