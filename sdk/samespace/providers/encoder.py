"""A hosted encoder as an `Encoder`, so that whatever works with one (audit, adopt, migrate, search) works with it.

The provider cuts or rejects what is too long; nothing is windowed here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np

from ..encoder import Encoded, EncodeOptions, Encoder, check_dims
from ..errors import ConfigInvalid, RequestInvalid, SamespaceError, ServerUnavailable, SpaceMismatch, TextTooLong
from ..text import Role, check_role
from ..vectors import Float32, Vectors
from ..web import WebClient, WebOptions, WebReply
from .manifest import ProviderManifest
from .wire import ProviderWire, unit_rows, wire_of

CHARS_A_TOKEN: Final = 4
"""A rough estimate for costs; the provider's own count is what is billed."""
TRIES: Final = 6
REMEDY: Final = "it is the provider's; try again later, or look at its status page"
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
        ConfigInvalid: the provider is not known, or there is no key in the environment.
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
        made = [self._request(some, role) for some in _pieces(texts, self.wire.most)]
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
            except ServerUnavailable:
                if last:
                    raise
                self._pause(2.0**number)
                continue
            if reply.status == 200:
                return unit_rows(_json(reply, self.address), self.wire, len(texts), self.address)
            if reply.status not in _MAY_PASS or last:
                raise _refusal(reply, self.address, self.wire.key)
            self._pause(_wait_s(reply, number))
        raise AssertionError("the last try returns or raises")


class ProviderEncoder(Encoder):
    """The space of a pinned provider."""

    def __init__(self, manifest: ProviderManifest, door: ProviderDoor | None = None) -> None:
        self.manifest = manifest
        self.door = door or ProviderDoor.of(manifest)
        self._space_id = manifest.space_id

    @property
    def space_id(self) -> str:
        return self._space_id

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def dims(self) -> int:
        return self.manifest.dims

    @property
    def token_limit(self) -> int:
        return self.manifest.token_limit

    @property
    def bound(self) -> float:
        return self.manifest.bound

    def encode_with(self, texts: Sequence[str], role: Role, options: EncodeOptions) -> Encoded:
        """One vector a text, whatever is asked for long ones: the provider has no windows."""
        check_dims(options.dims, self.dims, ())
        check_role(role)
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise RequestInvalid(field="texts", reason="expected a list of strings")
        tokens = tuple(-(-len(text) // CHARS_A_TOKEN) for text in texts)
        if options.long_texts == "reject" and (over := [n for n in tokens if n > self.token_limit]):
            raise TextTooLong(index=tokens.index(over[0]), tokens=over[0], limit=self.token_limit)
        rows = self.door.rows(texts, role)
        if len(rows) and rows.shape[1] != self.dims:
            raise SpaceMismatch(
                expected=f"{self.space_id} ({self.dims} dims)",
                found=f"vectors of {rows.shape[1]} dims",
                where=self.name,
            )
        if options.progress is not None:
            options.progress(len(texts))
        rows = rows if len(rows) else np.empty((0, self.dims), dtype=np.float32)
        spans = tuple((place, 0, len(text)) for place, text in enumerate(texts))
        return Encoded(Vectors(rows, self._space_id), tokens, (1,) * len(texts), spans)

    def close(self) -> None:
        self.door.close()


def _pieces(texts: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(texts), size):
        yield texts[start : start + size]


def _json(reply: WebReply, address: str) -> object:
    try:
        return reply.json()
    except ValueError as error:
        raise ServerUnavailable(address=address, reason="answers with status 200 and no JSON", remedy=REMEDY) from error


def _refusal(reply: WebReply, address: str, key: str) -> SamespaceError:
    """The provider's words may repeat the text or the key, so only the status is told."""
    if reply.status in (401, 403):
        return ConfigInvalid(key=key, reason=f"was refused by {address} with status {reply.status}")
    if reply.status in _MAY_PASS:
        why = "the rate limit" if reply.status == 429 else "an outage"
        reason = f"status {reply.status} after {TRIES} tries ({why})"
        return ServerUnavailable(address=address, reason=reason, remedy=REMEDY)
    return RequestInvalid(field="texts", reason=f"{address} refused them with status {reply.status}")


def _wait_s(reply: WebReply, number: int) -> float:
    try:
        asked = float(reply.headers.get("retry-after", ""))
    except ValueError:
        asked = 0.0
    return min(_LONGEST_WAIT_S, max(asked, 2.0**number))
