"""Layouts of published model folders: sentence-transformers' vectors at every step, or a refusal by name."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from fakes.models.matrix import SAME, STEPS, run
from fakes.models.published import LAYOUTS, Layout

ROOT = Path(__file__).resolve().parents[3]
REFUSED = [name for name, layout in LAYOUTS.items() if layout.refused]
READ = [name for name, layout in LAYOUTS.items() if not layout.refused]
QUICK = [
    "minilm", "mpnet_2021", "folder_of_2020", "stella", "gtr", "residual_projected", "concatenated", "truncated",
    "square_root", "no_mode", "plain", "multilingual_minilm", "multilingual_e5_small", "modernbert_of_the_hub",
    "dense_of_each_length", "weights_of_2018", "shards", "left_padding", "instructor_with_prompts",
    "prompt_out_of_four", "prompt_without_end", "half_precision", "sentencepiece_alone", "t5_sentencepiece_alone",
    "vocabulary_alone", "merges_alone", "under_a_head", "attention_both_ways", "tuples", "pooled_in_another_order",
]  # fmt: skip
"""Those that go through loading and encoding in every test run; all of them go through everything with --run-slow."""


def require(layout: Layout, result: dict[str, Any]) -> None:
    """Every step gave sentence-transformers' vectors, or the refusal that is expected."""
    for step, found in result.items():
        expected = layout.refused or (layout.untrainable if step == "train" else "")
        if expected:
            assert isinstance(found, str), (step, found)
            assert expected in found
        else:
            assert not isinstance(found, str), (step, found)
            assert found <= SAME, step


def test_there_are_enough_layouts() -> None:
    assert len(READ) >= 25
    assert len(REFUSED) >= 15


@pytest.mark.parametrize("name", REFUSED)
def test_a_folder_that_is_not_understood_is_refused_by_name(name: str, tmp_path: Path) -> None:
    """Before a vector is made, with the file or key that it is about."""
    result = run(LAYOUTS[name], tmp_path, ("load",))
    require(LAYOUTS[name], result)


@pytest.mark.parametrize("name", QUICK)
def test_a_folder_gives_sentence_transformers_vectors(name: str, tmp_path: Path) -> None:
    """On hard texts, for both roles."""
    layout = LAYOUTS[name]
    require(layout, run(layout, tmp_path, ("load", "encode")))


@pytest.mark.slow
@pytest.mark.parametrize("name", READ)
def test_a_folder_gives_the_same_vectors_at_every_step(name: str, tmp_path: Path) -> None:
    """Loaded, trained and saved and loaded, exported, encoded."""
    result = run(LAYOUTS[name], tmp_path)
    assert set(result) == set(STEPS)
    require(LAYOUTS[name], result)


def test_the_table_in_the_documentation_is_what_was_measured() -> None:
    """Made by benchmarks/folders.py: every layout, each as expected, and the page as the JSON says."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    from folders import table

    rows = json.loads((ROOT / "benchmarks" / "results" / "folders.json").read_text(encoding="utf-8"))["rows"]
    assert set(rows) == set(LAYOUTS)
    for name, row in rows.items():
        require(LAYOUTS[name], {step: row[step] for step in STEPS if step in row})
    assert table(rows) in (ROOT / "docs" / "reference" / "model-folders.md").read_text(encoding="utf-8")
