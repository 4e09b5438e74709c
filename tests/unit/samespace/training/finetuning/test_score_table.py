"""A table of scores, and batches in which a query learns of every passage that is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from fakes.models.pairs import make_collator, make_examples, texts  # noqa: E402 - after the skip
from samespace.errors import DataInvalid  # noqa: E402
from samespace.training.finetuning.score_table import ScoreTable, read_table  # noqa: E402
from samespace.training.finetuning.teachers import open_teacher  # noqa: E402
from samespace.training.losses.loss import LossTerms, loss_named  # noqa: E402
from samespace.training.losses.pairs import BatchPairs  # noqa: E402

TABLE = ScoreTable("t", {"a": 0, "b": 1}, {"x": 0, "y": 1, "z": 2}, np.arange(6, dtype=np.float32).reshape(2, 3))


def test_a_table_comes_back_as_a_teacher(tmp_path: Path) -> None:
    """Its scores are those that were written; texts that it lacks have none; a damaged file is named."""
    TABLE.write(tmp_path / "scores.npz")
    teacher = open_teacher(str(tmp_path / "scores.npz"))
    assert isinstance(teacher, ScoreTable) and teacher.cosines
    assert teacher.scores([("b", "z"), ("a", "y"), ("c", "x"), ("a", "w")]) == [5.0, 1.0, None, None]
    (tmp_path / "broken.npz").write_bytes(b"no archive")
    with pytest.raises(DataInvalid, match="no table of scores"):
        read_table(tmp_path / "broken.npz")
    np.savez(tmp_path / "short.npz", table=TABLE.table, texts=np.frombuffer(b'[["a"], ["x", "y", "z"]]', np.uint8))
    with pytest.raises(DataInvalid, match="for 1 queries and 3 passages"):
        read_table(tmp_path / "short.npz")


@pytest.mark.parametrize("whole", [False, True])
def test_a_query_learns_of_every_passage_of_the_batch(tiny_checkpoint: Path, whole: bool) -> None:
    """Asked about whole batches, the loss is the KL of two softmaxes over all of its passages; else over its own."""
    words = texts(10)
    queries, passages, negatives = words[:3], words[3:6], [(words[6],), (words[7],), (words[8],)]
    scores = np.random.default_rng(2).normal(size=(3, 6)).astype(np.float32)
    columns = [*passages, *(each[0] for each in negatives)]
    table = ScoreTable(
        "t", dict(zip(queries, range(3), strict=True)), dict(zip(columns, range(6), strict=True)), scores
    )
    collator = make_collator(
        make_examples(queries, passages, negatives=negatives), tiny_checkpoint, teacher=table.scores, whole=whole
    )
    batch = collator.batch([0, 1, 2])
    assert batch.candidates is not None and (batch.candidates >= 0).sum(dim=1).tolist() == [6 if whole else 2] * 3
    q, p = (torch.nn.functional.normalize(torch.randn(count, 4), dim=1) for count in (3, 6))
    alike = BatchPairs.alike(batch.queries, batch.passages, torch.zeros(3, 6, dtype=torch.bool), batch.labels)
    parts = {name: getattr(alike, name) for name in alike.__slots__}
    pairs = BatchPairs(**(parts | {"candidates": batch.candidates, "scores": batch.scores}))
    found = loss_named("listwise").formula(q, p, pairs, LossTerms(0.1, teacher_temperature=0.5))
    expected = 0.0
    for row in range(3):
        columns_of = range(6) if whole else (row, 3 + row)
        mine = torch.log_softmax(torch.stack([q[row] @ p[column] for column in columns_of]) / 0.1, dim=0)
        theirs = torch.softmax(torch.tensor([float(scores[row, column]) for column in columns_of]) / 0.5, dim=0)
        expected += float((theirs * (theirs.log() - mine)).sum()) / 3
    assert float(found) == pytest.approx(expected, abs=1e-5)
