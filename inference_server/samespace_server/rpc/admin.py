"""The admin service: spaces loaded, reloaded and taken off while the server runs.

Off unless the server was given a port for it, and only ever on this machine's loopback: whoever reaches it may
change what is served. Only artifacts below one folder may be loaded, and links are followed before that is
checked. From elsewhere: `ssh -L`, `docker exec` or `kubectl exec`.

What it leaves to others: the loading itself (`loader`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

import grpc

from samespace.artifact import Artifact, open_artifact
from samespace.errors import (
    SHORT_ID,
    BuildUnavailable,
    ConfigInvalid,
    RequestInvalid,
    SamespaceError,
    SpaceMismatch,
    short,
)
from samespace.rpc.v1 import admin_pb2 as pb
from samespace.rpc.v1.admin_pb2_grpc import AdminServicer, add_AdminServicer_to_server

from ..observing.logs import tell
from ..security.tokens import Guard
from ..settings import Settings
from ..spaces.loader import Loader
from ..spaces.registry import AnyEngine, Spaces
from .access import bounds
from .calls import ReadWithin
from .floods import FloodGuard
from .reading import Reads
from .service import space_message
from .sockets import Sockets
from .unread import UnreadAnswers

Result = TypeVar("Result")

HOST: Final = "127.0.0.1"
MESSAGE_BYTES: Final = 1 << 16
"""Names and paths: nobody needs more."""
MAX_FIELDS: Final = 64


class AdminService(AdminServicer):
    """The contract's calls over a `Loader`."""

    def __init__(self, spaces: Spaces, loader: Loader, settings: Settings) -> None:
        self._spaces, self._loader = spaces, loader
        self._root, self._choice = settings.admin_root, settings.choice
        self._timeout_ms = settings.limits.drain_timeout_ms

    async def ListServed(self, request: pb.ListServedRequest, context: Any) -> pb.ListServedReply:  # noqa: N802
        """Every space that is served."""
        return pb.ListServedReply(spaces=[self._served(each) for each in self._spaces], server_state=self._spaces.state)

    async def LoadSpace(self, request: pb.LoadSpaceRequest, context: Any) -> pb.LoadSpaceReply:  # noqa: N802
        """Serve one more space, or reload one."""
        return await _told(self._load(request))

    async def UnloadSpace(self, request: pb.UnloadSpaceRequest, context: Any) -> pb.UnloadSpaceReply:  # noqa: N802
        """Take a space off."""
        return await _told(self._unload(request))

    async def SetDefault(self, request: pb.SetDefaultRequest, context: Any) -> pb.SetDefaultReply:  # noqa: N802
        """Choose what answers HTTP paths that name no space."""
        return await _told(self._set_default(request))

    async def _load(self, request: pb.LoadSpaceRequest) -> pb.LoadSpaceReply:
        if self._root is None:
            raise RequestInvalid(field="folder", reason="this server loads nothing more; start it with --admin-root")
        artifact = await asyncio.to_thread(_open_below, self._root, request.folder)
        _check_space(artifact, request.space_id)
        own = self._choice
        choice = replace(own, build=request.build or own.build, runtime=request.runtime or own.runtime)
        replaced = artifact.space_id in self._spaces.ids
        try:
            engine = await self._loader.load(artifact, choice, replace=request.replace, other_graph=request.other_graph)
        except BuildUnavailable as error:
            if request.build or own.build == "auto":
                raise
            reason = f"{error.reason}; {own.build} is what this server was started with, name another with --build"
            raise BuildUnavailable(wanted=error.wanted, available=error.available, reason=reason) from error
        return pb.LoadSpaceReply(space=self._served(engine), replaced=replaced)

    async def _unload(self, request: pb.UnloadSpaceRequest) -> pb.UnloadSpaceReply:
        space_id = self._spaces.find(request.space_id).space_id
        unanswered = await self._loader.unload(space_id, timeout_ms=request.timeout_ms or self._timeout_ms)
        return pb.UnloadSpaceReply(space_id=space_id, unanswered=unanswered)

    async def _set_default(self, request: pb.SetDefaultRequest) -> pb.SetDefaultReply:
        self._spaces.set_default(request.space_id or None)
        default = self._spaces.default or ""
        tell("default set", space=short(default) or "none")
        return pb.SetDefaultReply(space_id=default)

    def _served(self, engine: AnyEngine) -> pb.ServedSpace:
        return pb.ServedSpace(
            space=space_message(engine),
            ready=self._spaces.is_ready(engine),
            broken=engine.broken or "",
            is_default=engine.space_id == self._spaces.default,
            folder=str(engine.loaded.artifact.folder),
            requests_at_work=self._spaces.at_work_of(engine),
        )


class AdminServer:
    """The admin service on its own port."""

    def __init__(self, spaces: Spaces, loader: Loader, settings: Settings) -> None:
        sockets = Sockets()
        reads = Reads(settings.http, MESSAGE_BYTES, refused=_cut_off, received=sockets.received)
        answers = UnreadAnswers(settings.http, sockets, refused=_cut_off)
        self._floods = FloodGuard(sockets, reads, MESSAGE_BYTES, refused=_cut_off)
        self._server = grpc.aio.server(
            interceptors=(ReadWithin(reads, answers, Guard(), MAX_FIELDS),),
            options=bounds(settings.http, MESSAGE_BYTES),
        )
        service = AdminService(spaces, loader, settings)
        add_AdminServicer_to_server(service, self._server)  # type: ignore[no-untyped-call]

    async def start(self, port: int) -> int:
        """Listen on the loopback; the port that it came to be. Raises `ConfigInvalid` where it is taken."""
        try:
            bound: int = self._server.add_insecure_port(f"{HOST}:{port}")
        except RuntimeError as error:
            raise ConfigInvalid(key="admin_port", reason=f"cannot listen on {HOST}:{port}; is it taken?") from error
        await self._server.start()
        self._floods.watch(bound)
        return bound

    async def stop(self, grace_ms: int) -> None:
        """Take no more calls, and give those under way *grace_ms*."""
        await self._server.stop(grace_ms / 1000)
        self._floods.close()


def _cut_off(reason: str) -> None:
    tell("admin cut off", level=logging.WARNING, reason=reason)


async def _told(work: Awaitable[Result]) -> Result:
    try:
        return await work
    except SamespaceError as error:
        tell("admin refused", level=logging.WARNING, reason=type(error).__name__, message=str(error))
        raise


def _open_below(root: Path, folder: str) -> Artifact:
    return open_artifact(below(root, folder))


def below(root: Path, folder: str) -> Path:
    """The real path of *folder*, every link followed, which has to be *root* or below it.

    Args:
        folder: relative to *root*, or absolute.

    Raises:
        RequestInvalid: it is elsewhere, or is no folder. Of what is elsewhere nothing is told, not even if it exists.
    """
    try:
        base = root.resolve(strict=True)
        found = (base / folder).resolve()
        inside = found.is_relative_to(base)
        exists = inside and found.is_dir()
    except (OSError, RuntimeError, ValueError):  # links in a circle, names that are too long, a zero byte
        raise RequestInvalid(field="folder", reason=f"{folder[:200]!r} is not a path that can be followed") from None
    if not inside:
        raise RequestInvalid(field="folder", reason=f"{folder[:200]!r} is not below --admin-root {root}")
    if not exists:
        raise RequestInvalid(field="folder", reason=f"no such folder below {root}: {folder[:200]!r}")
    return found


def _check_space(artifact: Artifact, wanted: str) -> None:
    if not wanted:
        return
    if len(wanted) < SHORT_ID:
        raise RequestInvalid(field="space_id", reason=f"{wanted!r}; expected at least {SHORT_ID} digits of it")
    if not artifact.space_id.startswith(wanted.lower()):
        raise SpaceMismatch(expected=wanted[:80], found=artifact.space_id, where=f"artifact {artifact.folder}")
