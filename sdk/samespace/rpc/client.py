"""`Client`: one samespace server or several that answer alike, over gRPC, typed.

Every reply is checked before anybody sees it (`messages`). Errors come out as samespace's own classes. A request
that found nobody, or a server that refused early, is sent again, perhaps to another replica, until its time is up
(`replicas`); a stream that broke goes on elsewhere at the first batch that was not answered (`outbox`).

What it leaves to others: cutting a corpus into batches (`encoder.RemoteEncoder`).
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, Self

import grpc
import numpy as np

from ..artifact.agreement import nearness, unforeseen_texts
from ..errors import (
    DeadlineExceeded,
    Overloaded,
    RequestInvalid,
    SamespaceError,
    ServerUnavailable,
    SpaceMismatch,
    UnknownSpace,
    VectorsDisagree,
)
from ..text import ROLES, LongTexts, Role
from ..vectors import Float32, WireType
from .access import OPEN, Access
from .address import ServerAddress
from .channel import metadata, open_channel, with_scheme
from .health import check
from .messages import Ask, Reply, SpaceInfo, check_space, read_reply, read_space
from .outbox import Outbox
from .replicas import Attempts, Clock, Replicas
from .status import ERROR_KEY, decode
from .v1 import encoder_pb2 as pb
from .v1.encoder_pb2_grpc import EncoderStub
from .watchdog import Watchdog

LOOK_ROUND_US: Final = 5_000_000
"""How long the other replicas may take to say which space they serve."""


class Client:
    """A connection to a server, or to replicas; safe to share between threads. Close it, or use it in a `with`."""

    def __init__(
        self,
        address: str | ServerAddress,
        *,
        access: Access = OPEN,
        timeout_ms: int = 60_000,
        clock: Clock | None = None,
    ) -> None:
        """Nothing is sent yet.

        Args:
            address: "host:port" of the gRPC port; several with commas between; see `rpc.address`.
            access: certificates and tokens, where the server wants some.
            timeout_ms: the longest wait for an answer, over all tries; of a stream, for the next answer.

        Raises:
            RequestInvalid: the address is malformed.
            ConfigInvalid: the token would travel in the clear to another machine.
        """
        if timeout_ms < 1:
            raise RequestInvalid(field="timeout_ms", reason=f"{timeout_ms}; expected 1 or more")
        self.address = ServerAddress.parse(address) if isinstance(address, str) else address
        access = with_scheme(access, self.address)
        access.check(self.address.replicas)
        self._timeout_ms, self._clock = timeout_ms, clock or Clock()
        self._metadata = metadata(access)
        addresses = self.address.replicas
        self._replicas = Replicas(addresses, first=random.randrange(len(addresses)))
        self._channels = [open_channel(each, access) for each in addresses]
        self._stubs: list[Any] = [EncoderStub(channel) for channel in self._channels]  # type: ignore[no-untyped-call]

    def list_spaces(self) -> tuple[SpaceInfo, ...]:
        """Every space that is served."""
        reply = self._call("ListSpaces", pb.ListSpacesRequest())
        return tuple(read_space(space) for space in reply.spaces)

    def get_space(self, space_id: str) -> SpaceInfo:
        """One space, by full id or at least 12 leading hex digits; raises `UnknownSpace`."""
        info = read_space(self._call("GetSpace", pb.GetSpaceRequest(space_id=space_id)))
        check_space(space_id, info.space_id, str(self.address))
        return info

    def find_space(self, space: str | None) -> SpaceInfo:
        """The space that was named, or the only one that is served; the replicas that can be reached have it too.

        Args:
            space: full id or at least 12 digits of it; None for what the address names, or the only one.

        Raises:
            UnknownSpace: it is not served, or none was named where several are.
            SpaceMismatch: replicas serve different spaces.
            VectorsDisagree: replicas say one space, and give different vectors for texts made now.
        """
        space = space or self.address.space
        if space is not None:
            try:
                found = self.get_space(space)
            except UnknownSpace:
                self._look_round(space)  # raises where another replica has it: that says more
                raise
        else:
            spaces = self.list_spaces()
            if len(spaces) != 1:
                served = tuple(each.space_id for each in spaces)
                raise UnknownSpace(requested="", served=served)
            found = spaces[0]
        self._look_round(found.space_id)
        return found

    def embed(
        self,
        space_id: str,
        role: Role,
        texts: Sequence[str],
        *,
        long_texts: LongTexts = "pool",
        dims: int | None = None,
        wire_type: WireType = "float32",
    ) -> Reply:
        """Vectors of *texts*, in one request; what the server is told of the deadline is the time that is left.

        Raises:
            UnknownSpace: *space_id* is not served there.
            RequestInvalid: the request is malformed, or more than the server takes at once.
            Overloaded: still refused early when the time was up.
            DeadlineExceeded: no answer in time.
            ServerUnavailable: nothing answered in time; at once, where nothing ever did.
        """
        request = Ask(space_id, role, long_texts, dims, wire_type).request(texts)
        return read_reply(request, self._call("Embed", request), str(self.address))

    def embed_stream(
        self,
        space_id: str,
        role: Role,
        batches: Iterable[Sequence[str]],
        *,
        long_texts: LongTexts = "pool",
        dims: int | None = None,
        wire_type: WireType = "float32",
    ) -> Iterator[Reply]:
        """One reply a batch, in order, while later batches are on their way.

        The server takes what it can work on and lets the rest wait here: *batches* is read no faster than it is
        answered, apart from a few messages. Where the stream breaks, another one goes on with the first batch that
        was not answered. Raises what `embed` raises, and what *batches* itself raises.
        """
        outbox = Outbox(batches, Ask(space_id, role, long_texts, dims, wire_type).request)
        attempts = self._attempts()
        while True:
            replica, left_us = attempts.next()
            try:
                for reply in self._stream(replica, left_us, outbox):
                    attempts.answered()
                    yield reply
                    attempts.restart()  # the caller's own time does not count
                return
            except grpc.RpcError as error:
                told, alive = self._translated(error, replica)
                attempts.failed(told, alive=alive)

    def close(self) -> None:
        """Close the connection; calls that run are cancelled."""
        for channel in self._channels:
            channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _attempts(self) -> Attempts:
        return Attempts(self._replicas, self._timeout_ms, self._clock, self._until_one_is_back)

    def _call(self, method: str, request: object) -> Any:
        """The answer of whichever replica gives one."""
        attempts = self._attempts()
        while True:
            replica, left_us = attempts.next()
            try:
                answer = self._ask(replica, method, request, left_us)
            except grpc.RpcError as error:
                told, alive = self._translated(error, replica)
                attempts.failed(told, alive=alive)
            else:
                attempts.answered()
                return answer

    def _ask(self, replica: int, method: str, request: object, timeout_us: int) -> Any:
        call = getattr(self._stubs[replica], method)
        return call(request, timeout=timeout_us / 1e6, metadata=self._metadata)

    def _stream(self, replica: int, timeout_us: int, outbox: Outbox) -> Iterator[Reply]:
        """The answers that one stream gives, until all is answered; raises `grpc.RpcError` where it breaks."""
        server = self.address.replicas[replica]
        call = self._stubs[replica].EmbedStream(outbox.requests(), metadata=self._metadata)
        try:
            with Watchdog(call.cancel, resting=lambda: not len(outbox)) as watchdog:
                watchdog.wait(timeout_us)
                while (reply := self._next(call, watchdog, server)) is not None:
                    watchdog.heard()
                    if outbox.failure is not None:
                        break
                    request = outbox.answered()
                    if request is None:
                        raise SamespaceError(f"server {server}: it answered something that was not asked")
                    yield read_reply(request, reply, server)
                    watchdog.wait(self._timeout_ms * 1000)
            if outbox.failure is not None:
                raise outbox.failure
            if len(outbox):
                raise SamespaceError(f"server {server}: {len(outbox)} batches were not answered")
        finally:
            call.cancel()

    def _next(self, call: Any, watchdog: Watchdog, server: str) -> pb.EmbedReply | None:
        """The next message of a stream, None at its end."""
        try:
            reply: pb.EmbedReply = next(call)
        except StopIteration:
            return None
        except grpc.RpcError as error:
            if watchdog.barked:
                raise DeadlineExceeded(where=f"server {server}", timeout_ms=self._timeout_ms) from error
            raise
        return reply

    def _look_round(self, space: str) -> None:
        """Hold the replicas that can be reached against each other: all have to serve *space*, with the same vectors.

        Raises:
            SpaceMismatch: some serve it, and some do not.
            VectorsDisagree: they say one id and are two encoders.
        """
        if len(self._stubs) == 1:
            return
        lacking: dict[str, str] = {}
        serving: dict[int, SpaceInfo] = {}
        for replica, server in enumerate(self.address.replicas):
            try:
                reply = self._ask(replica, "GetSpace", pb.GetSpaceRequest(space_id=space), LOOK_ROUND_US)
                if reply.space_id.startswith(space.lower()):
                    serving[replica] = read_space(reply)
                else:
                    lacking[server] = reply.space_id
            except grpc.RpcError as error:
                told = self._unless_away(error, replica)
                if isinstance(told, UnknownSpace):
                    lacking[server] = ", ".join(told.served) or "none"
                # One that is not there may come back; each of its answers will be checked.
        if 0 < len(lacking) < len(self._stubs):
            server, found = next(iter(lacking.items()))
            raise SpaceMismatch(expected=space, found=found, where=f"replica {server} of {self.address}")
        if len(serving) > 1:
            self._compare(serving)

    def _compare(self, serving: Mapping[int, SpaceInfo]) -> None:
        """Have each of these replicas embed the same new texts, in both roles; raises `VectorsDisagree`."""
        texts, first = unforeseen_texts(), ""
        wanted, allowed = None, 0.0
        for replica, info in serving.items():
            server = self.address.replicas[replica]
            try:
                found = np.concatenate([self._vectors_of(replica, info.space_id, role, texts) for role in ROLES])
            except grpc.RpcError as error:
                self._unless_away(error, replica)
                continue
            if wanted is None:
                wanted, allowed, first = found, info.probe_bound, server
                continue
            near = nearness(found, wanted, bound=allowed + info.probe_bound)
            if not near.holds:
                raise VectorsDisagree(
                    space=info.space_id, first=f"replica {first}", second=f"replica {server}", worst=near.worst,
                    bound=near.most,
                )  # fmt: skip

    def _vectors_of(self, replica: int, space: str, role: Role, texts: Sequence[str]) -> Float32:
        request = Ask(space, role).request(texts)
        reply = self._ask(replica, "Embed", request, LOOK_ROUND_US)
        return np.asarray(read_reply(request, reply, self.address.replicas[replica]).vectors)

    def _unless_away(self, error: grpc.RpcError, replica: int) -> SamespaceError | None:
        """Our error for one that says which spaces there are; None for a replica that is away or busy; else raised."""
        told, _ = self._translated(error, replica)
        if isinstance(told, UnknownSpace):
            return told
        if not isinstance(told, ServerUnavailable | DeadlineExceeded | Overloaded):
            raise told from error
        return None

    def _until_one_is_back(self, timeout_us: int) -> None:
        """Return when a replica is ready, or the time is up.

        gRPC gets on with connecting only while a call waits for it: sleeping instead made a server that came back
        take 5 to 20 seconds to be found (gRPC 1.78).
        """
        back = threading.Event()

        def heard(replica: int, call: Any) -> None:
            if call.code() in (grpc.StatusCode.OK, grpc.StatusCode.UNIMPLEMENTED):
                self._replicas.answered(replica)
                back.set()

        calls = [check(channel, timeout_us, wait_for_ready=True) for channel in self._channels]
        for replica, call in enumerate(calls):
            call.add_done_callback(partial(heard, replica))
        back.wait(timeout_us / 1e6)
        for call in calls:
            call.cancel()

    def _translated(self, error: grpc.RpcError, replica: int) -> tuple[SamespaceError, bool]:
        """(our error, whether a server is alive there)."""
        trailing = dict(error.trailing_metadata() or ())
        data = trailing.get(ERROR_KEY)
        details = error.details() or ""
        told = decode(
            error.code().name,
            details,
            data if isinstance(data, bytes) else None,
            address=self.address.replicas[replica],
            timeout_ms=self._timeout_ms,
        )
        told.__cause__ = error
        # gRPC's words for a server whose health service says that it is not ready.
        return told, data is not None or "unhealthy" in details
