"""Several poolings in one command, by score."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

pytest.importorskip("torch", reason="needs the extra train")

from click.testing import CliRunner

from samespace import Encoder
from samespace.cli import cli
from samespace.training.choosing.poolings import ComparedPoolings, PoolingTrial
from samespace.training.finetuning.config import POOLINGS


@pytest.fixture(scope="module")
def toml(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration of eight steps, and its set."""
    folder, random = tmp_path_factory.mktemp("poolings"), Random(7)
    (folder / "set").mkdir()
    for split, count in (("train", 64), ("dev", 30), ("test", 30)):
        rows = []
        for _ in range(count):
            words = ["".join(random.choices("abcdefgh", k=3)) for _ in range(7)]
            rows.append({"query": " ".join(random.sample(words, 3)), "passage": " ".join(words)})
        (folder / "set" / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    file = folder / "c.toml"
    file.write_text(
        f'data = "set"\nbase = "{tiny_checkpoint}"\nprecision = "fp32"\nlearning_rate = 0.003\nepochs = 2\n'
        'batch_size = 16\ncheckpoint_every = 0\nscore_splits = ["test"]\n'
    )
    return file


def test_poolings_are_compared_in_one_command(toml: Path, tmp_path: Path) -> None:
    """Each stands in the table before and after the same steps; nothing is written."""
    out = tmp_path / "out"
    found = CliRunner().invoke(cli, ["train", str(toml), "--out", str(out), "--no-doctor", "--probe-poolings"])
    assert found.exit_code == 0, (found.output, found.exception)
    rows = {line.split()[0]: line.split()[-2:] for line in found.stdout.splitlines() if line.split()[0] in POOLINGS}
    assert list(rows) == list(POOLINGS) and "after 8 steps" in found.stdout
    scores = {name: [float(each) for each in row] for name, row in rows.items()}
    assert scores["attention"][0] == scores["mean"][0]  # where it begins
    assert len({row[0] for row in scores.values()}) > 2 and all(row[0] != row[1] for row in scores.values())
    assert "30 development questions" in found.stdout and "Take pooling=" in found.stdout
    assert not out.exists()


def test_the_bases_own_pooling_stays_unless_another_is_clearly_better() -> None:
    """A gain below half a point is none; before training nothing is decided."""
    trials = (PoolingTrial("mean", 0.5, 0.6), PoolingTrial("cls", 0.9, 0.55), PoolingTrial("attention", 0.5, 0.604))
    assert ComparedPoolings("mean", 8, 30, trials).best.pooling == "mean"
    better = (*trials[:2], PoolingTrial("attention", 0.5, 0.61))
    assert ComparedPoolings("mean", 8, 30, better).best.pooling == "attention"
    assert ComparedPoolings("mean+cls", 8, 30, trials).best.pooling == "attention"


def test_attention_is_trained_blended_and_exported(toml: Path, tmp_path: Path) -> None:
    """One key in `train`; `export` takes the folder as it is, and the learned query is no longer zero."""
    runner, out = CliRunner(), tmp_path / "out"
    keys = ["--set", "pooling=attention", "--set", "blend=0.7", "--set", "keep=best", "--set", "looks=2"]
    found = runner.invoke(cli, ["train", str(toml), "--out", str(out), "--no-doctor", *keys])
    assert found.exit_code == 0, (found.output, found.exception)
    found = runner.invoke(cli, ["export", str(out), str(tmp_path / "artifact"), "--anyway"])
    assert found.exit_code == 0, (found.output, found.exception)
    with Encoder.load(tmp_path / "artifact") as encoder:
        assert encoder.dims == 32
    assert "attention" in (tmp_path / "artifact" / "manifest.json").read_text(encoding="utf-8")
