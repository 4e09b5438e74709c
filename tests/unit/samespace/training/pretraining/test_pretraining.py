"""Masked tokens and denoising on raw text, with tiny random models."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("sentence_transformers", reason="needs the extra train")

from click.testing import CliRunner  # noqa: E402 - after the skip

from fakes.models.architectures import save_tiny  # noqa: E402
from samespace.cli.training.pretrain import pretrain as command  # noqa: E402
from samespace.errors import ConfigInvalid, DataInvalid, TrainingFailed  # noqa: E402
from samespace.model.checkpoint import load_checkpoint  # noqa: E402
from samespace.training.pretraining import run as pretraining  # noqa: E402
from samespace.training.pretraining.domain import read_domain  # noqa: E402
from samespace.training.pretraining.objectives import DELETED, Denoising, MaskedTokens, Vocabulary, delete, own_tokens  # noqa: E402
from samespace.training.pretraining.run import PretrainingSettings, pretrain  # noqa: E402

FAST: dict[str, Any] = {
    "objective": "tsdae",
    "steps": 30,
    "batch_size": 8,
    "learning_rate": 3e-3,
    "max_tokens": 32,
    "precision": "fp32",
}
WORDS = ["reset", "password", "index", "vector", "refund", "install"]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sentences in which each word is told by its neighbours."""
    file = tmp_path_factory.mktemp("raw") / "texts.txt"
    lines = []
    for number in range(160):
        start = Random(number).randrange(len(WORDS))
        words = [WORDS[(start + place) % len(WORDS)] for place in range(8 + number % 7)]
        lines.append(" ".join([*words, str(number)]))
    file.write_text("\n".join(lines) + "\n\n")
    return file


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random BERT."""
    return save_tiny(tmp_path_factory.mktemp("base") / "bert", "bert")


def weights(folder: Path) -> dict[str, Any]:
    return dict(load_checkpoint(folder).module.state_dict())


@pytest.mark.parametrize("objective", ["mlm", "tsdae"])
def test_what_is_kept_aside_is_learned(objective: str, base: Path, texts: Path, tmp_path: Path) -> None:
    """The loss on windows that are not trained on falls below guessing by frequency, from about there."""
    settings = PretrainingSettings(**{**FAST, "objective": objective, "steps": 150, "batch_size": 16})
    record = pretrain(str(base), read_domain(texts), tmp_path / "out", settings, {})
    loss = record["held_out_loss"]
    assert loss["before"] == pytest.approx(loss["guessing"], rel=0.25)
    assert loss["after"] < 0.9 * loss["guessing"]
    assert record["space_id"] != record["base_space_id"]
    assert json.loads((tmp_path / "out" / "run.json").read_text())["loss"] == record["loss"]


def test_a_killed_run_goes_on_to_the_same_weights(
    base: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after 21 of 40 steps, with a checkpoint at 16; and the same seed gives the same weights."""
    settings = PretrainingSettings(**{**FAST, "steps": 40, "checkpoint_every": 16})
    pretrain(str(base), read_domain(texts), tmp_path / "whole", settings, {})
    step = pretraining._step

    def killed(run: Any, batch: Any, number: int, *others: Any) -> None:
        if number == 21:
            raise KeyboardInterrupt
        step(run, batch, number, *others)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(pretraining, "_step", killed)
        pretrain(str(base), read_domain(texts), tmp_path / "again", settings, {})
    with pytest.raises(ConfigInvalid, match="of a run with other settings or data"):
        pretrain(str(base), read_domain(texts), tmp_path / "again", PretrainingSettings(**{**FAST, "steps": 41}), {})
    record = pretrain(str(base), read_domain(texts), tmp_path / "again", settings, {})
    assert len(record["loss"]) == 40
    one, two = weights(tmp_path / "whole"), weights(tmp_path / "again")
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "whole"]


def test_the_base_waits_for_the_head(base: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the first tenth of the steps the base's weights stay; then they move."""
    seen: list[float] = []
    step = pretraining._step

    def watched(run: Any, *others: Any) -> None:
        step(run, *others)
        seen.append(float(run.model[0].auto_model.get_input_embeddings().weight.detach().sum()))

    monkeypatch.setattr(pretraining, "_step", watched)
    pretrain(str(base), read_domain(texts), tmp_path / "out", PretrainingSettings(**FAST), {})
    assert seen[0] == seen[1] == seen[2] != seen[3]


def test_nothing_learned_is_an_error(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that never move: no folder, and the loss of guessing stands beside the loss."""
    monkeypatch.setattr(pretraining, "_step", lambda run, *_: run.losses.append(9.9))
    noise = tmp_path / "noise.txt"
    noise.write_text("\n".join("".join(Random(n).choices("abcdefghijklmnopqrstuvwxyz", k=20)) for n in range(40)))
    with pytest.raises(TrainingFailed, match="guessing tokens by their frequency gives"):
        pretrain(str(base), read_domain(noise), tmp_path / "out", PretrainingSettings(**FAST), {})
    assert not (tmp_path / "out").exists()


def test_masked_tokens_are_the_texts_own() -> None:
    """Special tokens and padding are never masked or predicted; the loss is that of the masked places alone."""
    seen: list[Any] = []

    def transformer(features: dict[str, Any]) -> dict[str, Any]:
        seen.append(features["input_ids"])
        return {"token_embeddings": torch.zeros(*features["input_ids"].shape, 4)}

    counts = torch.tensor([0.0, 0, 0, 5, 5, 5, 5, 5, 5, 5])
    vocabulary = Vocabulary(10, 2, torch.tensor([0, 1, 2]), counts)
    objective = MaskedTokens(4, torch.nn.Embedding(10, 4), vocabulary)
    ids = torch.tensor([[1, *([3, 4, 5, 6, 7, 8, 9] * 40), 1, 0, 0]])
    mask = (torch.arange(ids.shape[1])[None] < ids.shape[1] - 2).long()
    objective([transformer], ids, mask, torch.Generator().manual_seed(0))
    changed = (seen[0] != ids)[0]
    assert not changed[0] and not changed[-3:].any()
    assert 0.09 < changed.float().mean() < 0.18  # 90 % of 15 %, and a seventh of a tenth by chance the same
    assert 0.7 < (seen[0][0][changed] == 2).float().mean() <= 1


def test_deletion_keeps_order_ends_and_one_token() -> None:
    """What is left of a row is a subsequence with its special tokens; a row of one token keeps it."""
    vocabulary = Vocabulary(200, -1, torch.tensor([1, 2]), torch.ones(200))
    ids = torch.tensor([[1, *range(10, 110), 2], [1, 5, 2, *([0] * 99)]])
    mask = (ids > 0).long()
    left, left_mask = delete(ids, mask, own_tokens(ids, mask, vocabulary), torch.Generator().manual_seed(0))
    kept = left[0][left_mask[0] == 1].tolist()
    assert kept[0] == 1 and kept[-1] == 2 and kept[1:-1] == sorted(kept[1:-1])
    assert len(kept) - 2 == pytest.approx(100 * (1 - DELETED), abs=15)
    assert left[1][left_mask[1] == 1].tolist() == [1, 5, 2]
    assert left.shape[1] == len(kept)


def test_a_rebuilt_token_is_told_by_what_comes_before_it() -> None:
    """The decoder sees no later token: changing the last one leaves the other predictions alone."""
    vocabulary = Vocabulary(20, -1, torch.tensor([1]), torch.ones(20))
    torch.manual_seed(0)
    objective = Denoising(8, torch.nn.Embedding(20, 8), vocabulary, 16)
    seen: list[Any] = []
    objective.head.register_forward_hook(lambda _, given, __: seen.append(given[0].detach()))
    for last in (5, 6):
        ids = torch.tensor([[1, 3, 4, 7, last, 9]])
        vector = {"sentence_embedding": torch.ones(1, 8)}
        objective(lambda _, given=vector: given, ids, torch.ones_like(ids), torch.Generator().manual_seed(0))
    same = (seen[0] == seen[1]).all(dim=1)
    assert int(same.sum()) == 4 and len(same) == 5


def test_what_does_not_fit_is_named(base: Path, texts: Path, tmp_path: Path) -> None:
    """A decoder without a mask token, windows beyond the limit, too little text."""
    decoder = save_tiny(tmp_path / "qwen3", "qwen3")
    with pytest.raises(ConfigInvalid, match=r"needs a mask token.*take tsdae"):
        pretrain(
            str(decoder), read_domain(texts), tmp_path / "out", PretrainingSettings(**{**FAST, "objective": "mlm"}), {}
        )
    with pytest.raises(ConfigInvalid, match="takes at most 40"):
        pretrain(str(base), read_domain(texts), tmp_path / "out", PretrainingSettings(**{**FAST, "max_tokens": 64}), {})
    (tmp_path / "few.txt").write_text("one text")
    with pytest.raises(DataInvalid, match="a batch needs 8"):
        pretrain(str(base), read_domain(tmp_path / "few.txt"), tmp_path / "out", PretrainingSettings(**FAST), {})


def test_the_command_says_that_it_is_a_new_space(base: Path, texts: Path, tmp_path: Path) -> None:
    """And that nothing was scored, because a text file has no judgements."""
    out = tmp_path / "out"
    given = [
        "--objective",
        "tsdae",
        "--steps",
        "40",
        "--batch-size",
        "8",
        "--learning-rate",
        "3e-3",
        "--max-tokens",
        "32",
    ]
    result = CliRunner().invoke(command, [str(base), str(texts), "-o", str(out), *given], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "new space, not fine-tuned" in result.output and "Nothing says that it is better" in result.output
