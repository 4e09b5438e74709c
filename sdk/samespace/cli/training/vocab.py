"""`samespace vocab`: fit an encoder's vocabulary to a domain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ...folders import writes
from ..console import echo, progress, say, table

if TYPE_CHECKING:
    from ...training.vocabulary.extension import Extended

_SHOWN: Final = 15


@click.group()
def vocab() -> None:
    """Experimental: give an encoder whole-word tokens for a domain.

    \b
    Example:
      samespace vocab extend sentence-transformers/all-MiniLM-L6-v2 data/medquad --out models/medical
    """


@vocab.command()
@click.argument("model")
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path), help="Output folder of the extended model."
)
@click.option("--terms", "most", type=click.IntRange(1, 50_000), default=500, show_default=True,
              help="Terms to add, at most.")  # fmt: skip
@click.option("--data", "scored_on", type=click.Path(path_type=Path), help="BEIR folder to score on [default: DATA].")
@click.option("--dev-split", default="dev", show_default=True, help="Split to score on.")
@click.option("--score/--no-score", default=True, help="Score before and after.  [default: score]")
@writes("out")
def extend(model: str, data: Path, out: Path, most: int, scored_on: Path | None, dev_split: str, score: bool) -> None:
    """Add a domain's shattered terms to the vocabulary.

    MODEL is a model folder or a hub name; DATA is what `samespace train` takes, or a .txt file with a text a line.
    Words that are frequent and fall into three or more tokens get a token of their own, which begins as the mean of the
    old ones and stands for the whole word only: no other word is divided in another way.

    What is written is a new space, and before training it is seldom a better one: pretrain it and fine-tune it. It is
    scored beside its base on the development split, and `samespace export` refuses it where it is no better.

    \b
    Example:
      samespace vocab extend sentence-transformers/all-MiniLM-L6-v2 data/medquad --out models/medical
      samespace pretrain models/medical data/medquad --out models/medical-mlm
      samespace train medical.toml --set base=models/medical-mlm --out models/medical-trained
    """
    from ...extras import require_extra

    require_extra("train", feature="extending a vocabulary", modules=("torch", "transformers", "sentence_transformers"))
    from ..console import quiet_libraries

    quiet_libraries()
    from ...training.pretraining.domain import development, read_domain
    from ...training.vocabulary.extension import extend as run

    domain = read_domain(data)
    held_out = development(domain, scored_on, dev_split) if score else {}
    show(run(model, domain, out, most, held_out, progress))
    echo(f"model: {out}; it is a new space, untrained. Next: samespace pretrain {out} {data} --out MODEL")


def show(made: Extended) -> None:
    """Print what was added and what it came to."""
    rows = [[term.text, str(term.count), str(len(term.pieces)), str(term.saved)] for term in made.terms[:_SHOWN]]
    echo(table(["term", "times", "tokens", "saved"], rows))
    if len(made.terms) > _SHOWN:
        say(f"and {len(made.terms) - _SHOWN} more, in run.json")
    rows = []
    for role, before in made.before.items():
        after = made.after[role]
        if before.texts:
            rows += [
                [f"{role}: {what}", str(old), str(new), f"{100 * (new - old) / old:+.1f} %"]
                for what, old, new in (
                    ("tokens", before.tokens, after.tokens),
                    ("windows", before.windows, after.windows),
                )
            ]
    echo(table([f"{len(made.terms)} terms", "before", "after", "change"], rows))
    show_scores(made.record)


def show_scores(record: Any) -> None:
    """Print the development score before and after, and whether it is better."""
    from ...report.verdicts import SCORE_HEAD, score_rows, verdict

    said = verdict(record)
    if said is None:
        say("Not scored: there is no development split, or --no-score was said. Nothing says that it is better.")
        return
    echo(table(SCORE_HEAD, score_rows(record)))
    click.secho(said[0], fg="red" if said[1] else "green", bold=said[1])
