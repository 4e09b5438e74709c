"""Encoding with the model in training: by torch, or where there is much of it through an exported graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("sentence_transformers", reason="needs the extra train")

from samespace.errors import BuildUnavailable  # noqa: E402 - after the skip
from samespace.model.checkpoint import Overrides, load_checkpoint  # noqa: E402
from samespace.text import TextEncoder  # noqa: E402
from samespace.training.finetuning import encoding  # noqa: E402
from samespace.training.finetuning.config import make_config  # noqa: E402
from samespace.training.finetuning.model import load_model  # noqa: E402

SAME = 1e-6  # of unit vectors in fp32: rows of a batch are summed in another order, by the number of threads
OVERRIDES = Overrides(query_prompt="query: ")
QUERIES = ["where is the pump", "cats", "where is the pump"]
PASSAGES = ["The pump is behind the red valve.", "Cats sleep. " * 40, "Dogs bark at the pump."]


@pytest.fixture
def parts(tiny_checkpoint: Path) -> tuple[Any, dict[str, TextEncoder]]:
    """A model with adapters that have learned something, in training mode, and its text paths."""
    settings = {"data": "d", "out": "o", "base": str(tiny_checkpoint), "lora_rank": 4, "dropout": 0.1}
    checkpoint = load_checkpoint(tiny_checkpoint, OVERRIDES)
    model = load_model(make_config(settings), checkpoint.recipe)
    torch.manual_seed(5)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.1 * torch.randn_like(weight)
    model.train()
    return model, {"query": checkpoint.text_encoder, "passage": checkpoint.text_encoder}


def encoded(parts: tuple[Any, dict[str, TextEncoder]], export_from: float) -> tuple[Any, Any]:
    model, encoders = parts
    return encoding.encode_many(model, encoders, QUERIES, PASSAGES, overrides=OVERRIDES, export_from=export_from)


def test_a_graph_gives_what_torch_gives(
    parts: tuple[Any, dict[str, TextEncoder]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prompts, cuts and adapters included, in the order of the texts; and the model goes on training as it was."""
    before = {name: value.clone() for name, value in parts[0].state_dict().items()}
    wanted = encoded(parts, float("inf"))
    monkeypatch.setattr(encoding, "_torch_run", None)  # so that the graph has to do it
    found = encoded(parts, 0)
    for made, expected in zip(found, wanted, strict=True):
        assert made.shape == expected.shape == (3, 32)
        assert float((1 - (made * expected).sum(axis=1)).max()) < 2e-4
    np.testing.assert_allclose(wanted[0][0], wanted[0][2], atol=SAME)  # the same text, in its place
    assert parts[0].training
    assert before.keys() == parts[0].state_dict().keys()
    assert all(torch.equal(value, before[name]) for name, value in parts[0].state_dict().items())


def test_what_no_runtime_takes_is_done_by_torch(
    parts: tuple[Any, dict[str, TextEncoder]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mining does not fail because a graph cannot be had."""

    def none(_: object) -> None:
        raise BuildUnavailable(wanted="auto", available=(), reason="nothing is installed")

    monkeypatch.setattr(encoding, "exported", none)
    for made, expected in zip(encoded(parts, 0), encoded(parts, float("inf")), strict=True):
        np.testing.assert_allclose(made, expected, atol=SAME)
