"""What a run was like, for people: a page that opens offline, and the card that goes with the model. Pure.

What it leaves to others: the numbers (`trainer`, `outcome`), the words of a verdict (`samespace.report.verdicts`),
drawing (`samespace.report`), the hub's header (`exporting.hub_header`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...exporting.hub_header import MODEL_USAGE, header, origin_of, results_of
from ...exporting.provenance import public_name
from ...report import (
    folded,
    grid,
    heading,
    histogram,
    lines,
    note,
    page,
    paragraph,
    scatter,
    table,
    two_lists,
    verdict_note,
)
from ...report.verdicts import BASE, SCORE_HEAD, TRAINED, markdown_table, score_notes, score_rows, verdict
from ...text import shortened
from .changes import Change, Listed
from .outcome import Outcome

REPORT: Final = "report.html"
CARD: Final = "README.md"
_POINTS: Final = 300
_MOST_CHARS: Final = 160
RIGHT: Final = "right answer"


def loss_of_sample(record: Mapping[str, Any]) -> str:
    """The loss of a fixed sample before and after, beside that of telling nothing apart.

    The losses of single steps are of other batches each, and noisy: their first and last say little.
    """
    vitals = record["sentinel"].get("train") or []
    if len(vitals) > 1:
        trivial = vitals[-1]["trivial"]
        told = f", where telling nothing apart is {trivial:.3f}" if trivial else ""
        return f"loss on a fixed sample {vitals[0]['loss']:.3f} to {vitals[-1]['loss']:.3f}{told}"
    first, last = (smoothed(record["loss"])[at] for at in (0, -1))
    return f"smoothed loss {first:.3f} to {last:.3f}, where telling nothing apart is {record['loss_of_guessing']:.3f}"


def smoothed(losses: Sequence[float]) -> list[float]:
    """The mean of each loss and its neighbours: a twentieth of the run, at least 5 steps."""
    half = max(5, len(losses) // 20) // 2
    return [float(np.mean(losses[max(0, at - half) : at + half + 1])) for at in range(len(losses))]


def html_report(record: Mapping[str, Any], outcome: Outcome) -> str:
    """The page of a run: the verdict first, then what it rests on, then how it came about."""
    config = record["config"]
    parts = []
    if (said := verdict(record)) is not None:
        parts.append(verdict_note(said[0], "bad" if said[1] else "good"))
    parts += [note(_alarm(alarm), "warn") for alarm in record["sentinel"]["alarms"]]
    parts.append(paragraph(_summary(record)))
    if record["scores"]:
        parts += [heading("Scores on held-out questions"), table(SCORE_HEAD, score_rows(record))]
        parts += [paragraph(sentence) for sentence in score_notes(record)]
    for split, changed in outcome.changes.items():
        parts += wins_and_losses(f"on {split}", changed)
    parts += _training(record)
    if record["rate_probe"] and record["rate_probe"]["trials"]:
        parts += _rates(record["rate_probe"])
    if outcome.vectors:
        parts += _spaces(outcome)
    rows = [[key, repr(value)] for key, value in config.items()]
    parts += [heading("Configuration"), folded("every key", table(["key", "value"], rows))]
    return page(f"Training on {record['data']['folder']}", *parts)


def wins_and_losses(where: str, changed: Sequence[Change], names: Sequence[str] = (BASE, TRAINED)) -> list[str]:
    """The questions that changed most, each with what both encoders found."""
    parts = []
    for title, some in (
        (f"Won most {where}", [each for each in changed if each.after > each.before]),
        (f"Lost most {where}", [each for each in changed if each.after < each.before]),
    ):
        if some:
            parts += [heading(title), grid(*(_pair(each, names) for each in some))]
    return parts


def _pair(change: Change, names: Sequence[str]) -> str:
    lists = {
        f"{name}: nDCG@10 {score:.2f}{'' if any(hit.right for hit in hits) else ', no right answer found'}": [
            _entry(hit) for hit in hits
        ]
        for name, score, hits in zip(
            names, (change.before, change.after), (change.before_list, change.after_list), strict=True
        )
    }
    return two_lists(shortened(change.query, _MOST_CHARS), lists, RIGHT)


def _entry(hit: Listed) -> tuple[int, str, bool]:
    return hit.place, shortened(" ".join(hit.text.split()), _MOST_CHARS), hit.right


def _spaces(outcome: Outcome) -> list[str]:
    """A map of each space, how spread out it is, and how far right answers are from others."""
    names = list(outcome.vectors)
    maps = (scatter({f"passages, {n}": plane(outcome.vectors[n])}, x="first axis", y="second axis") for n in names)
    cosines = (
        histogram({f"{name}, {what}": list(map(float, values)) for what, values in each.items()}, label="cosine")
        for name, each in outcome.cosines.items()
    )
    spread = [
        [name, f"{each['effective_rank']:.1f}", f"{each['mean_cosine']:.3f}", f"{each['uniformity']:.2f}"]
        for name, each in outcome.isotropy.items()
    ]
    return [
        heading("Map: passages on the two main axes of each space"),
        grid(*maps),
        table(["", "effective rank", "mean cosine", "uniformity"], spread),
        heading("Similarities"),
        grid(*cosines),
    ]


def plane(rows: npt.NDArray[np.float32]) -> list[tuple[float, float]]:
    """Up to 300 of (n, dim) rows on their first two principal axes."""
    if len(rows) < 3:
        return []
    centred = np.asarray(rows, dtype=np.float64) - rows.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    flat = centred @ axes[:2].T  # (n, 2)
    return [(float(x), float(y)) for x, y in flat[:: max(1, len(flat) // _POINTS)][:_POINTS]]


def markdown_scores(record: Mapping[str, Any]) -> str:
    """The table of scores, and what has to be said beside it."""
    return "\n\n".join([markdown_table(SCORE_HEAD, score_rows(record)), *score_notes(record)])


def model_card(record: Mapping[str, Any]) -> str:
    """README.md of the model folder."""
    config, data = record["config"], record["data"]
    said = verdict(record)
    origin = origin_of(config["base"])
    text = [
        header(origin, f"Encoder trained on {data['folder']}", "sentence-transformers", results_of(record)),
        f"# Encoder trained on {data['folder']}",
        "",
        f"Fine-tuned by samespace from `{public_name(config['base'])}`. {_summary(record)}",
        "",
        origin.sentence(),
        "",
    ]
    if said is not None:
        text += [said[0], ""]
    if record["scores"]:
        text += ["## Scores", "", markdown_scores(record), ""]
    text += [f"- {_alarm(alarm)}\n" for alarm in record["sentinel"]["alarms"]]
    leaked, cut = data["leaked"], record["texts_cut"]
    text += [
        MODEL_USAGE,
        "## Limits",
        "",
        f"- Held-out texts found among the training texts: {leaked['query']} queries, {leaked['passage']} passages; "
        f"{data['dropped_leaks']} training pairs were left out because of that (drop_leaks = "
        f"{str(config['drop_leaks']).lower()}, allow_leakage = {config['allow_leakage']!r}).",
        f"- Cut in training at the token limit: {cut['query']} queries, {cut['passage']} passages.",
        "- The scores are of this data set; for other texts measure again: `samespace evaluate`.",
        "",
        "The record of the run is in run.json.",
        "",
    ]
    return "\n".join(text)


def _summary(record: Mapping[str, Any]) -> str:
    data = record["data"]
    return (
        f"{data['pairs']} examples, {record['steps']} steps in {record['training_s']:.0f} s "
        f"({record['precision']} on {record['device']}), learning rate {record['learning_rate']:g}; "
        f"{loss_of_sample(record)}."
    )


def _training(record: Mapping[str, Any]) -> list[str]:
    steps = range(1, len(record["loss"]) + 1)
    watched = {name: record["sentinel"][name] for name in ("train", "dev") if name in record["sentinel"]}

    def over(key: str) -> dict[str, list[tuple[float, float]]]:
        return {name: [(each["step"], each[key]) for each in vitals] for name, vitals in watched.items()}

    guessing = record["loss_of_guessing"]
    relative = {
        name: [(each["step"], each["loss"] / each["trivial"]) for each in vitals if each["trivial"]]
        for name, vitals in watched.items()
    }
    norms = list(zip(steps, record["gradient_norm"], strict=True))
    loss = [
        lines(
            {
                "loss of a step, smoothed": list(zip(steps, smoothed(record["loss"]), strict=True)),
                "telling nothing apart": [(1, guessing), (max(2, len(steps)), guessing)],
            },
            x="step",
            y="loss",
        ),
        lines(relative, x="step", y="loss of a fixed sample, over the loss of telling nothing apart"),
    ]
    watching = [
        lines(over("effective_rank"), x="step", y="effective rank"),
        lines(
            {
                f"{name}, {what}": [(each["step"], each[key]) for each in vitals]
                for name, vitals in watched.items()
                for what, key in (("right answers", "positive_mean"), ("negatives", "negative_mean"))
            },
            x="step",
            y="mean cosine",
        ),
        lines({f"{n}, alignment": v for n, v in over("alignment").items()}, x="step", y="alignment"),
        lines({f"{n}, uniformity": v for n, v in over("uniformity").items()}, x="step", y="uniformity"),
    ]
    watching.append(lines({"gradient norm": norms}, x="step", y="gradient norm before clipping"))
    return [heading("Loss"), grid(*loss), heading("What the sentinel measured"), grid(*watching)]


def _rates(probe: Mapping[str, Any]) -> list[str]:
    trials = probe["trials"]
    return [
        heading("Learning rates that were tried"),
        paragraph(f"{probe['steps']} steps each; {probe['rate']:g} was taken: {probe['reason']}."),
        lines(
            {
                "development score": [(trial["rate"], trial["score"]) for trial in trials],
                "untouched": [(trial["rate"], probe["start"]) for trial in trials],
                "loss over trivial": [
                    (trial["rate"], trial["loss"] / trial["trivial"]) for trial in trials if trial["trivial"]
                ],
            },
            x="learning rate",
            y="",
            log_x=True,
        ),
    ]


def _alarm(alarm: Mapping[str, Any]) -> str:
    return f"{alarm['what']} at step {alarm['step']}: {alarm['cause']} ({alarm['evidence']}); {alarm['remedy']}."
