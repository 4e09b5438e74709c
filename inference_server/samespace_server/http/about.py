"""What the server says about its spaces, in everybody's words: `/meta`, OpenAI's models, TEI's info and tokens."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from samespace import __version__
from samespace.errors import RequestInvalid, SamespaceError, SpaceMismatch, UnknownSpace
from samespace.rpc.status import status_of
from samespace.runtime import LoadedBuild, each_build
from samespace.runtime.speeds.race import ranked
from samespace.text import TextEncoder

from ..memory import without_past
from ..spaces.registry import AnyEngine, ServedEngine, Spaces
from ..spaces.rerankers import RerankEngine
from .bodies import read_object
from .dialects.dialect import named_space
from .dialects.fields import flag, text_or_texts
from .dialects.openai import openai_error
from .messages import Request, Response, Work, json_response
from .routes import HttpApp, Route, flat_refusal

MOST_TOKENS: Final = 65_536
"""Characters, and then tokens, of one request to `/tokenize`: each becomes a kilobyte on its way out."""
_thread: Final = ThreadPoolExecutor(1, thread_name_prefix="tokens")  # starts with its first work


def add_meta(app: HttpApp, spaces: Spaces) -> None:
    """Add `/meta`."""
    app.add("GET", "meta", Route(_meta(spaces), has_space=True))


def add_about(app: HttpApp, spaces: Spaces, *, most_texts: int) -> None:
    """Add what clients of OpenAI and of text-embeddings-inference ask of a model."""
    for path in ("v1/models", "v1/models/*"):
        app.add("GET", path, Route(_models(spaces), openai_error, has_space=True))
    app.add("GET", "info", Route(_info(spaces), has_space=True))
    app.add("POST", "tokenize", Route(_tokenize(spaces, most_texts), has_space=True))


def _meta(spaces: Spaces) -> Work:
    async def meta(request: Request) -> Response:
        try:
            served: list[ServedEngine] = [*spaces, *spaces.rerankers]
            if request.space is not None:
                served = [spaces.served(request.space)]
        except SamespaceError as error:
            return flat_refusal(error)
        rerankers = [_reranker(engine) for engine in served if isinstance(engine, RerankEngine)]
        told = [
            {
                "space_id": engine.space_id,
                "name": engine.loaded.artifact.manifest.name,
                "dims": engine.dims,
                "builds": [_build(part) for part in each_build(engine.loaded)],
                "build": engine.loaded.build_name,
                "bound": engine.loaded.bound,
            }
            for engine in served
            if not isinstance(engine, RerankEngine)
        ]
        more = {"rerankers": rerankers} if rerankers else {}
        return json_response({"server": "samespace", "version": __version__, "spaces": told, **more})

    return meta


def _reranker(engine: RerankEngine) -> dict[str, Any]:
    return {
        "reranker_id": engine.reranker_id,
        "name": engine.loaded.artifact.manifest.name,
        "activation": engine.activation,
        "builds": [_build(engine.loaded)],
        "build": engine.loaded.build_name,
        "bound": engine.loaded.bound,
    }


def _build(loaded: LoadedBuild) -> dict[str, Any]:
    """What is run, and the speeds by which it was chosen, the best first; of one encoder."""
    measurement = loaded.measurement
    return {
        "build": loaded.build_name,
        "runtime": loaded.runtime,
        "streams": loaded.session.streams,
        "why": loaded.why,
        "measured": [
            {"way": str(each.way), "speed": round(each.speed, 3), "ms": [round(ms, 3) for ms in each.load_ms]}
            for each in (() if measurement is None else ranked(measurement.speeds))
        ],
    }


def _models(spaces: Spaces) -> Work:
    """OpenAI's list of models, or one of them: a space is a model by its id."""

    async def models(request: Request) -> Response:
        name = request.path.rstrip("/").rpartition("/")[2]
        try:
            engines = list(spaces) if request.space is None else [spaces.find(request.space)]
            if name != "models":
                engines = [_named(spaces, engines, name)]
        except SamespaceError as error:
            without_past(error)
            status = 404 if isinstance(error, SpaceMismatch | UnknownSpace) else status_of(error).http
            return json_response(openai_error(str(error), error), status=status)
        data = [{"id": engine.space_id, "object": "model", "created": 0, "owned_by": "samespace"} for engine in engines]
        return json_response({"object": "list", "data": data} if name == "models" else data[0])

    return models


def _named(spaces: Spaces, offered: list[AnyEngine], name: str) -> AnyEngine:
    """The one of *offered* whose id begins with *name*; raises `UnknownSpace`."""
    try:
        space = named_space({"model": name})
    except RequestInvalid:
        space = None  # begins as an id does, and is none
    found = [engine for engine in offered if space is not None and engine.space_id.startswith(space)]
    if not found:
        raise UnknownSpace(requested=name[:80], served=spaces.ids)
    return found[0]


def _info(spaces: Spaces) -> Work:
    async def info(request: Request) -> Response:
        try:
            engine = spaces.find(request.space)
        except SamespaceError as error:
            return flat_refusal(error)
        artifact = engine.loaded.artifact
        pooling = getattr(artifact.manifest.identity, "pooling", None) or "several encoders"
        told = {
            "model_id": artifact.manifest.name,
            "model_sha": engine.space_id,
            "model_dtype": engine.loaded.build_name,
            "model_type": {"embedding": {"pooling": pooling}},
            "max_input_length": artifact.token_limit,
            "version": __version__,
        }
        return json_response(told)

    return info


def _tokenize(spaces: Spaces, most_texts: int) -> Work:
    async def tokenize(request: Request) -> Response:
        try:
            encoder = _text_encoder(spaces.find(request.space))
            body = await read_object(request.body, most_texts=most_texts)
            texts = text_or_texts(body.get("inputs"), "inputs")
            if len(texts) > most_texts:
                raise RequestInvalid(field="inputs", reason=f"{len(texts)} texts, at most {most_texts} are taken")
            _check_size(sum(map(len, texts)), "characters")
            special = flag(body.get("add_special_tokens"), "add_special_tokens", True)
            return await asyncio.get_running_loop().run_in_executor(_thread, _tokens, encoder, texts, special)
        except SamespaceError as error:
            return flat_refusal(error)

    return tokenize


def _check_size(size: int, unit: str) -> None:
    if size > MOST_TOKENS:
        told = f"{size} {unit} in one request, at most {MOST_TOKENS} are taken"
        raise RequestInvalid(field="inputs", reason=f"{told}; send fewer texts at once, or cut them")


def _text_encoder(engine: AnyEngine) -> TextEncoder:
    encoder = getattr(engine.loaded, "text_encoder", None)
    if not isinstance(encoder, TextEncoder):
        raise RequestInvalid(field="path", reason="a composite has several tokenizers; ask one of its parts")
    return encoder


def _tokens(encoder: TextEncoder, texts: list[str], special: bool) -> Response:
    """Each token with its id and the characters that it stands for, by the encoder's own tokenizer.

    Raises:
        RequestInvalid: there are too many; some tokenizers make several of a character.
    """
    rows = encoder.tokenizer.encode_batch(texts, add_special_tokens=special)
    _check_size(sum(map(len, rows)), "tokens")
    return json_response(
        [
            [
                {
                    "id": number,
                    "text": token,
                    "special": bool(is_special),
                    "start": None if is_special else span[0],
                    "stop": None if is_special else span[1],
                }
                for number, token, is_special, span in zip(
                    row.ids, row.tokens, row.special_tokens_mask, row.offsets, strict=True
                )
            ]
            for row in rows
        ]
    )
