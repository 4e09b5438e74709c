"""Asks the server behind a pin's URL which spaces it serves. A schema can be right and its server another one."""

from __future__ import annotations

import base64
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

from samespace.errors import ConfigInvalid

from .pin import Finding, Pin, Severity
from .spec import shown

_TIMEOUT_S: Final = 3.0
_MOST_BYTES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Answer:
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
        self._answers: dict[str, Answer] = {}

    def judge(self, pin: Pin) -> list[Finding]:
        """What the server behind *pin* says about its space; nothing for pins that name no server."""
        base = pin.url.partition("/e/")[0].rstrip("/")
        if not base or pin.module == "none":
            return []
        address = self._instead or base
        if address not in self._answers:
            self._answers[address] = _ask(address, self._ca, self._timeout_s)
        return [_judged(pin, shown(address), self._answers[address])]


def _judged(pin: Pin, where: str, answer: Answer) -> Finding:
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


def _ask(base: str, ca: str, timeout_s: float) -> Answer:
    parts = urlsplit(base)
    host = parts.netloc.rpartition("@")[2]
    request = urllib.request.Request(urlunsplit((parts.scheme, host, f"{parts.path}/meta", "", "")))
    if parts.password is not None:
        pair = f"{unquote(parts.username or '')}:{unquote(parts.password)}"
        request.add_header("authorization", f"Basic {base64.b64encode(pair.encode()).decode()}")
    try:
        context = ssl.create_default_context(cafile=ca or None) if parts.scheme == "https" else None
        with urllib.request.urlopen(request, timeout=timeout_s, context=context) as response:
            content: Any = json.loads(response.read(_MOST_BYTES))
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 404:
                return Answer(None, "status 404 for /meta", is_other=True)
            return Answer(None, f"status {error.code}" + (", it wants a token" if error.code == 401 else ""))
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError):
            return Answer(None, "/meta is not JSON", is_other=True)
        return Answer(None, str(getattr(error, "reason", None) or error))
    return _read(content)


def _read(content: Any) -> Answer:
    if not isinstance(content, Mapping) or content.get("server") != "samespace":
        return Answer(None, "/meta is another's", is_other=True)
    return Answer(tuple(str(each.get("space_id")) for each in content.get("spaces") or ()))
