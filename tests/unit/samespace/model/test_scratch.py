"""Encoders from scratch, and what their positions are worth beyond the lengths of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("sentence_transformers", reason="needs the extra train")

from fakes.models.encoders import tiny_tokenizer  # noqa: E402 - after the skip
from samespace.errors import ConfigInvalid  # noqa: E402
from samespace.model.checkpoint import CheckpointEncoder, Overrides, load_checkpoint  # noqa: E402
from samespace.model.scratch import POSITIONS, Scratch, write_scratch  # noqa: E402

MARK, KEYS, FILLERS = 5, range(10, 26), range(30, 38)
TRAINED, TESTED = 32, 128
STEPS, BATCH = 250, len(KEYS)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    file.write_bytes(tiny_tokenizer())
    return file


def passages(low: int, high: int, generator: Any) -> Any:
    """For each key, fillers with three other keys, and somewhere a mark with the key behind it: (keys, length)."""
    length = int(torch.randint(low, high + 1, (1,), generator=generator))
    ids = torch.tensor(FILLERS)[torch.randint(len(FILLERS), (BATCH, length), generator=generator)]
    for row, key in enumerate(KEYS):
        places = 1 + 2 * torch.randperm((length - 2) // 2, generator=generator)[:4]  # apart from each other
        ids[row, places[1:]] = torch.tensor(KEYS)[torch.randint(len(KEYS), (3,), generator=generator)]
        ids[row, places[0]], ids[row, places[0] + 1] = MARK, key
    return ids


def vectors(model: Any, ids: Any) -> Any:
    hidden = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    return torch.nn.functional.normalize(hidden.mean(dim=1), dim=1)


def found(positions: str, tokenizer: Path, folder: Path) -> tuple[float, float]:
    """Trained on up to 32 tokens: how many passages of 32 and of 97 to 128 tokens find their key's query."""
    write_scratch(folder, tokenizer, Scratch(positions, layers=2, width=64, heads=4, token_limit=TESTED))
    model = load_checkpoint(folder).module.backbone.train().requires_grad_(True)
    queries = torch.tensor(KEYS)[:, None]
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    generator = torch.Generator().manual_seed(0)
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = 2e-3 * min(1.0, (step + 1) / 20, 2 * (STEPS - step) / STEPS)
        scores = vectors(model, passages(10, TRAINED, generator)) @ vectors(model, queries).T
        loss = torch.nn.functional.cross_entropy(scores / 0.1, torch.arange(BATCH))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    right = []
    with torch.no_grad():
        known = vectors(model.eval(), queries)
        for low, high in ((TRAINED, TRAINED), (97, TESTED)):
            hits = [
                (vectors(model, passages(low, high, generator)) @ known.T).argmax(dim=1) == torch.arange(BATCH)
                for _ in range(12)
            ]
            right.append(float(torch.cat(hits).float().mean()))
    return right[0], right[1]


def test_distances_hold_beyond_the_lengths_of_training(tokenizer: Path, tmp_path: Path) -> None:
    """Find the key behind the mark in texts four times as long: rotary positions and linear biases do, absolute ones,
    random where nothing was trained, do not."""
    absolute, rope, alibi = (found(each, tokenizer, tmp_path / each) for each in ("absolute", "rope", "alibi"))
    assert min(absolute[0], rope[0], alibi[0]) > 0.9, (absolute, rope, alibi)  # all learned it where they were trained
    assert rope[1] > absolute[1] + 0.2, (absolute, rope)
    assert alibi[1] > absolute[1] + 0.2, (absolute, alibi)


@pytest.mark.parametrize("positions", POSITIONS)
def test_a_new_encoder_is_read_as_any_other(positions: str, tokenizer: Path, tmp_path: Path) -> None:
    """The same seed gives the same space; positions that are distances take a longer limit afterwards."""
    settings = Scratch(positions, layers=1, width=32, heads=4, token_limit=16)
    one, two = (load_checkpoint(write_scratch(tmp_path / name, tokenizer, settings)) for name in ("one", "two"))
    assert one.identity.space_id() == two.identity.space_id()
    assert CheckpointEncoder(one).encode(["reset the password"], "query").shape == (1, 32)
    assert one.recipe.token_limit == 16
    if positions != "absolute":
        assert load_checkpoint(tmp_path / "one", Overrides(token_limit=500)).recipe.token_limit == 500


def test_what_makes_no_encoder_is_refused(tokenizer: Path, tmp_path: Path) -> None:
    """Unknown positions, heads that do not divide the width, no tokenizer."""
    with pytest.raises(ConfigInvalid, match="expected one of absolute, rope, alibi"):
        Scratch("sinus")
    with pytest.raises(ConfigInvalid, match="even multiple of 5 heads"):
        Scratch(width=64, heads=5)
    with pytest.raises(ConfigInvalid, match="cannot be read"):
        write_scratch(tmp_path / "out", tmp_path / "none.json", Scratch())
