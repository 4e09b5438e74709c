"""Asks the server behind a pin's URL which spaces it serves, and for a few vectors, see `sameness`.

A schema can be right and its server another one; and a server can say an id and be another encoder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

import numpy as np

from samespace.errors import ConfigInvalid, SamespaceError, ServerUnavailable
from samespace.text import Role
from samespace.vectors import Float32
from samespace.web import WebClient, WebOptions

from .pin import Finding, Pin, Severity
from .routes import USES
from .sameness import Sameness, SpaceSide
from .spec import shown

_TIMEOUT_S: Final = 3.0
ASKED: Final = 5
"""Times that a server is asked what it serves."""
_ENCODING_S: Final = 30.0
_MOST_BYTES: Final = 1_000_000
_MOST_VECTOR_BYTES: Final = 32_000_000
_UNKNOWN_BOUND: Final = 0.02  # 1 - cos: of servers that do not say theirs; an int8 build's


@dataclass(frozen=True, slots=True)
class ServedSpaces:
    """What a server said.

    Attributes:
        spaces: full ids that it serves; None where it did not say.
        reason: why it did not.
        is_other: something answers there which is not a samespace server.
        bounds: by space, what its vectors may differ from the fp32 reference, as 1 - cos.
    """

    spaces: tuple[str, ...] | None
    reason: str = ""
    is_other: bool = False
    bounds: Mapping[str, float] = field(default_factory=dict)


class Servers:
    """The encoder servers that schemas name; each is asked a few times.

    Args:
        instead: address at which this machine reaches the encoder, where it is another one than Weaviate uses.
        ca: PEM file of the authorities to trust; the system's unless given.
        right: the encoder whose vectors the servers of its space have to give.
    """

    def __init__(
        self, instead: str = "", *, ca: str = "", timeout_s: float = _TIMEOUT_S, right: SpaceSide | None = None
    ) -> None:
        if instead and urlsplit(instead).scheme not in ("http", "https"):
            raise ConfigInvalid(key="--encoder-url", reason=f"{shown(instead)!r}; expected http://HOST:PORT")
        self._instead, self._ca, self._timeout_s = instead.rstrip("/"), ca, timeout_s
        self._answers: dict[str, tuple[ServedSpaces, ...]] = {}
        self._sameness = Sameness(right)

    def judge(self, pin: Pin) -> list[Finding]:
        """What the servers behind *pin* say about its space; nothing for pins that name no server.

        There are two where objects and queries go to different addresses.
        """
        if pin.module == "none":
            return []
        bases = dict.fromkeys(pin.address(use).partition("/e/")[0].rstrip("/") for use in USES)
        addresses = dict.fromkeys(self._instead or base for base in bases if base)
        return [finding for address in addresses for finding in self._of(pin, address)]

    def _of(self, pin: Pin, address: str) -> list[Finding]:
        if address not in self._answers:
            self._answers[address] = _ask_again(address, self._ca, self._timeout_s)
        answers = self._answers[address]
        findings = list(dict.fromkeys(_judged(pin, shown(address), answer) for answer in answers))
        if len(findings) > 1:
            several = f"{shown(address)} gave {len(findings)} answers to {len(answers)} questions: several servers"
            findings.append(_named(pin, Finding(Severity.UNSAFE, f"{several} are behind it, and they differ")))
        answer = answers[0]
        for space in answer.spaces or ():
            if space.startswith(pin.space):
                side = SpaceSide(
                    space, shown(address), answer.bounds.get(space, _UNKNOWN_BOUND),
                    partial(self._vectors, address, space),
                )  # fmt: skip
                compared = self._sameness.judge(side)
                findings += [] if compared is None else [_named(pin, compared)]
        return findings

    def _vectors(self, address: str, space: str, texts: Sequence[str], role: Role) -> Float32:
        body = {"input": list(texts), "input_type": role}
        with WebClient(address, WebOptions(ca=self._ca, timeout_s=_ENCODING_S, follow=True, proxies=True)) as web:
            reply = web.ask("POST", f"/e/{space}/v1/embeddings", body=body, most_bytes=_MOST_VECTOR_BYTES)
        try:
            rows = [each["embedding"] for each in reply.json()["data"]] if reply.status == 200 else None
            if rows is not None:
                return np.array(rows, dtype=np.float32).reshape(len(texts), -1)
        except (ValueError, TypeError, KeyError) as error:
            raise SamespaceError(f"{shown(address)}: its answer holds no vectors") from error
        raise SamespaceError(f"{shown(address)}: status {reply.status} instead of vectors")


def _named(pin: Pin, finding: Finding) -> Finding:
    return Finding(finding.severity, f"{pin.vector}: {finding.message}")


def _judged(pin: Pin, where: str, answer: ServedSpaces) -> Finding:
    def finding(severity: Severity, message: str) -> Finding:
        return _named(pin, Finding(severity, message))

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


def _ask_again(base: str, ca: str, timeout_s: float) -> tuple[ServedSpaces, ...]:
    """Over connections of their own: several servers may be behind one address, in turns."""
    first = _ask(base, ca, timeout_s)
    if first.spaces is None:
        return (first,)
    return (first, *(_ask(base, ca, timeout_s) for _ in range(ASKED - 1)))


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
    spaces = [each for each in content.get("spaces") or () if isinstance(each, Mapping)]
    bounds = {str(each.get("space_id")): each["bound"] for each in spaces if isinstance(each.get("bound"), int | float)}
    return ServedSpaces(tuple(str(each.get("space_id")) for each in spaces), bounds=bounds)
