"""`samespace evaluate` with prompts and on long texts, held against sentence-transformers."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from samespace.cli import cli
from samespace.errors import RequestInvalid

PROMPT = "river: "  # short: what is beyond the token limit sentence-transformers cuts, and we do not
SAME = 1e-4  # nDCG: two implementations may rank cosines that differ in the last bits otherwise
WORDS = ["apple", "river", "stone", "cloud", "tiger", "music", "green", "seven", "paper", "light"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """40 short passages, 10 queries."""
    draw = random.Random(3)
    passages = {f"p{i:02}": " ".join(draw.choices(WORDS, k=6)) for i in range(40)}
    queries = {f"q{i}": " ".join(draw.choices(WORDS, k=3)) for i in range(10)}
    return write(
        tmp_path / "set", passages, queries, {q: [f"p{i * 3:02}", f"p{i * 3 + 1:02}"] for i, q in enumerate(queries)}
    )


def write(folder: Path, passages: dict[str, str], queries: dict[str, str], qrels: dict[str, list[str]]) -> Path:
    (folder / "qrels").mkdir(parents=True)
    for name, rows in (("corpus", passages), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text(
            "".join(json.dumps({"_id": i, "text": t}) + "\n" for i, t in rows.items())
        )
    lines = [f"{query}\t{passage}\t1\n" for query, right in qrels.items() for passage in right]
    (folder / "qrels" / "test.tsv").write_text("".join(lines))
    return folder


def evaluate(*arguments: object) -> dict[str, Any]:
    result = CliRunner().invoke(cli, ["evaluate", *map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def reference(checkpoint: Path, folder: Path, prompt: str) -> float:
    """nDCG@10 by sentence-transformers and pytrec_eval, which share nothing with the code under test."""
    sentence_transformers = pytest.importorskip("sentence_transformers", reason="needs the extra train")
    pytrec_eval = pytest.importorskip("pytrec_eval", reason="needs pytrec-eval-terrier")
    rows = {
        name: {row["_id"]: row["text"] for row in map(json.loads, (folder / f"{name}.jsonl").read_text().splitlines())}
        for name in ("corpus", "queries")
    }
    model = sentence_transformers.SentenceTransformer(str(checkpoint), device="cpu")
    asked = model.encode(list(rows["queries"].values()), prompt=prompt, normalize_embeddings=True)
    said = model.encode(list(rows["corpus"].values()), prompt="", normalize_embeddings=True)
    run = {
        query: {name: float(score) for name, score in zip(rows["corpus"], row, strict=True)}
        for query, row in zip(rows["queries"], np.round(asked @ said.T, 6), strict=True)
    }
    qrels: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels" / "test.tsv").read_text().splitlines():
        query, passage, grade = line.split("\t")
        qrels.setdefault(query, {})[passage] = int(grade)
    found = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10"}).evaluate(run)
    return float(np.mean([each["ndcg_cut_10"] for each in found.values()]))


@pytest.mark.integration
def test_prompts_of_the_command_line_are_used(tiny_checkpoint: Path, folder: Path) -> None:
    """The score is sentence-transformers' with that prompt, which is not the one without."""
    plain, prompted = reference(tiny_checkpoint, folder, ""), reference(tiny_checkpoint, folder, PROMPT)
    assert abs(plain - prompted) > 20 * SAME
    assert evaluate(tiny_checkpoint, folder)["ndcg@10"] == pytest.approx(plain, abs=SAME)
    found = evaluate(tiny_checkpoint, folder, "--query-prompt", PROMPT)
    assert found["ndcg@10"] == pytest.approx(prompted, abs=SAME)
    assert found["recipe"] == {"query_prompt": PROMPT}


def test_an_artifact_keeps_its_prompts(tiny_artifact: Path, folder: Path) -> None:
    """Other prompts would be another space under its name: refused with what to do."""
    result = CliRunner().invoke(cli, ["evaluate", str(tiny_artifact), str(folder), "--query-prompt", PROMPT])
    assert isinstance(result.exception, RequestInvalid)
    assert "--query-prompt: 'river: '" in str(result.exception)
    assert "give the model folder" in str(result.exception)


def test_a_prompt_with_a_backslash_is_noticed(tiny_checkpoint: Path, folder: Path) -> None:
    """A line break that the shell did not make."""
    result = CliRunner().invoke(
        cli, ["evaluate", str(tiny_checkpoint), str(folder), "--query-prompt", r"Instruct: x\nQuery: "]
    )
    assert "backslash and an n" in result.output


def test_long_sets_are_scored_both_ways(tiny_artifact: Path, tmp_path: Path) -> None:
    """Answers late in long passages: the best window finds them, the pooled vector does not; both are printed."""
    draw = random.Random(5)
    filler = ["music", "green", "seven", "paper", "light"]
    answers = {f"q{i}": " ".join(draw.choices(["apple", "river", "stone", "cloud", "tiger"], k=8)) for i in range(6)}
    passages = {
        f"p{i}": " ".join([*draw.choices(filler, k=100), *([answers[f"q{i}"]] * 2 if i < 6 else [])]) for i in range(30)
    }
    folder = write(tmp_path / "long", passages, answers, {f"q{i}": [f"p{i}"] for i in range(6)})
    both = evaluate(tiny_artifact, folder)
    best = both["beside"]["best window"]
    assert both["long_texts"] == "pooled"
    assert best["ndcg@10"] > both["ndcg@10"] + 0.2
    assert evaluate(tiny_artifact, folder, "--long-texts", "windows")["ndcg@10"] == best["ndcg@10"]
    assert evaluate(tiny_artifact, folder, "--long-texts", "pool")["beside"] == {}
    shown = CliRunner().invoke(cli, ["evaluate", str(tiny_artifact), str(folder)])
    assert "best window" in shown.stdout


def test_a_file_of_pairs_can_be_scored(tiny_artifact: Path, tmp_path: Path) -> None:
    """No BEIR folder: rows of a file, over all passages of it."""
    (tmp_path / "test.jsonl").write_text(
        '{"query": "apple", "pos": ["apple river"], "neg": ["green paper"]}\n{"query": "seven", "pos": ["seven"]}\n'
    )
    assert evaluate("bm25", tmp_path / "test.jsonl")["ndcg@10"] == 1.0
    assert evaluate(tiny_artifact, tmp_path / "test.jsonl")["queries"] == 2
