"""Contrastive training of a tiny random model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("sentence_transformers", reason="needs the extra train")

from safetensors.torch import load_file  # noqa: E402 - after the skip

from samespace.errors import ConfigInvalid, DataInvalid, ModelUnsupported, TrainingFailed  # noqa: E402
from samespace.export.checkpoint import CheckpointEncoder, load_checkpoint  # noqa: E402
from samespace.training import trainer  # noqa: E402
from samespace.training.config import TrainingConfig, make_config  # noqa: E402
from samespace.training.contrastive import PairCollator, info_nce  # noqa: E402
from samespace.training.trainer import chosen_precision, train  # noqa: E402

SAME_GRADIENT = 1e-6  # largest difference of float32 gradients of order 1e-2 that are summed in another order
SAME_NUMBER = 1e-5  # of a float32 loss near 3
LETTERS = "abcdefgh"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set in which query and passage share made-up words, with train, dev and test."""
    folder = tmp_path_factory.mktemp("set")
    (folder / "qrels").mkdir()
    passages, queries = [], []
    for number in range(80):
        random = Random(number)
        words = ["".join(random.choices(LETTERS, k=6)) for _ in range(12)]
        passages.append({"_id": f"p{number}", "text": " ".join(words)})
        queries.append({"_id": f"q{number}", "text": " ".join(words[:4])})
    (folder / "corpus.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in passages))
    (folder / "queries.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in queries))
    for split, part in (("train", range(64)), ("dev", range(64, 72)), ("test", range(72, 80))):
        (folder / "qrels" / f"{split}.tsv").write_text("".join(f"q{i}\tp{i}\t1\n" for i in part))
    return folder


def config(base: Path, data: Path, out: Path, **more: Any) -> TrainingConfig:
    settings: dict[str, Any] = {
        "base": str(base),
        "data": data,
        "out": out,
        "epochs": 6,
        "batch_size": 16,
        "mini_batch_size": 8,
        "learning_rate": 3e-3,
        "precision": "fp32",
    }
    return make_config(settings | more)


@pytest.fixture(scope="module")
def trained(tiny_checkpoint: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run that tests look at from several sides."""
    out = tmp_path_factory.mktemp("out") / "model"
    return train(config(tiny_checkpoint, data, out, dev_split="dev", query_prompt="query: ")).folder


def record(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return read


def test_the_loss_falls(trained: Path) -> None:
    """The mean loss of the last epoch is clearly below that of the first, and below guessing."""
    losses = record(trained)["loss"]
    assert len(losses) == 24
    assert np.mean(losses[-4:]) < 0.8 * np.mean(losses[:4])
    assert np.mean(losses[-4:]) < record(trained)["loss_of_guessing"]


def test_the_record_says_what_was_done(trained: Path) -> None:
    """Configuration, data digest, versions, ranks and scores before and after are in run.json."""
    said = record(trained)
    assert said["config"]["seed"] == 1
    assert said["data"]["pairs"] == 64
    assert len(said["data"]["sha256"]) == 64
    assert said["versions"]["torch"] == torch.__version__.partition("+")[0] or said["versions"]["torch"]
    assert 1 <= said["effective_rank"]["after"] <= said["effective_rank"]["most"]
    assert [score["encoder"] for score in said["dev_scores"]] == ["before", "after"]
    assert said["steps"] == 24


def test_the_model_can_be_exported_with_its_prompts(trained: Path, tiny_checkpoint: Path) -> None:
    """The folder is a checkpoint with the trained prompts, in another space than the base."""
    checkpoint = load_checkpoint(trained)
    assert checkpoint.recipe.prompts == {"query": "query: ", "passage": ""}
    assert checkpoint.recipe.token_limit == load_checkpoint(tiny_checkpoint).recipe.token_limit
    encoder = CheckpointEncoder(checkpoint)
    assert encoder.space_id != CheckpointEncoder(load_checkpoint(tiny_checkpoint)).space_id
    assert record(trained)["base_space_id"] != encoder.space_id


def test_the_same_seed_gives_the_same_weights(tiny_checkpoint: Path, data: Path, tmp_path: Path) -> None:
    """Two runs agree in every bit; another seed gives other weights."""
    runs = [
        train(config(tiny_checkpoint, data, tmp_path / name, epochs=1, seed=seed)).folder
        for name, seed in (("one", 5), ("two", 5), ("three", 6))
    ]
    one, two, three = (load_file(folder / "model.safetensors") for folder in runs)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], three[name]) for name in one)


@pytest.fixture
def model(tiny_checkpoint: Path) -> Iterator[Any]:
    from sentence_transformers import SentenceTransformer

    yield SentenceTransformer(str(tiny_checkpoint)).eval()  # no dropout, so that two ways can be compared


def batch(model: Any, checkpoint: Path, rows: int) -> list[dict[str, Any]]:
    encoder = load_checkpoint(checkpoint).text_encoder
    collator = PairCollator({"query": encoder, "passage": encoder})
    random = Random(3)
    texts = [" ".join("".join(random.choices(LETTERS, k=5)) for _ in range(2 + row % 5)) for row in range(2 * rows)]
    made = collator([{"query": texts[2 * row], "positive": texts[2 * row + 1]} for row in range(rows)])
    return [
        {"input_ids": made[f"{column}_input_ids"], "attention_mask": made[f"{column}_attention_mask"]}
        for column in ("query", "positive")
    ]


def gradients(loss: Any, model: Any, features: list[dict[str, Any]]) -> tuple[float, dict[str, Any]]:
    model.zero_grad()
    value = loss([dict(feature) for feature in features], None)
    value.backward()
    return float(value.detach()), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("mini", [1, 3, 8])
def test_the_cached_gradient_is_the_gradient(model: Any, tiny_checkpoint: Path, symmetric: bool, mini: int) -> None:
    """In mini-batches of any size, loss and gradient equal those of the whole batch at once."""
    features = batch(model, tiny_checkpoint, 12)
    options = {"temperature": 0.05, "symmetric": symmetric, "batch_size": 12}
    whole, expected = gradients(info_nce(model, mini_batch_size=12, **options), model, features)
    cached, found = gradients(info_nce(model, mini_batch_size=mini, **options), model, features)
    assert cached == pytest.approx(whole, abs=SAME_NUMBER)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        scale = max(1.0, float(gradient.abs().max()))
        assert float((found[name] - gradient).abs().max()) <= SAME_GRADIENT * scale, name


@pytest.mark.parametrize("symmetric", [True, False])
def test_the_loss_is_info_nce(model: Any, tiny_checkpoint: Path, symmetric: bool) -> None:
    """It equals the formula, written out over all pairs of the batch."""
    features = batch(model, tiny_checkpoint, 6)
    with torch.no_grad():
        q, p = (model(dict(feature))["sentence_embedding"].double().numpy() for feature in features)
        value = float(
            info_nce(model, temperature=0.1, symmetric=symmetric, mini_batch_size=6, batch_size=6)(features, None)
        )
    cosines = (q / np.linalg.norm(q, axis=1, keepdims=True)) @ (p / np.linalg.norm(p, axis=1, keepdims=True)).T / 0.1

    def one_way(scores: np.ndarray) -> float:
        return float(np.mean([np.log(sum(np.exp(row))) - row[i] for i, row in enumerate(scores)]))

    expected = (one_way(cosines) + one_way(cosines.T)) / 2 if symmetric else one_way(cosines)
    assert value == pytest.approx(expected, abs=SAME_NUMBER)


def test_long_texts_are_cut_and_counted(tiny_checkpoint: Path) -> None:
    """A passage beyond the limit becomes its first window, pairs stay together, and the cut is counted."""
    encoder = load_checkpoint(tiny_checkpoint).text_encoder
    limit = encoder.recipe.token_limit
    collator = PairCollator({"query": encoder, "passage": encoder})
    made = collator([{"query": "abc", "positive": "a b c d " * limit}, {"query": "ab ab ab", "positive": "c"}])
    assert collator.cut == {"query": 0, "passage": 1}
    lengths = made["positive_attention_mask"].sum(dim=1).tolist()
    assert lengths[1] == limit > lengths[0]  # sorted by the passages' lengths
    assert made["query_attention_mask"].sum(dim=1).tolist()[0] == len(
        encoder.tokenize(["ab ab ab"], "query")[0].windows[0].ids
    )


def test_nothing_is_written_where_something_is(tiny_checkpoint: Path, data: Path, tmp_path: Path) -> None:
    """An existing folder is refused before anything is read."""
    with pytest.raises(ConfigInvalid, match=r"out: .* exists already"):
        train(config(tiny_checkpoint, data, tmp_path))


def test_what_is_wrong_is_found_before_training(tiny_checkpoint: Path, data: Path, tmp_path: Path) -> None:
    """No base, no data, a limit beyond the base's: each is an error of its own, and nothing is left behind."""
    out = tmp_path / "out"
    with pytest.raises(ModelUnsupported, match="no such folder"):
        train(config(tmp_path / "nothing", data, out))
    with pytest.raises(DataInvalid, match="no such folder"):
        train(config(tiny_checkpoint, tmp_path / "nothing", out))
    with pytest.raises(ConfigInvalid, match=r"passage_max_tokens: 5000; .* takes at most 32"):
        train(config(tiny_checkpoint, data, out, passage_max_tokens=5000))
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_is_no_number_stops(
    tiny_checkpoint: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NaN ends the run at its step, with what to change, and leaves no folder."""

    class Broken(torch.nn.Module):
        def __init__(self, model: Any) -> None:
            super().__init__()
            self.model = model

        def forward(self, features: Any, labels: Any) -> Any:
            return self.model(features[0])["sentence_embedding"].sum() * float("nan")

    monkeypatch.setattr(trainer, "info_nce", lambda model, **_: Broken(model))
    with pytest.raises(TrainingFailed, match=r"the loss is nan at step 1 of 24; lower learning_rate \(0.003\)"):
        train(config(tiny_checkpoint, data, tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


def test_bf16_trains_as_well(tiny_checkpoint: Path, data: Path, tmp_path: Path) -> None:
    """bf16 autocast learns the same task; the saved weights are fp32."""
    folder = train(config(tiny_checkpoint, data, tmp_path / "out", precision="bf16", epochs=2)).folder
    said = record(folder)
    assert said["precision"] == "bf16"
    assert np.mean(said["loss"][-4:]) < np.mean(said["loss"][:4])
    assert {tensor.dtype for tensor in load_file(folder / "model.safetensors").values()} == {torch.float32}


def test_auto_is_a_precision_that_there_is() -> None:
    """What is asked for is taken; auto gives one of the two."""
    assert chosen_precision("fp32") == "fp32"
    assert chosen_precision("auto") in ("fp32", "bf16")
