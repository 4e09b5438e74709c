"""Certificates of the server, and the authority that clients' certificates have to come from.

Read once into a value; reading the files again makes another value, for connections from then on.

What it leaves to others: when to read again (`app`), gRPC's own objects (`rpc.service`).
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from samespace.errors import ConfigInvalid


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files.

    Attributes:
        cert: the server's certificate, followed by those of the authorities between it and the root.
        key: its private key, without a passphrase.
        client_ca: authorities; where given, only clients with a certificate from one of them are let in.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class ServerTls:
    """What the files hold: a context for HTTP, and the PEM bytes for gRPC."""

    context: ssl.SSLContext
    cert: bytes
    key: bytes
    client_ca: bytes | None

    @classmethod
    def read(cls, files: TlsFiles) -> Self:
        """Read *files*; raises `ConfigInvalid` where one is missing, or they do not belong together."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            # Without the function, openssl would ask for a passphrase on the terminal, and wait.
            context.load_cert_chain(files.cert, files.key, password=lambda: "")
        except OSError as error:
            raise ConfigInvalid(key="tls_cert", reason=f"{files.cert} with {files.key}: {_why(error)}") from error
        if files.client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            try:
                context.load_verify_locations(files.client_ca)
            except OSError as error:
                raise ConfigInvalid(key="tls_client_ca", reason=f"{files.client_ca}: {_why(error)}") from error
        client_ca = None if files.client_ca is None else files.client_ca.read_bytes()
        return cls(context, files.cert.read_bytes(), files.key.read_bytes(), client_ca)


def _why(error: OSError) -> str:
    if not isinstance(error, ssl.SSLError):
        return error.strerror or type(error).__name__
    if error.reason == "KEY_VALUES_MISMATCH":
        return "the key is of another certificate"
    return "not a PEM file of the right kind, or a key with a passphrase; write the key without, for the server alone"
