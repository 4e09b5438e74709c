"""Which Weaviate and whose space are meant: what the commands of `samespace weaviate` share."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
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
        grpc_host, grpc_secure: of gRPC, where they are not REST's; "" and None for what the environment says.
        header: "NAME: VALUE" of further headers; () for WEAVIATE_HEADERS.
        ca: PEM file of the authorities to trust; None for WEAVIATE_CA.
    """

    url: str | None
    grpc_port: int | None
    embedded: Path | None
    node: tuple[str, ...] = ()
    consistency: Consistency | None = None
    grpc_host: str = ""
    grpc_secure: bool | None = None
    header: tuple[str, ...] = field(default=(), repr=False)
    ca: Path | None = None

    def __call__(self) -> AbstractContextManager[Store]:
        """A connection, closed at the end of the block."""
        return open_store(self)

    def options(self) -> list[str]:
        """The options that name it, to be printed in a line to run next; without headers, which may be secrets."""
        given: dict[str, object] = {
            "--url": self.url,
            "--grpc-port": self.grpc_port,
            "--grpc-host": self.grpc_host,
            "--ca": self.ca,
            "--embedded": self.embedded,
            "--consistency": self.consistency,
        }
        words = [word for option, value in given.items() if value for word in (option, str(value))]
        words += [word for each in self.node for word in ("--node", each)]
        if self.grpc_secure is not None:
            words.append("--grpc-secure" if self.grpc_secure else "--no-grpc-secure")
        return words

    def environment(self, outside: Mapping[str, str]) -> dict[str, str]:
        """The variables that `access.address` reads: those of *outside*, and the options before them."""
        said = {
            "WEAVIATE_URL": self.url or outside.get("WEAVIATE_URL") or "http://localhost:8080",
            "WEAVIATE_GRPC_PORT": str(self.grpc_port or ""),
            "WEAVIATE_GRPC_HOST": self.grpc_host,
            "WEAVIATE_GRPC_SECURE": "" if self.grpc_secure is None else str(self.grpc_secure).lower(),
            "WEAVIATE_HEADERS": "\n".join(self.header),
            "WEAVIATE_CA": str(self.ca or ""),
        }
        return {**outside, **{name: value for name, value in said.items() if value}}


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
        "grpc_host": click.option(
            "--grpc-host", default="", help="Weaviate's gRPC host [default: WEAVIATE_GRPC_HOST, else that of --url]."
        ),
        "grpc_secure": click.option(
            "--grpc-secure/--no-grpc-secure",
            default=None,
            help="Use TLS for gRPC or not [default: WEAVIATE_GRPC_SECURE, else as --url].",
        ),
        "header": click.option(
            "--header",
            multiple=True,
            metavar="'NAME: VALUE'",
            help="Further header of each request; may be repeated; use WEAVIATE_HEADERS, one per line, for secrets.",
        ),
        "ca": click.option(
            "--ca",
            type=click.Path(path_type=Path, dir_okay=False),
            help="PEM file of the authorities to trust [default: WEAVIATE_CA, else the system's].",
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
        from samespace_weaviate.access.address import Address

        told = self.node or tuple(filter(None, map(str.strip, environment.get("WEAVIATE_NODES", "").split(","))))
        key = "--node" if self.node else "WEAVIATE_NODES"
        found: dict[str, Address] = {}
        for url in told:
            address = Address.from_environment(url, environment, is_node=True)
            if str(address) in found:
                raise ConfigInvalid(key=key, reason=f"{address} is given twice; expected one address for each node")
            found[str(address)] = address
        return tuple(found.values())


def require_weaviate() -> None:
    from ...extras import require_extra

    require_extra("weaviate", feature="samespace weaviate", modules=("weaviate", "grpc"))


def require_rights(store: Store, command: str, *names: str, tenants: Sequence[str] = ()) -> None:
    """Return if the key in use may do what *command* needs; asked before anything is done.

    Args:
        tenants: that it keeps to; () where it works on all.

    Raises:
        RightsMissing: it may not; says which rights are missing, and which role has them.
    """
    from samespace_weaviate.pinning.spec import collection_name
    from samespace_weaviate.rights.needed import require_rights as ask

    aliases = store.aliases()
    ask(store.rest, command, [aliases.get(collection_name(name), collection_name(name)) for name in names], tenants)


@contextmanager
def open_store(named: NamedWeaviate) -> Iterator[Store]:
    """The Weaviate that the options and the environment name.

    Raises:
        ConfigInvalid: an option is wrong, or the nodes' addresses are not those of this Weaviate's nodes.
    """
    from samespace_weaviate import Store
    from samespace_weaviate.access.address import NoWeaviate, find_weaviate

    if named.url and named.embedded:
        raise ConfigInvalid(key="--url and --embedded", reason="give one of them")
    environment = named.environment(os.environ)
    found = find_weaviate("embedded" if named.embedded else "url", environment)
    if isinstance(found, NoWeaviate):
        raise WeaviateUnavailable(address="embedded" if named.embedded else "server", reason=found.reason)
    cluster = WeaviateNodes(named.node, named.consistency)
    members = () if named.embedded else cluster.members(environment)
    with Store.open(found, named.embedded, levels=cluster.levels(), members=members) as store:
        if members:
            _require_members(store)
        yield store


def _require_members(store: Store) -> None:
    """Raise unless each node has an address of its own, and those that answer are of this Weaviate.

    A node that does not answer is passed over here: whatever needs it says so.
    """
    from samespace_weaviate.access.address import one_node_twice

    if (twice := one_node_twice(store.members)) is not None:
        raise ConfigInvalid(
            key="--node",
            reason=f"{twice[0]} and {twice[1]} are the same node by two names, or have the same gRPC port; give the "
            "address of each node once, as http://HOST:PORT#GRPC_PORT where its gRPC port is not --grpc-port",
        )
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
