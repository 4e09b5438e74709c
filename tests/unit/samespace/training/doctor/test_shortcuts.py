"""What solves training pairs without reading them is named, and healthy pairs of the same kind are not."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from scipy.stats import pearsonr

pytest.importorskip("datasketch", reason="needs the extra train")

from samespace.training.data.examples import Examples
from samespace.training.data.shortcuts import sides
from samespace.training.data.sources import load_data
from samespace.training.doctor import DataFinding, Questions, examine

SYLLABLES = ("ka", "lo", "mi", "ne", "pu", "ra", "so", "ti", "vu", "ze", "bor", "dal", "fen", "gir", "hul")
Rows = list[dict[str, Any]]


def pair(topic: int) -> dict[str, Any]:
    """A question of five words of a topic, and a passage that has them in another order among thirty."""
    draw = Random(topic)
    said = ["".join(draw.choices(SYLLABLES, k=3)) for _ in range(30)]
    return {"query": f"what is {' '.join(said[:5])}", "passage": " ".join(draw.sample(said, 30))}


def sets() -> dict[str, Rows]:
    return {"train": [pair(n) for n in range(300)], "test": [pair(n) for n in range(1000, 1080)]}


def look(folder: Path, rows: dict[str, Rows]) -> dict[str, DataFinding]:
    folder.mkdir(exist_ok=True)
    for split, part in rows.items():
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    found = examine(load_data(folder), Questions(cost=False)).findings("error", "warning")
    return {each.name: each for each in found}


def own_text(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "passage": f"{row['query']}? {row['passage']}"}


def behind(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "query": f"{row['query']} {row['passage']}"}


def exchanged(row: dict[str, Any]) -> dict[str, Any]:
    return {"query": row["passage"], "passage": row["query"]}


def some(share: float, change: Callable[[dict[str, Any]], dict[str, Any]], rows: Rows) -> Rows:
    return [change(row) if n % 20 < 20 * share else row for n, row in enumerate(rows)]


def test_healthy_pairs_have_no_shortcut(tmp_path: Path) -> None:
    """Nor where both splits hold their own text, as pages of questions do, nor where negatives are spread."""
    rows = sets()
    assert look(tmp_path / "plain", rows) == {}
    assert "own_text" not in look(tmp_path / "own", {split: list(map(own_text, part)) for split, part in rows.items()})
    spread = [{**row, "negative": rows["train"][(n + 7) % 300]["passage"]} for n, row in enumerate(rows["train"])]
    assert look(tmp_path / "negatives", {**rows, "train": spread}) == {}


@pytest.mark.parametrize("share", [1.0, 0.25])
@pytest.mark.parametrize("change", [own_text, behind])
@pytest.mark.parametrize("split", ["train", "test"])
def test_pairs_that_hold_their_own_text_are_told(tmp_path: Path, share: float, change: Any, split: str) -> None:
    """In training alone the encoder learns to copy; held out alone the score is too good."""
    rows = sets()
    rows[split] = some(share, change, rows[split])
    finding = look(tmp_path, rows)["own_text"]
    assert finding.severity == "warning"
    assert ("To copy is enough in training" if split == "train" else "a score is too good") in finding.says


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_one_negative_for_all_is_told(tmp_path: Path, share: float) -> None:
    """The page of an error, in the place of a negative."""
    rows = sets()
    page = "<html><body>404 Not Found</body></html>"
    rows["train"] = [
        {**row, "negative": page if n % 20 < 20 * share else rows["train"][(n + 7) % 300]["passage"]}
        for n, row in enumerate(rows["train"])
    ]
    found = look(tmp_path / "pairs", rows)
    assert set(found) == {"same_negative"}
    assert f"{round(300 * share)} of 300 training pairs" in found["same_negative"].says
    wrong = [{"text_a": row["query"], "text_b": "404 Not Found", "label": 0} for row in rows["train"]]
    right = [{"text_a": row["query"], "text_b": row["passage"], "label": 1} for row in rows["train"]]
    assert "same_negative" in look(tmp_path / "labelled", {"train": [*wrong, *right]})


def test_a_few_answers_are_each_others_negatives(tmp_path: Path) -> None:
    """Of four answers each is the wrong one of a quarter."""
    answers = [pair(n)["passage"] for n in range(4)]
    rows = [
        {"query": pair(n)["query"], "passage": answers[n % 4], "negative": answers[(n + 1 + n // 4 % 3) % 4]}
        for n in range(200)
    ]
    assert "same_negative" not in look(tmp_path, {"train": rows})


@pytest.mark.parametrize("share", [1.0, 0.5, 0.1])
def test_exchanged_columns_are_told(tmp_path: Path, share: float) -> None:
    """In some rows, or in a whole split: by which text is the long one."""
    rows = sets()
    rows["train"] = some(share, exchanged, rows["train"])
    finding = look(tmp_path, rows)["exchanged_columns"]
    assert finding.severity == "warning"
    assert ("between splits" if share == 1 else "in some rows") in finding.says


def test_texts_of_any_length_are_not_exchanged(tmp_path: Path) -> None:
    """Two questions of a pair are long or short by chance."""
    draw = Random(3)
    rows = sets()
    for part in rows.values():
        for row in part:
            words = row["passage"].split()
            row["query"], row["passage"] = (" ".join(words[: draw.randrange(2, 30)]) for _ in range(2))
            row["passage"] += " also"
    assert "exchanged_columns" not in look(tmp_path, rows)


def test_rows_that_are_held_out_again_and_again_are_told(tmp_path: Path) -> None:
    """240 rows that are six pairs."""
    rows = sets()
    found = look(tmp_path, {**rows, "test": rows["test"][:6] * 40})
    assert set(found) == {"repeated_held_out", "few_held_out"}
    finding = found["repeated_held_out"]
    assert "234 of 240 rows of test (98 %) repeat another one: a score on it is of 6 pairs" in finding.says


def test_the_correlation_is_that_of_the_logarithms() -> None:
    """As scipy computes it."""
    draw = Random(1)
    texts = [tuple("x" * draw.randrange(1, 9) for _ in range(50)) for _ in range(2)]
    part = Examples(*texts, ((),) * 50, (1.0,) * 50, (1.0,) * 50, texts[0], texts[1], ((),) * 50)
    assert sides(part).correlation == pytest.approx(
        pearsonr(*([math.log(len(text)) for text in each] for each in texts)).statistic
    )


@pytest.mark.parametrize(
    ("negative", "says"),
    [
        (lambda text: " ".join(text.split()[:3]), "is twice as long as each of its given negatives in 100 %"),
        (lambda text: f"{text} {text} {text}", "is half as long as each of its given negatives in 100 %"),
        (
            lambda text: f"Wrong: {text}",
            "does not begin with 'Wrong: ', as its given negatives do in 100 %",
        ),
        (lambda text: text, ""),
        (lambda text: text.replace(" ", "", 12), ""),
    ],
)
def test_negatives_that_are_known_unread_are_told(negative: Callable[[str], str], says: str, tmp_path: Path) -> None:
    """By length or by a mark; passages of the same kind as negatives are no finding."""
    rows = sets()
    passages = [row["passage"] for row in rows["train"]]
    rows["train"] = [
        {**row, "negatives": [negative(passages[number - 1]), negative(passages[number - 7])]}
        for number, row in enumerate(rows["train"])
    ]
    found = look(tmp_path / "set", rows).get("unread_negatives")
    assert (says in found.says) if found is not None and says else (found is None and not says)
