"""Imports over real sockets: what the command exits with, and an import that outlives a Weaviate that goes away."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import grpc
import pytest
from click.testing import CliRunner, Result

from fakes.clock import FakeClock
from fakes.weaviate.database import SPACE, FakeEncoder
from fakes.weaviate.stub import StubWeaviate, stub_weaviate
from samespace.bulk import BulkJob, Options, run
from samespace.bulk.job import plan_job
from samespace.bulk.local import run_here
from samespace.cli.weaviate import weaviate
from samespace.errors import WeaviateUnavailable
from samespace_weaviate import CollectionSpec, ImportOptions, Passage, PinnedCollection, Store, create
from samespace_weaviate.access.values import object_uuid
from samespace_weaviate.importing.importer import import_passages
from samespace_weaviate.importing.pipeline import Crew
from samespace_weaviate.importing.windows import Target

NAME = "Article"
SPEC = CollectionSpec(NAME, SPACE, "http://encoder:8080", long_texts="pool")
TARGET = Target(NAME, SPEC.vector_name, SPACE, "text", "passageId", {"text": "text", "passageId": "text"})
AWAY_S = 60.0


@pytest.fixture
def stub() -> Iterator[StubWeaviate]:
    with stub_weaviate() as running, Store.connect(running.address) as store:
        create(store, SPEC)
        yield running


@pytest.fixture
def lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Passages 0 to 5 as a file; the encoder of the command is a fake."""

    @contextmanager
    def opened(name: str) -> Iterator[FakeEncoder]:
        yield FakeEncoder()

    monkeypatch.setattr("samespace.cli.encoders.open_encoder", opened)
    path = tmp_path / "passages.jsonl"
    path.write_text("".join(json.dumps({"_id": str(n), "text": f"text {n}"}) + "\n" for n in range(6)))
    return path


def command(stub: StubWeaviate, data: object, state: Path, *more: str) -> Result:
    address = ["--url", str(stub.address), "--grpc-port", str(stub.address.grpc_port), "--state", str(state)]
    return CliRunner().invoke(weaviate, ["import", NAME, str(data), *address, *more])


def refuse(stub: StubWeaviate, *ids: str) -> None:
    stub.refuse = lambda entry: "too bad" if entry.properties["passageId"] in ids else ""


def test_a_refused_passage_is_exit_code_1_with_its_reason_and_is_tried_again(
    stub: StubWeaviate, lines: Path, tmp_path: Path
) -> None:
    """Whoever runs it in a script learns that something is missing; the same command sends only that again."""
    refuse(stub, "3")
    first = command(stub, lines, tmp_path / "run", "--encoder", "fake", "--batch", "2")
    assert first.exit_code == 1 and isinstance(first.exception, SystemExit), repr(first.exception)
    assert "3: too bad" in first.output
    assert (tmp_path / "run.failures.jsonl").read_text() == '{"id": "3", "reason": "too bad"}\n'
    assert len(stub.alive(NAME, "")) == 5
    refuse(stub)
    stub.calls.clear()
    second = command(stub, lines, tmp_path / "run", "--encoder", "fake", "--batch", "2")
    assert second.exit_code == 0, second.output
    sent = [entry.uuid for call in stub.calls if call.what == "BatchObjects" for entry in call.body.objects]
    assert sent == [str(object_uuid(NAME, "3"))]
    assert len(stub.alive(NAME, "")) == 6
    assert list(tmp_path.iterdir()) == [lines]


def test_a_refused_object_of_an_embedded_folder_is_exit_code_1_too(stub: StubWeaviate, tmp_path: Path) -> None:
    """The other way in has an exit code of its own."""
    source, out = tmp_path / "texts.jsonl", tmp_path / "out"
    source.write_text("".join(json.dumps({"id": f"d{n}", "text": f"text {n}"}) + "\n" for n in range(20)))
    job = BulkJob((str(source),), str(out), Options(SPACE), "fake", 10)
    run(
        job,
        plan_job(job),
        lambda parts, options, uri, progress: run_here(
            parts, options, uri, lambda streams: FakeEncoder(), cores=1, progress=progress
        ),
        lambda rows: None,
    )
    refuse(stub, "d7")
    first = command(stub, out, tmp_path / "run")
    assert first.exit_code == 1, first.output
    assert len(stub.alive(NAME, "")) == 19
    refuse(stub)
    assert command(stub, out, tmp_path / "run").exit_code == 0
    assert len(stub.alive(NAME, "")) == 20


def test_an_import_outlives_a_weaviate_that_is_away_for_a_minute(
    stub: StubWeaviate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As the how-to promises; weaviate-client gives up after half a minute, with an error that is no refusal."""
    time, gone = FakeClock(), False

    def pause(seconds: float) -> None:
        time.pause(seconds)
        if gone and time.now_s >= AWAY_S and not stub.is_there:
            stub.come_back()
            # gRPC tries to connect again by a clock of its own
            grpc.channel_ready_future(store.client._connection._grpc_channel).result(60)

    def passages() -> Iterator[Passage]:
        nonlocal gone
        for number in range(12):
            if number == 6:
                gone = True
                stub.go_away()
            yield Passage(str(number), f"text {number}")

    monkeypatch.setattr("weaviate.retry.time", SimpleNamespace(sleep=pause))
    patience = replace(time.patience(), pause=pause)
    options = ImportOptions(state=tmp_path / "run", crew=Crew(encoders=1, writers=1))
    with Store.connect(stub.address) as store:
        report = import_passages(store, TARGET, FakeEncoder(), passages(), batch=3, options=options, patience=patience)
    assert report.failed == ()
    assert set(stub.alive(NAME, "")) == {object_uuid(NAME, str(number)) for number in range(12)}
    assert time.now_s >= AWAY_S
    assert list(tmp_path.iterdir()) == []


def test_one_that_stays_away_ends_it_and_the_same_import_goes_on(
    stub: StubWeaviate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No passage is written off; what was finished is not sent again."""
    time = FakeClock()
    monkeypatch.setattr("weaviate.retry.time", SimpleNamespace(sleep=time.pause))
    options = ImportOptions(state=tmp_path / "run", crew=Crew(encoders=1, writers=1))
    all_of_them, wrote = [Passage(str(number), f"text {number}") for number in range(12)], threading.Event()
    stub.refuse = lambda entry: "" if entry.properties["passageId"] != "2" else wrote.set() or ""

    def passages() -> Iterator[Passage]:
        for number, passage in enumerate(all_of_them):
            if number == 6:
                assert wrote.wait(60)
                stub.go_away()
            yield passage

    with Store.connect(stub.address) as store, pytest.raises(WeaviateUnavailable):
        import_passages(store, TARGET, FakeEncoder(), passages(), batch=3, options=options, patience=time.patience(90))
    assert not (tmp_path / "run.failures.jsonl").exists()
    stub.come_back()
    before = set(stub.alive(NAME, ""))
    assert 0 < len(before) < 12
    stub.calls.clear()
    with Store.connect(stub.address) as store:
        report = import_passages(store, TARGET, FakeEncoder(), all_of_them, batch=3, options=options)
    assert len(stub.alive(NAME, "")) == 12
    assert report.skipped == len(before)
    sent = {UUID(entry.uuid) for call in stub.calls if call.what == "BatchObjects" for entry in call.body.objects}
    assert sent.isdisjoint(before)


def test_what_is_imported_is_found_by_its_own_vector(stub: StubWeaviate) -> None:
    """From the public class to the sockets and back: ids, texts, and the pin's own vector."""
    with Store.connect(stub.address) as store:
        articles = PinnedCollection.open(store, NAME, FakeEncoder())
        articles.import_passages([Passage(str(number), f"text {number}") for number in range(5)])
        query = FakeEncoder().encode(["text 3"], "query")
        (hits,) = articles.search_vectors(query, 1)
        assert [hit.properties["passageId"] for hit in hits] == ["3"]
        assert articles.similarity(hits[0]) == pytest.approx(1.0, abs=1e-5)
        assert len(articles) == 5
