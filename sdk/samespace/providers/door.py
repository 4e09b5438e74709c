"""A provider's endpoint: texts in, unit vectors out, with patience for outages and without a key in the clear.

What is answered is of whatever model the provider runs now: whether that is the pinned one is asked in `pin`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

import numpy as np

from ..errors import ConfigInvalid, RequestInvalid, SamespaceError, ServerUnavailable
from ..rpc.access import is_loopback
from ..text import Role
from ..vectors import Float32
from ..web import WebClient, WebOptions, WebReply
from .manifest import ProviderManifest
from .wire import REMEDY, ProviderWire, unit_rows, wire_of

CHARS_A_TOKEN: Final = 4
"""A rough estimate for costs; the provider's own count is what is billed."""
TRIES: Final = 6
IN_CLEAR: Final = "SAMESPACE_TOKEN_IN_CLEAR"
"""Environment variable: "1" lets a key travel without TLS, as for tokens of servers (`api.named.access_from`)."""
_LONGEST_WAIT_S: Final = 60.0
_MAY_PASS: Final = frozenset({408, 409, 429, 500, 502, 503, 504, 529})


class ProviderDoor:
    """One provider's endpoint: vectors for texts, with patience. For any number of threads.

    Args:
        provider, model: see `wire`.
        base_url: "" for the provider's own.
        dims: to ask for; 0 for the model's own.
        pause: waits so many seconds.

    Raises:
        ConfigInvalid: the provider is not known, there is no key in the environment, or the key would travel to another
            machine in the clear.
    """

    def __init__(
        self,
        provider: str,
        model: str,
        base_url: str = "",
        dims: int = 0,
        *,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.wire: ProviderWire = wire_of(provider)
        self.model, self.dims, self._pause = model, dims, pause
        key = os.environ.get(self.wire.key, "")
        if not key:
            raise ConfigInvalid(key=self.wire.key, reason="is not set in the environment, and the provider wants a key")
        self._web = WebClient(base_url or self.wire.base_url, WebOptions(token=key, proxies=True))
        self.address = self._web.address
        _require_private(self.address, self.wire.key)

    @staticmethod
    def of(manifest: ProviderManifest) -> ProviderDoor:
        """The endpoint that was pinned."""
        return ProviderDoor(manifest.provider, manifest.model, manifest.base_url, manifest.asked_dims)

    def rows(self, texts: Sequence[str], role: Role) -> Float32:
        """(texts, dims) float32 unit rows; what is beyond one request goes in several.

        Raises:
            ConfigInvalid, RequestInvalid: the provider refuses the key or a text.
            ServerUnavailable: it stayed away, or answers what it should not.
        """
        return self.joined([self._request(some, role) for some in pieces(texts, self.wire.most)])

    def joined(self, made: Sequence[Float32]) -> Float32:
        """The rows of several requests; raises `ServerUnavailable` where their lengths differ."""
        if len({part.shape[1] for part in made}) > 1:
            raise ServerUnavailable(address=self.address, reason="answers vectors of several lengths", remedy=REMEDY)
        return np.concatenate(made) if made else np.empty((0, 0), dtype=np.float32)

    def close(self) -> None:
        """Close the connections."""
        self._web.close()

    def _request(self, texts: Sequence[str], role: Role) -> Float32:
        body = self.wire.body(self.model, texts, role, self.dims)
        for number in range(TRIES):
            last = number == TRIES - 1
            try:
                reply = self._web.ask("POST", self.wire.path, body=body)
            except ServerUnavailable as error:
                if last:
                    raise ServerUnavailable(address=self.address, reason=error.reason, remedy=REMEDY) from error
                self._pause(2.0**number)
                continue
            if reply.status == 200:
                return unit_rows(_json(reply, self.address), self.wire, len(texts), self.address)
            if reply.status not in _MAY_PASS or last:
                raise _refusal(reply, self.address, self.wire.key)
            self._pause(_wait_s(reply, number))
        raise AssertionError("the last try returns or raises")


def pieces(texts: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """*texts* in order, *size* at a time."""
    for start in range(0, len(texts), size):
        yield texts[start : start + size]


def _require_private(address: str, key: str) -> None:
    """Raise `ConfigInvalid` where the key would travel to another machine in the clear."""
    parts = urlsplit(address)
    if parts.scheme == "https" or is_loopback(f"{parts.hostname}:0") or os.environ.get(IN_CLEAR) == "1":
        return
    raise ConfigInvalid(
        key=key,
        reason=f"not sent to {address} without TLS, where others can read it; give an address with https://, or allow "
        f"it in a network that encrypts by itself ({IN_CLEAR}=1)",
    )


def _json(reply: WebReply, address: str) -> object:
    try:
        return reply.json()
    except ValueError as error:
        raise ServerUnavailable(address=address, reason="answers with status 200 and no JSON", remedy=REMEDY) from error


def _refusal(reply: WebReply, address: str, key: str) -> SamespaceError:
    """The provider's words may repeat the text or the key, so only the status is told."""
    status = reply.status
    if status in (401, 403):
        return ConfigInvalid(key=key, reason=f"was refused by {address} with status {status}")
    if status in _MAY_PASS or status >= 500:
        tries = f" after {TRIES} tries" if status in _MAY_PASS else ""
        why = "the rate limit" if status == 429 else "an outage"
        return ServerUnavailable(address=address, reason=f"status {status}{tries} ({why})", remedy=REMEDY)
    if status in (404, 405, 410):
        reason = (
            f"{address} has no such endpoint or no such model (status {status}); look at the model's name and at the"
        )
        return ConfigInvalid(key="PROVIDER:MODEL", reason=f"{reason} address (--base-url)")
    if status < 400:
        what = "sends elsewhere (a redirect)" if status >= 300 else "answers without vectors"
        remedy = "give the address of the API itself (--base-url)"
        return ServerUnavailable(address=address, reason=f"{what}, status {status}", remedy=remedy)
    return RequestInvalid(field="texts", reason=f"{address} refused them with status {status}")


def _wait_s(reply: WebReply, number: int) -> float:
    try:
        asked = float(reply.headers.get("retry-after", ""))
    except ValueError:
        asked = 0.0
    return min(_LONGEST_WAIT_S, max(asked, 2.0**number))
