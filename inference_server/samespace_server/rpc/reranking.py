"""`samespace.v1.Reranker`: scores of a query and passages. Thin; the work is the engine's."""

from __future__ import annotations

from typing import Any, Final

from samespace.rpc.v1 import encoder_pb2
from samespace.rpc.v1 import reranker_pb2 as pb
from samespace.rpc.v1.reranker_pb2_grpc import RerankerServicer

from ..observing.observe import Watch
from ..scheduling.engine import now_us
from ..security.tokens import Guard
from ..spaces.registry import Spaces
from ..spaces.rerankers import RerankEngine
from .access import client_of, parent_of
from .reading import Reads

SERVICE: Final = "samespace.v1.Reranker"


class RerankerService(RerankerServicer):
    """The contract's two calls over the server's rerankers."""

    def __init__(self, spaces: Spaces, watch: Watch, reads: Reads, guard: Guard) -> None:
        """*reads* counts what came."""
        self._spaces, self._watch, self._reads, self._guard = spaces, watch, reads, guard

    async def Rerank(self, request: pb.RerankRequest, context: Any) -> pb.RerankReply:  # noqa: N802 - the contract's name
        """One query and its passages."""
        left_s = context.time_remaining()
        deadline_us = None if left_s is None else now_us() + int(left_s * 1e6)
        client = client_of(self._guard, context.invocation_metadata(), context.peer())
        watched = self._watch.request("Rerank", parent_of(context))
        with self._reads.texts((request.query, *request.passages)), watched as seen:
            engine = self._spaces.find_reranker(request.reranker_id)
            seen.space_id = engine.reranker_id
            with self._spaces.request(engine):
                query, passages = request.query, list(request.passages)
                async with self._spaces.pair_room(engine, query, passages, client, deadline_us):
                    found = await engine.rerank(query, passages, deadline_us=deadline_us, client=client)
                seen.answer = found.answer
                embedded, timings = found.answer.embedded, found.answer.timings
                return pb.RerankReply(
                    reranker_id=found.reranker_id,
                    scores=found.scores.tolist(),
                    logits=found.logits.tolist(),
                    texts=[
                        encoder_pb2.TextInfo(tokens=tokens, windows=windows)
                        for tokens, windows in zip(embedded.tokens, embedded.windows, strict=True)
                    ],
                    timings=encoder_pb2.Timings(
                        tokenize_us=timings.tokenize_us, queue_us=timings.queue_us, run_us=timings.run_us
                    ),
                )

    async def ListRerankers(self, request: pb.ListRerankersRequest, context: Any) -> pb.ListRerankersReply:  # noqa: N802
        """Every reranker that is served."""
        return pb.ListRerankersReply(rerankers=[_message(engine) for engine in self._spaces.rerankers])


def _message(engine: RerankEngine) -> pb.RerankerInfo:
    loaded = engine.loaded
    recipe = loaded.artifact.recipe
    return pb.RerankerInfo(
        reranker_id=engine.reranker_id,
        name=loaded.artifact.manifest.name,
        token_limit=recipe.token_limit,
        window_overlap=recipe.window_overlap,
        activation=engine.activation,
        build=loaded.build_name,
        runtime=loaded.runtime,
        precision=loaded.precision,
        probe_worst=loaded.worst,
        probe_bound=loaded.bound,
    )
