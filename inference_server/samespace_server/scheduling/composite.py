"""A composite at work: one engine for each part, and their answers put together.

Each part has its own queue, batches and worker. A text of a two-tower goes through the tower of its role; a text of
a concatenation goes through all parts at once, and is answered when the last is done, or refused when any refuses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from samespace.artifact import Composite
from samespace.combine import concatenate_embedded
from samespace.encoder import check_dims
from samespace.runtime import LoadedParts
from samespace.text import ROLES, LongTexts, Role

from ..settings import Limits
from .engine import Answer, Engine
from .meters import Meters


class CompositeEngine:
    """The engines of a composite's parts. Made and used on the event loop."""

    def __init__(self, loaded: LoadedParts, limits: Limits, meters: Meters) -> None:
        self.loaded = loaded
        self.space_id = loaded.artifact.space_id
        self._composite: Composite = loaded.composite
        self.dims = self._composite.dims
        self._engines = [Engine(part, limits, meters, space_id=self.space_id) for part in loaded.parts]

    @property
    def broken(self) -> str | None:
        """Why some part answers nothing more, or None."""
        return next((engine.broken for engine in self._engines if engine.broken is not None), None)

    @property
    def hung(self) -> str | None:
        """What of some part has not come back for too long, or None."""
        return next((engine.hung for engine in self._engines if engine.hung is not None), None)

    async def warm_up(self) -> None:
        """Warm up the parts, one after the other."""
        for engine in self._engines:
            await engine.warm_up()

    async def embed(
        self,
        texts: Sequence[str],
        role: Role,
        *,
        long_texts: LongTexts = "pool",
        dims: int | None = None,
        stream: int = 0,
        deadline_us: int | None = None,
        client: str = "",
    ) -> Answer:
        """Vectors of *texts*, in order; see `Engine.embed`."""
        check_dims(dims, self.dims, ())
        if self._composite.kind == "two_tower":
            tower = self._engines[ROLES.index(role)]
            return await tower.embed(
                texts, role, long_texts=long_texts, stream=stream, deadline_us=deadline_us, client=client
            )
        work = [
            asyncio.create_task(
                engine.embed(texts, role, long_texts=long_texts, stream=stream, deadline_us=deadline_us, client=client)
            )
            for engine in self._engines
        ]
        try:
            answers = await asyncio.gather(*work)
        finally:
            # Where one part refuses, what the others would compute is of no use.
            for task in work:
                task.cancel()
        weights = [part.weight for part in self._composite.parts]
        embedded = concatenate_embedded([answer.embedded for answer in answers], weights, long_texts)
        slowest = max(answers, key=lambda answer: answer.timings.queue_us + answer.timings.run_us)
        return Answer(self.space_id, embedded.vectors, embedded, slowest.timings)

    def close(self) -> None:
        """Close the parts."""
        for engine in self._engines:
            engine.close()
