"""`samespace train-head`: a small head on the vectors of a frozen encoder, in seconds once they are computed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ...errors import ConfigInvalid
from ...extras import require_extra
from ..console import echo, progress, quiet_libraries, say, table
from ..encoders import checkpoint_options
from ..options import gathered

if TYPE_CHECKING:
    from ...training.heads.choice import Compared
    from ...training.heads.run import TrainedHead

VECTORS: Final = "vectors"
"""In the place of ENCODER: the data folder holds vectors."""

_SETTINGS: Final = {
    "kind": click.option(
        "--kind",
        type=click.Choice(["linear", "mlp"]),
        default="linear",
        show_default=True,
        help="Kind of head; mlp has one hidden layer.",
    ),
    "hidden": click.option(
        "--hidden", type=int, metavar="N", default=0, help="Units of the hidden layer [default: twice the dims]."
    ),
    "dims": click.option(
        "--dims", type=int, metavar="N", default=0, help="Dimensions of the new vectors [default: as before]."
    ),
    "loss": click.option(
        "--loss",
        type=click.Choice(["infonce", "cosine_mse"]),
        default="infonce",
        show_default=True,
        help="Loss; cosine_mse is for labelled pairs, and draws random negatives where there are no labels.",
    ),
    "negatives": click.option(
        "--negatives",
        type=int,
        metavar="N",
        default=1,
        show_default=True,
        help="Random negatives per pair, for cosine_mse.",
    ),
    "rate": click.option(
        "--rate", type=float, metavar="R", default=0.0, help="Learning rate [default: chosen on the dev split]."
    ),
    "epochs": click.option("--epochs", type=int, metavar="N", default=10, show_default=True),
    "batch_size": click.option("--batch-size", type=int, metavar="N", default=256, show_default=True),
    "temperature": click.option("--temperature", type=float, metavar="T", default=0.05, show_default=True),
    "seed": click.option("--seed", type=int, metavar="N", default=1, show_default=True),
}


head_options: Final = gathered("settings", dict, _SETTINGS)
"""The options of `HeadConfig`; a command gets them as one mapping *settings*."""

leakage_option = click.option(
    "--allow-leakage",
    type=click.Choice(["none", "passages", "all"]),
    default="none",
    show_default=True,
    help="Held-out texts that may be in the training data.",
)
drop_leaks_option = click.option(
    "--drop-leaks", is_flag=True, help="Leave out training pairs that give held-out texts away, instead of stopping."
)
cache_option = click.option(
    "--cache",
    type=click.Path(path_type=Path),
    help="Cache folder for computed vectors [default: ~/.cache/samespace/embeddings].",
)


@click.command("train-head")
@click.argument("encoder")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Output folder of the new artifact.")
@click.option("--separate", is_flag=True, help="Train one head for queries and another for passages.")
@head_options
@checkpoint_options
@leakage_option
@drop_leaks_option
@cache_option
@click.option("--space", metavar="ID", help="With `vectors`: space id of the vectors.")
@click.option("--name", help="Display name, not part of the space id [default: name of the output folder].")
@click.option("--replace", is_flag=True, help="Replace the artifact at --out.")
def train_head(
    encoder: str,
    data: Path,
    out: Path,
    separate: bool,
    settings: Mapping[str, Any],
    overrides: Mapping[str, Any],
    allow_leakage: str,
    drop_leaks: bool,
    cache: Path | None,
    space: str | None,
    name: str | None,
    replace: bool,
) -> None:
    """Train a small head on a frozen encoder.

    ENCODER is an artifact, a model folder or a hub name; DATA is what `samespace train` takes. The texts are encoded
    once and kept in a cache, so that the next try takes seconds. The head becomes part of the graph: what is written
    is an artifact like any other, and another space. With --separate it is a two-tower, which holds the encoder twice.

    The head starts as the base encoder. Each learning rate of a ladder is trained to its end, and the dev split
    chooses; what is printed in the end stands beside BM25 and the base, and says so where the head is no better.

    The word `vectors` as ENCODER: DATA holds queries.npy, passages.npy and qrels/SPLIT.tsv with row numbers. What is
    written then is the head alone, for samespace.heads.load_heads.

    \b
    Example:
      samespace train-head artifacts/minilm data/stackfaq -o artifacts/stackfaq-head
      samespace train-head artifacts/minilm data/stackfaq -o artifacts/small --dims 128
      samespace train-head vectors data/my-vectors -o heads/mine --space 0f16853b96e8...
    """
    modules = ("torch", "transformers", "sentence_transformers", "datasketch", "onnx", "onnxruntime", "safetensors")
    require_extra("train", feature="training a head", modules=modules)
    quiet_libraries()
    from ...model.checkpoint import Overrides
    from ...training.heads.config import HeadConfig
    from ...training.heads.request import HeadRequest, train_on_encoder, train_on_vectors

    config = HeadConfig(separate=separate, **settings)
    wanted = HeadRequest(data, out, config, allow_leakage, cache, name, replace, Overrides(**overrides), drop_leaks)
    if encoder == VECTORS:
        found = train_on_vectors(wanted, space, progress=progress, show=show).heads.space_id()
        where = f"space {found}" if found else "of no known space, because --space was not given"
        echo(f"head: {out}, {where}")
        return
    if space is not None:
        raise ConfigInvalid(key="--space", reason=f"{space}; {encoder} says its space itself")
    exported = train_on_encoder(encoder, wanted, progress=progress, say=say, show=show)
    echo(f"exported: {out}, space {exported.artifact.space_id}")


def show(trained: TrainedHead) -> None:
    """Print what was tried and what came of it."""
    from ...training.heads.choice import alarms

    if len(trained.tried) > 1:
        rows = [
            [
                f"{each.rate:g}{' *' if each is trained.taken else ''}",
                f"{each.states[0].loss:.4f}",
                f"{each.states[-1].loss:.4f}",
                str(each.states[each.best].step),
                f"{each.score:.4f}",
                alarm.cause if alarm else "",
            ]
            for each, alarm in zip(trained.tried, alarms(trained.tried), strict=True)
        ]
        echo(table(["rate", "loss, first", "last", "best step", "dev nDCG@10", ""], rows))
        say(f"*: taken. A loss of {trained.trivial:.4f} is that of telling nothing apart.")
    echo(table(["nDCG@10", *(f"{split}" for split in _splits(trained)), "head against it", "p"],
                     [_row(each, _splits(trained)) for each in trained.compared]))  # fmt: skip
    if trained.alarm is not None:
        say(f"warning: {trained.alarm}.")
    echo(f"head: {trained.summary()}")


def _splits(trained: TrainedHead) -> list[str]:
    return list(trained.compared[-1].scores)


def _row(compared: Compared, splits: list[str]) -> list[str]:
    change = compared.change.get(splits[-1]) if splits else None
    told = ["-", "-"] if change is None else [f"{100 * change.mean:+.2f}", f"{change.p_value:.4f}"]
    return [compared.name, *(f"{compared.scores[split]:.4f}" for split in splits), *told]
