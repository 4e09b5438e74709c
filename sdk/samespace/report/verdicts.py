"""What a training record (`run.json`) says of scores, in the words that every page, card and command uses. Pure.

A verdict names what was seen: the split, how many questions, the interval, and p only of a split that chose nothing.

What it leaves to others: the numbers and the cards (`training.scoring`, `exporting.card`), pages (`html`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

BASE: Final = "base"
TRAINED: Final = "trained"
BM25: Final = "bm25"
TEACHER: Final = "teacher"

SCORE_HEAD: Final = ("ranker", "nDCG@10", "recall@100", "MRR@10", "trained against it (95 %)", "wins", "losses", "p")


def verdict(record: Mapping[str, Any]) -> tuple[str, bool] | None:
    """Whether the encoder is better than its base, and whether that is bad news; None where nothing was scored."""
    if not record.get("comparisons"):
        return None
    why = doubts(record)
    fair = [split for split in record["comparisons"] if split not in why]
    if not fair:
        split = list(record["comparisons"])[-1]
        against = record["comparisons"][split][BASE]
        return (
            f"NOT KNOWN whether it is better than its base: {100 * against['mean']:+.1f} points of nDCG@10 on "
            f"{_asked(against, split)}; but {split} {why[split]}, so that is too good to be believed, and has no "
            "p-value. Score a split that had no part in the run.",
            True,
        )
    better = record.get("better_than_base")
    if better is None:
        return None
    *others, split = fair
    numbers = _numbers(record["comparisons"][split][BASE], split)
    beside = "".join(f" Also {_numbers(record['comparisons'][other][BASE], other)}." for other in others)
    harmed = [other for other in fair if _worse(record["comparisons"][other][BASE])]
    if better and not harmed:
        return f"Better than its base: {numbers}.{beside}", False
    where = f"; worse on {' and '.join(harmed)}" if harmed and harmed != [split] else ""
    return f"NOT better than its base: {numbers}{where}. `samespace export` will ask for --anyway.{beside}", True


def _worse(against: Mapping[str, Any]) -> bool:
    return bool(against["mean"] < 0 and against["p_value"] < 0.05)


def _numbers(against: Mapping[str, Any], split: str) -> str:
    return (
        f"{100 * against['mean']:+.1f} points of nDCG@10 on {_asked(against, split)} (95 % interval "
        f"{100 * against['low']:+.1f} to {100 * against['high']:+.1f}, p = {against['p_value']:.4f}; {against['wins']} "
        f"questions better, {against['losses']} worse)"
    )


def choices(record: Mapping[str, Any]) -> dict[str, list[str]]:
    """Split -> what of this run was chosen on it."""
    chosen: dict[str, list[str]] = {}
    if (record.get("rate_probe") or {}).get("trials"):
        chosen.setdefault(record["config"]["dev_split"], []).append("the learning rate")
    if split := (record.get("kept") or {}).get("chosen_on"):
        chosen.setdefault(split, []).append("which weights are kept")
    return chosen


def doubts(record: Mapping[str, Any]) -> dict[str, str]:
    """Split -> why what is measured on it flatters, as "chose the learning rate": then no p-value is shown."""
    found = {split: f"chose {' and '.join(what)}" for split, what in choices(record).items()}
    for split, counts in _trained_on(record).items():
        if asked := counts.get("query", 0):
            said = f"has {asked} questions that are trained on"
            found[split] = f"{found[split]}, and {said}" if split in found else said
    return found


def _trained_on(record: Mapping[str, Any]) -> Mapping[str, Mapping[str, int]]:
    """Split -> role -> how many of its texts were trained on; records of older versions do not say."""
    trained: Mapping[str, Mapping[str, int]] = (record.get("data") or {}).get("trained_on") or {}
    return trained


def score_rows(record: Mapping[str, Any]) -> list[list[str]]:
    """Rows under `SCORE_HEAD`."""
    rows = []
    for split, scores in record["scores"].items():
        for name, score in scores.items():
            metrics = [f"{score[metric]:.4f}" for metric in ("ndcg@10", "recall@100", "mrr@10")]
            against = record["comparisons"][split].get(name)
            mark = "chose" if split in choices(record) else "seen" if split in doubts(record) else ""
            rows.append([f"{split}: {name}", *metrics, *_compared(against, mark)])
    return rows


def _compared(against: Mapping[str, Any] | None, mark: str) -> list[str]:
    """Cells of a row; *mark* stands for p where a split flatters."""
    if against is None:
        return [""] * 4
    points = f"{100 * against['mean']:+.1f}"
    counts = [str(against["wins"]), str(against["losses"])]
    if mark:
        return [points, *counts, mark]
    return [f"{points} ({100 * against['low']:+.1f} to {100 * against['high']:+.1f})", *counts,
            f"{against['p_value']:.4f}"]  # fmt: skip


def score_notes(record: Mapping[str, Any]) -> list[str]:
    """What has to be said beside the table of scores."""
    counts = [_asked(each[BASE], split) for split, each in record["comparisons"].items() if BASE in each]
    said = [
        f"nDCG@10 on {' and '.join(counts)}. Interval, wins, losses and p: paired bootstrap over the questions, the "
        "trained encoder against the row's, in points of nDCG@10."
    ]
    said += [
        f"{split} {why}: its scores flatter, and have neither interval nor p."
        for split, why in doubts(record).items()
        if split in record["scores"]
    ]
    if not _with_prompts_of_the_run(record):
        said.append("The base is scored with its own prompts: those of the run make it worse.")
    said += [
        f"{counts['passage']} passages of {split} are trained on with other questions: its scores say little about new "
        "passages."
        for split, counts in _trained_on(record).items()
        if split in record["scores"] and split not in doubts(record) and counts.get("passage")
    ]
    return said


def _with_prompts_of_the_run(record: Mapping[str, Any]) -> bool:
    """Whether the base was scored with the prompts that the run gave; one that gave none has the base's."""
    given = {role: record.get("config", {}).get(f"{role}_prompt") for role in record.get("base_prompts", {})}
    return all(not prompt or prompt == record["base_prompts"][role] for role, prompt in given.items())


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in lines)


def _asked(against: Mapping[str, Any], split: str) -> str:
    """How many questions of which split; records of older versions do not say how many."""
    return f"{against['queries']} questions of {split}" if "queries" in against else split
