"""Which Weaviate and whose space are meant: what the commands of `samespace weaviate` share."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ...errors import ConfigInvalid, WeaviateUnavailable
from ..options import gathered

if TYPE_CHECKING:
    from samespace_weaviate import Store
    from samespace_weaviate.access.address import Address
    from samespace_weaviate.access.values import Consistency, Levels


@dataclass(frozen=True, slots=True)
class NamedWeaviate:
    """The Weaviate that a command names; called, it opens it, in this process or in one of Ray's actors.

    Keys are not in it: each machine reads them from its own environment.

    Attributes:
        node: REST addresses of every node; () for what WEAVIATE_NODES says.
        consistency: of what a verdict rests on; None for reads at ALL and writes at QUORUM.
    """

    url: str | None
    grpc_port: int | None
    embedded: Path | None
    node: tuple[str, ...] = ()
    consistency: Consistency | None = None

    def __call__(self) -> AbstractContextManager[Store]:
        """A connection, closed at the end of the block."""
        return open_store(self.url, self.grpc_port, self.embedded, WeaviateNodes(self.node, self.consistency))


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
        "node": click.option(
            "--node",
            multiple=True,
            metavar="URL",
            help="REST address of a node, once per node; http://HOST:PORT#GRPC_PORT if its gRPC port is another than "
            "--grpc-port; needed for collections with replicas [default: WEAVIATE_NODES, comma-separated].",
        ),
        "consistency": click.option(
            "--consistency",
            type=click.Choice(["ONE", "QUORUM", "ALL"], case_sensitive=False),
            help="Replicas that a verdict rests on; ONE does not compare them [default: read ALL, write QUORUM].",
        ),
    },
)
"""The options that say which Weaviate is meant."""


@dataclass(frozen=True, slots=True)
class WeaviateNodes:
    """What the options say about nodes and replicas.

    Attributes:
        node: REST addresses of every node; () for what WEAVIATE_NODES says.
        consistency: of what a verdict rests on; None for reads at ALL and writes at QUORUM.
    """

    node: tuple[str, ...] = ()
    consistency: Consistency | None = None

    def levels(self) -> Levels:
        """For the connection."""
        from samespace_weaviate.access.values import Levels

        if self.consistency is None:
            return Levels()
        return Levels(write="ALL" if self.consistency == "ALL" else "QUORUM", decide=self.consistency)

    def members(self, environment: Mapping[str, str]) -> tuple[Address, ...]:
        """The nodes' addresses.

        Raises:
            ConfigInvalid: one is no address, or comes twice.
        """
        from samespace_weaviate.access.address import Address, grpc_port

        told = self.node or tuple(filter(None, map(str.strip, environment.get("WEAVIATE_NODES", "").split(","))))
        key = "--node" if self.node else "WEAVIATE_NODES"
        found: dict[str, Address] = {}
        for url in told:
            address = Address.parse(url, grpc_port(environment), environment.get("WEAVIATE_API_KEY", "").strip())
            if str(address) in found:
                raise ConfigInvalid(key=key, reason=f"{address} is given twice; expected one address for each node")
            found[str(address)] = address
        return tuple(found.values())


def require_weaviate() -> None:
    from ...extras import require_extra

    require_extra("weaviate", feature="samespace weaviate", modules=("weaviate", "grpc"))


def require_rights(store: Store, command: str, *names: str) -> None:
    """Return if the key in use may do what *command* needs; asked before anything is done.

    Raises:
        RightsMissing: it may not; says which rights are missing, and which role has them.
    """
    from samespace_weaviate.pinning.spec import collection_name
    from samespace_weaviate.rights.needed import require_rights as ask

    aliases = store.aliases()
    ask(store.rest, command, [aliases.get(collection_name(name), collection_name(name)) for name in names])


@contextmanager
def open_store(
    url: str | None, grpc_port: int | None, embedded: Path | None, cluster: WeaviateNodes | None = None
) -> Iterator[Store]:
    """The Weaviate that the options and the environment name; *cluster* says what is known of its nodes.

    Raises:
        ConfigInvalid: an option is wrong, or the nodes' addresses are not those of this Weaviate's nodes.
    """
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
    cluster = cluster or WeaviateNodes()
    members = () if embedded else cluster.members(environment)
    with Store.open(found, embedded, levels=cluster.levels(), members=members) as store:
        if members:
            _require_members(store)
        yield store


def _require_members(store: Store) -> None:
    """Raise unless there is an address for every node, and those that answer are of this Weaviate.

    A node that does not answer is passed over here: whatever needs it says so.
    """
    names = store.node_names()
    if len(store.members) < len(names):
        raise ConfigInvalid(
            key="--node",
            reason=f"{len(store.members)} addresses, and Weaviate has {len(names)} nodes: {', '.join(sorted(names))}; "
            "give the address of each, also that of --url",
        )
    for address, node in store.each_node().items():
        try:
            own = node.node_names()
        except WeaviateUnavailable:
            continue
        if not own & names:
            raise ConfigInvalid(
                key="--node", reason=f"{address} is of another Weaviate: its nodes are {', '.join(sorted(own))}"
            )
