"""What a dialect is: one foreign wire format as pure functions.

Its request to a `ParsedRequest`, an answer to its reply, an error to its body. Fields that we do not know are let
through, because every client sends some; those of `meaning` are not. What none of them has and we offer is
`long_texts` (pool, windows, slices or reject), and a space's id as the `model`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from samespace.errors import RequestInvalid, SamespaceError
from samespace.rpc.status import fields_of
from samespace.text import LongTexts, Role

from ...scheduling.engine import Answer
from .schema import Schema

Body = Mapping[str, Any]
_SPACE: Final = re.compile(r"[0-9a-fA-F]{12,64}")


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A request, understood: what to embed, and what the reply needs to know of the request.

    Attributes:
        kinds: the number formats that vectors are wanted in; see `numbers`.
        echo: the text, for a reply that repeats it; the model's name, for one that repeats that.
    """

    texts: list[str]
    role: Role
    long_texts: LongTexts = "pool"
    dims: int | None = None
    kinds: tuple[str, ...] = ("float",)
    echo: str = ""


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What is known beside a request's body.

    Attributes:
        role_matters: whether the encoder treats queries and passages differently.
        role: the one that the path names; None where it names none.
    """

    role_matters: bool
    role: Role | None = None


Rows = Mapping[str, Sequence[Any]]
"""By number format: the vectors as JSON's writer takes them."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One foreign wire format.

    Attributes:
        routes: its paths below the space's prefix, "*" for any one part; the first is its name in metrics.
        about: what it is, in a sentence.
        request, reply: JSON schemas of the body and of what a 200 holds.
        example: a body that any encoder answers.
        parse: the body and what is known beside it, to a `ParsedRequest`; raises `RequestInvalid`.
        render: the request, its answer, and the answer's vectors by number format, to the reply's body.
        render_error: a message and the error's class to the error's body.
        busy_status: HTTP status of a refusal that may be tried again.
        space_status: of a wrong space. Most clients try a 409 three times; 404 they believe.
        retry_words: put before the message of what may be tried again.
        headers: of each reply.
    """

    routes: tuple[str, ...]
    about: str
    request: Schema
    reply: Schema
    example: Body
    parse: Callable[[Body, RequestContext], ParsedRequest]
    render: Callable[[ParsedRequest, Answer, Rows], Any]
    render_error: Callable[[str, SamespaceError], dict[str, Any]]
    busy_status: int = 503
    space_status: int = 404
    retry_words: str = ""
    headers: tuple[tuple[bytes, bytes], ...] = ()


def flat_error(message: str, error: SamespaceError) -> dict[str, Any]:
    """Every client of Weaviate reads another one of these keys."""
    kind = type(error).__name__
    return {"error": message, "message": message, "detail": message, "type": kind, "fields": fields_of(error)}


def named_space(body: Body) -> str | None:
    """The space that the request names as its model, if it names one: at least 12 hex digits of an id.

    A tag, as Ollama's clients put behind a name, counts for nothing. Any other name is let through: clients send the
    names of models that they know, and mean "yours".

    Raises:
        RequestInvalid: it begins as an id does, and is none.
    """
    model = body.get("model")
    if model is None:
        return None
    if not isinstance(model, str):
        raise RequestInvalid(field="model", reason="expected a string")
    name = model.strip().partition(":")[0]
    if _SPACE.fullmatch(name):
        return name.lower()
    if _SPACE.match(name):
        raise RequestInvalid(
            field="model", reason=f"{name[:80]} begins as a space id does, and is none; send all of it"
        )
    return None
