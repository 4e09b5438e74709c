"""Contrastive training of a tiny random model."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("sentence_transformers", reason="needs the extra train")

from safetensors.torch import load_file  # noqa: E402 - after the skip

from samespace.errors import ConfigInvalid, DataInvalid, ModelUnsupported, TrainingFailed  # noqa: E402
from samespace.model.checkpoint import CheckpointEncoder, load_checkpoint  # noqa: E402
from samespace.training.finetuning import rates  # noqa: E402
from samespace.training.finetuning.config import TrainingConfig, make_config  # noqa: E402
from samespace.training.finetuning.setup import prepare  # noqa: E402
from samespace.training.finetuning.trainer import train, try_rates  # noqa: E402
from samespace.training.losses.batch_loss import BatchLoss  # noqa: E402

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
        "score_splits": [],
    }
    return make_config(settings | more)


@pytest.fixture(scope="module")
def trained(tiny_checkpoint: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run that tests look at from several sides."""
    out = tmp_path_factory.mktemp("out") / "model"
    return train(config(tiny_checkpoint, data, out, score_splits=["dev", "test"], query_prompt="query: ")).folder


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
    """Configuration, data digest, versions, vitals, and scores beside base and BM25 are in run.json."""
    said = record(trained)
    assert said["config"]["seed"] == 1
    assert said["data"]["pairs"] == 64
    assert len(said["data"]["sha256"]) == 64
    assert said["versions"]["torch"] == torch.__version__.partition("+")[0] or said["versions"]["torch"]
    assert set(said["scores"]) == set(said["comparisons"]) == {"dev", "test"}
    assert set(said["scores"]["test"]) == {"bm25", "base", "trained"}
    assert said["isotropy"]["trained"]["effective_rank"] > said["isotropy"]["base"]["effective_rank"]
    assert said["better_than_base"] is (said["comparisons"]["test"]["base"]["p_value"] < 0.05)
    assert [each["step"] for each in said["sentinel"]["dev"]] == [0, 10, 20, 24]
    assert said["sentinel"]["alarms"] == []
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


def test_half_of_a_run_is_saved(tiny_checkpoint: Path, data: Path, tmp_path: Path) -> None:
    """blend = 0.5 saves the mean of the base's and the trained weights."""
    settings: dict[str, Any] = {"epochs": 1, "held_out_splits": [], "dev_split": ""}
    whole = train(config(tiny_checkpoint, data, tmp_path / "whole", **settings)).folder
    half = train(config(tiny_checkpoint, data, tmp_path / "half", blend=0.5, **settings)).folder
    base, end, found = (load_file(each / "model.safetensors") for each in (tiny_checkpoint, whole, half))
    name = "encoder.layer.0.attention.self.query.weight"
    assert not torch.equal(base[name], end[name])
    np.testing.assert_allclose(found[name].numpy(), (base[name] + end[name]).numpy() / 2, atol=1e-6)


def test_nothing_is_written_where_something_is(tiny_checkpoint: Path, data: Path, tmp_path: Path) -> None:
    """An existing folder is refused before anything is read."""
    with pytest.raises(ConfigInvalid, match=r"out: .* exists already"):
        train(config(tiny_checkpoint, data, tmp_path))


def test_what_is_wrong_is_found_before_training(tiny_checkpoint: Path, data: Path, tmp_path: Path) -> None:
    """No base, no data, a limit beyond the base's: each is an error of its own, and nothing is left behind."""
    out = tmp_path / "out"
    with pytest.raises(ModelUnsupported, match="no such folder"):
        train(config(tmp_path / "nothing", data, out))
    with pytest.raises(DataInvalid, match="no such file or folder"):
        train(config(tiny_checkpoint, tmp_path / "nothing", out))
    with pytest.raises(ConfigInvalid, match=r"passage_max_tokens: 5000; .* takes at most 32"):
        train(config(tiny_checkpoint, data, out, passage_max_tokens=5000))
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_is_no_number_stops(
    tiny_checkpoint: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NaN ends the run at its step, with what to change, and leaves no folder."""
    monkeypatch.setattr(BatchLoss, "of_vectors", lambda self, q, p, examples: q.sum() * float("nan") + p.sum())
    with pytest.raises(
        TrainingFailed, match=r"collapse at step 0|the loss is nan at step 1 of 24; lower learning_rate"
    ):
        train(config(tiny_checkpoint, data, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_bf16_trains_as_well(tiny_checkpoint: Path, data: Path, tmp_path: Path) -> None:
    """bf16 autocast learns the same task; the saved weights are fp32."""
    folder = train(config(tiny_checkpoint, data, tmp_path / "out", precision="bf16", epochs=2)).folder
    said = record(folder)
    assert said["precision"] == "bf16"
    assert np.mean(said["loss"][-4:]) < np.mean(said["loss"][:4])
    assert {tensor.dtype for tensor in load_file(folder / "model.safetensors").values()} == {torch.float32}


def test_a_killed_run_goes_on_to_the_same_weights(tiny_checkpoint: Path, data: Path, tmp_path: Path) -> None:
    """Killed without warning in the middle of an epoch, and started again: every bit as if it had not been."""
    more = {"checkpoint_every": 3, "epochs": 2, "mine": "both", "learn_temperature": True, "dropout": 0.1}
    more |= {"keep": "best", "looks": 5, "ema": 0.8}
    whole = train(config(tiny_checkpoint, data, tmp_path / "whole", **more)).folder
    killed = config(tiny_checkpoint, data, tmp_path / "killed", **more)
    script = f"""
import os, signal
from pathlib import Path
from samespace.training.finetuning import checkpoints, trainer
from samespace.training.finetuning.config import make_config
kept = checkpoints.keep
def keep(folder, plan, history):
    kept(folder, plan, history)
    if len(history.losses) >= 6:
        os.kill(os.getpid(), signal.SIGKILL)
checkpoints.keep = keep
trainer.train(make_config({killed.to_json()!r}))
"""
    threads = torch.get_num_threads()
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=240, env=environment)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]
    left = tmp_path / ".killed.checkpoints"
    assert left.is_dir()
    other = make_config(killed.to_json() | {"seed": 9})
    with pytest.raises(ConfigInvalid, match="has checkpoints of a run with other settings"):
        train(other)
    torch.set_num_threads(1 if threads > 1 else 2)  # other programs are busy by now: the run keeps its number
    try:
        resumed = train(killed).folder
    finally:
        torch.set_num_threads(threads)
    one, two = (load_file(folder / "model.safetensors") for folder in (whole, resumed))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert record(whole)["loss"] == record(resumed)["loss"]
    times = {"predicted_s": 0}
    assert record(whole)["kept"] | times == record(resumed)["kept"] | times
    assert record(whole)["temperature"] == record(resumed)["temperature"] != 0.05
    assert not left.exists()


def test_the_report_opens_offline_and_the_card_says_the_verdict(trained: Path) -> None:
    """Pictures, no address anywhere, and the same sentence about base and trained in both."""
    page, card, said = (trained / "report.html").read_text(), (trained / "README.md").read_text(), record(trained)
    assert page.count("<svg") > 8
    assert "http:" not in page
    assert "https:" not in page
    verdict = "NOT better than its base" if not said["better_than_base"] else "Better than its base"
    assert verdict in page
    assert verdict in card
    assert "test: bm25" in card


def test_a_model_that_is_not_better_is_exported_only_anyway(trained: Path, tmp_path: Path) -> None:
    """The record decides; the refusal names the option."""
    from click.testing import CliRunner

    from samespace.cli.artifacts.export import export
    from samespace.errors import RequestInvalid

    folder = tmp_path / "model"
    shutil.copytree(trained, folder)
    (folder / "run.json").write_text(json.dumps(record(trained) | {"better_than_base": False}))
    refused = CliRunner().invoke(export, [str(folder), str(tmp_path / "out")])
    assert isinstance(refused.exception, RequestInvalid)
    assert "--anyway" in str(refused.exception)
    assert not (tmp_path / "out").exists()


def test_an_artifact_names_no_path_of_the_machine_that_made_it(trained: Path, tmp_path: Path) -> None:
    """Card and manifest name model, base and data by their last names: an artifact travels."""
    from click.testing import CliRunner

    from samespace.cli.artifacts.export import export

    done = CliRunner().invoke(export, [str(trained), str(tmp_path / "out"), "--anyway"], catch_exceptions=False)
    assert done.exit_code == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["provenance"]["source"] == trained.name
    assert manifest["provenance"]["training"]["config"]["data"] == Path(record(trained)["config"]["data"]).name
    root = str(tmp_path.parent)
    assert root in record(trained)["config"]["base"]
    for file in ("manifest.json", "README.md"):
        assert root not in (tmp_path / "out" / file).read_text(encoding="utf-8")


def test_rates_are_tried_from_the_untouched_base(tiny_checkpoint: Path, data: Path, tmp_path: Path) -> None:
    """Each short run starts anew, and the base is what is left; a run that is too short does without."""
    setup = prepare(config(tiny_checkpoint, data, tmp_path / "out"))
    before = {name: value.clone() for name, value in setup.model.state_dict().items()}
    picked = try_rates(setup, 2)
    assert [trial.rate for trial in picked.trials] == list(rates.RATES)
    assert all(torch.equal(value, before[name]) for name, value in setup.model.state_dict().items())
    said = record(train(config(tiny_checkpoint, data, tmp_path / "out", learning_rate="auto", epochs=1)).folder)
    assert said["learning_rate"] == rates.SAFE
    assert "too few to try" in said["rate_probe"]["reason"]


def test_a_collapse_stops_or_starts_again(tiny_checkpoint: Path, data: Path, tmp_path: Path) -> None:
    """At a rate of 0.1 the error names the cause; "lower_rate" goes on from the base at a tenth."""
    broken = config(tiny_checkpoint, data, tmp_path / "out", learning_rate=0.1)
    with pytest.raises(TrainingFailed, match="rate too high"):
        train(broken)
    assert list(tmp_path.iterdir()) == []
    said: list[str] = []
    again = config(tiny_checkpoint, data, tmp_path / "out", learning_rate=0.1, on_collapse="lower_rate")
    found = record(train(again, say=said.append).folder)
    assert found["learning_rate"] < 0.1
    assert found["sentinel"]["restarts"][0]["alarm"]["cause"] == "rate too high"
    assert "Starting again with learning_rate 0.01" in said[0]
