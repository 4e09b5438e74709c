"""`samespace train`: fine-tune an encoder, from a configuration file or from the data alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ..console import echo, progress, say, table
from ..durations import Duration
from .doctor import show

if TYPE_CHECKING:
    from ...training.choosing.poolings import ComparedPoolings
    from ...training.doctor import Diagnosis
    from ...training.finetuning.config import TrainingConfig
    from ...training.finetuning.rates import Picked
    from ...training.finetuning.trainer import TrainingRun

_BAR: Final = 40


@click.command()
@click.argument("config", metavar="CONFIG|DATA", type=click.Path(path_type=Path))
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Set a training key; may be repeated.")
@click.option("--out", type=click.Path(path_type=Path), help="Output folder; overrides the file's.")
@click.option("--teacher", metavar="MODEL",
              help="Cross-encoder or larger encoder to learn from: a folder or a hub name.")  # fmt: skip
@click.option("--budget", "budget_s", type=Duration(), default="15m", show_default=True,
              help="Without a configuration: time for trying and training, such as 90s, 15m or 2h.")  # fmt: skip
@click.option("--doctor/--no-doctor", default=True, help="Look at the data first; errors end it.  [default: doctor]")
@click.option("--probe-rates", is_flag=True, help="Only try learning rates in short runs, and recommend one.")
@click.option("--probe-poolings", is_flag=True, help="Only try poolings in short runs, and recommend one.")
def train(
    config: Path,
    overrides: tuple[str, ...],
    out: Path | None,
    teacher: str | None,
    budget_s: float,
    doctor: bool,
    probe_rates: bool,
    probe_poolings: bool,
) -> None:
    """Fine-tune an encoder on pairs.

    CONFIG is a TOML file; its keys and what each costs are described in docs/reference/training-keys.md. Given the DATA
    itself, its size, templates and lengths choose the keys, and short runs on its development part the learning rate
    and the blend; each choice is printed with its reason. A part that the data lacks is taken out of the training part.

    The data is looked at first, as `samespace doctor data` does. While it trains, a sentinel watches for collapse. The
    folder that is written holds the model and run.json, the record of the run. A run of a CONFIG that was killed goes
    on when the same command is given again.

    \b
    Example:
      samespace train recipes/stackfaq.toml --set data=data/stackfaq --out models/stackfaq
      samespace train recipes/stackfaq.toml --set epochs=2 --set precision=fp32
      samespace train data/stackfaq --out models/stackfaq --budget 15m
      torchrun --nproc-per-node 2 -m samespace train recipes/stackfaq.toml
    """
    from ...api import commands as api
    from ...extras import require_extra
    from ...training.finetuning.config import read_config
    from ...training.threads import settle_threads

    settings = None
    if not api.is_data(config):
        settings = read_config(config, (*api.taught(teacher or ""), *overrides), out)
    elif probe_rates or probe_poolings:
        named = "--probe-rates" if probe_rates else "--probe-poolings"
        raise click.UsageError(f"{named} needs a configuration, and {config} is data")
    elif out is None:
        raise click.UsageError("name the output folder with --out")
    elif out.exists():
        raise click.UsageError(f"--out {out} exists already; name another folder, or remove it")
    require_extra("train", feature="training", modules=("torch", "sentence_transformers", "datasets", "datasketch"))
    from ..console import quiet_libraries

    quiet_libraries()
    if threads := settle_threads(os.environ):
        say(threads)
    diagnosed = partial(show, notes=False, err=True)
    if settings is not None and (probe_rates or probe_poolings):
        _probe(settings, diagnosed if doctor else None, poolings=probe_poolings)
        return
    run = api.train(
        config, out, overrides=overrides, teacher=teacher or "", budget_s=budget_s, doctor=doctor, progress=progress,
        say=say, diagnosed=diagnosed,
    )  # fmt: skip
    _show(run)


def _probe(settings: TrainingConfig, diagnosed: Callable[[Diagnosis], None] | None, *, poolings: bool) -> None:
    """Short runs and a recommendation; nothing is written."""
    from ...training.choosing.poolings import compare_poolings
    from ...training.finetuning import trainer

    if diagnosed is not None:
        trainer.look_at_data(settings, diagnosed)
    if poolings:
        _show_poolings(compare_poolings(settings, progress, say))
    else:
        _show_rates(trainer.probe_rates(settings, progress, doctor=False))


def _show(run: TrainingRun) -> None:
    from ...report.verdicts import SCORE_HEAD, score_rows, verdict
    from ...training.scoring.report import REPORT

    if not run.record:
        return  # a process that helped another one, which speaks for both
    for line in _about(run.record):
        say(line)
    if run.record["scores"]:
        echo(table(SCORE_HEAD, score_rows(run.record)))
    if (said := verdict(run.record)) is not None:
        click.secho(said[0], fg="red" if said[1] else "green", bold=said[1])
    echo(f"report: {run.folder / REPORT}")
    echo(f"model: {run.folder}; export it: samespace export {run.folder} ARTIFACT")


def _show_rates(picked: Picked) -> None:
    widest = max([picked.start, *(trial.score for trial in picked.trials)])
    rows = [["untouched", f"{picked.start:.4f}", "", "#" * round(_BAR * picked.start / widest)]]
    for trial in picked.trials:
        bar = "#" * round(_BAR * trial.score / widest)
        loss = f"{trial.loss / trial.trivial:.3f}" if trial.trivial else f"{trial.loss:.3f}"
        rows.append([f"{trial.rate:g}", f"{trial.score:.4f}", loss, bar])
    echo(table(["learning_rate", "score", "loss/trivial", ""], rows))
    echo(f"{picked.steps} steps each. Take {picked.rate:g}: {picked.reason}.")


def _show_poolings(compared: ComparedPoolings) -> None:
    best = compared.best
    rows = [
        [each.pooling + " *" * (each.pooling == compared.own), f"{each.untouched:.4f}", f"{each.trained:.4f}"]
        for each in compared.trials
    ]
    echo(table(["pooling", "untouched", f"after {compared.steps} steps"], rows))
    echo(f"nDCG@10 on {compared.questions} development questions. *: the base's own.")
    kept = "the base's own: none is clearly better" if best.pooling == compared.own else "set it with --set"
    echo(f"Take pooling={best.pooling}, {kept}.")


def _about(record: Mapping[str, Any]) -> list[str]:
    from ...training.scoring.report import loss_of_sample

    data, cut = record["data"], record["texts_cut"]
    left = [f"{data['dropped_repeats']} repeats"] + [f"{data['dropped_leaks']} leaks"] * (data["dropped_leaks"] > 0)
    lines = [
        f"{data['pairs']} pairs of {data['folder']}, {' and '.join(left)} left out",
        f"{record['steps']} steps in {record['training_s']:.0f} s in {record['precision']}; {loss_of_sample(record)}",
    ]
    if cut["query"] or cut["passage"]:
        lines.append(f"cut in training: {cut['query']} queries and {cut['passage']} passages beyond the token limit")
    return lines
