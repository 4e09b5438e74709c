"""`AdminClient`: load, reload and unload the spaces of a running server, over its admin port.

What it leaves to others: which artifacts there are, and moving collections to another space.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar

import grpc

from ..errors import RequestInvalid, ServerUnavailable
from .address import ServerAddress
from .messages import SpaceInfo, read_space
from .status import ERROR_KEY, decode
from .v1 import admin_pb2 as pb
from .v1.admin_pb2_grpc import AdminStub

Answer = TypeVar("Answer")
_NO_ADMIN: Final = (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAVAILABLE)
_NOT_THERE: Final = (
    "no admin port answers there; it opens only with `samespace serve --admin-port PORT`, on the server's own machine, "
    "and is neither the HTTP nor the gRPC port"
)
MARGIN_MS: Final = 10_000
"""How much longer than the server a client waits, so that it is the server who says what was not done in time."""


@dataclass(frozen=True, slots=True)
class ServedSpace:
    """A space that a server serves, and how it is.

    Attributes:
        info: what it is and what runs it.
        ready: whether it would answer now.
        broken: why it answers nothing more; None while all is well.
        is_default: whether it answers HTTP paths that name no space.
        folder: its artifact, on the server.
        requests_at_work: accepted and not answered yet.
    """

    info: SpaceInfo
    ready: bool
    broken: str | None
    is_default: bool
    folder: str
    requests_at_work: int


class AdminClient:
    """A connection to one server's admin port. Close it, or use it in a `with`."""

    def __init__(self, address: str, *, timeout_ms: int = 600_000) -> None:
        """Nothing is sent yet.

        Args:
            address: "host:port" of the admin port, which servers open on their loopback alone.
            timeout_ms: the longest wait for an answer; loading a large artifact takes minutes.

        Raises:
            RequestInvalid: the address is malformed, or names several servers.
        """
        parsed = ServerAddress.parse(address)
        if len(parsed.replicas) != 1 or parsed.space is not None or parsed.tls:
            raise RequestInvalid(field="address", reason=f"{address!r}; expected HOST:PORT of one server's admin port")
        self._address, self._timeout_ms = str(parsed), timeout_ms
        self._channel = grpc.insecure_channel(self._address)
        self._stub = AdminStub(self._channel)  # type: ignore[no-untyped-call]

    def list_served(self) -> tuple[ServedSpace, ...]:
        """Every space that is served."""
        reply = self._call(self._stub.ListServed, pb.ListServedRequest())
        return tuple(_served(each) for each in reply.spaces)

    def load(
        self,
        folder: str,
        *,
        space: str | None = None,
        replace: bool = False,
        build: str = "",
        runtime: str = "",
        other_graph: bool = False,
    ) -> ServedSpace:
        """Serve an artifact; returns when its probes have passed and it is served.

        Args:
            folder: on the server, below its --admin-root; relative to that, or absolute.
            space: refuse an artifact of another space; full id, or at least 12 digits.
            replace: reload, where its space is served already.
            build, runtime: empty for what the server was started with.
            other_graph: take a graph too that is not the one that was served under this id.

        Raises:
            RequestInvalid: not a folder that may be loaded, or served already.
            GraphsDiffer: its graph is another than was served under this id, and *other_graph* is off.
            SpaceMismatch: it is of another space.
            ArtifactError, BuildError: the server cannot trust it, or computes other vectors.
        """
        request = pb.LoadSpaceRequest(
            folder=folder, space_id=space or "", replace=replace, build=build, runtime=runtime, other_graph=other_graph
        )
        return _served(self._call(self._stub.LoadSpace, request).space)

    def unload(self, space: str, *, timeout_ms: int = 0) -> int:
        """Take a space off. What it accepted is answered in any case, and then its memory is let go.

        Args:
            timeout_ms: how long to wait for that; 0 for as long as the server's shutdown would.

        Returns:
            How many accepted requests it still has to answer; 0 when it is gone.

        Raises:
            UnknownSpace: it is not served.
            RequestInvalid: it is the default.
        """
        request = pb.UnloadSpaceRequest(space_id=space, timeout_ms=timeout_ms)
        reply: pb.UnloadSpaceReply = self._call(self._stub.UnloadSpace, request, at_least_ms=timeout_ms + MARGIN_MS)
        return reply.unanswered

    def set_default(self, space: str | None) -> str | None:
        """Let *space*, or none, answer HTTP paths that name none; its full id. Raises `UnknownSpace`."""
        reply = self._call(self._stub.SetDefault, pb.SetDefaultRequest(space_id=space or ""))
        return reply.space_id or None

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, method: Callable[..., Any], request: Any, *, at_least_ms: int = 0) -> Any:
        timeout_ms = max(self._timeout_ms, at_least_ms)
        try:
            return method(request, timeout=timeout_ms / 1000)
        except grpc.RpcError as error:
            trailing = dict(error.trailing_metadata() or ())
            if error.code() in _NO_ADMIN and ERROR_KEY not in trailing:
                raise ServerUnavailable(address=self._address, reason=_NOT_THERE) from error
            raise decode(
                error.code().name, error.details() or "", trailing.get(ERROR_KEY),
                address=self._address, timeout_ms=timeout_ms,
            ) from error  # fmt: skip


def _served(told: pb.ServedSpace) -> ServedSpace:
    return ServedSpace(
        info=read_space(told.space),
        ready=told.ready,
        broken=told.broken or None,
        is_default=told.is_default,
        folder=told.folder,
        requests_at_work=told.requests_at_work,
    )
