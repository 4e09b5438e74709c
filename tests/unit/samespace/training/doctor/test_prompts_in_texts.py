"""Prompts that were written into texts: they hide no leak, and are told."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from samespace.training.data.prompted import common_beginnings
from samespace.training.data.sources import load_data
from samespace.training.doctor import Diagnosis, examine

INSTRUCTION = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: "
Pair = tuple[str, str]


def pairs(count: int, seed: int) -> list[Pair]:
    """Short questions of made-up words, and passages that share some of them."""
    random = Random(seed)
    words = ["".join(random.choices("abcdefghij", k=6)) for _ in range(12 * count)]
    return [(" ".join(words[12 * i : 12 * i + 4]), " ".join(words[12 * i + 2 : 12 * i + 12])) for i in range(count)]


def looked_at(folder: Path, **splits: list[Pair]) -> Diagnosis:
    folder.mkdir()
    for split, rows in splits.items():
        lines = (json.dumps({"query": query, "passage": passage}) + "\n" for query, passage in rows)
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    return examine(load_data(folder))


def codes(found: Diagnosis, severity: str) -> set[str]:
    return {each.name for each in found.findings(severity)}


def asked(rows: list[Pair], prompt: str) -> list[Pair]:
    return [(prompt + query, passage) for query, passage in rows]


@pytest.mark.parametrize("side", ["train", "test"])
def test_a_question_behind_an_instruction_is_the_same_question(side: str, tmp_path: Path) -> None:
    """The questions of the test split are trained on behind an instruction, or without the one that it has."""
    train, test = pairs(120, 1), pairs(40, 2)
    leaking = [*train, *((query, f"another answer {number}") for number, (query, _) in enumerate(test))]
    splits = {"train": leaking, "test": test}
    found = looked_at(
        tmp_path / "set", **{name: asked(rows, INSTRUCTION * (name == side)) for name, rows in splits.items()}
    )
    leaks = next(each for each in found.findings("error") if "40 of 40 queries of test" in each.says)
    assert "trained on" in leaks.says
    assert "prompt_in_texts" in codes(found, "warning")


def test_what_is_asked_for_is_no_prompt(tmp_path: Path) -> None:
    """ "Treatment: X" is not "Symptoms: X", whether both parts have both or each has one."""
    names = [query for query, _ in pairs(80, 3)]
    passages = [passage for _, passage in pairs(160, 4)]
    symptoms = [(f"Symptoms: {name}", passage) for name, passage in zip(names, passages[:80], strict=True)]
    treatment = [(f"Treatment: {name}", passage) for name, passage in zip(names, passages[80:], strict=True)]
    for number, (train, test) in enumerate(
        [(symptoms, treatment), ([*symptoms[:40], *treatment[40:]], [*symptoms[40:], *treatment[:40]])]
    ):
        found = looked_at(tmp_path / str(number), train=train, test=test)
        assert not [each for each in found.findings("error") if "queries of test" in each.says]


def test_a_prompt_of_one_part_is_a_warning_and_of_all_a_note(tmp_path: Path) -> None:
    """What is trained behind a prompt and scored without one is another task; where all have it, nobody serves it."""
    train, test = pairs(60, 1), pairs(30, 2)
    one = looked_at(tmp_path / "one", train=asked(train, "query: "), test=test)
    warning = next(each for each in one.findings("warning") if each.name == "prompt_in_texts")
    assert "'query: '" in warning.says and "those of test do not" in warning.says and "query_prompt" in warning.advice
    both = looked_at(tmp_path / "both", train=asked(train, "query: "), test=asked(test, "query: "))
    assert "prompt_in_texts" not in codes(both, "warning") and "prompt_in_texts" in codes(both, "note")
    plain = looked_at(tmp_path / "plain", train=train, test=test)
    assert "prompt_in_texts" not in codes(plain, "warning") | codes(plain, "note")


def test_a_beginning_is_common_from_twenty_texts_on() -> None:
    """And ends in a colon or a line's end with something behind it."""
    texts = [f"to do: {number}" for number in range(20)]
    assert common_beginnings(texts) == ["to do: "]
    assert common_beginnings(texts[:19]) == []
    assert common_beginnings([f"{number} to do: " for number in range(40)]) == []
    assert common_beginnings([f"a line\nand {number}" for number in range(40)]) == ["a line\n"]
