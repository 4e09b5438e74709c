"""What commands say of encoders: their names (`samespace.api.named`), and the options of checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from ..api import named
from ..api.named import SPACE_ID, access_from, refuse_space_id, space_of
from .console import say, wrapped
from .options import gathered

if TYPE_CHECKING:
    from ..encoder import Encoder

__all__ = ["SPACE_ID", "access_from", "checkpoint_options", "open_encoder", "refuse_space_id", "space_of"]


def open_encoder(name: str, overrides: Mapping[str, Any] | None = None) -> Encoder:
    """`samespace.api.named.open_encoder`; of a hosted encoder it is said where texts go, before one does."""
    from ..providers.manifest import is_provider

    opened = named.open_encoder(name, overrides)
    if is_provider(name):
        from ..providers.encoder import ProviderEncoder

        assert isinstance(opened, ProviderEncoder)
        say(wrapped(f"{opened.name}: texts are sent to {opened.door.address}, and the provider bills them."))
    return opened


_OVERRIDES: Final = {
    "pooling": click.option(
        "--pooling", help="Pooling of a plain transformers folder: mean, cls, max, last or weighted_mean."
    ),
    "token_limit": click.option(
        "--max-tokens",
        "token_limit",
        type=int,
        metavar="N",
        help="Token limit of one model input [default: the model's].",
    ),
    "window_overlap": click.option(
        "--overlap",
        "window_overlap",
        type=int,
        metavar="N",
        help="Tokens shared by neighbouring windows of a long text [default: a quarter of the limit].",
    ),
    "query_prompt": click.option("--query-prompt", help="Prompt in front of every query."),
    "passage_prompt": click.option("--passage-prompt", help="Prompt in front of every passage."),
}


checkpoint_options: Final = gathered("overrides", dict, _OVERRIDES)
"""The options that say which encoder a checkpoint is, the same in every command that reads one.

They are those of `model.checkpoint.Overrides`: `load_checkpoint(model, Overrides(**overrides))`.
"""
