"""`Access`: how a server is reached: in the clear or over TLS, as anybody, with a token, or with a certificate.

Values only. Where they come from (files, a secret store, the environment of a command) is the caller's business;
nothing here reads the environment, and no secret is part of a `repr`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ..errors import ConfigInvalid


@dataclass(frozen=True, slots=True)
class Tls:
    """An encrypted connection, and how each side proves who it is. All of it PEM, as bytes.

    Attributes:
        ca: certificates of the authorities that the server's certificate may come from; None for the public ones
            that gRPC brings along. Set it for a private authority.
        certificate, key: what this client shows, for servers that ask (mutual TLS); both or neither.
        server_name: the name that the server's certificate has to bear; None for the host that is connected to. Set
            it where that is another one, such as an IP address or a tunnel's end.
    """

    ca: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)
    server_name: str | None = None

    def __post_init__(self) -> None:
        for name in ("ca", "certificate", "key"):
            value = getattr(self, name)
            if value is not None and b"-----BEGIN " not in value:
                raise ConfigInvalid(key=name, reason="not PEM: it has no line -----BEGIN ...-----")
        if (self.certificate is None) != (self.key is None):
            missing = "key" if self.key is None else "certificate"
            raise ConfigInvalid(key=missing, reason="missing; a client's certificate and its key go together")

    @classmethod
    def from_files(
        cls,
        *,
        ca: Path | str | None = None,
        certificate: Path | str | None = None,
        key: Path | str | None = None,
        server_name: str | None = None,
    ) -> Tls:
        """Read the PEM files; raises `ConfigInvalid` for one that cannot be read or is not PEM."""
        return cls(_read(ca, "ca"), _read(certificate, "certificate"), _read(key, "key"), server_name)


@dataclass(frozen=True, slots=True)
class Access:
    """Everything that a connection needs beside the address.

    Attributes:
        tls: None for a connection in the clear, which is for this machine and for networks that you trust.
        token: sent with each request, as `authorization: Bearer TOKEN`.
        token_in_clear: send the token to other machines without TLS too, where anybody on the way can read it. Only
            for networks that encrypt by themselves.
    """

    tls: Tls | None = None
    token: str | None = field(default=None, repr=False)
    token_in_clear: bool = False

    def __post_init__(self) -> None:
        if self.token is not None and not (self.token and self.token.isascii() and self.token.isprintable()):
            raise ConfigInvalid(key="token", reason="empty, or with characters that a header cannot carry")
        if self.token is not None and " " in self.token:
            raise ConfigInvalid(key="token", reason="has a space in it; give the token alone, without the word Bearer")

    def check(self, replicas: Iterable[str]) -> None:
        """Raise `ConfigInvalid` where the token would travel to another machine in the clear.

        Args:
            replicas: "host:port" of every server that it would be sent to.
        """
        if self.token is None or self.tls is not None or self.token_in_clear:
            return
        for replica in replicas:
            if not is_loopback(replica):
                raise ConfigInvalid(
                    key="token",
                    reason=f"not sent to {replica} without TLS, where others can read it; give a CA or say grpcs://, "
                    "or allow it with token_in_clear (SAMESPACE_TOKEN_IN_CLEAR=1)",
                )


OPEN: Final = Access()
"""In the clear, as anybody."""


def is_loopback(replica: str) -> bool:
    """Whether "host:port" can only be this machine."""
    host = replica.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read(file: Path | str | None, key: str) -> bytes | None:
    if file is None:
        return None
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise ConfigInvalid(key=key, reason=f"{file}: {error.strerror}") from error
