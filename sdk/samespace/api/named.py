"""From a name, as people say it on a command line or in a program, to an encoder.

FOLDER with a manifest   an artifact, by its fastest build whose probes pass here
FOLDER with a provider   a hosted encoder that was pinned (`samespace provider pin`)
another FOLDER           a checkpoint, with torch
HOST:PORT                a running server, over gRPC; HOST:PORT/SPACE where it serves several
A:PORT,B:PORT            replicas of one; more forms in `rpc.address`
ORGANISATION/MODEL       a checkpoint from the hub, with torch

What a server wants to see (a token, certificates) is read from the environment, because a command line can be read
by everybody on the machine: see `access_from`. So is how long it is waited for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import ConfigInvalid, RequestInvalid
from ..extras import require_extra
from ..providers.manifest import is_provider, read_provider
from ..rpc.access import Access, Tls
from ..rpc.address import ServerAddress

if TYPE_CHECKING:
    from ..encoder import Encoder
    from ..reranking.reranker import Reranker

SPACE_ID: Final = re.compile(r"[0-9a-f]{64}")
_TIMEOUT_MS: Final = 60_000
_MOST_MS: Final = 86_400_000


def open_encoder(name: str, overrides: Mapping[str, Any] | None = None) -> Encoder:
    """The encoder that *name* means; *overrides* are those of `checkpoint_options`, for checkpoints alone.

    Raises:
        SamespaceError: there is no such thing, it cannot be used, or an extra for it is missing.
        RequestInvalid: overrides for what has its recipe in its space id.
        ProviderDrifted: a hosted encoder does not give the vectors any more that were pinned.
    """
    from ..encoder import Encoder

    refuse_space_id(name)
    folder = Path(name)
    chosen = {key: value for key, value in (overrides or {}).items() if value is not None}
    if (folder / "manifest.json").is_file():
        _refuse(name, chosen, "an artifact")
        return Encoder.load(folder)
    if is_provider(folder):
        _refuse(name, chosen, "a pinned provider")
        from ..providers.encoder import ProviderEncoder

        hosted = ProviderEncoder(read_provider(folder))
        try:
            hosted.watch.before_use()  # so that a job is refused before it begins
        except BaseException:
            hosted.close()
            raise
        return hosted
    if not folder.exists():
        if "://" in name and not name.startswith(("grpc://", "grpcs://")):
            raise RequestInvalid(
                field="ENCODER", reason=f"{name!r}; programs talk gRPC to a server: give its host:port (the gRPC port)"
            )
        if ServerAddress.is_one(name):
            require_extra("rpc", feature="talking to a server", modules=("grpc", "google.protobuf"))
            _refuse(name, chosen, "a server")
            return Encoder.connect(name, access=access_from(os.environ), timeout_ms=timeout_from(os.environ))
    require_extra("train", feature=f"encoding with the checkpoint {name}", modules=("torch", "transformers"))
    from ..model.checkpoint import CheckpointEncoder, Overrides, load_checkpoint

    return CheckpointEncoder(load_checkpoint(name, Overrides(**chosen)))


def open_reranker(name: str) -> Reranker:
    """The reranker that *name* means: an artifact, or a server as HOST:PORT or HOST:PORT/RERANKER_ID.

    Raises:
        SamespaceError: there is no such thing, it cannot be used, or an extra for it is missing.
        WrongKind: it is an encoder.
    """
    from ..reranking.reranker import Reranker

    if Path(name).exists():
        require_extra("cpu", feature="running a reranker", modules=("onnxruntime",))
        return Reranker.load(Path(name))
    if not ServerAddress.is_one(name):
        raise RequestInvalid(
            field="--rerank", reason=f"{name!r}; expected the folder of a reranker, or a server's host:port (gRPC)"
        )
    require_extra("rpc", feature="talking to a server", modules=("grpc", "google.protobuf"))
    return Reranker.connect(name, access=access_from(os.environ))


def _refuse(name: str, chosen: Mapping[str, Any], what: str) -> None:
    """Prompts and limits of an artifact are in its space id: others would be another space under its name."""
    if chosen:
        options = {"token_limit": "--max-tokens", "window_overlap": "--overlap"}
        first, value = next(iter(chosen.items()))
        raise RequestInvalid(
            field=options.get(first, "--" + first.replace("_", "-")),
            reason=f"{value!r}; {name} is {what}, whose prompts and limits belong to its space: give the model folder, "
            "or export it again with these",
        )


def refuse_space_id(name: str) -> None:
    """Raise `RequestInvalid` where *name* is a space's id."""
    if SPACE_ID.fullmatch(name):
        raise RequestInvalid(field="--encoder", reason="a space id cannot encode; give an artifact or a server")


def space_of(text: str) -> tuple[str, str]:
    """(space id, display name) of whatever `open_encoder` takes, or of an id itself; loads no artifact's model."""
    from ..artifact import open_artifact

    if SPACE_ID.fullmatch(text):
        return text, ""
    if (Path(text) / "manifest.json").is_file():
        manifest = open_artifact(text).manifest
        return manifest.space_id, manifest.name
    if is_provider(text):
        provider = read_provider(text)
        return provider.space_id, provider.name
    with open_encoder(text) as encoder:
        return encoder.space_id, encoder.name


def access_from(environment: Mapping[str, str]) -> Access:
    """What the environment says about reaching servers; an empty variable is as good as none.

    SAMESPACE_TOKEN, or SAMESPACE_TOKEN_FILE     sent as a bearer token
    SAMESPACE_CA                                 PEM file of the authorities to trust; switches TLS on
    SAMESPACE_CERT, SAMESPACE_KEY                PEM files of the client's certificate, for mutual TLS; switch TLS on
    SAMESPACE_SERVER_NAME                        the name in the server's certificate, where it is not the host's;
                                                 switches TLS on
    SAMESPACE_TOKEN_IN_CLEAR=1                   send the token without TLS to other machines too

    Raises:
        ConfigInvalid: a file cannot be read, a certificate has no key, or the token is given twice.
    """
    said = {name: value for name, value in environment.items() if name.startswith("SAMESPACE_") and value}
    ca, certificate, key, name = (said.get(f"SAMESPACE_{each}") for each in ("CA", "CERT", "KEY", "SERVER_NAME"))
    tls = None
    if ca or certificate or key or name:
        tls = Tls.from_files(ca=ca, certificate=certificate, key=key, server_name=name)
    return Access(tls=tls, token=_token(said), token_in_clear=said.get("SAMESPACE_TOKEN_IN_CLEAR") == "1")


def timeout_from(environment: Mapping[str, str]) -> int:
    """Milliseconds to wait for an answer: those of SAMESPACE_TIMEOUT, which has seconds, else a minute.

    Raises:
        ConfigInvalid: it is no number of seconds above 0.
    """
    said = environment.get("SAMESPACE_TIMEOUT")
    if not said:
        return _TIMEOUT_MS
    try:
        milliseconds = int(float(said) * 1000)
    except (ValueError, OverflowError):
        milliseconds = 0
    if not 0 < milliseconds <= _MOST_MS:
        raise ConfigInvalid(key="SAMESPACE_TIMEOUT", reason=f"{said!r}; expected seconds, such as 300")
    return milliseconds


def _token(said: Mapping[str, str]) -> str | None:
    file = said.get("SAMESPACE_TOKEN_FILE")
    if file is None:
        return said.get("SAMESPACE_TOKEN")
    if "SAMESPACE_TOKEN" in said:
        raise ConfigInvalid(key="SAMESPACE_TOKEN_FILE", reason="SAMESPACE_TOKEN is set too; keep one of them")
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigInvalid(key="SAMESPACE_TOKEN_FILE", reason=f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigInvalid(key="SAMESPACE_TOKEN_FILE", reason=f"{file}: not UTF-8 text") from error
