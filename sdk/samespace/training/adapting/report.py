"""What an adaptation came to, for people: the card beside the model, and a page that opens offline. Pure.

What it leaves to others: the numbers (`scores`), the words of the verdict (`verdict`), drawing (`samespace.report`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ...evaluation.significance import in_points
from ...exporting.hub_header import MODEL_USAGE, Result, header, origin_of
from ...exporting.provenance import public_name
from ...report import grid, heading, note, page, paragraph, scatter, table, verdict_note
from ...report.verdicts import BASE, BM25, TEACHER, TRAINED, markdown_table
from ..scoring.changes import changes
from ..scoring.report import plane, wins_and_losses
from .scores import Shown
from .verdict import BETTER, NO_BETTER

ADAPTED: Final = "adapted"
_TITLE: Final = "Encoder adapted to documents"
_STAGES: Final = ("stage", "pairs", "steps", "share taken", "points on development questions (95 %)")
_RANKERS: Final = ("ranker", "nDCG@10", "adapted against it (95 %)", "wins", "losses", "p")
_KINDS: Final = ("held-out questions", "how many", "base", "adapted", "points (95 %)", "p")


def card(record: Mapping[str, Any]) -> str:
    """README.md of the folder: the verdict first, then what it rests on, scores, and what was tried."""
    said, config, found = record["verdict"], record["config"], record["adapted"]
    origin = origin_of(config["base"])
    lines = [
        header(origin, _TITLE, "sentence-transformers", _results(record)),
        f"# {_TITLE}",
        "",
        said["sentence"],
        "",
        said["rests_on"],
        "",
        f"Adapted by samespace from `{public_name(config['base'])}` to {found['documents']} documents, without labels"
        + (f", with the teacher `{public_name(config['teacher'])}`." if config["teacher"] else "."),
        f"{record['blend']:.0%} of the way from the base to what was trained, in {record['precision']}.",
        "",
        origin.sentence(),
        "",
        "## Scores",
        "",
        markdown_table(_RANKERS, ranker_rows(record)),
        "",
        markdown_table(_KINDS, kind_rows(record)),
        "",
        _ABOUT_SCORES,
        "",
        MODEL_USAGE,
        "## What was tried",
        "",
        markdown_table(_STAGES, stage_rows(record)),
        "",
        _ABOUT_STAGES,
        "",
    ]
    lines += [f"- {note}" for note in record["notes"]]
    lines += ["", "The record of the run is in run.json.", ""]
    return "\n".join(lines)


_ABOUT_SCORES: Final = (
    "nDCG@10 over the passages of all documents, on questions that neither trained nor chose anything. Interval, wins, "
    "losses and p: paired bootstrap over the questions, in points of nDCG@10."
)
_ABOUT_STAGES: Final = (
    "These points are of the development questions, which chose what is kept: they flatter, and have no p."
)


def html_report(record: Mapping[str, Any], shown: Shown) -> str:
    """The page of an adaptation, in the order of the card, with what both encoders found and a map."""
    said, found = record["verdict"], record["adapted"]
    kind = {BETTER: "good", NO_BETTER: "warn"}.get(said["word"], "bad")
    parts = [
        verdict_note(said["sentence"], kind),  # type: ignore[arg-type]
        note(said["rests_on"]),
        paragraph(
            f"{found['documents']} documents, from {public_name(record['config']['base'])}; {record['blend']:.0%} of "
            f"the way from the base to what was trained, in {record['precision']}, {record['total_s']:.0f} s."
        ),
        heading("Scores on held-out questions"),
        table(_RANKERS, ranker_rows(record)),
        table(_KINDS, kind_rows(record)),
        paragraph(_ABOUT_SCORES),
    ]
    if record["config"]["teacher"] and TEACHER not in shown.rankers:
        parts.append(paragraph("The teacher reads pairs and ranks no corpus, so it has no row."))
    for name, dataset in shown.questions.items():
        old, new = (shown.rankers[ranker][name] for ranker in (BASE, TRAINED))
        parts += wins_and_losses(f"among {name}", changes(dataset, old, new), (BASE, ADAPTED))
    maps = (scatter({f"passages, {name}": plane(rows)}, x="first axis", y="second axis")
            for name, rows in shown.passages.items())  # fmt: skip
    parts += [
        heading("What was tried"),
        table(_STAGES, stage_rows(record)),
        paragraph(_ABOUT_STAGES),
        *(paragraph(each) for each in record["notes"]),
        heading("Map: passages on the two main axes of each space"),
        grid(*maps),
    ]
    return page(f"Adaptation to {Path(record['config']['data']).name}", *parts)


def ranker_rows(record: Mapping[str, Any]) -> list[list[str]]:
    """BM25, base, adapted encoder and teacher over all held-out questions."""
    rows = []
    for name in (BM25, BASE, "new", TEACHER):
        if name not in record["scores"]:
            continue
        against = record["beside"].get(name)
        compared = (
            [in_points(against), str(against["wins"]), str(against["losses"]), f"{against['p_value']:.4f}"]
            if against
            else [""] * 4
        )
        rows.append([ADAPTED if name == "new" else name, f"{_mean(record['scores'][name]):.4f}", *compared])
    return rows


def kind_rows(record: Mapping[str, Any]) -> list[list[str]]:
    """Base and adapted encoder on each kind of held-out question."""
    new, kinds = record["scores"]["new"], record["verdict"]["kinds"]
    return [
        [kind, str(base["queries"]), f"{base['ndcg@10']:.4f}", f"{new[kind]['ndcg@10']:.4f}",
         in_points(kinds[kind]), f"{kinds[kind]['p_value']:.4f}"]
        for kind, base in record["scores"]["base"].items()
    ]  # fmt: skip


def stage_rows(record: Mapping[str, Any]) -> list[list[str]]:
    """What each stage brought on the development questions, or why it came to nothing."""
    return [
        [each["name"], str(each["pairs"]), str(each["steps"]), f"{each['share']:.0%}",
         each["failed"] or in_points(each["gain"])]
        for each in record["tried"]
    ]  # fmt: skip


def _mean(kinds: Mapping[str, Mapping[str, Any]]) -> float:
    """Over all questions, whatever their kind."""
    return float(sum(each["ndcg@10"] * each["queries"] for each in kinds.values()) / _count(kinds))


def _count(kinds: Mapping[str, Mapping[str, Any]]) -> int:
    return sum(each["queries"] for each in kinds.values())


def _results(record: Mapping[str, Any]) -> list[Result]:
    scores = record["scores"]["new"]
    who = "questions that people asked" if record["verdict"]["asked_by_people"] else "questions made of documents"
    return [Result(f"{_count(scores)} {who}", "test", "ndcg_at_10", "nDCG@10", _mean(scores))]
