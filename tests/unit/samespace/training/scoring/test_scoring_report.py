"""What is said after a training: no p-value of the split that chose, and no loss of two noisy steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra train")

from samespace.evaluation import Dataset, VectorRanker, evaluate
from samespace.exporting.provenance import RECORD
from samespace.training.heads.choice import Compared
from samespace.training.heads.config import HeadConfig
from samespace.training.heads.run import TrainedHead
from samespace.training.scoring import report
from samespace.training.scoring.late import add_scores, score_section
from samespace.vectors import normalise

LOSSES = [4.0, 1.0, 3.9, 1.1, 3.8, 1.0, 3.7, 0.2]


def record(*, chosen: bool, split: str = "dev", better: bool = True) -> dict[str, Any]:
    """As run.json has it, of a run with a rate that was tried on dev, or that was given."""
    score = {"ndcg@10": 0.5, "recall@100": 0.6, "mrr@10": 0.4}
    against = {"mean": 0.0283, "low": 0.01, "high": 0.05, "p_value": 0.0131, "wins": 3, "losses": 1}
    vitals = [{"step": step, "loss": loss, "trivial": 4.16} for step, loss in ((0, 2.5), (8, 2.25))]
    return {
        "config": {"base": "b", "dev_split": "dev", "drop_leaks": False, "allow_leakage": "none"},
        "data": {"folder": "set", "pairs": 9, "leaked": {"query": 0, "passage": 0}, "dropped_leaks": 0},
        "rate_probe": {"trials": [{"rate": 1e-4}], "rate": 1e-4} if chosen else None,
        "loss": LOSSES, "loss_of_guessing": 4.16, "learning_rate": 1e-4, "steps": 8, "training_s": 3.0,
        "precision": "fp32", "device": "cpu", "texts_cut": {"query": 0, "passage": 0},
        "sentinel": {"alarms": [], "restarts": [], "train": vitals},
        "scores": {split: dict.fromkeys(("bm25", "base", "trained"), score)},
        "comparisons": {split: dict.fromkeys(("bm25", "base"), against)},
        "better_than_base": better,
    }  # fmt: skip


@pytest.mark.parametrize("better", [True, False])
def test_the_split_that_chose_has_no_p_value(better: bool) -> None:
    """Neither in the verdict, nor in the table, nor on the card; and it is said why."""
    of = record(chosen=True, better=better)
    said = report.verdict(of)
    assert said is not None
    texts = [said[0], json.dumps(report.score_rows(of)), report.model_card(of)]
    assert not [text for text in texts if "0.0131" in text or "p = " in text]
    assert "dev chose the rate or the weights" in said[0]
    assert said[1] is not better


@pytest.mark.parametrize(("chosen", "split"), [(False, "dev"), (True, "test")])
def test_a_split_that_chose_nothing_has_its_p_value(chosen: bool, split: str) -> None:
    """The rate was given, or another split chose it."""
    of = record(chosen=chosen, split=split)
    assert "p = 0.0131" in str(report.verdict(of))
    assert report.score_rows(of)[1][-1] == "0.0131"


def test_the_loss_is_that_of_the_fixed_sample() -> None:
    """Not of the first and last step, which are 4.0 and 0.2 here by their batches; else smoothed."""
    assert report.loss_of_sample(record(chosen=False)).startswith("loss on a fixed sample 2.500 to 2.250")
    bare = record(chosen=False)
    bare["sentinel"]["train"] = []
    assert report.loss_of_sample(bare).startswith("smoothed loss 2.967 to 1.633")
    assert report.smoothed([1.0, 2.0, 3.0, 4.0, 5.0])[2] == 3.0


def head(scores: dict[str, float]) -> TrainedHead:
    """A head that came out with these scores; what a summary does not look at is left out."""
    rows = (Compared("base", dict.fromkeys(scores, 0.4), {}), Compared("head", scores, {}))
    data = {"name": "set", "pairs": 9}
    return TrainedHead(None, HeadConfig(), data, (), None, rows, 1.0, None, 1.0)  # type: ignore[arg-type]


def test_a_head_that_dev_chose_says_so() -> None:
    """ "+2.83, p = .013" was printed where the held-out test had -0.4."""
    said = head({"dev": 0.4283}).summary()
    assert "+2.83 points against the base on dev, which chose the rate and the step" in said
    assert "p =" not in said


def scored(seed: int) -> Any:
    draw = np.random.default_rng(seed)
    return VectorRanker("x", normalise(draw.normal(size=(8, 4))), normalise(draw.normal(size=(20, 4))))


def test_scores_that_come_later_are_carried(tmp_path: Path) -> None:
    """As the quickstart makes them through its server: in the record, in the report and on both cards."""
    ids, queries = tuple(f"p{n}" for n in range(20)), tuple(f"q{n}" for n in range(8))
    qrels = {query: {f"p{n}": 1} for n, query in enumerate(queries)}
    data = Dataset(Path("set"), "test", ids, ("",) * 20, queries, tuple(f"ask {n}" for n in range(8)), qrels)
    found = [evaluate(scored(seed), data) for seed in (1, 2, 3)]
    before = record(chosen=False) | {"scores": {}, "comparisons": {}, "better_than_base": None, "gradient_norm": LOSSES}
    before["sentinel"]["train"] = []
    (tmp_path / RECORD).write_text(json.dumps(before))
    add_scores(tmp_path, data, *found)
    ndcg = f"{found[2].score.ndcg_10:.4f}"
    for text in ((tmp_path / "README.md").read_text(), (tmp_path / "report.html").read_text(), score_section(tmp_path)):
        assert ndcg in text
        assert "etter than its base" in text
    after = json.loads((tmp_path / RECORD).read_text())
    assert after["scores"]["test"]["trained"]["ndcg@10"] == found[2].score.ndcg_10
    assert after["better_than_base"] is not None
