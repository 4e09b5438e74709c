"""Artifacts in, engines out, and back: spaces are loaded and unloaded while others go on being served.

An engine is served only after its probes have passed. One that leaves takes no more requests, answers what it
accepted, and only then lets its memory go. A reload is both: the new engine takes the place of the old one between
two requests, so none meets a gap, and for a while both are in memory. Changes are made one after the other.

What it leaves to others: which space a caller means (`spaces`), who may ask for a change (`admin`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from samespace.artifact import Artifact, open_artifact
from samespace.artifact.certificate import TrustedKeys, require_certified
from samespace.errors import ConfigInvalid, GraphsDiffer, RequestInvalid, SamespaceError, short
from samespace.runtime import LoadedBuild, LoadedParts, each_build, load_artifact
from samespace.runtime.fresh import require_same_spaces
from samespace.runtime.graphs import KnownGraphs, known_graphs, require_same_graphs
from samespace.runtime.speeds.race import ranked

from ..observing.logs import tell
from ..scheduling.composite import CompositeEngine
from ..scheduling.engine import Engine
from ..scheduling.meters import Meters
from ..settings import Choice, Limits
from .registry import AnyEngine, Spaces
from .rerankers import RerankEngine


class Loader:
    """Puts engines into `Spaces` and takes them out. Used on the event loop alone."""

    def __init__(
        self,
        spaces: Spaces,
        meters: Meters,
        limits: Limits,
        trusted: TrustedKeys | None = None,
        *,
        reloads: bool = True,
    ) -> None:
        """*reloads*: whether an id may come again, so that its graphs are remembered."""
        self._spaces, self._meters, self._limits, self._trusted = spaces, meters, limits, trusted
        self._reloads = reloads
        self._known: dict[str, tuple[KnownGraphs, ...]] = {}  # also of what was unloaded
        self._turn = asyncio.Lock()
        self._leaving: dict[AnyEngine, asyncio.Task[None]] = {}

    async def load(
        self, artifact: Artifact, choice: Choice, *, replace: bool = False, other_graph: bool = False
    ) -> AnyEngine:
        """Serve *artifact* once its probes have passed.

        Args:
            replace: take the place of the engine that serves its space now, if one does.
            other_graph: take it too where its graph is not the one that was served under its id.

        Raises:
            RequestInvalid: its space is served already, and *replace* is off.
            GraphsDiffer: its graph is another than was served under its id, and *other_graph* is off.
            ServerUnavailable: the server is shutting down.
            ArtifactError, BuildError: it cannot be trusted, or computes other vectors here.
        """
        await self._require_signed(artifact)
        async with self._turn:
            if not replace and artifact.space_id in self._spaces.ids:
                raise RequestInvalid(
                    field="folder",
                    reason=f"space {artifact.space_id} is served already; reload it with replace (--replace)",
                )
            self._spaces.check_not_draining()
            loaded = await asyncio.to_thread(_load, artifact, choice)
            if artifact.space_id in self._spaces.ids:  # the id alone is a claim
                former = self._spaces.find(artifact.space_id)
                await asyncio.to_thread(require_same_spaces, former.loaded, loaded)
            graphs = await asyncio.to_thread(self._graphs, loaded, other_graph)
            engine = _engine(loaded, self._limits, self._meters)
            try:
                await engine.warm_up()
                self._spaces.check_not_draining()
            except SamespaceError:
                await asyncio.to_thread(engine.close)
                raise
            self._known[artifact.space_id] = graphs
            left = self._spaces.put(engine)
            if left is not None:
                self._let_go(left)
            return engine

    async def load_reranker(self, artifact: Artifact, choice: Choice) -> RerankEngine:
        """Serve a reranker once its probes have passed; raises what `load` raises."""
        await self._require_signed(artifact)
        async with self._turn:
            self._spaces.check_not_draining()
            loaded = await asyncio.to_thread(_load, artifact, choice)
            assert isinstance(loaded, LoadedBuild)  # a reranker has one graph
            engine = RerankEngine(loaded, self._limits, self._meters)
            try:
                await engine.warm_up()
                self._spaces.check_not_draining()
            except SamespaceError:
                await asyncio.to_thread(engine.close)
                raise
            self._spaces.put_reranker(engine)
            return engine

    async def _require_signed(self, artifact: Artifact) -> None:
        if self._trusted is not None:
            signer = await asyncio.to_thread(require_certified, artifact, self._trusted)
            tell("signed", space=short(artifact.space_id), key=signer[:12])

    def _graphs(self, loaded: LoadedBuild | LoadedParts, other_graph: bool) -> tuple[KnownGraphs, ...]:
        """The graphs that *loaded* may have when it comes again; () where no id does.

        They are those that had its id before, also where it brings builds that did not run yet.
        """
        if not self._reloads:
            return ()
        artifact = loaded.artifact
        graphs = known_graphs(artifact)
        former = self._known.get(artifact.space_id, graphs)
        try:
            require_same_graphs(former, graphs, loaded)
        except GraphsDiffer as error:
            if not other_graph:
                raise
            tell("other graph", level=logging.WARNING, space=short(artifact.space_id), reason=error.reason)
            return graphs
        return former

    async def unload(self, space: str, *, timeout_ms: int) -> int:
        """Take *space* off, and wait up to *timeout_ms* for what it accepted, which is answered in any case.

        Returns:
            How many accepted requests it still has to answer; it closes itself after the last one.

        Raises:
            UnknownSpace, RequestInvalid: as for `Spaces.remove`.
        """
        async with self._turn:
            engine = self._spaces.remove(space)
            closing = self._let_go(engine)
        await asyncio.wait([closing], timeout=timeout_ms / 1000)
        return self._spaces.at_work_of(engine)

    async def close(self) -> None:
        """Close every engine, idle or not; the loader is of no use afterwards."""
        for task in tuple(self._leaving.values()):
            task.cancel()
        for engine in (*self._spaces, *self._spaces.rerankers, *self._leaving):
            await asyncio.to_thread(engine.close)  # waits for the run that is under way

    def _let_go(self, engine: AnyEngine) -> asyncio.Task[None]:
        tell("unloading", space=short(engine.space_id), requests=self._spaces.at_work_of(engine))
        task = asyncio.create_task(self._close_when_idle(engine))
        self._leaving[engine] = task
        return task

    async def _close_when_idle(self, engine: AnyEngine) -> None:
        await self._spaces.idle(engine)
        await asyncio.to_thread(engine.close)
        del self._leaving[engine]
        tell("unloaded", space=short(engine.space_id))


def open_artifacts(folders: Sequence[Path]) -> list[Artifact]:
    """Every artifact, before anything slow is done.

    Raises:
        ArtifactError: one cannot be trusted.
        ConfigInvalid: two of them are of one space.
    """
    opened: dict[str, Artifact] = {}
    for folder in folders:
        artifact = open_artifact(folder, kind="any")
        twin = opened.setdefault(artifact.space_id, artifact)
        if twin is not artifact:
            raise ConfigInvalid(
                key="artifacts", reason=f"{twin.folder} and {folder} are both of space {artifact.space_id}; serve one"
            )
    return list(opened.values())


def _load(artifact: Artifact, choice: Choice) -> LoadedBuild | LoadedParts:
    loaded = load_artifact(
        artifact, build=choice.build, runtime=choice.runtime, threads=choice.threads, device=choice.device,
        streams=choice.runners, kept=True,
    )  # fmt: skip
    space = short(artifact.space_id)
    for refused in loaded.refused:
        tell("not used", level=logging.WARNING, space=space, reason=refused)
    for part in each_build(loaded):
        if part.measurement is not None:
            for speed in ranked(part.measurement.speeds):
                tell(
                    "measured", space=space, way=str(speed.way), speed=round(speed.speed, 2),
                    ms="/".join(f"{each:.2f}" for each in speed.load_ms), kept=part.measurement.kept,
                    settled=speed.settled,
                )  # fmt: skip
    tell(
        "loaded", space=space, name=artifact.manifest.name, build=loaded.build_name, runtime=loaded.runtime,
        precision=loaded.precision, worst=loaded.worst, bound=loaded.bound, why=loaded.why,
    )  # fmt: skip
    return loaded


def _engine(loaded: LoadedBuild | LoadedParts, limits: Limits, meters: Meters) -> AnyEngine:
    """The engine of an encoder, or of a composite."""
    if isinstance(loaded, LoadedParts):
        return CompositeEngine(loaded, limits, meters)
    return Engine(loaded, limits, meters)
