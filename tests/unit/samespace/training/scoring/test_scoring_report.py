"""What is said after a training: no p-value of the split that chose, and no loss of two noisy steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra train")

from samespace.evaluation import Dataset, VectorRanker, evaluate, paired_bootstrap
from samespace.exporting.provenance import RECORD
from samespace.report import verdicts
from samespace.training.heads.choice import Compared
from samespace.training.heads.config import HeadConfig
from samespace.training.heads.run import TrainedHead
from samespace.training.scoring import report
from samespace.training.scoring.changes import changes
from samespace.training.scoring.late import add_scores, score_section
from samespace.training.scoring.outcome import Outcome
from samespace.vectors import normalise

LOSSES = [4.0, 1.0, 3.9, 1.1, 3.8, 1.0, 3.7, 0.2]


def record(*, chosen: bool, split: str = "dev", better: bool = True) -> dict[str, Any]:
    """As run.json has it, of a run with a rate that was tried on dev, or that was given."""
    score = {"ndcg@10": 0.5, "recall@100": 0.6, "mrr@10": 0.4}
    against = {"mean": 0.0283, "low": 0.01, "high": 0.05, "p_value": 0.0131, "wins": 3, "losses": 1, "queries": 41}
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
    said = verdicts.verdict(of)
    assert said is not None
    texts = [said[0], json.dumps(verdicts.score_rows(of)), report.model_card(of)]
    assert not [text for text in texts if "0.0131" in text or "p = " in text]
    assert "dev chose the learning rate" in said[0]
    assert said[0].startswith("NOT KNOWN whether it is better") and said[1]


@pytest.mark.parametrize(("chosen", "split"), [(False, "dev"), (True, "test")])
def test_a_split_that_chose_nothing_has_its_p_value(chosen: bool, split: str) -> None:
    """The rate was given, or another split chose it."""
    of = record(chosen=chosen, split=split)
    assert "p = 0.0131" in str(verdicts.verdict(of))
    assert verdicts.score_rows(of)[1][-1] == "0.0131"


def test_the_loss_is_that_of_the_fixed_sample() -> None:
    """Not of the first and last step, which are 4.0 and 0.2 here by their batches; else smoothed."""
    assert report.loss_of_sample(record(chosen=False)).startswith("loss on a fixed sample 2.500 to 2.250")
    bare = record(chosen=False)
    bare["sentinel"]["train"] = []
    assert report.loss_of_sample(bare).startswith("smoothed loss 2.967 to 1.633")
    assert report.smoothed([1.0, 2.0, 3.0, 4.0, 5.0])[2] == 3.0


def test_weights_that_dev_chose_take_its_p_value_too() -> None:
    """The best step, an average or a mean of runs were kept by dev: what dev then says flatters."""
    of = record(chosen=False) | {"kept": {"chosen_on": "dev", "step": 4}}
    assert "NOT KNOWN" in str(verdicts.verdict(of)) and "dev chose which weights are kept" in str(verdicts.verdict(of))
    assert verdicts.score_rows(of)[1][4:] == ["+2.8", "3", "1", "chose"]
    assert verdicts.verdict(record(chosen=False) | {"kept": None}) is not None


def test_a_split_that_chose_does_not_decide_beside_one_that_did_not() -> None:
    """Whatever comes last."""
    of = record(chosen=False, split="test")
    of["comparisons"]["dev"] = of["comparisons"]["test"]
    of["kept"] = {"chosen_on": "dev", "step": 4}
    assert "41 questions of test" in str(verdicts.verdict(of))


def test_a_verdict_names_split_questions_and_interval() -> None:
    """And a record of an older version, which has no number of questions, is read."""
    of = record(chosen=False, split="test")
    assert verdicts.verdict(of) == (
        "Better than its base: +2.8 points of nDCG@10 on 41 questions of test (95 % interval +1.0 to +5.0, "
        "p = 0.0131; 3 questions better, 1 worse).", False,
    )  # fmt: skip
    assert verdicts.score_rows(of)[1][4] == "+2.8 (+1.0 to +5.0)"
    del of["comparisons"]["test"]["base"]["queries"]
    assert "on test (95 %" in str(verdicts.verdict(of))


def test_every_split_that_chose_nothing_counts() -> None:
    """A second test split on which the encoder is worse was not mentioned beside one on which it is better."""
    of = record(chosen=False, split="test_late")
    of["comparisons"] = {"test": of["comparisons"]["test_late"], **of["comparisons"]}
    said = verdicts.verdict(of)
    assert said is not None and said[0].startswith("Better than its base") and "Also +2.8 points" in said[0]
    assert "41 questions of test_late (95 %" in said[0] and "41 questions of test (95 %" in said[0]
    worse = of["comparisons"]["test"]["base"] | {"mean": -0.06, "low": -0.08, "high": -0.04, "p_value": 0.0001}
    of["comparisons"]["test"] = {"base": worse}
    said = verdicts.verdict(of)
    assert said is not None and said[1]
    assert (
        said[0].startswith("NOT better than its base: +2.8")
        and "worse on test." in said[0]
        and "-6.0 points" in said[0]
    )


def test_better_on_the_last_split_and_worse_on_another_is_not_better() -> None:
    """As run.json has it, and `export` asks by it."""
    good, bad = paired_bootstrap(np.full(30, 0.1), np.zeros(30)), paired_bootstrap(np.zeros(30), np.full(30, 0.1))
    for versus, better in (({"test": good, "late": good}, True), ({"test": bad, "late": good}, False)):
        outcome = Outcome({}, {split: {"base": found} for split, found in versus.items()}, {}, {}, {}, {}, {})
        assert outcome.better() is better
    assert outcome.better({"test"}) is True


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
    page = (tmp_path / "report.html").read_text()
    assert page.index("etter than its base") < page.index("Scores on held-out") < page.index("most on test")
    after = json.loads((tmp_path / RECORD).read_text())
    assert after["scores"]["test"]["trained"]["ndcg@10"] == found[2].score.ndcg_10
    assert after["better_than_base"] is not None


def test_wins_and_losses_are_what_both_found() -> None:
    """Each list in the order of its ranking, right answers as judged, and the first right one however far down."""
    ids = tuple(f"p{n}" for n in range(20))
    texts = tuple(f"passage {n}" for n in range(20))
    qrels = {"q0": {"p7": 2}, "q1": {"p3": 1}, "q2": {"p9": 1}}
    data = Dataset(Path("set"), "test", ids, texts, tuple(qrels), ("won", "lost", "same"), qrels)
    p = np.eye(20, dtype=np.float32)
    before = np.stack([1.0 - 0.04 * np.arange(20), np.where(np.arange(20) == 3, 2.0, 0.0), p[9]]).astype(np.float32)
    after = np.stack([p[7], 1.0 - 0.04 * np.arange(20)[::-1], p[9]]).astype(np.float32)
    found = [evaluate(VectorRanker("x", normalise(q), p), data) for q in (before, after)]
    won, lost = changes(data, *found)
    assert (won.query, lost.query) == ("won", "lost") and won.after == 1.0 and lost.before == 1.0
    assert [(hit.place, hit.text, hit.right) for hit in won.before_list] == [
        (1, "passage 0", False), (2, "passage 1", False), (3, "passage 2", False), (4, "passage 3", False),
        (8, "passage 7", True),
    ]  # fmt: skip
    assert (won.after_list[0].text, won.after_list[0].right) == ("passage 7", True)
    assert [hit.place for hit in lost.after_list] == [1, 2, 3, 4, 17]
    shown = "".join(report.wins_and_losses("on test", (won, lost)))
    assert "Won most on test" in shown and "Lost most on test" in shown and shown.count("right answer") == 4
