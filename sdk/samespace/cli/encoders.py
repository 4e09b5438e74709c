"""What commands say of encoders: their names (`samespace.api.named`), and the options of checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from ..api import named
from ..api.named import SPACE_ID, access_from, refuse_space_id, space_of
from ..providers.manifest import is_provider, read_provider
from .console import say, wrapped
from .options import gathered

if TYPE_CHECKING:
    from ..encoder import Encoder
    from ..providers.manifest import ProviderManifest

__all__ = [
    "SPACE_ID",
    "access_from",
    "checkpoint_options",
    "open_encoder",
    "refuse_space_id",
    "space_of",
    "tell_probes",
]


def open_encoder(name: str, overrides: Mapping[str, Any] | None = None) -> Encoder:
    """`samespace.api.named.open_encoder`; of a hosted encoder it is said where texts go, before one does."""
    if is_provider(name):
        manifest = read_provider(name)
        say(wrapped(f"{manifest.name}: texts are sent to {manifest.base_url}, and the provider bills them."))
        tell_probes(manifest)
    return named.open_encoder(name, overrides)


def tell_probes(manifest: ProviderManifest) -> None:
    """Say what it costs to ask a provider whether it is still the pinned model, before it is asked."""
    from ..providers.door import CHARS_A_TOKEN
    from ..providers.pin import AGAIN

    tokens = sum(map(len, manifest.texts)) // CHARS_A_TOKEN
    say(
        wrapped(
            f"Sends {len(manifest.texts)} short texts to {manifest.base_url}, about {tokens:,} tokens, to see whether "
            f"it is still what was pinned; where one is off, up to {AGAIN} times more."
        )
    )


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
