"""Which Weaviate and whose space are meant: what the commands of `samespace weaviate` share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ...errors import ConfigInvalid, WeaviateUnavailable
from ..options import gathered

if TYPE_CHECKING:
    from samespace_weaviate import Store


@dataclass(frozen=True, slots=True)
class NamedWeaviate:
    """The Weaviate that a command names; called, it opens it, in this process or in one of Ray's actors.

    Keys are not in it: each machine reads them from its own environment.
    """

    url: str | None
    grpc_port: int | None
    embedded: Path | None

    def __call__(self) -> AbstractContextManager[Store]:
        """A connection, closed at the end of the block."""
        return open_store(self.url, self.grpc_port, self.embedded)


connection: Final = gathered(
    "weaviate",
    NamedWeaviate,
    {
        "url": click.option(
            "--url", help="Weaviate's REST address [default: WEAVIATE_URL, else http://localhost:8080]."
        ),
        "grpc_port": click.option(
            "--grpc-port", type=int, help="Weaviate's gRPC port [default: WEAVIATE_GRPC_PORT, else 50051]."
        ),
        "embedded": click.option(
            "--embedded",
            type=click.Path(path_type=Path, file_okay=False),
            help="Start a Weaviate for this command, with its data in this folder.",
        ),
    },
)
"""The options that say which Weaviate is meant."""


def require_weaviate() -> None:
    from ...extras import require_extra

    require_extra("weaviate", feature="samespace weaviate", modules=("weaviate", "grpc"))


def require_rights(store: Store, command: str, *names: str) -> None:
    """Return if the key in use may do what *command* needs; asked before anything is done.

    Raises:
        RightsMissing: it may not; says which rights are missing, and which role has them.
    """
    from samespace_weaviate.access.rights import require_rights as ask
    from samespace_weaviate.pinning.spec import collection_name

    aliases = store.aliases()
    ask(store.rest, command, [aliases.get(collection_name(name), collection_name(name)) for name in names])


@contextmanager
def open_store(url: str | None, grpc_port: int | None, embedded: Path | None) -> Iterator[Store]:
    """The Weaviate that the options and the environment name."""
    from samespace_weaviate import Store
    from samespace_weaviate.access.address import NoWeaviate, find_weaviate

    if url and embedded:
        raise ConfigInvalid(key="--url and --embedded", reason="give one of them")
    environment = dict(os.environ)
    environment["WEAVIATE_URL"] = url or environment.get("WEAVIATE_URL") or "http://localhost:8080"
    if grpc_port:
        environment["WEAVIATE_GRPC_PORT"] = str(grpc_port)
    found = find_weaviate("embedded" if embedded else "url", environment)
    if isinstance(found, NoWeaviate):
        raise WeaviateUnavailable(address="embedded" if embedded else "server", reason=found.reason)
    with Store.open(found, embedded) as store:
        yield store
