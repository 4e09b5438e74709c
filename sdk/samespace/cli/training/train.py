"""`samespace train`: fine-tune an encoder from a configuration file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ..console import echo, progress, say, table

if TYPE_CHECKING:
    from ...training.finetuning.rates import Picked

_BAR: Final = 40


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a value of the file; may be repeated."
)
@click.option("--out", type=click.Path(path_type=Path), help="Output folder; overrides the file's.")
@click.option("--doctor/--no-doctor", default=True, help="Look at the data first; errors end it.  [default: doctor]")
@click.option("--probe-rates", is_flag=True, help="Only try learning rates in short runs, and recommend one.")
def train(config: Path, overrides: tuple[str, ...], out: Path | None, doctor: bool, probe_rates: bool) -> None:
    """Fine-tune an encoder from a configuration file.

    CONFIG is a TOML file; its keys and what each costs are described in docs/reference/training-keys.md. The data is
    looked at first, as `samespace doctor data` does. While it trains, a sentinel watches for collapse. The folder
    that is written holds the model and run.json, the record of the run. A run that was killed goes on when the same
    command is given again.

    \b
    Example:
      samespace train recipes/stackfaq.toml --set data=data/stackfaq --out models/stackfaq
      samespace train recipes/stackfaq.toml --set epochs=2 --set precision=fp32
      torchrun --nproc-per-node 2 -m samespace train recipes/stackfaq.toml
    """
    from ...extras import require_extra
    from ...training.finetuning.config import read_config

    settings = read_config(config, overrides, out)
    require_extra("train", feature="training", modules=("torch", "sentence_transformers", "datasets", "datasketch"))
    from ..console import quiet_libraries

    quiet_libraries()
    from ...training.finetuning import trainer
    from ...training.scoring import report
    from .doctor import show

    looked: dict[str, Any] = {"doctor": doctor, "diagnosed": partial(show, notes=False, err=True)}
    if probe_rates:
        _show_rates(trainer.probe_rates(settings, progress, **looked))
        return
    record = trainer.train(settings, progress, say, **looked).record
    if not record:
        return  # a process that helped another one, which speaks for both
    for line in _about(record):
        say(line)
    if record["scores"]:
        echo(table(report.SCORE_HEAD, report.score_rows(record)))
    if (said := report.verdict(record)) is not None:
        click.secho(said[0], fg="red" if said[1] else "green", bold=said[1])
    echo(f"report: {settings.out / report.REPORT}")
    echo(f"model: {settings.out}; export it: samespace export {settings.out} ARTIFACT")


def _show_rates(picked: Picked) -> None:
    widest = max([picked.start, *(trial.score for trial in picked.trials)])
    rows = [["untouched", f"{picked.start:.4f}", "", "#" * round(_BAR * picked.start / widest)]]
    for trial in picked.trials:
        bar = "#" * round(_BAR * trial.score / widest)
        loss = f"{trial.loss / trial.trivial:.3f}" if trial.trivial else f"{trial.loss:.3f}"
        rows.append([f"{trial.rate:g}", f"{trial.score:.4f}", loss, bar])
    echo(table(["learning_rate", "score", "loss/trivial", ""], rows))
    echo(f"{picked.steps} steps each. Take {picked.rate:g}: {picked.reason}.")


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
