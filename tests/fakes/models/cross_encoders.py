"""Tiny random cross-encoders in the layouts in which people publish them; one output each.

ms-marco   BERT, token types, the activation in config.json as versions below 4 wrote it
minilm     the same written by sentence-transformers 6: modules.json, the activation in its own file
bge        XLM-RoBERTa in a plain transformers folder, no word about an activation
gte        ModernBERT in a plain transformers folder, with mean pooling in its head
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fakes.models.architectures import DIMS, FAMILIES, TOKENIZERS
from fakes.models.encoders import save_tiny_cross_encoder

TOKEN_LIMIT = 64
CLASSIFIERS = {
    "bge": ("xlm-roberta", "XLMRobertaForSequenceClassification", "<s>", "</s>"),
    "gte": ("modernbert", "ModernBertForSequenceClassification", "[CLS]", "[SEP]"),
    "roberta": ("roberta", "RobertaForSequenceClassification", "<s>", "</s>"),
    "distilbert": ("distilbert", "DistilBertForSequenceClassification", "[CLS]", "[SEP]"),
    "electra": ("electra", "ElectraForSequenceClassification", "[CLS]", "[SEP]"),
    "deberta": ("deberta-v2", "DebertaV2ForSequenceClassification", "[CLS]", "[SEP]"),
}  # fmt: skip
"""Layout: (family, class, what is before a pair, what is after each of its texts)."""
LAYOUTS = ("ms-marco", "minilm", *CLASSIFIERS)


def save_layout(folder: Path, layout: str, *, seed: int = 1) -> Path:
    """Write the cross-encoder folder of *layout*."""
    if layout == "ms-marco":
        save_tiny_cross_encoder(folder, seed=seed)
        _change(folder / "config.json", sbert_ce_default_activation_function="torch.nn.modules.linear.Identity")
        return folder
    if layout == "minilm":
        from sentence_transformers import CrossEncoder

        plain = save_tiny_cross_encoder(folder.with_name(folder.name + "-plain"), seed=seed)
        CrossEncoder(str(plain), device="cpu").save_pretrained(str(folder))
        return folder
    return _save_classifier(folder, layout, seed)


def _save_classifier(folder: Path, layout: str, seed: int) -> Path:
    import torch
    import transformers
    from tokenizers import Tokenizer, processors

    name, kind, before, after = CLASSIFIERS[layout]
    family = FAMILIES[name]
    tokenizer = Tokenizer.from_buffer(TOKENIZERS[family.tokenizer]())
    double = name in ("xlm-roberta", "roberta")
    between = f"{after} {after}" if double else after
    types = ":1" if name == "electra" else ""
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{before} $A {after}",
        pair=f"{before} $A {between} $B{types} {after}{types}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (before, after)],
    )
    common: dict[str, Any] = {
        "hidden_size": DIMS, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
        "max_position_embeddings": TOKEN_LIMIT + 2, "initializer_range": 0.2,
    }  # fmt: skip
    settings = {**(common if family.common else {"initializer_range": 0.2}), **family.settings}
    if layout == "gte":
        settings["classifier_pooling"] = "mean"
    config = getattr(transformers, family.config)(vocab_size=tokenizer.get_vocab_size(), num_labels=1, **settings)
    torch.manual_seed(seed)
    folder.mkdir(parents=True)
    getattr(transformers, kind)(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    pad = next(token for token in ("<pad>", "[PAD]") if tokenizer.token_to_id(token) is not None)
    said: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": TOKEN_LIMIT,
                            "pad_token": pad, "cls_token": before, "sep_token": after}  # fmt: skip
    if layout in ("gte", "roberta", "distilbert"):
        said["model_input_names"] = ["input_ids", "attention_mask"]
    (folder / "tokenizer_config.json").write_text(json.dumps(said), encoding="utf-8")
    return folder


def _change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | values), encoding="utf-8")
