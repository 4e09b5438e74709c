"""Which weights of a run are kept, and that what chose them does not report."""

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

from samespace.errors import ConfigInvalid, DataInvalid  # noqa: E402 - after the skip
from samespace.exporting.package import export_artifact  # noqa: E402
from samespace.model.checkpoint import load_checkpoint  # noqa: E402
from samespace.report import verdicts  # noqa: E402
from samespace.training.finetuning.config import TrainingConfig, make_config  # noqa: E402
from samespace.training.finetuning.keeping import (  # noqa: E402
    Keeper,
    Look,
    kept_sentence,
    look_steps,
    soup_of,
    weights_of,
)
from samespace.training.finetuning.trainer import train  # noqa: E402

SAME = 1e-6  # of a mean of nDCG in float32 vectors, by another order of sums


class OneNumber(torch.nn.Module):
    """A model that is one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def becomes(self, value: float) -> None:
        with torch.no_grad():
            self.w.fill_(value)


def run(keeper: Keeper, values: list[float]) -> tuple[OneNumber, int]:
    """A run whose weight is *values* after each step; how many steps it had."""
    model = OneNumber()
    keeper.begin(model)
    for step, value in enumerate(values, start=1):
        model.becomes(value)
        if keeper.after(model, step):
            break
    keeper.settle(model)
    return model, step


def near(best: float) -> Any:
    """A score that is highest where the weight is *best*."""
    return lambda model: 1 - abs(float(model.w.detach()) - best) / 10


def test_the_best_step_is_kept_and_a_run_in_vain_ends() -> None:
    """The weights of the best look, not of the last; three looks without a better one end the run."""
    values = [1.0, 2, 3, 4, 5, 6, 7, 8]
    model, steps = run(Keeper(near(3.2), look_steps(8, 8), patience=3), values)
    assert (float(model.w.detach()), steps) == (3.0, 6)
    model, steps = run(Keeper(near(3.2), look_steps(8, 8)), values)
    assert (float(model.w.detach()), steps) == (3.0, 8)
    assert float(run(Keeper(near(3.2), look_steps(8, 2)), values)[0].w.detach()) == 4.0  # it looked after 4 and 8 alone
    assert look_steps(10, 4) == {2, 5, 8, 10} and look_steps(3, 8) == {1, 2, 3}


def test_an_average_is_kept_only_where_it_is_better() -> None:
    """By a slow version of the average; a weight that jumps about is better on average, one that arrives is not."""
    decay, average, jumping = 0.8, 0.0, [4.0, 0, 4, 0, 4, 0, 4, 0]
    for step, value in enumerate(jumping, start=1):
        kept = min(decay, (1 + step) / (10 + step))
        average = kept * average + (1 - kept) * value
    keeper = Keeper(near(average), look_steps(8, 1), ema=decay)
    model, _ = run(keeper, jumping)
    assert float(model.w.detach()) == pytest.approx(average, abs=1e-12) and keeper.taken_average
    assert keeper.best == Look(8, pytest.approx(1 - average / 10), pytest.approx(1.0))
    keeper = Keeper(near(8), look_steps(8, 1), ema=decay)
    model, _ = run(keeper, [1.0, 2, 3, 4, 5, 6, 7, 8])
    assert float(model.w.detach()) == 8 and not keeper.taken_average and keeper.start == pytest.approx(0.2)


def test_what_a_checkpoint_keeps_is_enough_to_go_on() -> None:
    """A keeper that was interrupted chooses as one that was not."""
    values = [4.0, 1, 3, 0, 4, 2, 1, 3]
    whole, model = Keeper(near(2.1), look_steps(8, 8), ema=0.7), OneNumber()
    expected, _ = run(whole, values)
    first, second = (Keeper(near(2.1), look_steps(8, 8), ema=0.7) for _ in range(2))
    first.begin(model)
    for step, value in enumerate(values, start=1):
        if step == 4:
            second.restore(first.state())
        model.becomes(value)
        (first if step < 4 else second).after(model, step)
    second.settle(model)
    assert float(model.w.detach()) == float(expected.w.detach()) and second.to_json() == whole.to_json()


def test_a_soup_takes_what_does_not_make_it_worse() -> None:
    """Best first; a run that draws the mean away from the optimum stays out, whatever it scores alone."""
    weights = [{"w": torch.tensor([value], dtype=torch.float64)} for value in (1.0, 3.0, 9.0)]
    score = lambda each: 1 - abs(float(each["w"]) - 2) / 10  # noqa: E731
    soup = soup_of([(score(each), each) for each in weights], score)
    assert soup.taken == (0, 1) and float(soup.weights["w"]) == 2 and soup.score == 1
    alone = soup_of([(score(each), each) for each in weights[2:]], score)
    assert alone.taken == (0,) and float(alone.weights["w"]) == 9
    worse = soup_of([(0.95, weights[0]), (0.5, weights[2])], score)  # the mean is 5, so .7
    assert worse.taken == (0,) and worse.score == 0.95


def write_set(folder: Path, dev: range, test: range) -> Path:
    """A set in which query and passage share made-up words."""
    (folder / "qrels").mkdir(parents=True)
    passages, queries = [], []
    for number in range(96):
        random = Random(number)
        words = ["".join(random.choices("abcdefgh", k=3)) for _ in range(7)]  # within the token limit
        passages.append({"_id": f"p{number}", "text": " ".join(words)})
        queries.append({"_id": f"q{number}", "text": " ".join(words[:3])})
    (folder / "corpus.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in passages))
    (folder / "queries.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in queries))
    for split, part in (("train", range(64)), ("dev", dev), ("test", test)):
        if len(part):
            (folder / "qrels" / f"{split}.tsv").write_text("".join(f"q{i}\tp{i}\t1\n" for i in part))
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("sets") / "set", range(64, 80), range(80, 96))


def config(base: Path, data: Path, out: Path, **more: Any) -> TrainingConfig:
    settings: dict[str, Any] = {
        "base": str(base), "data": data, "out": out, "epochs": 3, "batch_size": 16, "mini_batch_size": 16,
        "learning_rate": 3e-3, "precision": "fp32", "score_splits": ["test"], "checkpoint_every": 0,
    }  # fmt: skip
    return make_config(settings | more)


def dev_score(folder: Path, data: Path, rows: range) -> float:
    """nDCG@10 of the folder on the questions *rows*, by sentence-transformers and the formula alone."""
    from sentence_transformers import SentenceTransformer

    def texts(name: str) -> Iterator[str]:
        return (json.loads(line)["text"] for line in (data / f"{name}.jsonl").read_text().splitlines())

    model = SentenceTransformer(str(folder), device="cpu")
    q = model.encode(list(texts("queries")), normalize_embeddings=True)
    p = model.encode(list(texts("corpus")), normalize_embeddings=True)
    cosines = q @ p.T
    ranks = [1 + int((cosines[row] > cosines[row, row]).sum()) for row in rows]
    return float(np.mean([1 / np.log2(1 + rank) if rank <= 10 else 0 for rank in ranks]))


def test_what_is_written_is_what_was_best(tiny_checkpoint: Path, data: Path, tmp_path: Path) -> None:
    """The folder scores on dev what run.json says, by sentence-transformers; the verdict is on test alone."""
    said: list[str] = []
    asked = config(tiny_checkpoint, data, tmp_path / "out", keep="best", looks=6, ema=0.6, seeds=2, blend=0.8)
    made = train(asked, say=said.append)
    kept = made.record["kept"]
    assert kept["score"] == pytest.approx(dev_score(made.folder, data, range(64, 80)), abs=SAME)
    assert kept["start"] == pytest.approx(dev_score(tiny_checkpoint, data, range(64, 80)), abs=SAME)
    assert len(kept["looks"]) == 6 and len(kept["runs"]) == 2
    assert kept["runs"][0] == max(max(each["score"], each["averaged"]) for each in kept["looks"])
    assert kept["score"] >= max(kept["runs"]) and kept_sentence(kept) in said
    assert list(verdicts.doubts(made.record)) == ["dev"] and list(made.record["scores"]) == ["test"]
    assert made.record["config"]["seed"] == 1 and made.record["steps"] == 12


def test_the_time_is_told_after_ten_steps(tiny_checkpoint: Path, data: Path, tmp_path: Path) -> None:
    """About what it takes in the end, looks and mining included; a run of few steps says nothing."""
    said: list[str] = []
    more = {"epochs": 30, "keep": "best", "mine": "bm25", "ema": 0.9, "learning_rate": 1e-4, "score_splits": []}
    record = train(config(tiny_checkpoint, data, tmp_path / "long", **more), say=said.append).record
    told = [each for each in said if each.startswith("10 steps done, 110 to go: training takes about")]
    assert len(told) == 1
    assert 0.3 * record["training_s"] < record["predicted_s"] < 3 * record["training_s"]  # other programs come and go
    said.clear()
    short = train(config(tiny_checkpoint, data, tmp_path / "short", score_splits=[]), say=said.append).record
    assert short["predicted_s"] == 0 and not any("steps done" in each for each in said)


def test_a_split_that_chose_is_called_so(tiny_checkpoint: Path, data: Path, tmp_path: Path) -> None:
    """Where dev chose the weights and is all that is scored, the verdict has no p-value, and says why."""
    asked = config(tiny_checkpoint, data, tmp_path / "out", keep="best", looks=2, score_splits=["dev"])
    made = train(asked)
    verdict = verdicts.verdict(made.record)
    assert verdict is not None and "too good to be believed" in verdict[0] and "p =" not in verdict[0]
    assert verdict[0].startswith("NOT KNOWN whether it is better") and made.record["better_than_base"] is None
    said: list[str] = []
    export_artifact(load_checkpoint(made.folder), tmp_path / "artifact", say=said.append)
    assert any("does not say whether it is better than its base" in sentence for sentence in said)


def test_what_reports_does_not_choose(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Questions that dev and test share choose nothing, whatever the splits are called; all of them: refused."""
    same = write_set(tmp_path / "same", range(64, 80), range(64, 80))
    for more in ({"keep": "best"}, {"learning_rate": "auto", "epochs": 80}):
        with pytest.raises(DataInvalid, match="nothing can be chosen on them"):
            train(config(tiny_checkpoint, same, tmp_path / "out", **more))
    half = write_set(tmp_path / "half", range(64, 80), range(72, 96))
    made = train(config(tiny_checkpoint, half, tmp_path / "half-out", keep="best", looks=2))
    assert made.record["kept"]["score"] == pytest.approx(dev_score(made.folder, half, range(64, 72)), abs=SAME)


def test_choosing_needs_a_development_split(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Without one it is refused before anything is trained; so is patience without a choice."""
    bare = write_set(tmp_path / "bare", range(0), range(80, 96))
    for more in ({"keep": "best"}, {"ema": 0.9}, {"seeds": 2}):
        with pytest.raises(ConfigInvalid, match="has no split 'dev'; it has"):
            train(config(tiny_checkpoint, bare, tmp_path / "out", **more))
    assert train(config(tiny_checkpoint, bare, tmp_path / "last", epochs=1)).record["kept"] is None  # it does without
    with pytest.raises(ConfigInvalid, match="patience: 3 has no effect without keep = 'best'"):
        config(tiny_checkpoint, bare, tmp_path / "out", patience=3)


def test_an_average_with_adapters_is_merged(tiny_checkpoint: Path, data: Path, tmp_path: Path) -> None:
    """Two runs with adapters: what is written has no adapters, and scores what run.json says."""
    asked = config(tiny_checkpoint, data, tmp_path / "out", epochs=1, lora_rank=4, learning_rate=3e-2, seeds=2, ema=0.5)
    made = train(asked)
    assert made.record["kept"]["score"] == pytest.approx(dev_score(made.folder, data, range(64, 80)), abs=SAME)


def test_weights_are_copied() -> None:
    """What is kept does not move with the model."""
    model = OneNumber()
    kept = weights_of(model)
    model.becomes(5)
    assert float(kept["w"]) == 0
