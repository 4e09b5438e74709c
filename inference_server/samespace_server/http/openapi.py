"""`/openapi.json`, and `/docs`, a page that shows it.

What dialects read and write is told by their own tables; what else is answered is in `_OTHERS`, and a test holds both
against the routes that there are. Both are the same on every server, so they are open to everybody.

Format: OpenAPI 3.1.1, https://spec.openapis.org/oas/v3.1.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

from samespace import __version__

from .dialects import Dialect, all_dialects
from .dialects.rerank import RERANKERS, RerankDialect
from .dialects.schema import ERROR, INTEGER, MODEL, STRING, TEXT_OR_TEXTS, Schema, body, list_of
from .messages import Request, Response, json_response
from .routes import HttpApp, Route
from .status_page import HTML, page_headers

PATH: Final = "openapi.json"
PAGE: Final = "api_page.html"
_MODEL: Final = body(("id", "object"), id=STRING, object=STRING)
_TOKEN: Final = body(("id", "text", "special"), id=INTEGER, text=STRING, special={"type": "boolean"})
_SPACE: Final = body(("space_id", "name", "dims"), space_id=STRING, name=STRING, dims=INTEGER)
_TEXT: Final = "text/plain"
# path: (method, what it is, what it reads, what it gives: a schema, the media type of a text, or "" for no body)
_OTHERS: Final[Mapping[str, tuple[str, str, Schema | None, Schema | str]]] = {
    "meta": ("get", "The spaces that are served.", None, body(("spaces",), spaces=list_of(_SPACE))),
    "v1/models": ("get", "OpenAI's list of models: the spaces.", None, body(("data",), data=list_of(_MODEL))),
    "v1/models/*": ("get", "One of them.", None, _MODEL),
    "info": ("get", "Text-embeddings-inference's info.", None, body(("model_id", "max_input_length"), model_id=STRING,
             max_input_length=INTEGER)),
    "tokenize": ("post", "Token ids of the encoder's own tokenizer.", body(("inputs",), inputs=TEXT_OR_TEXTS,
                 add_special_tokens={"type": ["boolean", "null"]}, model=MODEL), list_of(list_of(_TOKEN))),
    ".well-known/live": ("get", "Whether the server lives.", None, ""),
    ".well-known/ready": ("get", "Whether the spaces are ready; 503 where they are not.", None, ""),
    "health": ("get", "The same with a 200.", None, ""),
    "metrics": ("get", "Prometheus' metrics.", None, _TEXT),
    "status.json": ("get", "The numbers of the status page.", None, {"type": "object"}),
    "": ("get", "The status page.", None, "text/html"),
    PATH: ("get", "This document.", None, {"type": "object"}),
    "docs": ("get", "This document as a page.", None, "text/html"),
}  # fmt: skip
_OPEN: Final = (".well-known/live", ".well-known/ready", "health", "", PATH, "docs")


def add_openapi(app: HttpApp, prefix: str = "") -> None:
    """Add `/openapi.json` and `/docs`, once all other routes are there; *prefix* begins their addresses."""
    html = files(__package__).joinpath(PAGE).read_text(encoding="utf-8")
    page = Response(200, html.encode(), HTML, page_headers(html))
    made: list[Response] = []

    async def show(request: Request) -> Response:
        return page

    async def tell(request: Request) -> Response:
        if not made:
            made.append(json_response(document(app.paths, prefix)))
        return made[0]

    app.add("GET", "docs", Route(show, is_open=True))
    app.add("GET", PATH, Route(tell, is_open=True))


def document(paths: tuple[str, ...], prefix: str = "") -> dict[str, Any]:
    """The OpenAPI document of those of *paths* that are described here."""
    known: tuple[Dialect | RerankDialect, ...] = (*all_dialects(), *RERANKERS)
    dialects = {path: dialect for dialect in known for path in dialect.routes}
    found: dict[str, Any] = {}
    for path in paths:
        if path in dialects:
            operation = {"post": _operation(path, _of_dialect(dialects[path]))}
        elif path in _OTHERS:
            method, about, asked, given = _OTHERS[path]
            operation = {method: _operation(path, _of_other(about, asked, given))}
        else:
            continue
        found[f"/{path.replace('*', '{name}')}"] = operation
    prefix = prefix.rstrip("/")
    space = {"space": {"default": "SPACE_ID", "description": "12 or more hex digits of a space id."}}
    role = {"role": {"default": "passage", "enum": ["query", "passage"]}}
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "samespace",
            "version": __version__,
            "summary": "Vectors of texts, in the formats of several services.",
        },
        "servers": [
            {"url": f"{prefix}/e/{{space}}", "description": "one space", "variables": space},
            {"url": f"{prefix}/e/{{space}}/{{role}}", "description": "and one role", "variables": {**space, **role}},
            {"url": prefix or "/", "description": "the default space"},
        ],
        "paths": found,
        "components": {
            "schemas": {"Error": ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(path: str, told: dict[str, Any]) -> dict[str, Any]:
    named = [{"name": "name", "in": "path", "required": True, "schema": STRING}] if "*" in path else []
    security: list[dict[str, list[str]]] = [{}] if path in _OPEN else [{"token": []}, {}]
    return {**told, "security": security, "parameters": [*named, *told.get("parameters", [])]}


def _of_dialect(dialect: Dialect | RerankDialect) -> dict[str, Any]:
    deadline = {
        "name": "x-timeout-ms", "in": "header", "required": False, "schema": INTEGER,
        "description": "Milliseconds after which nobody waits any more.",
    }  # fmt: skip
    statuses = {400, 401, 413, dialect.space_status, dialect.busy_status, 503, 504}
    refusals = {str(status): _answer(_STATUSES[status], {"$ref": "#/components/schemas/Error"}) for status in statuses}
    gives = "A score for every passage." if isinstance(dialect, RerankDialect) else "A vector for every text."
    return {
        "summary": dialect.about,
        "parameters": [deadline],
        "requestBody": _request(dialect.request, dialect.example),
        "responses": {
            "200": _answer(gives, dialect.reply),
            **dict(sorted(refusals.items())),
        },
    }


_STATUSES: Final[Mapping[int, str]] = {
    400: "The request is wrong.",
    401: "The server wants a token.",
    404: "The space is not served here.",
    409: "The space is not served here.",
    413: "The body is too large.",
    429: "Too much is waiting; retry-after says when to try again.",
    503: "Too much is waiting, or the space is not ready; retry-after says when to try again.",
    504: "The deadline has passed.",
}


def _of_other(about: str, asked: Schema | None, given: Schema | str) -> dict[str, Any]:
    found: dict[str, Any] = {"summary": about}
    if asked is not None:
        found["requestBody"] = _request(asked, {"inputs": "how do I flatten a list"})
    if not given:
        found["responses"] = {"2XX": {"description": "Yes."}, "503": {"description": "No."}}
    elif isinstance(given, str):
        found["responses"] = {"200": {"description": "It.", "content": {given: {"schema": STRING}}}}
    else:
        found["responses"] = {"200": _answer("It.", given)}
    return found


def _request(schema: Schema, example: Mapping[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


def _answer(description: str, schema: Schema) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
