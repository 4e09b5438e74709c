"""The one way into a Weaviate: opens connections, and is a `Database`.

What is asked over REST is in `schemas` and `objects`, what goes through weaviate-client over gRPC in `queries`; no
decision is made in any of them. Foreign exceptions leave as ours (`errors`, `rest`).
"""

from __future__ import annotations

import copy
import logging
import os
import socket
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from samespace.errors import ConfigInvalid, WeaviateUnavailable
from samespace.extras import require_extra

from .address import Address, EmbeddedWeaviate
from .environment import variables
from .errors import translated
from .login import Login
from .objects import spare
from .patience import NONE, Patience
from .queries import QueryCalls
from .rest import Rest
from .values import Consistency, Levels

if TYPE_CHECKING:
    from weaviate.auth import AuthCredentials

    from weaviate import WeaviateClient

_INIT_TIMEOUT_S: Final = 10
_QUERY_TIMEOUT_S: Final = 60
_INSERT_TIMEOUT_S: Final = 120
# By default the pauses of a channel grow to two minutes: a Weaviate that is back would stay away for that long.
_RECONNECTING: Final = (("grpc.initial_reconnect_backoff_ms", 500), ("grpc.max_reconnect_backoff_ms", 4000))

# An embedded server is for this machine alone; the encoder of a collection is in the collection's own inferenceUrl.
_EMBEDDED_ENVIRONMENT: Final = {
    **{each.name: each.value for each in variables("http://127.0.0.1:9", cohere=True)},
    "CLUSTER_BIND_ADDR": "127.0.0.1",
    "CLUSTER_ADVERTISE_ADDR": "127.0.0.1",
    "RAFT_TIMEOUTS_MULTIPLIER": "1",
    "GO_PROFILING_DISABLE": "true",
    "DISABLE_TELEMETRY": "true",
    "LOG_LEVEL": "error",
}


class Store(QueryCalls):
    """A connection to one Weaviate, which is a `Database`; close it, or use it in a `with` statement.

    Attributes:
        where: its address, with what is needed to open another connection.
        tenant: whose objects are meant; "" for no tenant.
        levels: of how many replicas answers are, where a call does not say.
        members: REST addresses of every node, where there are several; () where they are not known.
    """

    def __init__(
        self,
        client: WeaviateClient,
        where: Address,
        levels: Levels | None = None,
        members: tuple[Address, ...] = (),
    ) -> None:
        self.client, self.where = client, where
        bearer = _bearer_of(client) if where.oidc else None
        self.rest = Rest.open(where, bearer=bearer)
        self.tenant = ""
        self.levels = levels or Levels()
        self.members = members
        self.counted = {}
        self._nodes = {str(each): Rest.open(each, bearer=bearer) for each in members}
        self._clients: dict[str, WeaviateClient] = {}  # of nodes whose own index was asked

    @staticmethod
    def connect(address: Address | str, *, levels: Levels | None = None, members: tuple[Address, ...] = ()) -> Store:
        """Use a Weaviate that runs.

        Args:
            address: of the node, or of what stands before the nodes, that is asked; a text as `Address.parse` takes it.
            levels: of how many replicas answers are.
            members: of every node; needed to decide on collections with replicas, see `replicas`.

        Raises:
            WeaviateUnavailable: nothing answers there, over REST or over gRPC.
        """
        address = Address.parse(address) if isinstance(address, str) else address
        return Store(_connected(address), address, levels, members)

    @staticmethod
    def embedded(embedded: EmbeddedWeaviate, data: Path | str, *, levels: Levels | None = None) -> Store:
        """Start a Weaviate of one's own, which ends with the store; its data stays in the folder *data*.

        Raises:
            WeaviateUnavailable: it cannot be downloaded or does not start.
        """
        weaviate = _weaviate()
        folder = Path(data).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        port, grpc_port = _free_ports(2)
        with translated(str(embedded)):
            client = weaviate.connect_to_embedded(
                version=embedded.version,
                binary_path=str(embedded.cache),
                persistence_data_path=str(folder),
                port=port,
                grpc_port=grpc_port,
                environment_variables={
                    **_EMBEDDED_ENVIRONMENT,
                    "PERSISTENCE_DATA_PATH": str(folder),
                    "GRPC_PORT": str(grpc_port),
                    "CLUSTER_HOSTNAME": "samespace",  # the data belongs to this name: it must not change
                    "RAFT_JOIN": "",
                },
                additional_config=_config(),
            )
        return Store(client, Address("127.0.0.1", port, False, grpc_port), levels)

    @staticmethod
    def open(
        where: Address | EmbeddedWeaviate,
        data: Path | str | None = None,
        *,
        levels: Levels | None = None,
        members: tuple[Address, ...] = (),
    ) -> Store:
        """`connect` or `embedded`, whichever *where* calls for."""
        if isinstance(where, Address):
            return Store.connect(where, levels=levels, members=members)
        return Store.embedded(where, data or tempfile.mkdtemp(prefix="samespace-weaviate-"), levels=levels)

    @property
    def address(self) -> str:
        """Of REST; "http://HOST:PORT"."""
        return str(self.where)

    @property
    def grpc_port(self) -> int:
        """Of gRPC."""
        return self.where.grpc_port

    @property
    def patience(self) -> Patience:
        """With outages."""
        return self.rest.patience

    @property
    def version(self) -> str:
        """Weaviate's version."""
        return str(self.rest.ask("GET", "/meta")["version"])

    def of_tenant(self, tenant: str) -> Self:
        """The same connection, where everything about objects is about those of one tenant; "" for no tenant."""
        found = copy.copy(self)
        found.tenant = tenant
        return found

    def patient(self, patience: Patience) -> Self:
        """The same connection, where each call waits out an outage."""
        found = copy.copy(self)
        found.rest = replace(self.rest, patience=patience)
        return found

    def at(self, levels: Levels) -> Self:
        """The same connection, where answers are of so many replicas."""
        found = copy.copy(self)
        found.levels = levels
        return found

    def each_node(self) -> dict[str, Self]:
        """From the address of each node that is known to the same connection, to this one node alone, over REST.

        Its calls are tried once. Without `members` it is the one node that answers here.
        """
        found = {}
        for address, rest in (self._nodes or {str(self.where): replace(self.rest, patience=NONE)}).items():
            found[address] = copy.copy(self)
            found[address].rest, found[address].members, found[address]._nodes = rest, (), {}
            found[address].levels = Levels(write=self.levels.write, decide="ONE", search=self.levels.search)
        return found

    def each_index(self, name: str, consistency: Consistency | None = None) -> dict[str, Self]:
        """From address to the same connection, whose searches go to one node and its own index.

        A node searches its own replicas. {"": this connection} where there is one replica, or one is enough; nodes that
        may be away at this level are left out when they do not answer.

        Raises:
            WeaviateUnavailable: more nodes do not answer, over REST or gRPC.
        """
        level = consistency or self.levels.decide
        replicas = 1 if level == "ONE" or not self.members else self.replicas(name)
        if replicas <= 1:
            return {"": self}
        found: dict[str, Self] = {}
        silent: list[WeaviateUnavailable] = []
        for member in self.members:
            try:
                found[str(member)] = self.through(str(member))
            except WeaviateUnavailable as error:
                silent.append(error)
        if len(silent) > spare(replicas, level):
            raise silent[0]
        return found

    def through(self, address: str) -> Self:
        """The same connection, whose searches go to the known node *address*; "" is this connection itself.

        Raises:
            WeaviateUnavailable: the node does not answer, over REST or gRPC.
        """
        if not address:
            return self
        member = next(each for each in self.members if str(each) == address)
        self._clients[address] = self._clients.get(address) or _connected(member)
        found = copy.copy(self)
        found.client = self._clients[address]
        return found

    def unasked(self, name: str, asked: Collection[str]) -> tuple[str, ...]:
        """Nodes that hold replicas and are not among *asked*, the keys of `each_index`; for people."""
        others = self.replicas(name) - 1
        if others < 1:
            return ()
        if not self.members or "" in asked:
            return (f"{others} of the nodes that hold its replicas",)
        return tuple(str(member) for member in self.members if str(member) not in asked)

    def close(self) -> None:
        """Close the connection, and all that were made of it; an embedded Weaviate ends."""
        for client in self._clients.values():
            client.close()
        self.rest.web.close()
        for rest in self._nodes.values():
            rest.web.close()
        self.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _connected(address: Address) -> WeaviateClient:
    weaviate = _weaviate()
    if address.oidc is not None:
        _require_oidc()
    with translated(str(address)), _trusting(address.ca):
        client: WeaviateClient = weaviate.connect_to_custom(
            http_host=address.host,
            http_port=address.port,
            http_secure=address.secure,
            grpc_host=address.grpc_host or address.host,
            grpc_port=address.grpc_port,
            grpc_secure=address.secure if address.grpc_secure is None else address.grpc_secure,
            headers=dict(address.headers) or None,
            auth_credentials=_credentials(address.login),
            additional_config=_config(address.ca),
        )
    return client


def _credentials(login: Login) -> AuthCredentials | None:
    """For weaviate-client; None for anonymous access."""
    from weaviate.classes.init import Auth

    scope = login.scope or None
    if login.client_secret:
        return Auth.client_credentials(login.client_secret, scope)
    if login.username:
        return Auth.client_password(login.username, login.password, scope)
    if login.access_token:
        return Auth.bearer_token(login.access_token, login.expires_in, login.refresh_token or None)
    return Auth.api_key(login.api_key) if login.api_key else None


def _require_oidc() -> None:
    """Raise unless authlib, by which weaviate-client gets tokens, is of the same HTTP library."""
    from authlib.integrations.httpx_client import OAuth2Client

    if not any(base.__module__.partition(".")[0] == "httpx" for base in OAuth2Client.__mro__):
        raise ConfigInvalid(
            key="authlib",
            reason="this version goes by httpx2, and weaviate-client's OIDC needs httpx; pip install 'authlib<1.8'",
        )


def _bearer_of(client: WeaviateClient) -> Callable[[], str]:
    """The authorization that weaviate-client has at the moment; it gets a new token before the old one expires."""
    return lambda: str(client._connection.get_current_bearer_token())


@contextmanager
def _trusting(ca: str) -> Iterator[None]:
    """What weaviate-client itself asks over REST goes by SSL_CERT_FILE, which it reads when it connects."""
    before = os.environ.get("SSL_CERT_FILE")
    if ca:
        os.environ["SSL_CERT_FILE"] = ca
    try:
        yield
    finally:
        if ca and before is None:
            del os.environ["SSL_CERT_FILE"]
        elif ca and before is not None:
            os.environ["SSL_CERT_FILE"] = before


def _weaviate() -> Any:
    require_extra("weaviate", feature="Weaviate", modules=("weaviate", "grpc", "httpx"))
    import weaviate

    logging.getLogger("weaviate-client").addFilter(_without_objects)  # the same again is not added twice
    return weaviate


def _config(ca: str = "") -> Any:
    from weaviate.classes.init import AdditionalConfig, Timeout

    timeout = Timeout(init=_INIT_TIMEOUT_S, query=_QUERY_TIMEOUT_S, insert=_INSERT_TIMEOUT_S)
    try:
        from weaviate.classes.init import GrpcConfig
    except ImportError:  # before 4.17, which has no say in this
        return AdditionalConfig(timeout=timeout, trust_env=bool(ca))
    import grpc

    credentials = grpc.ssl_channel_credentials(Path(ca).read_bytes()) if ca else None
    channel = GrpcConfig(channel_options=list(_RECONNECTING), credentials=credentials)
    # What it asks over REST itself goes by SSL_CERT_FILE, which it reads where it trusts the environment.
    return AdditionalConfig(timeout=timeout, grpc_config=channel, trust_env=bool(ca))


def _without_objects(record: logging.LogRecord) -> bool:
    """Keep weaviate-client from logging whole objects, texts and vectors, when it also returns the errors."""
    return not (isinstance(record.msg, dict) and "errors" in record.msg)


def _free_ports(count: int) -> list[int]:
    """Ports that are free at the moment; all are held until the last is found, so that they differ."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for entry in sockets:
            entry.bind(("127.0.0.1", 0))
        return [entry.getsockname()[1] for entry in sockets]
