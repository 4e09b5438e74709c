"""A reranker at work: an engine of one number for each pair, which no caller can take for one that gives vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from samespace.reranking.pairs import activated, pair_text
from samespace.runtime import LoadedBuild
from samespace.vectors import Float32

from ..scheduling.engine import Answer, Engine
from ..scheduling.meters import Meters
from ..settings import Limits


@dataclass(frozen=True, slots=True)
class RerankAnswer:
    """Scores of one request.

    Attributes:
        logits: (passages,) float32, in the order of the request.
        scores: (passages,) float64, the reranker's activation of them.
        answer: counts and times.
    """

    reranker_id: str
    logits: Float32
    scores: npt.NDArray[np.float64]
    answer: Answer

    def best(self, most: int | None = None) -> list[int]:
        """Numbers of the passages from the best on, equal ones in their order; the first *most*."""
        order = np.argsort(-self.logits.astype(np.float64), kind="stable")
        return [int(row) for row in order[:most]]


class RerankEngine:
    """The engine of a reranker. Made and used on the event loop."""

    def __init__(self, loaded: LoadedBuild, limits: Limits, meters: Meters) -> None:
        reranker = loaded.artifact.manifest.reranker
        assert reranker is not None  # the loader tells the kinds apart
        self.loaded = loaded
        self.space_id = loaded.artifact.space_id
        self.activation = reranker.activation
        self._engine = Engine(loaded, limits, meters)

    @property
    def reranker_id(self) -> str:
        """The full id, 64 hex digits."""
        return self.space_id

    @property
    def broken(self) -> str | None:
        """Why nothing is answered, or None."""
        return self._engine.broken

    async def warm_up(self) -> None:
        """Make the model's first runs."""
        await self._engine.warm_up()

    async def rerank(
        self, query: str, passages: Sequence[str], *, deadline_us: int | None = None, client: str = ""
    ) -> RerankAnswer:
        """Scores of *passages* for *query*; raises what `Engine.embed` raises."""
        pairs = [pair_text(query, passage) for passage in passages]
        answer = await self._engine.embed(pairs, "passage", deadline_us=deadline_us, client=client)
        logits = answer.vectors[:, 0]
        return RerankAnswer(self.reranker_id, logits, activated(logits, self.activation), answer)

    def close(self) -> None:
        """Let the workers end after what they have."""
        self._engine.close()
