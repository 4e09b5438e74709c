"""The vector of a text depends on that text: not on what is beside it in a batch, nor on what was encoded before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fakes.models import others
from samespace.errors import ModelUnsupported
from samespace.model.checkpoint import CheckpointEncoder, Overrides, load_checkpoint
from samespace.model.checks.neighbours import require_alone
from samespace.vectors import cosine_distance

SAME = 1e-6  # 1 - cos, fp32 on a CPU
LONG = "the quick brown fox jumps over lazy dogs and maps a text to a vector again " * 3


class Body(nn.Module):
    """Token vectors of an embedding table, plus what *more* makes of the batch."""

    def __init__(self, more: Any) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.table, self.more, self.calls = nn.Embedding(50, 8), more, 0

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        self.calls += 1
        hidden = self.table(input_ids) + self.more(self, input_ids, attention_mask)
        return type("Output", (), {"last_hidden_state": hidden})


BODIES: dict[str, Any] = {
    "wider than 200": lambda body, ids, mask: 1.0 * (ids.shape[1] > 200),
    "a longer neighbour": lambda body, ids, mask: 1.0 * (mask.sum(1).max() > 200),
    "the second batch": lambda body, ids, mask: 1.0 * (body.calls > 1),
    "the third batch": lambda body, ids, mask: 1.0 * (body.calls > 2),
    "the padding": lambda body, ids, mask: ids.float().mean(1)[:, None, None],
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_looks_beside_its_text_is_refused(name: str) -> None:
    with pytest.raises(ModelUnsupported, match="they would depend on the texts beside it"):
        require_alone(Body(BODIES[name]), 50, 256, "model")


def test_a_body_that_does_not_passes() -> None:
    require_alone(Body(lambda body, ids, mask: 0.0), 50, 256, "model")


@pytest.mark.parametrize(
    ("name", "most"),
    [("long_rope", 100), ("sparse_attention", 28)],
)
def test_up_to_the_length_that_is_named_there_is_one_way(name: str, most: int, tmp_path: Path) -> None:
    """Above it the folder is refused; at it, a batch of long and short texts has sentence-transformers' vectors."""
    from sentence_transformers import SentenceTransformer

    folder = tmp_path / "model"
    getattr(others, name)(folder)
    with pytest.raises(ModelUnsupported, match=rf"more than {most} tokens.*--max-tokens {most}"):
        load_checkpoint(folder, Overrides(token_limit=most + 1))
    checkpoint = load_checkpoint(folder, Overrides(token_limit=most))
    texts = ["a", LONG[: most - 8], "two texts"]
    assert [len(each.windows) for each in checkpoint.text_encoder.tokenize(texts, "query")] == [1, 1, 1]
    model = SentenceTransformer(str(folder), device="cpu")
    wanted = np.asarray(model.encode(texts, normalize_embeddings=True, batch_size=1), dtype=np.float32)
    found = np.asarray(CheckpointEncoder(checkpoint).encode(texts, "query"))
    assert cosine_distance(found, wanted).max() <= SAME
