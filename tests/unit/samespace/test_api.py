"""What the commands do, as functions of `samespace`: loaded when first used, and the same as the command line's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import samespace
from samespace.cli import cli
from samespace.errors import ConfigInvalid, ExtraMissing, RequestInvalid

TEXTS = ["how do i flatten a list", "reset the password of a user", "what is a vector index", "update the name"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A retrieval set whose queries are parts of their passages."""
    folder = tmp_path / "set"
    (folder / "qrels").mkdir(parents=True)
    rows = [json.dumps({"_id": f"p{row}", "text": text}) for row, text in enumerate(TEXTS)]
    (folder / "corpus.jsonl").write_text("\n".join(rows))
    asked = [json.dumps({"_id": f"q{row}", "text": text[:12]}) for row, text in enumerate(TEXTS)]
    (folder / "queries.jsonl").write_text("\n".join(asked))
    judged = "\n".join(f"q{row}\tp{row}\t1" for row in range(len(TEXTS)))
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}\n")
    return folder


def test_importing_samespace_imports_none_of_it() -> None:
    """No torch, no server, no plugin, no command line; each name is there all the same."""
    code = (
        "import sys, samespace\n"
        "heavy = {'torch', 'transformers', 'onnxruntime', 'grpc', 'weaviate', 'click', 'samespace_server',"
        " 'samespace_weaviate', 'samespace.api.commands', 'samespace.training'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "for name in ('train', 'export', 'evaluate', 'serve', 'adapt'):\n"
        "    assert callable(getattr(samespace, name)), name\n"
        "assert callable(samespace.weaviate.create) and callable(samespace.weaviate.open_collection)\n"
        "assert 'torch' not in sys.modules and 'weaviate' not in sys.modules\n"
        "import samespace.exporting.card\n"
        "assert callable(samespace.export)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="'nothing'"):
        _ = samespace.nothing  # type: ignore[attr-defined]


def test_export_and_evaluate_are_those_of_the_commands(tiny_checkpoint: Path, data: Path, tmp_path: Path) -> None:
    """The same artifact, and the same scores as the command prints."""
    said: list[str] = []
    exported = samespace.export(tiny_checkpoint, tmp_path / "artifact", name="tiny", say=said.append)
    assert not exported.refused and exported.artifact.folder == tmp_path / "artifact"
    by_hand = CliRunner().invoke(cli, ["export", str(tiny_checkpoint), str(tmp_path / "other")])
    assert by_hand.exit_code == 0 and exported.artifact.space_id in by_hand.output
    found = samespace.evaluate(tmp_path / "artifact", data)
    printed = CliRunner().invoke(cli, ["evaluate", str(tmp_path / "artifact"), str(data), "--json"])
    value = json.loads(printed.stdout)
    (way, evaluation), *_ = found.items()
    assert way == value["long_texts"] and evaluation.score.ndcg_10 == value["ndcg@10"]
    with samespace.Encoder.load(tmp_path / "artifact") as encoder:
        again = samespace.evaluate(encoder, data)
        assert next(iter(again.values())).score.ndcg_10 == evaluation.score.ndcg_10
        encoder.encode(["it is still open"], "query")
    assert samespace.evaluate("bm25", data)["bm25"].score.queries == len(TEXTS)


def test_errors_name_the_argument(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A target that is there or missing, a split without queries, an extra that is not installed."""
    with pytest.raises(ConfigInvalid, match="out"):
        samespace.train(data)
    with pytest.raises(ConfigInvalid, match="exists already"):
        samespace.train(data, tmp_path)
    with pytest.raises(ConfigInvalid, match="exists already"):
        samespace.adapt(data, tmp_path)
    with pytest.raises(RequestInvalid, match="space id cannot encode"):
        samespace.evaluate("0" * 64, data)
    monkeypatch.setattr("samespace.extras.find_spec", lambda name: None)
    for call in (
        lambda: samespace.train(data, tmp_path / "x"), lambda: samespace.export("x", tmp_path / "x"),
        lambda: samespace.adapt(data, tmp_path / "x"), lambda: samespace.serve(tmp_path), samespace.weaviate.connect,
    ):  # fmt: skip
        with pytest.raises(ExtraMissing):
            call()
