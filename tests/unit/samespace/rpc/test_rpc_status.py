"""The table of errors on the wire, and the way there and back."""

from __future__ import annotations

import inspect
import json

import grpc
import pytest

from samespace import errors
from samespace.errors import (
    DeadlineExceeded,
    Overloaded,
    RequestInvalid,
    SamespaceError,
    ServerUnavailable,
    Unauthenticated,
    UnknownSpace,
)
from samespace.rpc.status import STATUS, decode, encode, status_of

CLASSES = [each for each in vars(errors).values() if inspect.isclass(each) and issubclass(each, SamespaceError)]
SAMPLES = {"str": "a text", "int": 7, "float": 0.25, "tuple[str, ...]": ("one", "two")}


def sample(cls: type[SamespaceError]) -> SamespaceError:
    """An error of that class with a value for each field."""
    parameters = inspect.signature(cls.__init__).parameters.values()
    fields = {each.name: SAMPLES[each.annotation] for each in parameters if each.kind is each.KEYWORD_ONLY}
    return cls(**fields) if fields else cls("a message")


def back(code: str, details: str, data: bytes | None) -> SamespaceError:
    return decode(code, details, data, address="host:1", timeout_ms=5)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_error_class_has_a_row(cls: type[SamespaceError]) -> None:
    """No error of ours goes out as an unexplained UNKNOWN or 500: each class has a row of its own."""
    assert cls in STATUS, f"{cls.__name__} has no row in rpc/status.py"
    assert STATUS[cls].grpc in grpc.StatusCode.__members__
    assert 400 <= STATUS[cls].http < 600


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_an_error_comes_back_with_its_fields(cls: type[SamespaceError]) -> None:
    """What is encoded is decoded to the same class, message and attributes."""
    error = sample(cls)
    found = back(status_of(error).grpc, str(error), encode(error))
    assert type(found) is cls
    assert str(found) == str(error)
    assert vars(found) == vars(error)


@pytest.mark.parametrize(
    ("code", "cls"),
    [
        ("UNAVAILABLE", ServerUnavailable),
        ("DEADLINE_EXCEEDED", DeadlineExceeded),
        ("UNAUTHENTICATED", Unauthenticated),
        ("INVALID_ARGUMENT", RequestInvalid),
        ("RESOURCE_EXHAUSTED", RequestInvalid),  # gRPC's own: a message that is too large
        ("INTERNAL", SamespaceError),
    ],
)
def test_what_grpc_itself_says_becomes_an_error_of_ours(code: str, cls: type[SamespaceError]) -> None:
    """Without our metadata, the code decides, and the details stay readable."""
    found = back(code, "some details", None)
    assert type(found) is cls
    assert "some details" in str(found) or cls is DeadlineExceeded


@pytest.mark.parametrize(
    ("details", "says"),
    [
        ("failed to connect to all addresses; last error: Trying to connect an http1.x server", "gRPC port"),
        ("failed to connect to all addresses; last error: UNAVAILABLE: ipv4:1:2: Socket closed", "SAMESPACE_CA"),
        ("connections to all backends failing; Hostname Verification Check failed.", "SAMESPACE_SERVER_NAME"),
    ],
)
def test_a_connection_to_the_wrong_kind_of_port_says_what_to_do(details: str, says: str) -> None:
    """HTTP in place of gRPC, TLS that was not spoken, a certificate of another name."""
    assert says in str(back("UNAVAILABLE", details, None))


def test_a_stream_that_broke_does_not_speak_of_tls() -> None:
    """The same two words come from a server that died, which TLS has nothing to do with."""
    assert "TLS" not in str(back("UNAVAILABLE", "Socket closed", None))


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff", b"[]", b"3", b'{"error": "SystemExit", "fields": {}}', b'{"error": "Overloaded", "fields": {}}'],
)
def test_strange_metadata_is_no_crash(data: bytes) -> None:
    """A broken or newer server's metadata is passed over for the code."""
    assert type(back("UNAVAILABLE", "gone", data)) is ServerUnavailable


def test_a_huge_error_still_fits_the_trailing_metadata() -> None:
    """gRPC drops metadata above 8 KiB, so a long error is cut and keeps its message's beginning."""
    data = encode(RequestInvalid(field="x" * 10_000, reason="long"))
    assert len(data) < 8192
    assert json.loads(data)["message"].startswith("xxx")


def test_an_unknown_space_keeps_its_ids_on_a_server_of_many() -> None:
    """The class and the id that was asked for arrive however many spaces are served; the list of them is cut."""
    served = tuple(f"{number:064x}" for number in range(100))
    found = back("FAILED_PRECONDITION", "", encode(UnknownSpace(requested="a" * 64, served=served)))
    assert isinstance(found, UnknownSpace)
    assert found.requested == "a" * 64
    assert found.served[:16] == served[:16] and found.served[16:] == ("and 84 more",)


def test_overload_says_when_to_try_again() -> None:
    """`retry_after_ms` survives the wire as a number."""
    error = Overloaded(queued=10, limit=5, unit="tokens", retry_after_ms=250)
    found = back("RESOURCE_EXHAUSTED", str(error), encode(error))
    assert isinstance(found, Overloaded)
    assert found.retry_after_ms == 250
