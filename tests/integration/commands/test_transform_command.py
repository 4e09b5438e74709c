"""`samespace transform` and `samespace export --transform` together: what is scored is what is exported."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from fakes.models.encoders import WORDS, save_tiny_bert
from samespace import Encoder
from samespace.artifact import open_artifact
from samespace.cli import cli
from samespace.errors import DataInvalid, ModelUnsupported, RequestInvalid
from samespace.evaluation import DenseRanker, evaluate, load_dataset
from samespace.exporting.builds.exact import GATES
from samespace.exporting.fastest import exact_session
from samespace.exporting.transforms.choice import encode_windows
from samespace.model.checkpoint import CheckpointEncoder, Overrides, load_checkpoint
from samespace.model.transform import Transform
from samespace.vectors import cosine_distance

pytestmark = pytest.mark.integration

PASSAGES, QUERIES = 60, 25
PROMPT = "query: "


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Passages of 3 to 120 words, most of them windowed at 32 tokens; a query has words of its passage."""
    folder = tmp_path_factory.mktemp("data") / "words"
    (folder / "qrels").mkdir(parents=True)
    random = np.random.default_rng(5)
    passages = [[str(word) for word in random.choice(WORDS, size=random.integers(3, 120))] for _ in range(PASSAGES)]
    corpus = [json.dumps({"_id": f"p{row}", "text": " ".join(words)}) for row, words in enumerate(passages)]
    queries = [json.dumps({"_id": f"q{row}", "text": " ".join(passages[row][:6])}) for row in range(QUERIES)]
    (folder / "corpus.jsonl").write_text("\n".join(corpus))
    (folder / "queries.jsonl").write_text("\n".join(queries))
    (folder / "qrels" / "dev.tsv").write_text("\n".join(f"q{row}\tp{row}\t1" for row in range(QUERIES)))
    return folder


def run(*arguments: str) -> tuple[str, str]:
    """stdout and stderr of the command, in this process."""
    result = CliRunner().invoke(cli, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def as_json(*arguments: str) -> dict[str, Any]:
    stdout, _ = run("transform", *arguments, "--json")
    record: dict[str, Any] = json.loads(stdout)
    return record


def test_what_is_scored_is_what_is_exported(data: Path, tmp_path: Path) -> None:
    """Vectors of windowed texts and nDCG@10 of the exported artifact are those that the choice was made by."""
    model = save_tiny_bert(tmp_path / "model", seed=1)
    file, out = tmp_path / "whiten.safetensors", tmp_path / "artifact"
    options = ["--query-prompt", PROMPT, "--max-tokens", "24"]
    record = as_json(
        str(model), "--data", str(data), "--pick", "whiten:16", "--sample", "80", "--out", str(file), *options
    )
    assert record["picked"] == "whiten:16" and record["sampled_windows"] == 80
    assert [each["transform"] for each in record["scores"]][:3] == ["none", "centre", "whiten"]
    run("export", str(model), str(out), "--transform", str(file), *options)
    encoder = Encoder.load(out, build="fp32")
    assert encoder.dims == 16 and encoder.space_id != record["space_id"]

    dataset = load_dataset(data, "dev")
    exported = evaluate(DenseRanker(encoder), dataset).score
    row = next(each for each in record["scores"] if each["transform"] == "whiten:16")
    assert (row["ndcg@10"], row["recall@100"]) == (exported.ndcg_10, exported.recall_100)

    checkpoint = load_checkpoint(model, Overrides(token_limit=24, query_prompt=PROMPT))
    with exact_session(checkpoint) as session:
        windows = encode_windows(session, checkpoint.text_encoder, dataset.passages, "passage", dims=32)
    assert len(windows.vectors) > 2 * PASSAGES
    ours = windows.pooled(Transform.load(file, fitted_on=record["space_id"]))
    assert cosine_distance(ours, np.asarray(encoder.encode(dataset.passages, "passage"))).max() <= GATES["fp32"]
    unchanged = CheckpointEncoder(checkpoint).encode(dataset.passages, "passage")
    assert cosine_distance(windows.pooled(None), np.asarray(unchanged)).max() <= GATES["fp32"]

    with pytest.raises(ModelUnsupported, match="was fitted on space"):
        run("export", str(model), str(tmp_path / "other"), "--transform", str(file))

    artifact = open_artifact(out)
    kept = artifact.manifest.provenance["transform"]
    assert (kept["type"], kept["dims"], kept["fitted_on"]) == ("whiten", 16, record["space_id"])
    evidence = kept["evidence"]
    assert {key: evidence[key] for key in ("transform", "pick", "data", "split", "sampled_windows")} == {
        "transform": "whiten:16", "pick": "whiten:16", "data": "words", "split": "dev", "sampled_windows": 80,
    }  # fmt: skip
    assert evidence["tried"] == len(record["scores"]) - 1
    assert evidence["ndcg@10"] == row["ndcg@10"] and evidence["ndcg@10_change"] == row["ndcg@10_change"]
    assert "- Transform: whiten:16, asked for by name, on words/dev (25 queries, 20" in (out / "README.md").read_text()

    # A file of an older samespace: the same space, and the card does not make up a reason.
    replace(Transform.load(file), evidence=None).save(file)
    run("export", str(model), str(tmp_path / "older"), "--transform", str(file), *options)
    older = open_artifact(tmp_path / "older")
    assert older.space_id == artifact.space_id and "evidence" not in older.manifest.provenance["transform"]
    assert "how it was chosen is not recorded" in (tmp_path / "older" / "README.md").read_text()


def test_people_get_a_table_of_80_columns_and_an_answer(tiny_checkpoint: Path, data: Path, tmp_path: Path) -> None:
    """The table, then best and smallest; what cannot be fitted is left out; nothing is written for none."""
    out = tmp_path / "picked.safetensors"
    stdout, stderr = run(
        "transform", str(tiny_checkpoint), "--data", str(data), "--candidates", "whiten:9,truncate:16,pca:32",
        "--sample", "20", "--pick", "none", "--out", str(out),
    )  # fmt: skip
    lines = stdout.splitlines()
    assert max(len(line) for line in lines) <= 80
    assert lines[0].split()[:3] == ["transform", "dims", "nDCG@10"]
    assert [line.split()[0] for line in lines[2:]][:3] == ["none", "whiten:9", "truncate:16"]
    assert "best: " in stdout and "smallest: " in stdout
    assert "left out: pca:32: the 20 sampled vectors vary in 19 directions only" in stderr
    assert "because the pick is none" in stderr and not out.exists()


def test_two_runs_write_the_same_transform(tiny_checkpoint: Path, data: Path, tmp_path: Path) -> None:
    """Same model, data and versions: the same bytes, but for the date."""
    files = [tmp_path / "one", tmp_path / "two"]
    arguments = [str(tiny_checkpoint), "--data", str(data), "--candidates", "pca:8", "--pick", "pca:8"]
    for file in files:
        as_json(*arguments, "--sample", "50", "--out", str(file))
    for file in files:
        transform = Transform.load(file)
        assert transform.evidence is not None
        replace(transform, evidence=replace(transform.evidence, date="")).save(file)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_the_pages_tables_are_those_of_the_results(tmp_path: Path) -> None:
    """benchmarks/results/transforms.md is what the benchmark writes from its committed JSON."""
    root = Path(__file__).parents[3]
    page = Path(shutil.copy(root / "benchmarks" / "results" / "transforms.md", tmp_path))
    results = root / "benchmarks" / "results" / "transforms.json"
    command = [sys.executable, str(root / "benchmarks" / "transforms.py"), "--out", str(results), "--page", str(page)]
    subprocess.run(command, check=True, capture_output=True)
    assert page.read_text("utf-8") == (root / "benchmarks" / "results" / "transforms.md").read_text("utf-8")


def test_bad_requests_are_refused_before_any_encoding(
    tiny_checkpoint: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A size above the model's, a word that means nothing, a split that is not there."""
    from samespace.exporting.transforms import request

    monkeypatch.setattr(request, "exact_session", lambda _: pytest.fail("work was begun"))
    base = ["transform", str(tiny_checkpoint), "--data", str(data)]
    for arguments in (["--candidates", "none,pca:33"], ["--pick", "zca"]):
        with pytest.raises(RequestInvalid, match="candidates: "):
            run(*base, *arguments)
    with pytest.raises(DataInvalid, match="splits of this set: dev"):
        run(*base, "--split", "test")
