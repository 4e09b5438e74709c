"""`samespace evaluate` as a process, on real sets; they lie beside the repository or where SAMESPACE_DATA says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
PUBLISHED = 0.005  # nDCG@10: what tokenisers, stop words and windows may differ in from the published figures


@pytest.fixture
def scifact(shared_data: Path) -> Path:
    """The folder of SciFact."""
    return shared_data / "scifact"


def samespace(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "samespace", *arguments], capture_output=True, text=True, check=False)


def evaluate(encoder: str, data: Path) -> dict[str, Any]:
    result = samespace("evaluate", encoder, str(data), "--json")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == 1, "stdout has to be one JSON object"
    score: dict[str, Any] = json.loads(lines[0])
    return score


@pytest.mark.integration
def test_bm25_has_its_published_score(scifact: Path) -> None:
    """BM25 on SciFact's test split: nDCG@10 of .679, as one JSON object on stdout."""
    score = evaluate("bm25", scifact)
    assert score["ndcg@10"] == pytest.approx(0.679, abs=PUBLISHED)
    assert score["queries"] == 300
    assert {"recall@100", "mrr@10", "encoder", "data", "split", "space_id", "seconds"} <= set(score)


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_minilm_has_its_published_score(scifact: Path) -> None:
    """The untouched MiniLM on SciFact's test split: nDCG@10 of .645."""
    pytest.importorskip("torch", reason="needs the extra train")
    score = evaluate(MINILM, scifact)
    assert score["ndcg@10"] == pytest.approx(0.645, abs=PUBLISHED)


@pytest.mark.integration
def test_without_json_it_prints_a_table(tmp_path: Path) -> None:
    """People get a table on stdout; an unusable set gets one sentence on stderr and exit code 1."""
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text('{"_id": "p", "text": "apples"}\n')
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "apple"}\n')
    (tmp_path / "qrels" / "test.tsv").write_text("q\tp\t1\n")
    good = samespace("evaluate", "bm25", str(tmp_path))
    assert good.returncode == 0, good.stderr
    assert good.stdout.splitlines()[-1].split() == ["bm25", "1.0000", "1.0000", "1.0000", "1"]
    bad = samespace("evaluate", "bm25", str(tmp_path), "--split", "dev")
    assert (bad.returncode, bad.stdout) == (1, "")
    assert bad.stderr.startswith("error: ")
    assert "splits of this set: test" in bad.stderr
