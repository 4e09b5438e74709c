"""What a run was like, for people: a page that opens offline, and the card that goes with the model. Pure.

What it leaves to others: the numbers (`trainer`, `outcome`), drawing (`samespace.report`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...report import heading, histogram, lines, note, page, paragraph, scatter, table
from .outcome import BASE, TRAINED, Outcome

REPORT: Final = "report.html"
CARD: Final = "README.md"
_POINTS: Final = 300
_MOST_CHARS: Final = 120


def verdict(record: Mapping[str, Any]) -> tuple[str, bool] | None:
    """Whether the encoder is better than its base, and whether that is bad news; None where nothing was scored."""
    if record["better_than_base"] is None:
        return None
    split = list(record["comparisons"])[-1]
    against = record["comparisons"][split][BASE]
    if split in chosen_on(record):
        points = 100 * against["mean"]
        word = "Better than its base" if record["better_than_base"] else "NOT better than its base"
        return (
            f"{word} on {split}, by {points:+.1f} points of nDCG@10; but {split} chose the rate or the weights, "
            "so that is too good to be believed, and has no p-value. Score a split that chose nothing.",
            not record["better_than_base"],
        )
    numbers = (
        f"{100 * against['mean']:+.1f} points of nDCG@10 on {split} (95 % interval {100 * against['low']:+.1f} to "
        f"{100 * against['high']:+.1f}, p = {against['p_value']:.4f}; {against['wins']} queries better, "
        f"{against['losses']} worse)"
    )
    if record["better_than_base"]:
        return f"Better than its base: {numbers}.", False
    return f"NOT better than its base: {numbers}. `samespace export` will ask for --anyway.", True


def chosen_on(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The splits that chose something of this run: what is measured on them flatters, so no p-value is shown."""
    probe = record.get("rate_probe") or {}
    return (record["config"]["dev_split"],) if probe.get("trials") or record.get("kept") else ()


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
    """The page of a run."""
    config = record["config"]
    parts = [paragraph(_summary(record))]
    if (said := verdict(record)) is not None:
        parts.append(note(said[0], "bad" if said[1] else "good"))
    parts += [note(_alarm(alarm), "warn") for alarm in record["sentinel"]["alarms"]]
    if outcome.evaluations:
        parts += [
            heading("Scores on held-out queries"),
            table(SCORE_HEAD, score_rows(record)),
            paragraph("p: paired bootstrap over queries, trained against the row's ranker; wins and losses likewise."),
        ]
    parts += _training(record)
    if record["rate_probe"] and record["rate_probe"]["trials"]:
        parts += _rates(record["rate_probe"])
    if outcome.cosines:
        parts.append(heading("Similarities"))
        parts += [
            histogram({f"{name}, {what}": list(map(float, values)) for what, values in cosines.items()}, label="cosine")
            for name, cosines in outcome.cosines.items()
        ]
    if outcome.vectors:
        parts += [
            heading("Passages, on the two main axes of each space"),
            *(scatter({name: plane(rows)}, x="first axis", y="second axis") for name, rows in outcome.vectors.items()),
            table(
                ["", "effective rank", "mean cosine", "uniformity"],
                [
                    [name, f"{each['effective_rank']:.1f}", f"{each['mean_cosine']:.3f}", f"{each['uniformity']:.2f}"]
                    for name, each in outcome.isotropy.items()
                ],
            ),
        ]
    for split, changes in outcome.changes.items():
        if changes:
            rows = [[_clip(each.query), f"{each.before:.2f}", f"{each.after:.2f}"] for each in changes]
            parts += [heading(f"Queries of {split} that changed most"), table(["query", BASE, TRAINED], rows)]
    parts += [heading("Configuration"), table(["key", "value"], [[key, repr(value)] for key, value in config.items()])]
    return page(f"Training on {record['data']['folder']}", *parts)


def plane(rows: npt.NDArray[np.float32]) -> list[tuple[float, float]]:
    """Up to 300 of (n, dim) rows on their first two principal axes."""
    if len(rows) < 3:
        return []
    centred = np.asarray(rows, dtype=np.float64) - rows.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    flat = centred @ axes[:2].T  # (n, 2)
    return [(float(x), float(y)) for x, y in flat[:: max(1, len(flat) // _POINTS)][:_POINTS]]


SCORE_HEAD: Final = ("ranker", "nDCG@10", "recall@100", "MRR@10", "wins", "losses", "p")


def score_rows(record: Mapping[str, Any]) -> list[list[str]]:
    """Rows under `SCORE_HEAD`."""
    rows = []
    for split, scores in record["scores"].items():
        for name, score in scores.items():
            against = record["comparisons"][split].get(name)
            p = "chose" if split in chosen_on(record) else f"{against['p_value']:.4f}" if against else ""
            compared = [str(against["wins"]), str(against["losses"]), p] if against else [""] * 3
            metrics = [f"{score[metric]:.4f}" for metric in ("ndcg@10", "recall@100", "mrr@10")]
            rows.append([f"{split}: {name}", *metrics, *compared])
    return rows


def markdown_scores(record: Mapping[str, Any]) -> str:
    """The table of scores."""
    return _markdown(SCORE_HEAD, score_rows(record))


def model_card(record: Mapping[str, Any]) -> str:
    """README.md of the model folder."""
    config, data = record["config"], record["data"]
    said = verdict(record)
    text = [
        f"# Encoder trained on {data['folder']}",
        "",
        f"Fine-tuned by samespace from `{config['base']}`. {_summary(record)}",
        "",
    ]
    if said is not None:
        text += [said[0], ""]
    if record["scores"]:
        text += [_markdown(SCORE_HEAD, score_rows(record)), ""]
        text += ["p, wins and losses: paired bootstrap over the queries, the trained encoder against the row's.", ""]
        if chose := chosen_on(record):
            text += [f"{' and '.join(chose)} chose the rate or the weights: its scores flatter, and have no p.", ""]
    text += [f"- {_alarm(alarm)}" for alarm in record["sentinel"]["alarms"]]
    leaked, cut = data["leaked"], record["texts_cut"]
    text += [
        "## Limits",
        "",
        f"- Held-out texts found among the training texts: {leaked['query']} queries, {leaked['passage']} passages; "
        f"{data['dropped_leaks']} training pairs were left out because of that (drop_leaks = "
        f"{str(config['drop_leaks']).lower()}, allow_leakage = {config['allow_leakage']!r}).",
        f"- Cut in training at the token limit: {cut['query']} queries, {cut['passage']} passages.",
        "- The scores are of this data set; for other texts measure again: `samespace evaluate`.",
        "",
        "The whole record is in run.json, with pictures in report.html.",
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
    parts = [
        heading("Loss"),
        lines(
            {
                "loss of a step, smoothed": list(zip(steps, smoothed(record["loss"]), strict=True)),
                "telling nothing apart": [(1, guessing), (max(2, len(steps)), guessing)],
            },
            x="step",
            y="loss",
        ),
        heading("What the sentinel measured"),
        lines(relative, x="step", y="loss of a fixed sample, over the loss of telling nothing apart"),
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
    norms = list(zip(steps, record["gradient_norm"], strict=True))
    return [*parts, lines({"gradient norm": norms}, x="step", y="gradient norm before clipping")]


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


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def _clip(text: str) -> str:
    return text if len(text) <= _MOST_CHARS else text[: _MOST_CHARS - 1] + "…"
