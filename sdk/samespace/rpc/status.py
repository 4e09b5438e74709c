"""Error class <-> gRPC code and HTTP status: the one table, used by the client and by the server.

An error crosses the wire as its code, its message, and its fields as JSON in the trailing metadata key
`samespace-error-bin`, so that the client raises the same class with the same attributes. This module does
not import grpc: codes are named by their strings, and the edges look them up.
"""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from typing import Any, Final

from .. import errors
from ..errors import DeadlineExceeded, RequestInvalid, SamespaceError, ServerUnavailable, Unauthenticated

ERROR_KEY: Final = "samespace-error-bin"
RETRY_KEY: Final = "retry-after-ms"
# gRPC refuses trailing metadata above 8 KiB altogether; a cut message is better than none.
_MAX_BYTES: Final = 4096
_CUT_CHARS: Final = 300
_CUT_ITEMS: Final = 16


@dataclass(frozen=True, slots=True)
class Status:
    """How one class of errors is told on the wire: the name of a gRPC code, and an HTTP status."""

    grpc: str
    http: int


# A space that does not fit is FAILED_PRECONDITION, not NOT_FOUND: asking again cannot help, and a client that
# creates what it does not find must not be tempted.
STATUS: Final[dict[type[SamespaceError], Status]] = {
    errors.SamespaceError: Status("INTERNAL", 500),
    errors.SpaceMismatch: Status("FAILED_PRECONDITION", 409),
    errors.VectorsDisagree: Status("FAILED_PRECONDITION", 409),
    errors.UnknownSpace: Status("FAILED_PRECONDITION", 409),
    errors.UnknownReranker: Status("FAILED_PRECONDITION", 409),
    errors.WrongKind: Status("FAILED_PRECONDITION", 409),
    errors.ArtifactError: Status("DATA_LOSS", 500),
    errors.ArtifactDamaged: Status("DATA_LOSS", 500),
    errors.ManifestInvalid: Status("DATA_LOSS", 500),
    errors.ArtifactUntrusted: Status("FAILED_PRECONDITION", 409),
    errors.GraphsDiffer: Status("FAILED_PRECONDITION", 409),
    errors.FormatTooNew: Status("UNIMPLEMENTED", 500),
    errors.BuildError: Status("INTERNAL", 500),
    errors.BuildUnavailable: Status("INTERNAL", 500),
    errors.GateFailed: Status("INTERNAL", 500),
    errors.ProbesFailed: Status("INTERNAL", 500),
    errors.ModelUnsupported: Status("INTERNAL", 500),
    errors.RequestInvalid: Status("INVALID_ARGUMENT", 400),
    errors.TextTooLong: Status("INVALID_ARGUMENT", 400),
    errors.Unauthenticated: Status("UNAUTHENTICATED", 401),
    errors.Overloaded: Status("RESOURCE_EXHAUSTED", 429),
    errors.ServerUnavailable: Status("UNAVAILABLE", 503),
    errors.SpaceNotReady: Status("UNAVAILABLE", 503),
    errors.DeadlineExceeded: Status("DEADLINE_EXCEEDED", 504),
    errors.ConfigInvalid: Status("INTERNAL", 500),
    errors.DataInvalid: Status("INTERNAL", 500),
    errors.OutputFailed: Status("INTERNAL", 500),
    errors.OutputBusy: Status("INTERNAL", 500),
    errors.TrainingFailed: Status("INTERNAL", 500),
    errors.PushFailed: Status("INTERNAL", 500),
    errors.ExtraMissing: Status("UNIMPLEMENTED", 500),
    errors.WeaviateError: Status("INTERNAL", 500),
    errors.WeaviateUnavailable: Status("INTERNAL", 500),
    errors.PinBroken: Status("FAILED_PRECONDITION", 409),
    errors.ReplicasDiffer: Status("FAILED_PRECONDITION", 409),
    errors.ReplicasUnknown: Status("FAILED_PRECONDITION", 409),
    errors.GuardFailed: Status("FAILED_PRECONDITION", 409),
    errors.MigrationBlocked: Status("FAILED_PRECONDITION", 409),
}
_BY_NAME: Final = {cls.__name__: cls for cls in STATUS}


# What gRPC says when the other end of a new connection speaks something else, and what to do about it.
_EXPLANATIONS: Final = (
    ("http1.x server", "that is an HTTP port: give the gRPC port (8081 unless chosen otherwise)"),
    ("Hostname Verification Check failed", "name the certificate's host in the address or in SAMESPACE_SERVER_NAME"),
    ("certificate verify failed", "trust the server's authority with SAMESPACE_CA"),
)
_PLAIN_TO_TLS: Final = "if the server speaks TLS, set SAMESPACE_CA or write grpcs://"


def explained(details: str) -> str:
    """gRPC's words about a connection that could not be made, with what to do where they tell the cause."""
    for words, remedy in _EXPLANATIONS:
        if words in details:
            return f"{details}; {remedy}"
    # A connection that broke later is "Socket closed" alone, and says nothing of TLS.
    if details.endswith("Socket closed") and ("failed to connect" in details or "backends failing" in details):
        return f"{details}; {_PLAIN_TO_TLS}"
    return details


def status_of(error: SamespaceError) -> Status:
    """The row of the error's class."""
    return STATUS[type(error)]


def encode(error: SamespaceError) -> bytes:
    """The error's class and fields as JSON: the value of `samespace-error-bin`; long ones are cut, and say so."""
    told = {"error": type(error).__name__, "fields": fields_of(error), "message": str(error)}
    data = json.dumps(told).encode()
    if len(data) > _MAX_BYTES:
        cut = {name: _cut(value) for name, value in fields_of(error).items()}
        data = json.dumps({**told, "fields": cut, "message": str(error)[:_CUT_CHARS]}).encode()
    if len(data) > _MAX_BYTES:
        data = json.dumps({"error": "SamespaceError", "fields": {}, "message": str(error)[:_CUT_CHARS]}).encode()
    return data


def fields_of(error: SamespaceError) -> dict[str, Any]:
    """What the error was made from, such as the id that was asked for and those that are served."""
    return {name: getattr(error, name) for name in _fields(type(error))}


def _cut(value: Any) -> Any:
    """A value of a field that is no longer than a few hundred characters."""
    if isinstance(value, str) and len(value) > _CUT_CHARS:
        return value[:_CUT_CHARS] + "…"
    if isinstance(value, tuple) and len(value) > _CUT_ITEMS:
        return (*map(_cut, value[:_CUT_ITEMS]), f"and {len(value) - _CUT_ITEMS} more")
    return value


def decode(code: str, details: str, data: bytes | None, *, address: str, timeout_ms: int) -> SamespaceError:
    """The error that a reply tells of: ours with its fields where *data* holds one, else by the gRPC code.

    Args:
        code: the name of the gRPC code, such as "UNAVAILABLE".
        details: gRPC's message.
        data: the value of `samespace-error-bin`, or None.
        address, timeout_ms: what the caller knows of the call, for errors that gRPC itself raised.
    """
    error = None if data is None else _decode_ours(data)
    if error is not None:
        return error
    if code == "UNAVAILABLE":
        return ServerUnavailable(address=address, reason=explained(details))
    if code == "DEADLINE_EXCEEDED":
        return DeadlineExceeded(where=f"server {address}", timeout_ms=timeout_ms)
    if code == "UNAUTHENTICATED":  # of a proxy on the way; ours brings its fields
        return Unauthenticated(where=f"server {address}", reason=details)
    # gRPC's own RESOURCE_EXHAUSTED is a message above the size limit; our overload always brings its fields.
    if code in ("INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"):
        return RequestInvalid(field="request", reason=details)
    return SamespaceError(f"server {address}: {code}: {details}")


def _decode_ours(data: bytes) -> SamespaceError | None:
    try:
        told = json.loads(data)
        cls = _BY_NAME[told["error"]]
        fields = {name: _plain(told["fields"][name]) for name in _fields(cls)}
        if fields:
            return cls(**fields)
        return cls(told["message"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # a newer server's error class, or not ours at all: the code says enough


def _fields(cls: type[SamespaceError]) -> list[str]:
    """Names of the keyword arguments that the class is made from, which are its attributes too."""
    return [
        name
        for name, parameter in inspect.signature(cls.__init__).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
