"""A setting that moves a vector is in the space id, and the id alone is enough to build the same encoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from fakes.models.architectures import FAMILIES, save_tiny
from fakes.models.encoders import tiny_tokenizer
from fakes.models.layouts import put
from samespace.artifact.fingerprint import relevant_settings
from samespace.errors import GateFailed, ModelUnsupported
from samespace.exporting.package import export_artifact
from samespace.model.checkpoint import Checkpoint, CheckpointEncoder, load_checkpoint
from samespace.model.rebuilt import rebuild
from samespace.vectors import cosine_distance

TEXTS = ["The encoder maps a text to a vector.", "two of them"]
GEMMA2 = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
          "intermediate_size": 64, "query_pre_attn_scalar": 1, "initializer_range": 2.0}  # fmt: skip
ESM = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "pad_token_id": 0,
       "token_dropout": True, "position_embedding_type": "rotary", "initializer_range": 0.2}  # fmt: skip


def save(folder: Path, model: str, config: str, settings: dict[str, Any]) -> Path:
    """A plain folder of a family that the matrix does not have, with one seed for all."""
    import torch
    import transformers

    tokenizer = Tokenizer.from_buffer(tiny_tokenizer())
    torch.manual_seed(1)
    made = getattr(transformers, config)(vocab_size=tokenizer.get_vocab_size(), **settings)
    getattr(transformers, model)(made).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    put(folder, {
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 40, "pad_token": "[PAD]",
        },
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        ],
        "1_Pooling/config.json": {"embedding_dimension": 32, "pooling_mode": "mean"},
    })  # fmt: skip
    return folder


def vectors(checkpoint: Checkpoint) -> Any:
    return np.asarray(CheckpointEncoder(checkpoint).encode(TEXTS, "query"))


@pytest.mark.parametrize(
    ("model", "common", "one", "other"),
    [
        ("Gemma2", GEMMA2, {"attn_logit_softcapping": 50.0}, {"attn_logit_softcapping": None}),
        ("Esm", ESM, {"mask_token_id": 2}, {"mask_token_id": 30}),
    ],
)
def test_two_encoders_have_two_ids(
    model: str, common: dict[str, Any], one: dict[str, Any], other: dict[str, Any], tmp_path: Path
) -> None:
    """Equal weights and one setting that differs: other vectors, other ids, and each is rebuilt from its own."""
    loaded = [
        load_checkpoint(save(tmp_path / name, f"{model}Model", f"{model}Config", {**common, **setting}))
        for name, setting in (("one", one), ("other", other))
    ]
    assert cosine_distance(*map(vectors, loaded)).max() > 1e-9
    assert loaded[0].identity.weights == loaded[1].identity.weights
    assert loaded[0].identity.space_id() != loaded[1].identity.space_id()
    for checkpoint in loaded:
        identity = checkpoint.identity
        weights = {name: tensor.numpy() for name, tensor in checkpoint.module.state_dict().items()}
        anew = replace(checkpoint, module=rebuild(identity, weights))
        assert cosine_distance(vectors(anew), vectors(checkpoint)).max() <= 1e-12


def test_an_export_proves_what_it_writes(tmp_path: Path) -> None:
    """ESM has a head that no vector passes through: `verify` would refuse the artifact, so the export does."""
    folder = save(tmp_path / "model", "EsmModel", "EsmConfig", {**ESM, "token_dropout": False})
    with pytest.raises(ModelUnsupported, match=r"no load would take the artifact.*'backbone.contact_head"):
        export_artifact(load_checkpoint(folder), tmp_path / "artifact")
    assert not (tmp_path / "artifact").exists()


def test_an_identity_that_lacks_a_setting_is_no_export(tmp_path: Path) -> None:
    """The graph has all weights, and what the id names computes something else with them."""
    folder = save(tmp_path / "model", "Gemma2Model", "Gemma2Config", {**GEMMA2, "attn_logit_softcapping": None})
    checkpoint = load_checkpoint(folder)
    lacking = {key: value for key, value in checkpoint.identity.architecture.items() if key != "attn_logit_softcapping"}
    checkpoint.__dict__["identity"] = replace(checkpoint.identity, architecture=lacking)
    with pytest.raises(GateFailed, match="architecture and weights that its space id names"):
        export_artifact(checkpoint, tmp_path / "artifact")


@pytest.mark.parametrize("name", FAMILIES)
def test_settings_that_name_a_token_and_are_not_read_stay_out(name: str, tmp_path: Path) -> None:
    """Ids of families that were exported before stay what they were."""
    architecture = load_checkpoint(save_tiny(tmp_path / name, name)).identity.architecture
    assert {key for key in architecture if key.endswith("_token_id")} <= {"pad_token_id"}


def test_what_counts_as_a_setting() -> None:
    """Null counts where the default is something, in nested tables too; names do not, unless they are read."""
    defaults = {"cap": 50.0, "window": None, "rope": {"a": 1, "b": 2}, "mask_token_id": None}
    kept = relevant_settings({"cap": None, "window": None, "more": None, "rope": {"a": 1, "b": 2}}, defaults)
    assert kept == {"cap": None}
    assert relevant_settings({"rope": {"a": 1, "b": None}}, defaults) == {"rope": {"b": None}}
    assert relevant_settings({"rope": {"a": 1}}, defaults) == {"rope": {"a": 1}}
    assert relevant_settings({"mask_token_id": 3}, defaults) == {}
    assert relevant_settings({"mask_token_id": 3}, defaults, {"mask_token_id"}) == {"mask_token_id": 3}
