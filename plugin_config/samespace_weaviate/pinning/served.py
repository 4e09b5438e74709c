"""Asks the server behind a pin's URL which spaces it serves. A schema can be right and its server another one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from samespace.errors import ConfigInvalid, ServerUnavailable
from samespace.web import WebClient, WebOptions

from .pin import Finding, Pin, Severity
from .spec import shown

_TIMEOUT_S: Final = 3.0
_MOST_BYTES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class ServedSpaces:
    """What a server said.

    Attributes:
        spaces: full ids that it serves; None where it did not say.
        reason: why it did not.
        is_other: something answers there which is not a samespace server.
    """

    spaces: tuple[str, ...] | None
    reason: str = ""
    is_other: bool = False


class Servers:
    """The encoder servers that schemas name; each is asked once.

    Args:
        instead: address at which this machine reaches the encoder, where it is another one than Weaviate uses.
        ca: PEM file of the authorities to trust; the system's unless given.
    """

    def __init__(self, instead: str = "", *, ca: str = "", timeout_s: float = _TIMEOUT_S) -> None:
        if instead and urlsplit(instead).scheme not in ("http", "https"):
            raise ConfigInvalid(key="--encoder-url", reason=f"{shown(instead)!r}; expected http://HOST:PORT")
        self._instead, self._ca, self._timeout_s = instead.rstrip("/"), ca, timeout_s
        self._answers: dict[str, ServedSpaces] = {}

    def judge(self, pin: Pin) -> list[Finding]:
        """What the server behind *pin* says about its space; nothing for pins that name no server."""
        base = pin.url.partition("/e/")[0].rstrip("/")
        if not base or pin.module == "none":
            return []
        address = self._instead or base
        if address not in self._answers:
            self._answers[address] = _ask(address, self._ca, self._timeout_s)
        return [_judged(pin, shown(address), self._answers[address])]


def _judged(pin: Pin, where: str, answer: ServedSpaces) -> Finding:
    def finding(severity: Severity, message: str) -> Finding:
        return Finding(severity, f"{pin.vector}: {message}")

    if answer.is_other:
        return finding(
            Severity.UNSAFE,
            f"{where} is not a samespace server ({answer.reason}): nothing there refuses another space",
        )
    if answer.spaces is None:
        return finding(Severity.FINE, f"NOT asked: {where} does not answer from here ({answer.reason})")
    if any(space.startswith(pin.space) for space in answer.spaces):
        return finding(Severity.FINE, f"{where} serves it")
    serves = ", ".join(answer.spaces) or "nothing"
    return finding(
        Severity.BROKEN,
        f"{where} does not serve space {pin.space} but {serves}: queries, and objects without a vector, are refused",
    )


def _ask(base: str, ca: str, timeout_s: float) -> ServedSpaces:
    try:
        with WebClient(base, WebOptions(ca=ca, timeout_s=timeout_s, follow=True, proxies=True)) as web:
            reply = web.ask("GET", "/meta", most_bytes=_MOST_BYTES)
    except ServerUnavailable as error:
        return ServedSpaces(None, error.reason)
    except ConfigInvalid as error:
        return ServedSpaces(None, str(error))
    if reply.status == 404:
        return ServedSpaces(None, "status 404 for /meta", is_other=True)
    if reply.status != 200:
        return ServedSpaces(None, f"status {reply.status}" + (", it wants a token" if reply.status == 401 else ""))
    try:
        return _read(reply.json())
    except ValueError:
        return ServedSpaces(None, "/meta is not JSON", is_other=True)


def _read(content: Any) -> ServedSpaces:
    if not isinstance(content, Mapping) or content.get("server") != "samespace":
        return ServedSpaces(None, "/meta is another's", is_other=True)
    return ServedSpaces(tuple(str(each.get("space_id")) for each in content.get("spaces") or ()))
