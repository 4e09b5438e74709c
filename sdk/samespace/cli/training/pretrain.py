"""`samespace pretrain`: teach an encoder the language of a domain, from raw text."""

from __future__ import annotations

from pathlib import Path

import click

from ...folders import writes
from ..console import echo, progress, say


@click.command()
@click.argument("model")
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", required=True, type=click.Path(path_type=Path), help="Output folder of the pretrained model."
)
@click.option("--objective", type=click.Choice(["mlm", "tsdae"]), default="mlm", show_default=True,
              help="mlm predicts masked tokens; tsdae reconstructs noised texts from their vector.")  # fmt: skip
@click.option("--steps", type=click.IntRange(0), default=0, help="Steps; 0 is one pass over the texts.  [default: 0]")
@click.option("--batch-size", type=click.IntRange(2), default=32, show_default=True, help="Windows per step.")
@click.option("--learning-rate", type=click.FloatRange(0, 1, min_open=True), default=5e-5, show_default=True)
@click.option("--max-tokens", type=click.IntRange(8), default=128, show_default=True, help="Tokens per window.")
@click.option("--precision", type=click.Choice(["auto", "fp32", "bf16"]), default="auto", show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option(
    "--checkpoint-every",
    type=click.IntRange(0),
    default=200,
    show_default=True,
    help="Steps between checkpoints; 0 for none.",
)
@click.option("--data", "scored_on", type=click.Path(path_type=Path), help="BEIR folder to score on [default: DATA].")
@click.option("--dev-split", default="dev", show_default=True, help="Split to score on.")
@click.option("--score/--no-score", default=True, help="Score before and after.  [default: score]")
@writes("out")
def pretrain(
    model: str,
    data: Path,
    out: Path,
    scored_on: Path | None,
    dev_split: str,
    score: bool,
    **settings: str | int | float,
) -> None:
    """Experimental: pretrain an encoder on raw texts.

    MODEL is a model folder or a hub name; DATA is what `samespace train` takes, or a .txt file with a text a line.
    Meant for use before contrastive training, where there is more text than there are pairs, and after `vocab extend`.

    What is written is a new space, and by itself often a worse retriever: fine-tune it. It is scored beside its base on
    the development split, and `samespace export` refuses it where it is no better. A killed run goes on when the same
    command is given again.

    \b
    Example:
      samespace pretrain models/medical data/medquad --out models/medical-mlm --steps 500
      samespace pretrain sentence-transformers/all-MiniLM-L6-v2 notes.txt --out models/notes --data data/medquad
      samespace pretrain models/medical data/medquad --out models/medical-tsdae --objective tsdae
    """
    from ...extras import require_extra

    require_extra("train", feature="pretraining", modules=("torch", "transformers", "sentence_transformers"))
    from ..console import quiet_libraries

    quiet_libraries()
    from ...training.pretraining.domain import development, read_domain
    from ...training.pretraining.run import PretrainingSettings
    from ...training.pretraining.run import pretrain as run
    from .vocab import show_scores

    domain = read_domain(data)
    held_out = development(domain, scored_on, dev_split) if score else {}
    record = run(model, domain, out, PretrainingSettings(**settings), held_out, progress)  # type: ignore[arg-type]
    loss = record["held_out_loss"]
    say(
        f"{record['settings']['steps']} steps in {record['training_s']:.0f} s; loss on texts that were kept aside "
        f"{loss['before']:.3f} before, {loss['after']:.3f} after; guessing by frequency {loss['guessing']:.3f}."
    )
    show_scores(record)
    echo(f"model: {out}; it is a new space, not fine-tuned. Next: samespace train CONFIG --set base={out}")
