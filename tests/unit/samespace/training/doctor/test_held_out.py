"""Held-out splits are asked what training is asked, and the split at fault is named."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

pytest.importorskip("datasketch", reason="needs the extra train")

from samespace.training.data.sources import load_data
from samespace.training.doctor import Questions, examine

PARTS = ("ka", "lo", "mi", "ne", "pu", "ra", "so", "ti", "vu", "ze", "bor", "dal", "fen", "gir", "hul")
Pairs = list[tuple[str, str]]


def said(seed: int, count: int) -> list[str]:
    draw = random.Random(seed)
    return ["".join(draw.choices(PARTS, k=3)) for _ in range(count)]


def pairs(start: int, count: int) -> Pairs:
    return [
        (f"what is {' of '.join(said(n, 3))}", f"the {' is '.join(said(n, 9))}") for n in range(start, start + count)
    ]


def found(folder: Path, train: Pairs, test: Pairs) -> dict[str, tuple[str, str]]:
    for split, part in (("train", train), ("test", test)):
        lines = [json.dumps({"query": q, "passage": p}, ensure_ascii=False) for q, p in part]
        (folder / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    told = examine(load_data(folder), Questions(cost=False)).findings("error", "warning")
    return {each.name: (each.severity, each.says) for each in told}


def test_test_passages_that_are_their_queries_are_an_error_of_test(tmp_path: Path) -> None:
    """And training is not blamed for being harder."""
    told = found(tmp_path, pairs(0, 80), [(q, q) for q, _ in pairs(100, 50)])
    assert told["query_is_passage_held_out"][0] == "error"
    assert "of test" in told["query_is_passage_held_out"][1]
    assert "wrong_pairs" not in told


def test_one_passage_for_all_held_out_queries_is_an_error(tmp_path: Path) -> None:
    """Whatever finds it finds all."""
    test = pairs(100, 50)
    assert found(tmp_path, pairs(0, 80), [(q, test[0][1]) for q, _ in test])["one_passage_held_out"][0] == "error"


@pytest.mark.parametrize(("count", "told"), [(3, "can show no difference"), (12, "only large differences"), (20, "")])
def test_few_questions_are_a_warning(tmp_path: Path, count: int, told: str) -> None:
    """Rows that repeat a question are none."""
    test = pairs(100, count)
    warned = found(tmp_path, pairs(0, 80), [*test, *[(q.upper(), p) for q, p in test]]).get("few_held_out")
    assert (warned is None) == (not told)
    assert warned is None or (warned[0] == "warning" and told in warned[1])


@pytest.mark.parametrize("text", ["\u00e9", "\u2019", "\u00fc", "\u0436"])
def test_garbled_texts_of_one_part_are_a_warning(tmp_path: Path, text: str) -> None:
    """UTF-8 read as Windows-1252, in the training split alone; the letters themselves are no fault."""
    wrong = text.encode().decode("cp1252")
    train, test = pairs(0, 80), [(q, f"{p} {text}") for q, p in pairs(100, 50)]
    assert "garbled_texts" not in found(tmp_path, [(q, f"{p} {text}") for q, p in train], test)
    told = found(tmp_path, [(q, f"{p} {wrong}") for q, p in train], test)["garbled_texts"]
    assert "of train have garbled" in told[1]
