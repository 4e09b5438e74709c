"""Pages of other origins that may ask for vectors (CORS): those that the server's operator names, and no other.

A page shows its readers' browsers where it comes from, and a browser hands it no answer that does not name it. Nothing
here is a way around tokens: a page needs one as every client does, and cookies are of no use. What tells of the server
is never given to other pages.

Standard: https://fetch.spec.whatwg.org/#http-cors-protocol.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from samespace.errors import ConfigInvalid

from .messages import Request, Response, Work

ANY: Final = "*"
_ORIGIN: Final = re.compile(r"https?://[^/\s,*]+")
_SENT: Final = b"authorization, api-key, content-type, content-encoding, traceparent, tracestate, x-timeout-ms"
_SHOWN: Final = b"retry-after, retry-after-ms"
_REMEMBERED_S: Final = b"600"


class Origins:
    """The origins whose pages may ask."""

    def __init__(self, origins: Iterable[str] = ()) -> None:
        """*origins* as browsers write them, or "*" for all.

        Raises:
            ConfigInvalid: one is no origin.
        """
        self._origins = frozenset(each.strip().rstrip("/") for each in origins) - {""}
        for each in self._origins - {ANY}:
            if not _ORIGIN.fullmatch(each):
                reason = f"{each!r}; expected origins such as https://app.example.org, with commas between, or *"
                raise ConfigInvalid(key="cors_origins", reason=reason)

    def allows(self, request: Request) -> bool:
        """Whether *request* comes from a page that may ask."""
        origin = request.headers.get(b"origin")
        return origin is not None and (ANY in self._origins or origin.decode("latin-1") in self._origins)

    def preflight(self, request: Request, methods: Iterable[str]) -> Response:
        """The answer to a browser that asks whether the page may."""
        headers = (
            (b"access-control-allow-methods", ", ".join(sorted(methods)).encode()),
            (b"access-control-allow-headers", _SENT),
            (b"access-control-max-age", _REMEMBERED_S),
        )
        return self._named(request, Response(204, headers=headers))

    def readable(self, request: Request, work: Work | Response) -> Work | Response:
        """*work*, with an answer that the page may read."""
        if isinstance(work, Response):
            return self._named(request, work)

        async def answer(request: Request) -> Response:
            return self._named(request, await work(request))

        return answer

    def _named(self, request: Request, response: Response) -> Response:
        origin = b"*" if ANY in self._origins else request.headers[b"origin"]
        headers = (
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _SHOWN),
            (b"vary", b"origin"),
        )
        return replace(response, headers=(*response.headers, *headers))
