"""From the word on the command line to what can be scored.

bm25                     the baseline
FOLDER with a manifest   an artifact, by its fastest build whose probes pass here
another FOLDER           a checkpoint, with torch
HOST:PORT                a running server, over gRPC; grpc://HOST:PORT is the same
ORGANISATION/MODEL       a checkpoint from the hub, with torch
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ..errors import RequestInvalid
from ..extras import require_extra

if TYPE_CHECKING:
    from ..encoder import Encoder
    from ..evaluation import Ranker

_ADDRESS: Final = re.compile(r"(?:grpc://)?(?P<address>[A-Za-z0-9._-]+:\d{1,5}|\[[0-9A-Fa-f:]+\]:\d{1,5})")

_OVERRIDES: Final = {
    "pooling": click.option("--pooling", help="For plain transformers folders: mean, cls, max, last or weighted_mean."),
    "token_limit": click.option(
        "--max-tokens",
        "token_limit",
        type=int,
        metavar="N",
        help="Token limit of one model input; the model's own unless given.",
    ),
    "window_overlap": click.option(
        "--overlap",
        "window_overlap",
        type=int,
        metavar="N",
        help="Tokens that windows of a long text share; a quarter of the limit unless given.",
    ),
    "query_prompt": click.option("--query-prompt", help="Put in front of every query."),
    "passage_prompt": click.option("--passage-prompt", help="Put in front of every passage."),
}


def checkpoint_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* the options that say which encoder a checkpoint is; it gets them as one mapping *overrides*.

    They are those of `export.checkpoint.Overrides`, the same in every command that reads a checkpoint:
    `load_checkpoint(model, Overrides(**overrides))`.
    """

    @wraps(command)
    def gathered(*args: Any, **options: Any) -> Any:
        overrides = {name: options.pop(name) for name in _OVERRIDES}
        return command(*args, overrides=overrides, **options)

    for option in reversed(_OVERRIDES.values()):
        gathered = option(gathered)
    return gathered


@contextmanager
def open_ranker(name: str) -> Iterator[Ranker]:
    """What *name* means, ready to be scored; closed afterwards.

    Raises:
        SamespaceError: there is no such thing, it cannot be used, or an extra for it is missing.
    """
    from ..evaluation import Bm25Ranker, DenseRanker

    if name == "bm25":
        yield Bm25Ranker()
        return
    with open_encoder(name) as encoder:
        yield DenseRanker(encoder)


def open_encoder(name: str) -> Encoder:
    """The encoder that *name* means: anything that `open_ranker` takes, but for BM25."""
    from ..encoder import Encoder

    folder = Path(name)
    if (folder / "manifest.json").is_file():
        return Encoder.load(folder)
    if not folder.exists():
        if "://" in name and not name.startswith("grpc://"):
            raise RequestInvalid(
                field="ENCODER", reason=f"{name!r}; programs talk gRPC to a server: give its host:port (the gRPC port)"
            )
        if server := _ADDRESS.fullmatch(name):
            require_extra("rpc", feature="talking to a server", modules=("grpc", "google.protobuf"))
            return Encoder.connect(server["address"])
    require_extra("train", feature=f"encoding with the checkpoint {name}", modules=("torch", "transformers"))
    from ..export.checkpoint import CheckpointEncoder, load_checkpoint

    return CheckpointEncoder(load_checkpoint(name))
