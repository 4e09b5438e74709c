"""`samespace align`: two encoders brought into one space, by a head on each, or by training both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...errors import ConfigInvalid
from ...extras import require_extra
from ..console import echo, progress, quiet_libraries, say, table
from .train_head import cache_option, drop_leaks_option, head_options, leakage_option, show

if TYPE_CHECKING:
    from ...training.joint.tuning import TunedTowers


@click.command()
@click.argument("query_encoder")
@click.argument("passage_encoder")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="What `samespace train` takes.")
@click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="Output folder of the new artifact.")
@head_options
@click.option("--joint", is_flag=True, help="Train both encoders too, after their heads; needs model folders.")
@click.option("--joint-rate", type=float, metavar="R", help="With --joint: learning rate [default: 2e-5].")
@click.option("--joint-epochs", type=int, metavar="N", help="With --joint: epochs [default: 2].")
@leakage_option
@drop_leaks_option
@cache_option
@click.option("--name", help="Display name, not part of the space id [default: name of the output folder].")
@click.option("--replace", is_flag=True, help="Replace the artifact at --out.")
def align(
    query_encoder: str,
    passage_encoder: str,
    data: Path,
    out: Path,
    settings: Mapping[str, Any],
    joint: bool,
    joint_rate: float | None,
    joint_epochs: int | None,
    allow_leakage: str,
    drop_leaks: bool,
    cache: Path | None,
    name: str | None,
    replace: bool,
) -> None:
    """Bring two encoders into one space.

    Vectors of two encoders cannot be compared, whatever their lengths. Here each gets a head, trained together until
    queries through the first find passages through the second. What is written is one two-tower artifact: one space,
    the small encoder for queries say, the large one for passages, which are encoded once.

    The heads start as the rotation that brings both encoders' vectors of the training texts closest; its score is
    the row `start`. The row `base`, where the dims are equal, is what raw vectors of two spaces give: chance.

    With --joint, both encoders are then trained together with their heads. The dev split chooses the epoch, or the
    heads alone. It takes as long as fine-tuning both.

    \b
    Example:
      samespace align artifacts/small artifacts/large --data data/stackfaq -o artifacts/aligned
      samespace align artifacts/small artifacts/large --data data/stackfaq -o artifacts/aligned --dims 256 --rate 3e-4
      samespace align models/small models/large --data data/stackfaq -o artifacts/aligned --joint
    """
    modules = ("torch", "transformers", "sentence_transformers", "datasketch", "onnx")
    require_extra("train", feature="aligning encoders", modules=modules)
    require_extra("cpu", feature="aligning encoders", modules=("onnxruntime",))
    quiet_libraries()
    from ...training.heads.config import HeadConfig
    from ...training.heads.request import HeadRequest, align_encoders
    from ...training.joint.config import JointConfig

    config = HeadConfig(separate=True, **settings)
    wanted = HeadRequest(data, out, config, allow_leakage, cache, name, replace, drop_leaks=drop_leaks)
    both: dict[str, Any] = {"rate": joint_rate, "epochs": joint_epochs}
    given = {key: value for key, value in both.items() if value is not None}
    if given and not joint:
        raise ConfigInvalid(key="--joint-rate and --joint-epochs", reason="go with --joint, which is not given")
    together = JointConfig(**given, seed=config.seed, temperature=config.temperature) if joint else None
    exported = align_encoders(
        query_encoder, passage_encoder, wanted, progress=progress, say=say, show=show, joint=together,
        show_towers=_show_towers,
    )  # fmt: skip
    echo(f"exported: {out}, space {exported.artifact.space_id}")


def _show_towers(tuned: TunedTowers) -> None:
    """Print each epoch's scores, and what was taken."""
    splits = list(tuned.states[0].scored)
    rows = [
        [
            f"{each.epoch or 'heads alone'}{' *' if each is tuned.taken else ''}",
            f"{each.loss:.4f}" if each.epoch else "-",
            *(f"{each.scored[split].score.ndcg_10:.4f}" for split in splits),
        ]
        for each in tuned.states
    ]
    echo(table(["epoch", "loss", *(f"{split} nDCG@10" for split in splits)], rows))
    echo(f"joint: {tuned.summary()}")
