"""What an adaptation came to, for people: the card beside the model. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...evaluation.significance import in_points


def card(record: Mapping[str, Any]) -> str:
    """README.md of the folder: the verdict first, then what it rests on, scores, and what was tried."""
    said, config, found = record["verdict"], record["config"], record["adapted"]
    lines = [
        "# Encoder adapted to documents",
        "",
        said["sentence"],
        "",
        said["rests_on"],
        "",
        f"Adaptation by samespace from `{config['base']}` to {found['documents']} documents, without labels"
        + (f", with the teacher `{config['teacher']}`." if config["teacher"] else "."),
        f"{record['blend']:.0%} of the way from the base to what was trained, in {record['precision']}.",
        "",
        "| questions | base | adapted |",
        "| --- | --- | --- |",
    ]
    for kind, base in record["scores"]["base"].items():
        new = record["scores"]["new"][kind]
        lines.append(f"| {kind} ({base['queries']}) | {base['ndcg@10']:.4f} | {new['ndcg@10']:.4f} |")
    lines += ["", "nDCG@10 over the passages of all documents.", "", "## What was tried", "", *stages(record), ""]
    lines += [f"- {note}" for note in record["notes"]]
    lines += ["", "The whole record is in run.json.", ""]
    return "\n".join(lines)


def stages(record: Mapping[str, Any]) -> list[str]:
    """A markdown table of the stages."""
    lines = ["| stage | pairs | steps | points on development questions (95 %) |", "| --- | --- | --- | --- |"]
    for each in record["tried"]:
        told = each["failed"] or in_points(each["gain"])
        lines.append(f"| {each['name']} | {each['pairs']} | {each['steps']} | {told} |")
    return lines
