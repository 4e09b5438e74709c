"""`RerankerClient`: the rerankers of a server, over gRPC. Each reply is held against its request."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import RequestInvalid, SamespaceError, UnknownReranker
from .access import OPEN, Access
from .client import Client
from .v1 import reranker_pb2 as pb
from .v1.reranker_pb2_grpc import RerankerStub

if TYPE_CHECKING:
    from ..reranking.reranker import PassageScores

PASSAGES_AT_ONCE = 128
"""Passages of one request; more are several requests."""


@dataclass(frozen=True, slots=True)
class ServedReranker:
    """A reranker as a server runs it."""

    reranker_id: str
    name: str
    activation: str
    build: str
    runtime: str


class RerankerClient(Client):
    """A connection to a server, or to replicas, of which rerankers are asked."""

    def __init__(self, address: str, *, access: Access = OPEN, timeout_ms: int = 60_000) -> None:
        super().__init__(address, access=access, timeout_ms=timeout_ms)
        self._stubs = [RerankerStub(channel) for channel in self._channels]  # type: ignore[no-untyped-call]

    def list_rerankers(self) -> tuple[ServedReranker, ...]:
        """Every reranker that is served."""
        reply = self._call("ListRerankers", pb.ListRerankersRequest())
        return tuple(
            ServedReranker(each.reranker_id, each.name, each.activation, each.build, each.runtime)
            for each in reply.rerankers
        )

    def find(self, reranker: str | None) -> ServedReranker:
        """The one that was named, by full id or at least 12 digits of it, or the only one; raises `UnknownReranker`."""
        wanted = (reranker or self.address.space or "").lower()
        served = self.list_rerankers()
        found = [each for each in served if each.reranker_id.startswith(wanted)]
        if len(found) != 1 or (wanted and len(wanted) < 12):
            raise UnknownReranker(requested=wanted, served=tuple(each.reranker_id for each in served))
        return found[0]

    def score(self, reranker_id: str, query: str, passages: Sequence[str]) -> PassageScores:
        """Scores of *passages* for *query*, in their order.

        Raises:
            RequestInvalid: the request is malformed, or more than the server takes at once.
            SamespaceError: the answer is of another reranker, or does not fit the request.
        """
        from ..reranking.reranker import PassageScores

        scores, logits, tokens, windows = list[float](), list[float](), list[int](), list[int]()
        for start in range(0, len(passages), PASSAGES_AT_ONCE):
            part = passages[start : start + PASSAGES_AT_ONCE]
            try:
                request = pb.RerankRequest(reranker_id=reranker_id, query=query, passages=part)
            except (TypeError, ValueError) as error:  # a lone surrogate, which UTF-8 cannot carry
                raise RequestInvalid(field="passages", reason=str(error)) from error
            reply = self._call("Rerank", request)
            self._check(reranker_id, reply, len(part))
            scores += reply.scores
            logits += reply.logits
            tokens += [each.tokens for each in reply.texts]
            windows += [each.windows for each in reply.texts]
        return PassageScores(reranker_id, tuple(scores), tuple(logits), tuple(tokens), tuple(windows))

    def _check(self, reranker_id: str, reply: pb.RerankReply, passages: int) -> None:
        if reply.reranker_id != reranker_id:
            raise SamespaceError(
                f"server {self.address}: it answered as reranker {reply.reranker_id}, asked was {reranker_id}"
            )
        counts = {len(reply.scores), len(reply.logits), len(reply.texts)}
        if counts != {passages} or not np.isfinite(reply.logits).all() or not all(map(math.isfinite, reply.scores)):
            raise SamespaceError(f"server {self.address}: its scores do not fit the {passages} passages of the request")
