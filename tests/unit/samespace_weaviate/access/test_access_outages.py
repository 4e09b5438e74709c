"""What an outage does to a connection: over REST and gRPC, with patience and without, and with no secret told."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from fakes.clock import FakeClock
from fakes.weaviate.stub import Fault, StubWeaviate
from samespace.errors import WeaviateError, WeaviateUnavailable
from samespace_weaviate import Blend, Store, StoredObject
from samespace_weaviate.access.address import Address

NAME, SECRET = "Article", "s3cret-of-this-test"
A = np.array([1, 0], np.float32)
ONE = StoredObject(UUID(int=1), {"text": "one"}, A, {"e_a": A})

CALLS: dict[str, tuple[str, Callable[[Store], Any]]] = {
    "schema": ("GET /v1/schema", lambda store: store.schema(NAME)),
    "names": ("GET /v1/schema", lambda store: store.names()),
    "create": ("POST /v1/schema", lambda store: store.create({"class": "New"})),
    "delete_collection": ("DELETE /v1/schema", lambda store: store.delete_collection("New")),
    "aliases": ("GET /v1/aliases", lambda store: store.aliases()),
    "nodes": ("GET /v1/nodes", lambda store: store.nodes()),
    "page": ("GET /v1/objects", lambda store: store.page(NAME, "", 1)),
    "has": ("HEAD /v1/objects", lambda store: store.has(NAME, UUID(int=1))),
    "write": ("POST /v1/batch", lambda store: store.write(NAME, [ONE])),
    "delete": ("DELETE /v1/objects", lambda store: store.delete(NAME, [UUID(int=1)])),
    "insert": ("BatchObjects", lambda store: store.insert(NAME, "e_a", [ONE])),
    "delete_windows": ("BatchDelete", lambda store: store.delete_windows(NAME, ["d"], 1)),
    "count": ("Aggregate", lambda store: store.count(NAME)),
    "ids": ("Search", lambda store: list(store.ids(NAME))),
    "read": ("Search", lambda store: store.read(NAME, "e_a", [UUID(int=1)], ["text"])),
    "near_vector": ("Search", lambda store: store.near_vector(NAME, "e_a", A, 1)),
    "near_text": ("Search", lambda store: store.near_text(NAME, "e_a", "x", 1)),
    "bm25": ("Search", lambda store: store.bm25(NAME, "x", 1)),
    "hybrid": ("Search", lambda store: store.hybrid(NAME, "e_a", "x", 1, Blend())),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_a_busy_weaviate_is_an_outage_and_patience_waits_it_out(
    stub: StubWeaviate, store: Store, clock: FakeClock, name: str
) -> None:
    """Each call by itself, over both wires: one try without patience, further ones with it, later every time."""
    what, call = CALLS[name]
    stub.encode = lambda text: [1.0, 0.0]
    stub.faults = [Fault(what, 503, code="RESOURCE_EXHAUSTED", text="too many requests")]
    with pytest.raises(WeaviateUnavailable):
        call(store)
    stub.faults = [Fault(what, 503, code="RESOURCE_EXHAUSTED", times=3)]
    call(store.patient(clock.patience(10)))
    assert clock.pauses == [1.0, 2.0, 4.0]
    stub.faults = [Fault(what, 503, code="RESOURCE_EXHAUSTED", times=99)]
    clock.pauses.clear()
    with pytest.raises(WeaviateUnavailable):
        call(store.patient(clock.patience(10)))
    assert clock.pauses == [1.0, 2.0, 4.0, 3.0]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_every_status_of_an_outage_is_one_for_everybody(
    stub: StubWeaviate, store: Store, clock: FakeClock, status: int
) -> None:
    """An import and a migration wait out the same ones."""
    stub.faults = [Fault("", status, times=2)]
    assert store.patient(clock.patience()).schema(NAME) is not None
    assert len(clock.pauses) == 2


@pytest.mark.parametrize("code", ["DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED"])
def test_every_code_of_an_outage_is_one(stub: StubWeaviate, store: Store, clock: FakeClock, code: str) -> None:
    """weaviate-client tells a batch's code by nothing but what its error was raised of."""
    stub.faults = [Fault("BatchObjects", code=code, times=2), Fault("Search", code=code, times=2)]
    patient = store.patient(clock.patience())
    assert patient.insert(NAME, "e_a", [ONE]) == []
    assert [uuid.int for uuid in patient.ids(NAME)] == [1]
    assert len(clock.pauses) == 4


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("UNKNOWN", "could not find class"),
        ("INVALID_ARGUMENT", "vector has length 504, expected 384"),
        ("RESOURCE_EXHAUSTED", "Received message larger than max (200 vs. 100)"),
        ("PERMISSION_DENIED", "not allowed"),
    ],
)
def test_a_refusal_is_told_at_once(stub: StubWeaviate, store: Store, clock: FakeClock, code: str, text: str) -> None:
    """No waiting makes a message smaller or a key stronger; a number is no status."""
    stub.faults = [Fault("BatchObjects", code=code, text=text, times=99)]
    with pytest.raises(WeaviateError) as caught:
        store.patient(clock.patience()).insert(NAME, "e_a", [ONE])
    assert not isinstance(caught.value, WeaviateUnavailable)
    assert clock.pauses == []


def test_unavailable_after_the_clients_own_retries_is_an_outage(
    stub: StubWeaviate, store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """weaviate-client gives up after a few tries, with an error of its own; that was taken for a refusal once."""
    monkeypatch.setattr("weaviate.retry.time", SimpleNamespace(sleep=lambda seconds: None))
    for what, call in (CALLS["insert"], CALLS["ids"], CALLS["count"], CALLS["near_vector"]):
        stub.faults = [Fault(what, code="UNAVAILABLE", times=99)]
        with pytest.raises(WeaviateUnavailable):
            call(store)
    stub.faults = [Fault("BatchObjects", code="UNAVAILABLE", times=9)]
    assert store.patient(clock.patience()).insert(NAME, "e_a", [ONE]) == []
    assert clock.pauses


def test_an_answer_that_got_lost_is_asked_for_again_and_changes_nothing(
    stub: StubWeaviate, store: Store, clock: FakeClock
) -> None:
    """The request had its effect; sent again it has no other."""
    stub.faults = [Fault("POST /v1/batch/objects", 0, after=True), Fault("DELETE", 0, after=True)]
    patient = store.patient(clock.patience())
    assert patient.write(NAME, [ONE]) == []
    assert list(stub.alive(NAME, "")) == [UUID(int=1)]
    patient.delete(NAME, [UUID(int=1)])
    assert stub.alive(NAME, "") == {}
    assert len(clock.pauses) == 2


def test_a_weaviate_that_went_away_is_asked_only_when_it_is_ready(stub: StubWeaviate, store: Store) -> None:
    """One that has just started answers before it knows its collections: "no such collection" would be believed."""
    time = FakeClock()
    schemas = dict(stub.schemas)

    def pause(seconds: float) -> None:
        time.pause(seconds)
        if len(time.pauses) == 2:
            stub.schemas.clear()
            stub.faults = [Fault("GET /v1/.well-known/ready", 503, times=2)]
            stub.come_back()
        if len(time.pauses) == 4:
            stub.schemas.update(schemas)

    stub.go_away()
    patience = replace(time.patience(), pause=pause)
    assert store.patient(patience).page(NAME, "", 1) == []
    assert len(time.pauses) == 4


def test_without_patience_an_absence_is_told_at_once(stub: StubWeaviate, store: Store) -> None:
    """Programs that search decide for themselves how long to wait."""
    stub.go_away()
    for call in (store.names, lambda: store.page(NAME, "", 1), lambda: store.has(NAME, UUID(int=1))):
        with pytest.raises(WeaviateUnavailable):
            call()
    with pytest.raises(WeaviateUnavailable):
        Store.connect(stub.address)


def test_a_closed_connection_is_no_outage(stub: StubWeaviate, clock: FakeClock) -> None:
    """It is a mistake of the program, which no waiting mends."""
    opened = Store.connect(stub.address)
    opened.close()
    with pytest.raises(WeaviateError):
        opened.patient(clock.patience()).count(NAME)
    assert clock.pauses == []


def test_credentials_are_sent_over_both_wires_and_told_nowhere(
    stub: StubWeaviate, caplog: pytest.LogCaptureFixture
) -> None:
    """API key, further headers, or user and password of the URL; not in errors, not in logs, not in repr."""
    caplog.set_level(logging.DEBUG)
    address = replace(stub.address, api_key=SECRET, headers=(("x-more", f"{SECRET}-2"),))
    with Store.connect(address) as store:
        store.names()
        store.count(NAME)
        for call in stub.calls[-2:]:
            assert call.headers["authorization"] == f"Bearer {SECRET}"
            assert call.headers["x-more"] == f"{SECRET}-2"
        stub.faults = [Fault("", 401, code="UNAUTHENTICATED", text="who are you", times=99)]
        errors = []
        for call_name in ("schema", "insert", "ids", "write"):
            with pytest.raises(WeaviateError) as caught:
                CALLS[call_name][1](store)
            errors.append(str(caught.value))
    basic = Address.parse(f"http://user:{SECRET}@127.0.0.1:{stub.address.port}", stub.address.grpc_port)
    stub.faults = []
    with Store.connect(basic) as store:
        store.names()
        assert stub.calls[-1].headers["authorization"].startswith("Basic ")
    told = "\n".join([*errors, caplog.text, repr(address), str(address), repr(basic), str(basic)])
    assert SECRET not in told
    with pytest.raises(WeaviateUnavailable) as nobody:
        Store.connect(replace(address, port=1))
    assert SECRET not in str(nobody.value)


def test_objects_are_not_logged_when_they_are_refused(stub: StubWeaviate, caplog: pytest.LogCaptureFixture) -> None:
    """weaviate-client would log whole objects, texts and vectors."""
    caplog.set_level(logging.DEBUG)
    stub.refuse = lambda entry: "no"
    with Store.connect(stub.address) as store:
        assert len(store.insert(NAME, "e_a", [replace(ONE, properties={"text": SECRET}), ONE])) == 2
        stub.refuse = lambda entry: "no" if entry.properties["text"] == SECRET else ""
        two = replace(ONE, uuid=UUID(int=2))
        assert len(store.insert(NAME, "e_a", [replace(ONE, properties={"text": SECRET}), two])) == 1
    assert SECRET not in caplog.text
