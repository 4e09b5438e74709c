"""A reranker at work: an engine of one number for each pair, which no caller can take for one that gives vectors."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from samespace.errors import RequestInvalid
from samespace.reranking.pairs import activated, pair_text
from samespace.runtime import LoadedBuild
from samespace.vectors import Float32

from ..scheduling.engine import CHARS_OF_A_TOKEN, Answer, Engine
from ..scheduling.meters import Meters
from ..settings import Limits

COPIES: Final = 4
"""Copies of the query may take so many times what a request may have."""


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
        self._limits = limits
        self._engine = Engine(loaded, limits, meters)

    @property
    def reranker_id(self) -> str:
        """The full id, 64 hex digits."""
        return self.space_id

    @property
    def broken(self) -> str | None:
        """Why nothing is answered, or None."""
        return self._engine.broken

    @property
    def hung(self) -> str | None:
        """What has not come back for too long, or None."""
        return self._engine.hung

    async def warm_up(self) -> None:
        """Make the model's first runs."""
        await self._engine.warm_up()

    async def rerank(
        self, query: str, passages: Sequence[str], *, deadline_us: int | None = None, client: str = ""
    ) -> RerankAnswer:
        """Scores of *passages* for *query*; raises what `Engine.embed` raises.

        Asked for within `Spaces.pair_room`, which refuses what would be too much.
        """
        pairs = [pair_text(query, passage) for passage in passages]
        answer = await self._engine.embed(pairs, "passage", deadline_us=deadline_us, client=client)
        logits = answer.vectors[:, 0]
        return RerankAnswer(self.reranker_id, logits, activated(logits, self.activation), answer)

    def check(self, query: str, passages: int) -> None:
        """Refuse what would become far more than was sent: each pair has a copy of the query."""
        if passages > self._limits.max_texts_per_request:
            most = self._limits.max_texts_per_request
            told = f"{passages} passages in one request, at most {most} are taken"
            raise RequestInvalid(field="texts", reason=f"{told}; send fewer, or raise the server's --max-texts")
        longest = self.loaded.artifact.token_limit * CHARS_OF_A_TOKEN
        if len(query) > longest:
            raise RequestInvalid(field="query", reason=f"{len(query)} characters, at most {longest} are taken")
        copies = sys.getsizeof(query) * passages
        if copies > COPIES * self._limits.max_request_bytes:
            told = f"{len(query)} characters for each of {passages} passages, {copies >> 20} MiB in memory"
            raise RequestInvalid(field="query", reason=f"{told}; send fewer passages at a time")

    def close(self) -> None:
        """Let the workers end after what they have."""
        self._engine.close()
