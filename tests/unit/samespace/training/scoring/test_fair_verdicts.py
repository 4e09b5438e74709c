"""What makes "better than its base" false: a split that is trained on, a base that is handicapped, other weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("sentence_transformers", reason="needs the extra train")

from samespace.errors import ConfigInvalid, DataInvalid, ModelUnsupported  # noqa: E402 - after the skip
from samespace.evaluation import load_dataset  # noqa: E402
from samespace.exporting.hub_header import results_of  # noqa: E402
from samespace.exporting.request import ExportRequest, export_model  # noqa: E402
from samespace.model.checkpoint import Overrides  # noqa: E402
from samespace.publishing.contents import contents_of, identity_of, stage  # noqa: E402
from samespace.report.verdicts import doubts, score_notes, score_rows, verdict  # noqa: E402
from samespace.training.finetuning.config import make_config  # noqa: E402
from samespace.training.finetuning.trainer import train  # noqa: E402

Pair = tuple[str, str]


def pairs(seed: int, count: int) -> list[Pair]:
    """Made-up questions, and passages that share words with them; each within the limit of 32 tokens."""
    random = Random(seed)
    words = ["".join(random.choices("abcdefgh", k=4)) for _ in range(6 * count)]
    return [(" ".join(words[6 * i : 6 * i + 3]), " ".join(words[6 * i : 6 * i + 6])) for i in range(count)]


def retrieval_set(folder: Path, **splits: Sequence[Pair]) -> Path:
    """A BEIR folder; equal texts have one id."""
    (folder / "qrels").mkdir(parents=True)
    queries: dict[str, str] = {}
    passages: dict[str, str] = {}
    for split, rows in splits.items():
        judged = [
            f"{queries.setdefault(query, f'q{len(queries)}')}\t{passages.setdefault(passage, f'p{len(passages)}')}\t1\n"
            for query, passage in rows
        ]
        (folder / "qrels" / f"{split}.tsv").write_text("".join(judged))
    for name, texts in (("queries", queries), ("corpus", passages)):
        lines = (json.dumps({"_id": key, "text": text}) + "\n" for text, key in texts.items())
        (folder / f"{name}.jsonl").write_text("".join(lines))
    return folder


def trained(base: Path, data: Path, out: Path, **more: Any) -> dict[str, Any]:
    """The record of a short run."""
    settings = {"base": str(base), "data": data, "out": out, "batch_size": 16, "learning_rate": 3e-3, "epochs": 2,
                "precision": "fp32", "dev_split": "", "on_collapse": "warn"}  # fmt: skip
    return train(make_config(settings | more), doctor=False).record


def test_a_split_that_is_scored_may_not_be_trained_on(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Whatever it is called: a split that is scored, or looked at, is held out."""
    rows = pairs(1, 48)
    data = retrieval_set(tmp_path / "set", train=rows, eval=rows[:12])
    for keys in ({"score_splits": ["eval"]}, {"dev_split": "eval", "score_splits": []}):
        with pytest.raises(DataInvalid, match=r"12 held-out queries and 12 relevant passages of .*eval are also in"):
            trained(tiny_checkpoint, data, tmp_path / "out", **keys)
    dropped = trained(tiny_checkpoint, data, tmp_path / "out", score_splits=["eval"], drop_leaks=True)
    assert dropped["data"]["dropped_leaks"] == 12 and dropped["data"]["trained_on"] == {}
    assert "p = " in (verdict(dropped) or ("",))[0]


@pytest.mark.parametrize("key", ["score_splits", "held_out_splits", "dev_split"])
def test_a_split_that_is_not_there_is_not_passed_over(key: str, tiny_checkpoint: Path, tmp_path: Path) -> None:
    """A typing error would leave a split unlooked at."""
    data = retrieval_set(tmp_path / "set", train=pairs(1, 48), test=pairs(2, 12))
    value = "tset" if key == "dev_split" else ["tset"]
    with pytest.raises(ConfigInvalid, match=f"{key}: the data has no split 'tset'; it has test, train"):
        trained(tiny_checkpoint, data, tmp_path / "out", **{key: value})


def test_a_split_that_is_trained_on_has_no_verdict(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Allowed leaks: no "better", no p-value, no score on a hub; shared passages alone are told."""
    rows, fresh = pairs(1, 48), pairs(2, 12)
    data = retrieval_set(tmp_path / "set", train=rows, test=rows[:12])
    record = trained(tiny_checkpoint, data, tmp_path / "out", allow_leakage="all", score_splits=["test"])
    assert record["data"]["trained_on"] == {"test": {"query": 12, "passage": 12}}
    assert record["better_than_base"] is None and list(doubts(record)) == ["test"]
    said, bad = verdict(record) or ("", False)
    assert bad and "test has 12 questions that are trained on" in said
    assert "p = " not in said and results_of(record) == []
    assert {row[-1] for row in score_rows(record) if row[4]} == {"seen"}
    for file in ("README.md", "report.html"):
        assert "12 questions that are trained on" in (tmp_path / "out" / file).read_text(encoding="utf-8")
    other = [(query, passage) for (query, _), (_, passage) in zip(fresh, rows[:12], strict=True)]
    shared = retrieval_set(tmp_path / "shared", train=rows, test=other)
    record = trained(tiny_checkpoint, shared, tmp_path / "two", allow_leakage="passages", score_splits=["test"])
    assert doubts(record) == {} and "p = " in (verdict(record) or ("",))[0]
    assert any("12 passages of test are trained on" in note for note in score_notes(record))


def test_a_base_does_not_lose_by_prompts_that_it_never_learned(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """The base is scored with its own prompts where these suit it better: by sentence-transformers' own vectors."""
    from sentence_transformers import SentenceTransformer

    data = retrieval_set(tmp_path / "set", train=pairs(1, 64), test=pairs(2, 40))
    prompt = "zzz yyy xxx "
    record = trained(tiny_checkpoint, data, tmp_path / "out", query_prompt=prompt, score_splits=["test"])
    test = load_dataset(data, "test")
    model = SentenceTransformer(str(tiny_checkpoint), device="cpu")
    passages = model.encode(list(test.passages), normalize_embeddings=True)
    found = {}
    for name, before in (("own", ""), ("run", prompt)):
        queries = model.encode([before + query for query in test.queries], normalize_embeddings=True)
        places = [
            1 + int((row > row[test.passage_ids.index(next(iter(test.qrels[name])))]).sum())
            for name, row in zip(test.query_ids, np.asarray(queries @ passages.T), strict=True)
        ]
        found[name] = float(np.mean([1 / np.log2(1 + place) if place <= 10 else 0 for place in places]))
    assert found["own"] > found["run"] + 0.02, "the prompt has to cost the base something"
    assert record["scores"]["test"]["base"]["ndcg@10"] == pytest.approx(found["own"], abs=1e-6)
    assert record["base_prompts"] == {"query": "", "passage": ""}
    assert any("own prompts" in note for note in score_notes(record))


def test_a_record_is_of_the_weights_that_it_was_made_of(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Weights that another program saved into the folder have no verdict and no scores; nor has a folder within it."""
    from sentence_transformers import SentenceTransformer

    data = retrieval_set(tmp_path / "set", train=pairs(1, 48), test=pairs(2, 12))
    folder = tmp_path / "model"
    trained(tiny_checkpoint, data, folder, score_splits=["test"])
    said: list[str] = []

    def exported(model: Path, out: str, **more: Any) -> tuple[dict[str, Any], str]:
        said.clear()
        wanted = ExportRequest(str(model), tmp_path / out, anyway=True, **more)
        artifact = export_model(wanted, say=said.append).artifact
        return dict(artifact.manifest.provenance), (tmp_path / out / "README.md").read_text(encoding="utf-8")

    facts, card = exported(folder, "whole")
    assert "training" in facts and "test: trained" in card and "record_note" not in facts
    facts, card = exported(folder, "prompted", overrides=Overrides(query_prompt="zzz "))
    assert "training" not in facts and any("prompts" in each and "not used" in each for each in said)
    inner = Path(shutil.copytree(tiny_checkpoint, folder / "inner"))
    facts, card = exported(inner, "inner")
    assert "training" not in facts and "test: trained" not in card
    shutil.rmtree(inner)
    other = SentenceTransformer(str(folder), device="cpu")
    with torch.no_grad():
        next(other.parameters()).add_(0.1)
    other.save_pretrained(str(folder))
    assert (folder / "run.json").exists()
    facts, card = exported(folder, "other")
    assert "training" not in facts and "test: trained" not in card and "model-index" not in card
    assert any("run.json is the record of other weights" in each for each in said)
    with pytest.raises(ModelUnsupported, match=r"run\.json is the record of other weights .* remove run\.json"):
        contents = contents_of(folder)
        identity_of(contents, stage(contents, tmp_path / "staged"))
