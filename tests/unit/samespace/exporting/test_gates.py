"""What protects somebody is refused by the Python functions themselves, whoever calls them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("sentence_transformers", reason="needs the extra train")

from samespace.artifact import open_artifact  # noqa: E402 - after the skip
from samespace.encoder import Encoder  # noqa: E402
from samespace.errors import RequestInvalid  # noqa: E402
from samespace.evaluation import load_dataset  # noqa: E402
from samespace.exporting.composites.concatenate import join_towers  # noqa: E402
from samespace.exporting.composites.evidence import PartScore, below_best_part, measure_towers  # noqa: E402
from samespace.exporting.composites.request import Combination, combine_folders  # noqa: E402
from samespace.exporting.composites.towers import export_towers  # noqa: E402
from samespace.exporting.package import export_artifact  # noqa: E402
from samespace.exporting.request import ExportRequest, export_model  # noqa: E402
from samespace.model.checkpoint import load_checkpoint  # noqa: E402


@pytest.fixture
def worse(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A model whose training record says: not better than its base."""
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "worse"))
    (folder / "run.json").write_text(json.dumps({"better_than_base": False, "config": {}}))
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Forty texts that find themselves."""
    folder = tmp_path / "data"
    (folder / "qrels").mkdir(parents=True)
    texts = [f"{a} {b}" for a in ("reset", "flatten", "install", "index", "query") for b in "abcdefgh"]
    for name in ("corpus", "queries"):
        rows = (json.dumps({"_id": str(number), "text": text}) + "\n" for number, text in enumerate(texts))
        (folder / f"{name}.jsonl").write_text("".join(rows))
    judged = "".join(f"{number}\t{number}\t1\n" for number in range(len(texts)))
    (folder / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    return folder


def test_export_artifact_refuses_what_is_not_better_than_its_base(worse: Path, tmp_path: Path) -> None:
    """It reads the training record itself; who insists gets the artifact, and the record goes along."""
    checkpoint, out = load_checkpoint(worse), tmp_path / "out"
    with pytest.raises(RequestInvalid, match=r"not better than its base .*--anyway \(in Python anyway=True\)"):
        export_artifact(checkpoint, out)
    with pytest.raises(RequestInvalid, match="not better than its base"):
        export_artifact(checkpoint, out, provenance={"mine": 1})
    assert not out.exists()
    artifact = export_artifact(checkpoint, out, anyway=True).artifact
    assert artifact.manifest.provenance["training"]["better_than_base"] is False


def test_export_model_refuses_before_the_model_is_read(
    worse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole of `samespace export` as a function: the refusal takes no time."""
    from samespace.exporting import request

    def not_reached(*_: Any) -> None:
        raise AssertionError("the model was read")

    monkeypatch.setattr(request, "load_towers", not_reached)
    with pytest.raises(RequestInvalid, match="not better than its base"):
        export_model(ExportRequest(str(worse), tmp_path / "out"))


def test_join_towers_wants_evidence(tiny_artifact: Path, other_artifact: Path, data: Path, tmp_path: Path) -> None:
    """None, evidence of others, and evidence that they share no space are refused; what finds together is joined."""
    one, other, out = open_artifact(tiny_artifact), open_artifact(other_artifact), tmp_path / "towers"
    with pytest.raises(RequestInvalid, match="evidence: missing"):
        join_towers(one, other, out)
    dataset = load_dataset(data, "dev")
    unrelated, own = measure_towers(one, other, dataset), measure_towers(one, one, dataset)
    assert unrelated.together < 0.5 * max(unrelated.alone) and own.together == pytest.approx(own.alone[0])
    with pytest.raises(RequestInvalid, match="do not share a space"):
        join_towers(one, other, out, evidence=unrelated)
    with pytest.raises(RequestInvalid, match="measure these"):
        join_towers(one, other, out, evidence=own)
    assert not out.exists()
    good = replace(own, spaces=unrelated.spaces)
    joined = join_towers(one, other, out, evidence=good)
    assert joined.manifest.provenance["evidence"]["ndcg@10_together"] == good.together
    insisted = join_towers(one, other, out, evidence=unrelated, anyway=True, replace=True)
    assert insisted.space_id == joined.space_id


def retrieval_set(folder: Path, questions: int, passages: int) -> Path:
    """Passages of random words, and for each question one that answers it by decree: nobody can find it."""
    random = Random(7)
    (folder / "qrels").mkdir(parents=True)
    for name, count in (("queries", questions), ("corpus", passages)):
        rows = [
            {"_id": f"{name[0]}{row}", "text": " ".join("".join(random.choices("abcdefgh", k=3)) for _ in range(4))}
            for row in range(count)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    judged = "".join(f"q{row}\tc{random.randrange(passages)}\t1\n" for row in range(questions))
    (folder / "qrels" / "dev.tsv").write_text(judged)
    return folder


@pytest.mark.parametrize(("questions", "passages"), [(12, 12), (6, 6), (8, 300), (60, 12), (40, 300), (60, 30)])
def test_chance_is_no_evidence_that_two_towers_share_a_space(
    questions: int, passages: int, tiny_artifact: Path, other_artifact: Path, tmp_path: Path
) -> None:
    """Few passages are found by chance, and two encoders that find nothing are not half as good as each other."""
    one, other = open_artifact(tiny_artifact), open_artifact(other_artifact)
    evidence = measure_towers(one, other, load_dataset(retrieval_set(tmp_path / "set", questions, passages), "dev"))
    with pytest.raises(RequestInvalid, match="this data cannot tell whether they share a space") as refused:
        join_towers(one, other, tmp_path / "towers", evidence=evidence)
    assert str(questions) in str(refused.value) or f"{evidence.alone[0]:.4f}" in str(refused.value)


def test_a_popular_passage_is_chance_too(tiny_artifact: Path, other_artifact: Path, tmp_path: Path) -> None:
    """Every question has one answer, which comes first whoever asks: it would be above any score of random passages."""
    folder = retrieval_set(tmp_path / "set", 40, 40)
    with Encoder.load(tiny_artifact) as query, Encoder.load(other_artifact) as passage:
        dataset = load_dataset(folder, "dev")
        q, p = (
            np.asarray(query.encode(dataset.queries, "query")),
            np.asarray(passage.encode(dataset.passages, "passage")),
        )
    best = int((q @ p.T).mean(axis=0).argmax())
    judged = "".join(f"{name}\t{dataset.passage_ids[best]}\t1\n" for name in dataset.query_ids)
    (folder / "qrels" / "dev.tsv").write_text(judged)
    one, other = open_artifact(tiny_artifact), open_artifact(other_artifact)
    evidence = measure_towers(one, other, load_dataset(folder, "dev"))
    with pytest.raises(RequestInvalid, match=r"cannot tell|do not share"):
        join_towers(one, other, tmp_path / "towers", evidence=evidence)


def test_towers_have_no_weights_to_be_advised(tiny_artifact: Path, other_artifact: Path, data: Path) -> None:
    """A two-tower below its best part is told to be left, not weighted."""
    rows = measure_towers(open_artifact(tiny_artifact), open_artifact(other_artifact), load_dataset(data, "dev")).rows
    assert "--weight" in below_best_part(rows) and "--weight" not in below_best_part(rows, weighted=False)


def test_combining_folders_shows_the_scores_of_refused_towers(
    tiny_artifact: Path, other_artifact: Path, data: Path, tmp_path: Path
) -> None:
    """The scores say why; nothing is written."""
    shown: list[str] = []
    wanted = Combination((tiny_artifact, other_artifact), tmp_path / "towers", two_tower=True, data=data)
    with pytest.raises(RequestInvalid, match="do not share a space"):
        combine_folders(wanted, show=lambda rows: shown.extend(row.name for row in rows))
    assert shown == ["bm25", "tiny", "other", "together"]
    with pytest.raises(RequestInvalid, match="a two-tower has two"):
        combine_folders(replace(wanted, weights=(1.0, 1.0)))
    assert not wanted.out.exists()


def right_by(artifact: Path, folder: Path) -> Path:
    """A set of random texts whose right answers are what the encoder at *artifact* finds first."""
    random = Random(4)
    texts = [" ".join("".join(random.choices("abcdefgh", k=3)) for _ in range(5)) for _ in range(60)]
    queries, passages = texts[:20], texts[20:]
    with Encoder.load(artifact) as encoder:
        q, p = np.asarray(encoder.encode(queries, "query")), np.asarray(encoder.encode(passages, "passage"))
    (folder / "qrels").mkdir(parents=True)
    for name, some in (("queries", queries), ("corpus", passages)):
        rows = [{"_id": f"{name[0]}{row}", "text": text} for row, text in enumerate(some)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    judged = "".join(f"q{row}\tc{best}\t1\n" for row, best in enumerate((q @ p.T).argmax(axis=1)))
    (folder / "qrels" / "dev.tsv").write_text(judged)
    return folder


def test_a_whole_below_its_best_part_is_warned_about(tiny_artifact: Path, other_artifact: Path, tmp_path: Path) -> None:
    """With both scores and how sure that is; a whole that is no worse than its parts is not."""
    data, rows, said = right_by(tiny_artifact, tmp_path / "set"), list[PartScore](), list[str]()
    wanted = Combination((tiny_artifact, other_artifact), tmp_path / "both", (0.3, 1.0), data=data)
    combine_folders(wanted, say=said.append, show=rows.extend)
    assert [row.name for row in rows] == ["bm25", "tiny", "other", "both"]
    tiny, both = rows[1], rows[-1]
    gap = both.evaluation.per_query["ndcg@10"] - tiny.evaluation.per_query["ndcg@10"]
    assert tiny.score.ndcg_10 == 1 and gap.mean() < -0.1
    warned = [line for line in said if line.startswith("warning")]
    assert len(warned) == 1 and f"both ({both.score.ndcg_10:.4f} nDCG@10, 64 dims)" in warned[0]
    assert "best part tiny (1.0000, 32 dims) on set, dev" in warned[0]
    assert f"{100 * gap.mean():+.1f} points" in warned[0] and f"{(gap < 0).sum()} worse" in warned[0]
    assert below_best_part([rows[0], both, tiny]) == "" and below_best_part([rows[0], tiny, tiny]) == ""


def test_export_towers_joins_the_routes_of_one_router_only(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Two checkpoints that somebody put together are no Router, also where one of them was a route."""
    checkpoint = load_checkpoint(tiny_checkpoint)
    for towers in (
        (checkpoint, checkpoint),
        (replace(checkpoint, router="a"), checkpoint),
        (replace(checkpoint, router="a"), replace(checkpoint, router="b")),
    ):
        with pytest.raises(RequestInvalid, match="evidence: missing"):
            export_towers(towers, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_worse_router_is_refused_once_for_both(worse: Path, tmp_path: Path) -> None:
    """The record lies in the Router's folder, not in those of its routes."""
    tower = replace(load_checkpoint(worse), source=f"{worse} (query route)", router=str(worse))
    with pytest.raises(RequestInvalid, match="not better than its base"):
        export_towers((tower, tower), tmp_path / "out")
