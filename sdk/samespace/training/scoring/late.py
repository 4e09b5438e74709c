"""Scores made after a training, put into the record, the report and the card of its folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from ...evaluation import Dataset, Evaluation
from ...exporting.provenance import RECORD
from ...report.verdicts import BASE, BM25, TRAINED, doubts, verdict
from . import report
from .changes import changes
from .outcome import Outcome


def add_scores(folder: Path, dataset: Dataset, bm25: Evaluation, base: Evaluation, trained: Evaluation) -> None:
    """Rewrite what *folder* says of its training with the scores of one split."""
    split = dataset.split
    found = {
        name: replace(each, score=replace(each.score, encoder=name))
        for name, each in ((BM25, bm25), (BASE, base), (TRAINED, trained))
    }
    outcome = Outcome(
        evaluations={split: found},
        versus={split: {name: trained.against(found[name]) for name in (BM25, BASE)}},
        isotropy={}, runtime={}, vectors={}, cosines={},
        changes={split: changes(dataset, found[BASE], found[TRAINED])},
    )  # fmt: skip
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    record |= outcome.to_json(doubts(record))
    (folder / report.REPORT).write_text(report.html_report(record, outcome), encoding="utf-8")
    (folder / report.CARD).write_text(report.model_card(record), encoding="utf-8")
    (folder / RECORD).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def score_section(folder: Path) -> str:
    """The scores of *folder*'s record as a section of a card."""
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    said = verdict(record)
    return "\n".join(["## Scores", "", *([said[0], ""] if said else []), report.markdown_scores(record), ""])
