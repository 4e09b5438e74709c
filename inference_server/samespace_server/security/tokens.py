"""Who may ask: bearer tokens, kept as digests.

A token comes as `Authorization: Bearer TOKEN`, or as the password of basic auth, which is all that a URL can
carry. Every comparison takes the same time whatever was sent: both sides are hashed, every token is compared,
and none of it depends on where the first difference is. Neither tokens nor what was sent are ever told.

What it leaves to others: reading the file again (`app`), which paths are open to everybody (`http`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from samespace.errors import ConfigInvalid, Unauthenticated

SHORTEST: Final = 16
"""Characters of a token. A shorter one could be found by trying; `openssl rand -hex 32` gives 64."""
_TOKEN: Final = re.compile(r"[!-~]+")  # printable ASCII without blanks: what a header carries unchanged


class Tokens:
    """The tokens that are known; none known means that everybody may ask."""

    __slots__ = ("_digests",)

    def __init__(self, tokens: Iterable[str] = ()) -> None:
        """Keep the digests of *tokens*; raises `ConfigInvalid`, which says which one by its place only."""
        self._digests = frozenset(
            _digest(_checked(token, f"token {index + 1}").encode()) for index, token in enumerate(tokens)
        )

    def __bool__(self) -> bool:
        return bool(self._digests)

    def __len__(self) -> int:
        return len(self._digests)

    def check(self, authorization: bytes | None, *, where: str) -> None:
        """Raise `Unauthenticated` unless *authorization*, the header's value, carries a known token.

        Args:
            where: what the refusal calls this server or this call.
        """
        if not self._digests:
            return
        if authorization is None:
            raise Unauthenticated(where=where, reason="no token was sent")
        sent = _sent(authorization)
        if sent is None:
            raise Unauthenticated(where=where, reason="neither a bearer token nor basic auth")
        digest, known = _digest(sent), False
        for each in self._digests:  # all of them: no early exit
            known |= hmac.compare_digest(digest, each)
        if not known:
            raise Unauthenticated(where=where, reason="the token is not known here")


class Guard:
    """The tokens of a running server: some that were given, and those of a file that can be read again."""

    def __init__(self, given: Sequence[str] = (), file: Path | None = None) -> None:
        """Raises `ConfigInvalid` where the file or a token is of no use."""
        self._given, self._file = tuple(given), file
        self.tokens = self._read()

    def client(self, authorization: bytes | None, address: str) -> str:
        """A name for who sends this, to share things out by: the token where there are several, else the address.

        Of the token it holds a part of its digest. IPv6 addresses are told apart by their first 64 bits, because
        whoever has one has all that follow.
        """
        sent = None if authorization is None or len(self.tokens) < 2 else _sent(authorization)
        if sent is not None:
            return f"token {_digest(sent).hex()[:16]}"
        try:
            found = ipaddress.ip_address(address.strip("[]").partition("%")[0])
        except ValueError:
            return address
        if isinstance(found, ipaddress.IPv6Address):
            mapped = found.ipv4_mapped
            return str(mapped) if mapped else str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))
        return str(found)

    def reload(self) -> None:
        """Read the file again; where it is of no use, raise `ConfigInvalid` and keep the tokens that there were."""
        self.tokens = self._read()

    def _read(self) -> Tokens:
        return Tokens([*self._given, *(read_tokens(self._file) if self._file else ())])


def read_tokens(file: Path) -> list[str]:
    """The tokens of *file*: one a line; empty lines and lines that begin with # are left out.

    Raises:
        ConfigInvalid: the file cannot be read, or holds no token, which would open the server to everybody.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigInvalid(key="token_file", reason=f"{file}: {reason}") from None
    tokens = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not tokens:
        raise ConfigInvalid(key="token_file", reason=f"{file}: holds no token; write one per line")
    return [_checked(token, f"{file}: token {index + 1}") for index, token in enumerate(tokens)]


def _checked(token: str, name: str) -> str:
    if len(token) < SHORTEST:
        reason = f"{name} has {len(token)} characters; at least {SHORTEST}, as `openssl rand -hex 32` gives"
        raise ConfigInvalid(key="tokens", reason=reason)
    if not _TOKEN.fullmatch(token):
        raise ConfigInvalid(key="tokens", reason=f"{name} has blanks or characters that are not ASCII")
    return token


def _sent(authorization: bytes) -> bytes | None:
    scheme, _, value = authorization.strip().partition(b" ")
    if scheme.lower() == b"bearer":
        return value.strip()
    if scheme.lower() == b"basic":
        try:
            _, colon, password = base64.b64decode(value.strip(), validate=True).partition(b":")
        except binascii.Error:
            return None
        return password if colon else None
    return None


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
