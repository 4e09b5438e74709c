"""Keys of config.json as the hub has them: what transformers reads, what repeats it, and what nobody knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from samespace.errors import ModelUnsupported
from samespace.model.backbone import load_config, model_code
from samespace.model.folder.keys import check_config, known_settings

MODERNBERT = {
    "model_type": "modernbert", "architectures": ["ModernBertForMaskedLM"], "classifier_pooling": "mean",
    "decoder_bias": True, "deterministic_flash_attn": False, "global_attn_every_n_layers": 3,
    "global_rope_theta": 160000.0, "hidden_activation": "gelu", "layer_norm_eps": 1e-05, "local_attention": 128,
    "local_rope_theta": 10000.0, "norm_bias": False, "norm_eps": 1e-05, "position_embedding_type": "absolute",
    "reference_compile": False, "repad_logits_with_grad": False, "sparse_pred_ignore_index": -100,
    "sparse_prediction": False, "torch_dtype": "float32", "num_hidden_layers": 2, "vocab_size": 99,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2,
}  # fmt: skip
"""The keys of answerdotai/ModernBERT-base."""
TINYBERT = {"model_type": "bert", "cell": {}, "emb_size": 312, "hidden_size": 312, "num_attention_heads": 12,
            "pre_trained": "", "structure": [], "vocab_size": 99}  # fmt: skip
ROBERTA = {"model_type": "roberta", "vocab_size": 99, "pad_token_id": 1, "tokenizer_class": "BertTokenizer",
           "adapters": {"adapters": {}, "config_map": {}}, "_flash_attn_2_enabled": True}  # fmt: skip


def checked(folder: Path, settings: dict[str, Any]) -> list[str]:
    """The harmless keys."""
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    config = load_config(folder, "model")
    return check_config(settings, known_settings(config), model_code(config, "model"), "model")


@pytest.mark.parametrize("settings", [MODERNBERT, TINYBERT, ROBERTA], ids=["modernbert", "tinybert", "roberta"])
def test_what_published_models_say_is_understood(settings: dict[str, Any], tmp_path: Path) -> None:
    checked(tmp_path, settings)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        (MODERNBERT | {"layer_norm_eps": 1e-3}, "layer_norm_eps"),
        (TINYBERT | {"emb_size": 128}, "emb_size"),
        (TINYBERT | {"logit_soft_cap": 30.0}, "logit_soft_cap"),
        (ROBERTA | {"adapters": {"adapters": {"first": {"dims": 4}}}}, "adapters"),
    ],
)
def test_what_says_something_else_is_refused_by_name(settings: dict[str, Any], key: str, tmp_path: Path) -> None:
    """A key that transformers does not read counts as a repetition only where it has the same value."""
    with pytest.raises(ModelUnsupported, match=f"the key '{key}'"):
        checked(tmp_path, settings)
