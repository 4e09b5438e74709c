"""`samespace train`: fine-tune an encoder from a configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .console import progress, say, table

if TYPE_CHECKING:
    from ..training.config import TrainingConfig


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Instead of the file's value; repeatable.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the model, instead of the file's.")
@click.option("--doctor/--no-doctor", default=True, help="Look at the data first; errors end it.  [default: doctor]")
def train(config: Path, overrides: tuple[str, ...], out: Path | None, doctor: bool) -> None:
    """Fine-tune an encoder from a configuration file.

    CONFIG is a TOML file; its keys and what each costs are described in samespace.training.config. The data is looked
    at first, as `samespace doctor data` does. The folder that is written holds the model and run.json, the record of
    the run.

    \b
    Example:
      samespace train examples/stackfaq.toml --set data=data/stackfaq --out models/stackfaq
      samespace train examples/stackfaq.toml --set epochs=2 --set precision=fp32
    """
    from ..extras import require_extra
    from ..training.config import read_config

    settings = read_config(config, overrides, out)
    require_extra("train", feature="training", modules=("torch", "sentence_transformers", "datasets", "datasketch"))
    if doctor:
        _look_at_data(settings)
    from ..training.trainer import train as run_training

    record = run_training(settings, progress).record
    data, losses, rank, cut = record["data"], record["loss"], record["effective_rank"], record["texts_cut"]
    say(f"{data['pairs']} pairs of {data['folder']}, {data['dropped_repeats']} repeats left out")
    if cut["query"] or cut["passage"]:
        say(f"cut in training: {cut['query']} queries and {cut['passage']} passages beyond the token limit")
    rows = [
        ["steps", str(record["steps"]), f"{record['training_s']:.0f} s in {record['precision']}"],
        ["loss, first and last", f"{losses[0]:.3f}", f"{losses[-1]:.3f}"],
        ["effective rank, before and after", f"{rank['before']:.0f}", f"{rank['after']:.0f}"],
    ]
    if record["dev_scores"]:
        before, after = (score["ndcg@10"] for score in record["dev_scores"])
        rows.append([f"nDCG@10 on {settings.dev_split}, before and after", f"{before:.4f}", f"{after:.4f}"])
    click.echo(table(["run", "", ""], rows))
    click.echo(f"model: {settings.out}; export it: samespace export {settings.out} ARTIFACT")


def _look_at_data(settings: TrainingConfig) -> None:
    """The doctor's errors end it; leaks are an error unless the configuration lets them pass."""
    from ..training.doctor import Questions
    from ..training.sources import load_data
    from .doctor import checkup

    asked = Questions(settings.train_split, settings.held_out_splits, settings.allow_leakage, cost=False)
    checkup(load_data(settings.data), asked)
