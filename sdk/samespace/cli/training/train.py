"""`samespace train`: fine-tune an encoder, from a configuration file or from the data alone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ..console import echo, progress, say, table
from ..durations import Duration
from .doctor import show

if TYPE_CHECKING:
    from ...training.finetuning.config import TrainingConfig
    from ...training.finetuning.rates import Picked

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
def train(
    config: Path,
    overrides: tuple[str, ...],
    out: Path | None,
    teacher: str | None,
    budget_s: float,
    doctor: bool,
    probe_rates: bool,
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
    from ...extras import require_extra
    from ...training.finetuning.config import read_config
    from ...training.threads import settle_threads

    changes = (*_taught(teacher), *overrides)
    by_data = config.is_dir() or (config.is_file() and config.suffix != ".toml")
    settings = None if by_data else read_config(config, changes, out)
    require_extra("train", feature="training", modules=("torch", "sentence_transformers", "datasets", "datasketch"))
    from ..console import quiet_libraries

    quiet_libraries()
    if threads := settle_threads(os.environ):
        say(threads)
    from ...training.finetuning import trainer

    looked: dict[str, Any] = {"doctor": doctor, "diagnosed": partial(show, notes=False, err=True)}
    if settings is None:
        _by_data(config, changes, out, budget_s, probe_rates, looked)
    elif probe_rates:
        _show_rates(trainer.probe_rates(settings, progress, **looked))
    else:
        _run(settings, looked)


def _taught(teacher: str | None) -> list[str]:
    """The keys that a teacher brings; what is set by hand comes after them and wins."""
    if teacher is None:
        return []
    return [f"teacher={teacher}", "loss=listwise", "negatives=7", "batch_size=16", "mine=bm25", "mine_every=0"]


def _by_data(
    data: Path, changes: Sequence[str], out: Path | None, budget_s: float, probe_rates: bool, looked: dict[str, Any]
) -> None:
    """Train without a configuration: *data* decides."""
    from ...folders import folder_beside
    from ...training.choosing.search import choose_run
    from ...training.choosing.splits import with_splits
    from ...training.finetuning.config import parse_override

    if probe_rates:
        raise click.UsageError(f"--probe-rates needs a configuration, and {data} is data")
    if out is None:
        raise click.UsageError("name the output folder with --out")
    if out.exists():
        raise click.UsageError(f"--out {out} exists already; name another folder, or remove it")
    values = dict(map(parse_override, changes))
    with folder_beside(out) as scratch:
        divided, told = with_splits(data, scratch / data.resolve().name)
        if told:
            say(told)
        chosen = choose_run(divided, values | {"out": out}, budget_s, progress, say)
        _run(chosen.config, looked | {"picked": chosen.picked})


def _run(settings: TrainingConfig, looked: dict[str, Any]) -> None:
    from ...training.finetuning import trainer
    from ...training.scoring import report

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
