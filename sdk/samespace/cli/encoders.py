"""From the word on the command line to what can be scored.

bm25                     the baseline
FOLDER with a manifest   an artifact, by its fastest build whose probes pass here
another FOLDER           a checkpoint, with torch
HOST:PORT                a running server, over gRPC; grpc://HOST:PORT is the same
ORGANISATION/MODEL       a checkpoint from the hub, with torch
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import RequestInvalid
from ..extras import require_extra

if TYPE_CHECKING:
    from ..encoder import Encoder
    from ..evaluation import Ranker

_ADDRESS: Final = re.compile(r"(?:grpc://)?(?P<address>[A-Za-z0-9._-]+:\d{1,5}|\[[0-9A-Fa-f:]+\]:\d{1,5})")


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
