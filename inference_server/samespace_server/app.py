"""The server as a whole: both doors open on one event loop, then the artifacts are loaded, then it is ready.

SIGTERM and SIGINT drain: readiness goes off, new requests are refused, accepted ones are finished, and the
process ends with 0. Another SIGINT (a second Ctrl-C) does not wait; another SIGTERM changes nothing, because
supervisors send it to the process and to its group. SIGHUP reads tokens and certificates again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import uvloop

from samespace import __version__
from samespace.artifact.certificate import TrustedKeys

from .listeners import Doors, listen
from .memory import use_few_arenas
from .observing.lag import LagMeter
from .observing.logs import Refusals, tell
from .observing.observe import Watch
from .observing.telemetry import Telemetry
from .rpc.admin import AdminServer
from .settings import Settings
from .spaces.loader import Loader, open_artifacts
from .spaces.registry import AnyEngine, Spaces, full_id
from .spaces.rerankers import RerankEngine

if TYPE_CHECKING:
    from .observing.tracing import Tracer

CLOSING_MS: Final = 2_000
"""For answers that are made, to leave the process."""


def run(settings: Settings, announce: Callable[[dict[str, Any]], None]) -> int:
    """Serve until a signal; the exit code: 0 if every accepted request was answered, else 1.

    Args:
        announce: called once, when everything is ready, with what the ready line says.

    Raises:
        ArtifactError, BuildError: an artifact cannot be trusted, or computes other vectors here.
        ConfigInvalid: a port is taken, or two artifacts are of one space.
        UnknownSpace: the default space is not among them.
    """
    use_few_arenas()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings, announce))


def _tracer(settings: Settings) -> Tracer | None:
    if settings.tracing is None:
        return None
    from .observing.tracing import Tracer  # what is not used is not even imported

    return Tracer.to_collector(settings.tracing)


def _signals() -> tuple[asyncio.Event, asyncio.Event]:
    """(when to stop, when to stop at once), set by SIGTERM and SIGINT."""
    stop, hurry = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, lambda: (hurry if stop.is_set() else stop).set())
    return stop, hurry


async def _serve(settings: Settings, announce: Callable[[dict[str, Any]], None]) -> int:
    stop, hurry = _signals()
    loop = asyncio.get_running_loop()
    tell("starting", version=__version__, pid=os.getpid())
    artifacts = open_artifacts(settings.artifacts)
    default_space = settings.default_space
    if default_space is not None:  # a wrong one is told before anything slow is done
        spaces_of = [each.space_id for each in artifacts if each.manifest.reranker is None]
        default_space = full_id(default_space, tuple(spaces_of))
    telemetry = Telemetry()
    listener = listen(settings.host, settings.http_port)
    address = f"{settings.host}:{listener.getsockname()[1]}"
    spaces = Spaces(address=address, answer_bytes=settings.http.max_unread_bytes)
    keys = settings.security.trusted_keys
    trusted = None if keys is None else TrustedKeys.read(keys)
    loader = Loader(spaces, telemetry, settings.limits, trusted, reloads=settings.admin_root is not None)
    tracer = _tracer(settings)
    watch = Watch(telemetry, Refusals(_now_ms), None if tracer is None else tracer.record)
    doors = Doors(spaces, watch, telemetry, settings)
    telemetry.queue_limit.set(settings.limits.max_queued_tokens)
    telemetry.watch(spaces, lambda: doors.http_connections)
    if settings.security.has_files:  # else SIGHUP ends the server, as it does when a terminal is closed
        loop.add_signal_handler(signal.SIGHUP, doors.reload)
    lag = LagMeter(telemetry.loop_lag.observe)
    admin = None if settings.admin_port is None else AdminServer(spaces, loader, settings)
    try:
        ports = await doors.open(listener)
        for artifact in artifacts:
            await (loader.load if artifact.manifest.reranker is None else loader.load_reranker)(
                artifact, settings.choice
            )
            if stop.is_set():
                return 0
        spaces.set_default(default_space)
        ports["admin_port"] = None
        if admin is not None and settings.admin_port is not None:
            ports["admin_port"] = await admin.start(settings.admin_port)
        spaces.state = "ready"
        counts = {"spaces": len(spaces.ids)} | ({"rerankers": len(spaces.rerankers)} if spaces.rerankers else {})
        tell("ready", **counts, **{name: port for name, port in ports.items() if port is not None})
        announce({"ready": True, "host": settings.host, **ports, **_all_told(spaces), "pid": os.getpid()})
        await stop.wait()
        spaces.state = "draining"
        tell("draining", requests=spaces.at_work)
        with doors.draining(settings.limits.drain_timeout_ms):
            return await _drain(spaces, hurry, settings.limits.drain_timeout_ms)
    finally:
        if admin is not None:
            await admin.stop(0)
        await doors.close(CLOSING_MS)
        await loader.close()
        lag.close()
        if tracer is not None:
            await asyncio.to_thread(tracer.close)


async def _drain(spaces: Spaces, hurry: asyncio.Event, timeout_ms: int) -> int:
    """Wait until nothing is at work, somebody is in a hurry, or the time is up."""
    waits = [asyncio.create_task(spaces.idle()), asyncio.create_task(hurry.wait())]
    await asyncio.wait(waits, timeout=timeout_ms / 1000, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    if spaces.at_work:
        tell("stopped", level=logging.ERROR, unanswered=spaces.at_work)
        return 1
    tell("drained")
    return 0


def _all_told(spaces: Spaces) -> dict[str, Any]:
    """Spaces, and rerankers where there are any."""
    told: dict[str, Any] = {"spaces": [_told(engine) for engine in spaces]}
    return told | ({"rerankers": [_told_reranker(each) for each in spaces.rerankers]} if spaces.rerankers else {})


def _told_reranker(engine: RerankEngine) -> dict[str, Any]:
    loaded = engine.loaded
    return {
        "reranker_id": engine.reranker_id,
        "name": loaded.artifact.manifest.name,
        "activation": engine.activation,
        "build": loaded.build_name,
        "runtime": loaded.runtime,
        "precision": loaded.precision,
        "worst": loaded.worst,
        "why": loaded.why,
    }


def _told(engine: AnyEngine) -> dict[str, Any]:
    loaded = engine.loaded
    return {
        "space_id": loaded.artifact.space_id,
        "name": loaded.artifact.manifest.name,
        "dims": loaded.artifact.manifest.identity.dims,
        "build": loaded.build_name,
        "runtime": loaded.runtime,
        "precision": loaded.precision,
        "worst": loaded.worst,
        "why": loaded.why,
    }


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
