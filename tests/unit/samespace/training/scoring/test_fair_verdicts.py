"""What makes "better than its base" false: a split that is trained on, a base that is handicapped, other weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("sentence_transformers", reason="needs the extra train")

from samespace.errors import ConfigInvalid, DataInvalid  # noqa: E402 - after the skip
from samespace.evaluation import load_dataset  # noqa: E402
from samespace.exporting.hub_header import results_of  # noqa: E402
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
