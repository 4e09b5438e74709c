"""The quickstart from end to end, in small: a tiny encoder, a set of 40 passages, no Weaviate."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.models.encoders import WORDS
from samespace.artifact import open_artifact

pytestmark = pytest.mark.integration

SPLITS = {"train": range(24), "dev": range(24, 32), "test": range(32, 40)}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A BEIR folder in which a query is three words of its passage."""
    folder, draw = tmp_path / "words", random.Random(0)
    (folder / "qrels").mkdir(parents=True)
    passages = [" ".join(draw.choices(WORDS, k=60 if row == 0 else 14)) for row in range(40)]
    queries = [" ".join(draw.sample(passage.split(), 3)) for passage in passages]
    for name, texts in (("corpus", passages), ("queries", queries)):
        lines = [json.dumps({"_id": f"{name[0]}{row}", "text": text}) for row, text in enumerate(texts)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    for split, rows in SPLITS.items():
        (folder / "qrels" / f"{split}.tsv").write_text("".join(f"q{row}\tc{row}\t1\n" for row in rows))
    return folder


def test_the_whole_path_without_weaviate(tiny_checkpoint: Path, data: Path, tmp_path: Path) -> None:
    """It ends with 0, the table, an artifact and a report; without Weaviate it says so and goes on."""
    command = [sys.executable, "-m", "samespace", "quickstart", "--data", str(data), "--base", str(tiny_checkpoint)]
    command += ["--out", str(tmp_path / "out"), "--weaviate", "off"]
    for override in ("query_max_tokens=0", "passage_max_tokens=0", "batch_size=8", "mini_batch_size=4"):
        command += ["--set", override]
    result = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    assert "No Weaviate: Weaviate is switched off" in result.stderr
    for name in ("BM25", "untouched base", "fine-tuned"):
        assert name in result.stdout
    assert "samespace serve" in result.stdout and " 1. " in result.stdout
    report = json.loads((tmp_path / "out" / "quickstart.json").read_text())
    assert open_artifact(tmp_path / "out" / "artifact").space_id == report["space_id"]
    assert report["scores"]["after"]["queries"] == len(SPLITS["test"])


def test_a_folder_with_other_things_is_left_alone(data: Path) -> None:
    """The quickstart clears only what a quickstart left."""
    command = [sys.executable, "-m", "samespace", "quickstart", "--out", str(data)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 1 and "has other things in it" in result.stderr
    assert (data / "corpus.jsonl").exists()
