"""Weaviate's REST interface: one request, its answer, and what a status means.

Every request may be sent twice: `Patience` sends it again while an outage lasts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from samespace.errors import ServerUnavailable, WeaviateError, WeaviateUnavailable
from samespace.web import WebClient, WebOptions, WebReply

from ..pinning.spec import collection_name
from .address import Address
from .patience import NONE, Patience
from .transient import reason_may_pass, status_may_pass

TIMEOUT_S: Final = 120.0
GOOD: Final = (200, 202, 204)


@dataclass(frozen=True, slots=True)
class Rest:
    """One Weaviate's REST interface; for any number of threads.

    Attributes:
        web: the HTTP client, at the address without a path.
        patience: with outages.
        bearer: gives the authorization to send, where it changes in time; "" for none.
    """

    web: WebClient
    patience: Patience = NONE
    bearer: Callable[[], str] | None = None

    @staticmethod
    def open(address: Address, patience: Patience = NONE, *, bearer: Callable[[], str] | None = None) -> Rest:
        """Nothing is sent before the first request."""
        options = WebOptions(dict(address.headers), address.api_key, ca=address.ca, timeout_s=TIMEOUT_S)
        return Rest(WebClient(str(address), options), patience, bearer)

    @property
    def address(self) -> str:
        """What is shown: scheme, host and port."""
        return self.web.address

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The decoded answer, of a status that is good.

        Raises:
            WeaviateUnavailable: nothing answers, or an outage is the answer.
            WeaviateError: Weaviate refuses.
        """
        return self.send(method, path, body, query=query, headers=headers)[1]

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        allowed: tuple[int, ...] = GOOD,
    ) -> tuple[int, Any]:
        """(status, decoded body) of a status that is among *allowed*; the rest as in `ask`."""

        def question() -> tuple[int, Any]:
            reply = self.exchange(method, path, body, query=query, headers=headers)
            if reply.status not in allowed:
                raise _refusal(f"{self.address}: {method} {path}", reply)
            try:
                return reply.status, reply.json()
            except ValueError as error:
                raise WeaviateError(f"{self.address}: {method} {path}: the answer is not JSON") from error

        return self.patience.ask(question, is_back=self.is_ready)

    def exchange(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> WebReply:
        """One request, sent once; the answer whatever its status.

        Raises:
            WeaviateUnavailable: nothing answers.
        """
        authorization = self.bearer() if self.bearer is not None else ""
        sent = {**(headers or {}), **({"authorization": authorization} if authorization else {})}
        try:
            return self.web.ask(method, f"/v1{path}", body=body, query=query, headers=sent)
        except ServerUnavailable as error:
            raise WeaviateUnavailable(address=self.address, reason=error.reason) from error

    def is_ready(self) -> bool:
        """Whether it says that it is ready: one that has just started answers before it knows its collections."""
        try:
            return self.exchange("GET", "/.well-known/ready").status == 200
        except WeaviateUnavailable:
            return False


def class_path(name: str) -> str:
    """A collection's name as a part of a path."""
    return quote(collection_name(name), safe="")


def _refusal(where: str, reply: WebReply) -> WeaviateError:
    reason = _reason(reply)
    if status_may_pass(reply.status) or (reply.status >= 500 and reason_may_pass(reason)):
        return WeaviateUnavailable(address=where, reason=f"status {reply.status}: {reason}")
    if reply.status in (401, 403):
        return WeaviateError(
            f"{where}: status {reply.status}: {reason or 'not allowed'}; set WEAVIATE_API_KEY to a key that may do this"
        )
    return WeaviateError(f"{where}: status {reply.status}: {reason}")


def _reason(reply: WebReply) -> str:
    """What Weaviate says in an error's body."""
    try:
        body = json.loads(reply.body)
        found = body.get("error") if isinstance(body, dict) else body
        messages = [str(each["message"]) for each in found] if isinstance(found, list) else [str(body)]
    except (ValueError, KeyError, TypeError):
        messages = [reply.text()]
    return " ".join("; ".join(messages).split())
