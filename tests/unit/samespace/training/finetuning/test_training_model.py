"""Settings of the model in training: that they change what the model does, and not only a number somewhere."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("sentence_transformers", reason="needs the extra train")

from samespace.errors import ConfigInvalid  # noqa: E402 - after the skip
from samespace.model.checkpoint import CheckpointEncoder, load_checkpoint  # noqa: E402
from samespace.training.finetuning.config import make_config  # noqa: E402
from samespace.training.finetuning.model import (  # noqa: E402
    add_adapters,
    blend,
    freeze_layer_norms,
    load_model,
    load_plain,
    merge_adapters,
    save_model,
)

SAME = 1e-5  # of unit vectors in fp32, by another order of sums


def load(base: Path, **settings: Any) -> Any:
    config = make_config({"data": "d", "out": "o", "base": str(base)} | settings)
    return load_model(config, load_checkpoint(base).recipe)


def vectors(model: Any, *, train: bool = False) -> Any:
    torch.manual_seed(3)
    ids = torch.tensor([[2, 30, 31, 32, 3], [2, 40, 41, 42, 3]])
    model.train(train)
    return model({"input_ids": ids, "attention_mask": torch.ones_like(ids)})["sentence_embedding"]


def test_dropout_reaches_every_layer(tiny_checkpoint: Path) -> None:
    """0 leaves nothing random in training; a share changes the vectors, from attention's dropout alone as well."""
    still = load(tiny_checkpoint, dropout=0.0)
    assert torch.equal(vectors(still, train=True), vectors(still))
    assert not torch.equal(vectors(load(tiny_checkpoint, dropout=0.3), train=True), vectors(still))
    # Attention applies its dropout as a number that it reads from its layer, so it is tried alone.
    attention_only = load(tiny_checkpoint, dropout=0.3)
    for name, module in attention_only.named_modules():
        if isinstance(module, torch.nn.Dropout) and not name.endswith("self.dropout"):
            module.p = 0.0
    assert not torch.equal(vectors(attention_only, train=True), vectors(still))


def test_frozen_layer_norms_stay(tiny_checkpoint: Path) -> None:
    """A step of the optimiser moves the other weights and no gain or bias of a norm."""
    model = load(tiny_checkpoint, layer_norm="freeze")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    vectors(model, train=True)[:, 0].sum().backward()
    optimiser.step()
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert not any("LayerNorm" in name for name in moved)


def test_the_layer_norms_eps_applies_and_is_saved(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Vectors change at once, and the saved folder gives the changed ones."""
    model = load(tiny_checkpoint, layer_norm_eps=0.01)
    with torch.no_grad():
        assert float((vectors(model) - vectors(load(tiny_checkpoint))).abs().max()) > 1e-4
    save_model(model, tmp_path / "model", load_checkpoint(tiny_checkpoint).folder_tokenizer, str(tiny_checkpoint))
    saved = load_checkpoint(tmp_path / "model")
    assert saved.config.layer_norm_eps == 0.01
    with torch.no_grad():
        np.testing.assert_allclose(vectors(load(tmp_path / "model")).numpy(), vectors(model).numpy(), atol=SAME)


def test_adapters_start_as_the_base_and_are_merged(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Nothing changes at first, only adapters are trained, and an ordinary folder with their effect is saved."""
    model = load(tiny_checkpoint, lora_rank=4)
    with torch.no_grad():
        np.testing.assert_allclose(vectors(model).numpy(), vectors(load(tiny_checkpoint)).numpy(), atol=SAME)
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert trained
    assert all(name.endswith((".up", ".down")) for name in trained)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".up"):
                parameter.normal_(std=0.2)
        changed = vectors(model).numpy()
    save_model(model, tmp_path / "model", load_checkpoint(tiny_checkpoint).folder_tokenizer, str(tiny_checkpoint))
    assert not any(".up" in name for name in model.state_dict())
    with torch.no_grad():
        found = vectors(load(tmp_path / "model")).numpy()
    np.testing.assert_allclose(found, changed, atol=SAME)
    assert CheckpointEncoder(load_checkpoint(tmp_path / "model")).space_id


def test_a_blend_lies_between_base_and_trained(tiny_checkpoint: Path) -> None:
    """Every weight a quarter of the way; adapters count as what they amount to."""
    base, model = load_plain(str(tiny_checkpoint)), load(tiny_checkpoint, lora_rank=4)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".up"):
                parameter.normal_(std=0.2)
    trained = deepcopy(model)
    merge_adapters(trained)
    blend(model, base, 0.25)
    ends = dict(base.named_parameters()), dict(trained.named_parameters())
    assert any(not torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    for name, weight in model.named_parameters():
        expected = 0.75 * ends[0][name] + 0.25 * ends[1][name]
        np.testing.assert_allclose(weight.detach().numpy(), expected.detach().numpy(), atol=1e-6)


def test_what_a_model_lacks_cannot_be_set() -> None:
    """No linear layers, no norms: an error with the key."""
    with pytest.raises(ConfigInvalid, match="lora_rank"):
        add_adapters(torch.nn.Embedding(3, 3), 4, seed=1)
    with pytest.raises(ConfigInvalid, match="layer_norm"):
        freeze_layer_norms(torch.nn.Linear(3, 3))


@pytest.mark.parametrize("pooling", ["cls", "max", "last", "weighted_mean", "attention"])
def test_another_pooling_applies_and_is_saved(tiny_checkpoint: Path, tmp_path: Path, pooling: str) -> None:
    """What is saved reads back with it, as an encoder and as another base; the vectors are the same."""
    model = load(tiny_checkpoint, pooling=pooling)
    own = vectors(load(tiny_checkpoint))
    if pooling == "attention":
        assert torch.allclose(vectors(model), own, atol=SAME)  # it begins as the mean
        with torch.no_grad():
            next(value for name, value in model.named_parameters() if name.endswith(".query")).normal_(0, 3)
    assert not torch.allclose(vectors(model), own, atol=1e-3)
    save_model(model, tmp_path / "out", load_checkpoint(tiny_checkpoint).folder_tokenizer, str(tiny_checkpoint))
    checkpoint = load_checkpoint(tmp_path / "out")
    assert checkpoint.pooling == pooling
    texts = ["abc def", "hgfe dcba abab"]
    found = np.asarray(CheckpointEncoder(checkpoint).encode(texts, "passage"))
    np.testing.assert_allclose(found, model.encode(texts, normalize_embeddings=True), atol=SAME)
    again = load_plain(str(tmp_path / "out"))
    np.testing.assert_allclose(found, again.encode(texts, normalize_embeddings=True), atol=SAME)


def test_a_pooling_of_another_length_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Two poolings side by side give longer vectors than one: what follows would not fit."""
    from sentence_transformers.models import Pooling

    model = load_plain(str(tiny_checkpoint))
    model[1] = Pooling(32, ("mean", "cls"))
    model.save_pretrained(str(tmp_path / "both"))
    with pytest.raises(ConfigInvalid, match="'max' gives 32 dims, and the base's own pooling 64"):
        load(tmp_path / "both", pooling="max")
