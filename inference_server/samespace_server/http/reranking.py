"""The rerank routes: a reranker is named by the path, `/e/RERANKER_ID/rerank`, or by the body's `model`."""

from __future__ import annotations

from samespace.errors import SamespaceError, SpaceMismatch

from ..observing.observe import Watch
from ..spaces.registry import Spaces
from ..spaces.rerankers import RerankEngine
from .bodies import read_object
from .dialects import named_space
from .dialects.rerank import RERANKERS, RerankDialect
from .messages import Request, Response, Work, json_response
from .routes import HttpApp, Route, deadline_us, parent_of, refusal


def add_rerankers(app: HttpApp, spaces: Spaces, watch: Watch, *, most_texts: int) -> None:
    """Add the rerank routes; bodies of far more than *most_texts* stay unread."""
    for dialect in RERANKERS:
        work = _reranking(dialect, spaces, watch, most_texts)
        for path in dialect.routes:
            app.add("POST", path, Route(work, dialect.render_error, has_space=True))


def _reranking(dialect: RerankDialect, spaces: Spaces, watch: Watch, most_texts: int) -> Work:
    async def answer(request: Request) -> Response:
        try:
            with watch.request(dialect.routes[0], parent_of(request)) as seen:
                engine = None if request.space is None else spaces.find_reranker(request.space)
                seen.space_id = None if engine is None else engine.reranker_id
                body = await read_object(request.body, most_texts=most_texts)
                engine = _named(spaces, engine, named_space(body))
                seen.space_id = engine.reranker_id
                with spaces.request(engine):
                    ask = dialect.parse(body)
                    until_us = deadline_us(request.headers.get(b"x-timeout-ms"))
                    async with spaces.pair_room(engine, ask.query, ask.passages, request.client, until_us):
                        found = await engine.rerank(
                            ask.query, ask.passages, deadline_us=until_us, client=request.client
                        )
                    seen.answer = found.answer
                    return json_response(dialect.render(ask, found))
        except SamespaceError as error:
            return refusal(dialect, error)

    return answer


def _named(spaces: Spaces, engine: RerankEngine | None, named: str | None) -> RerankEngine:
    """The path's reranker, which must be the one that the body names, if it names one."""
    if engine is None:
        return spaces.find_reranker(named)
    if named is not None and not engine.reranker_id.startswith(named):
        raise SpaceMismatch(expected=named, found=engine.reranker_id, where="model (the path names the other reranker)")
    return engine
