"""samespace_weaviate.importer and samespace_weaviate.passages"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from fakes.database import OTHER_SPACE, SPACE, FakeDatabase, FakeEncoder
from samespace.encoder import Encoded, Progress
from samespace.errors import DataInvalid, Overloaded, SpaceMismatch
from samespace.text import LongTexts, Role
from samespace_weaviate import CollectionSpec, Passage, create
from samespace_weaviate.importer import Target, import_passages
from samespace_weaviate.objects import StoredObject, object_uuid
from samespace_weaviate.passages import count_passages, read_passages

SPEC = CollectionSpec("Article", SPACE, "http://encoder:8080")
TARGET = Target("Article", SPEC.vector_name, SPACE, "text", "passageId", frozenset({"text", "passageId", "title"}))
PASSAGES = [Passage(str(number), f"number {number}") for number in range(10)]


def database(**arguments: object) -> FakeDatabase:
    """A Weaviate with one pinned, empty collection."""
    made = FakeDatabase(**arguments)  # type: ignore[arg-type]
    create(made, SPEC)
    return made


def test_everything_is_written_once_in_batches_of_the_given_size() -> None:
    """Ten passages in batches of four are three writes; importing again leaves ten objects with the same ids."""
    store, done = database(), list[int]()
    report = import_passages(store, TARGET, FakeEncoder(), PASSAGES, batch=4, progress=done.append)
    assert (report.written, report.failed, store.batches, done) == (10, (), [4, 4, 2], [4, 4, 2])
    before = set(store.objects["Article"])
    import_passages(store, TARGET, FakeEncoder(), PASSAGES, batch=3)
    assert set(store.objects["Article"]) == before == {object_uuid("Article", passage.id) for passage in PASSAGES}


def test_an_encoder_of_another_space_encodes_and_sends_nothing() -> None:
    """It is refused with both ids before the first passage is read."""
    store, encoder = database(), FakeEncoder(OTHER_SPACE)

    def passages() -> Iterator[Passage]:
        raise AssertionError("a passage was read")
        yield

    with pytest.raises(SpaceMismatch) as caught:
        import_passages(store, TARGET, encoder, passages())
    assert (caught.value.expected, caught.value.found) == (SPACE, OTHER_SPACE)
    assert (store.batches, encoder.calls) == ([], 0)


def test_long_texts_are_counted_and_told() -> None:
    """The report names how many passages were pooled from windows, and the limit."""
    report = import_passages(database(), TARGET, FakeEncoder(), [Passage("1", "a b c d e"), Passage("2", "a")])
    assert (report.long_texts, report.token_limit) == (1, 4)
    assert any("1 passages are longer than the token limit (4)" in line for line in report.sentences())


def test_properties_that_the_collection_lacks_are_left_out_and_counted() -> None:
    """Nothing is added to the schema behind the user's back."""
    store = database()
    report = import_passages(store, TARGET, FakeEncoder(), [Passage("1", "x", {"title": "t", "colour": "red"})])
    (entry,) = store.objects["Article"].values()
    assert entry.properties == {"text": "x", "passageId": "1", "title": "t"}
    assert report.left_out == (("colour", 1),)


def test_what_may_pass_is_tried_again_and_what_may_not_is_reported_with_its_reason() -> None:
    """A time-out is retried with growing pauses until it works; a refusal is final."""

    def refuse(entry: StoredObject, attempt: int) -> str | None:
        if entry.properties["passageId"] == "3":
            return "no such vector"
        return "deadline exceeded" if entry.properties["passageId"] == "5" and attempt < 3 else None

    pauses: list[float] = []
    store = database(refuse=refuse)
    report = import_passages(store, TARGET, FakeEncoder(), PASSAGES, batch=10, pause=pauses.append)
    assert (report.written, store.batches, pauses) == (9, [10, 1, 1], [1.0, 2.0])
    assert [(failure.passage, failure.reason) for failure in report.failed] == [("3", "no such vector")]


def test_what_never_passes_is_given_up_after_a_few_attempts() -> None:
    """A Weaviate that stays away does not hold the import for ever, and nothing is lost in silence."""
    store = database(refuse=lambda entry, attempt: "503 service unavailable")
    report = import_passages(store, TARGET, FakeEncoder(), PASSAGES, pause=lambda seconds: None)
    assert (report.written, len(report.failed), store.batches) == (0, 10, [10, 10, 10, 10])


class BusyEncoder(FakeEncoder):
    """Refuses the first call as overloaded."""

    def encode_detailed(
        self,
        texts: Sequence[str],
        role: Role,
        *,
        long_texts: LongTexts = "pool",
        dims: int | None = None,
        progress: Progress | None = None,
    ) -> Encoded:
        if self.calls == 0:
            self.calls += 1
            raise Overloaded(queued=9, limit=8, unit="tokens", retry_after_ms=250)
        return super().encode_detailed(texts, role, long_texts=long_texts, dims=dims, progress=progress)


def test_an_overloaded_encoder_is_waited_for_as_long_as_it_says() -> None:
    """Back-pressure of the encoder server slows the import down and does not end it."""
    pauses: list[float] = []
    assert import_passages(database(), TARGET, BusyEncoder(), PASSAGES, pause=pauses.append).written == 10
    assert pauses == [0.25]


@pytest.mark.parametrize("bad", [Passage("1", "again"), Passage("x", "  ")])
def test_a_doubled_id_or_an_empty_text_stops_the_import_and_its_thread(bad: Passage) -> None:
    """Errors of the encoding thread reach the caller, and the thread ends."""
    with pytest.raises(DataInvalid, match=bad.id):
        import_passages(database(), TARGET, FakeEncoder(), [*PASSAGES, bad], batch=2)
    assert "samespace-import" not in [thread.name for thread in threading.enumerate()]


def test_a_failing_writer_stops_the_encoding_thread() -> None:
    """When Weaviate goes away in the middle, the error comes out at once and nothing keeps encoding."""

    def refuse(entry: StoredObject, attempt: int) -> str | None:
        raise ConnectionError("gone")

    encoder, many = FakeEncoder(), (Passage(str(number), "text") for number in range(10_000))
    with pytest.raises(ConnectionError, match="gone"):
        import_passages(database(refuse=refuse), TARGET, encoder, many, batch=1)
    assert encoder.calls < 10
    assert "samespace-import" not in [thread.name for thread in threading.enumerate()]


def test_passages_are_read_from_a_beir_folder_and_from_any_jsonl(tmp_path: Path) -> None:
    """The text is title and text, as BEIR has it; other strings become properties."""
    rows = [{"_id": "1", "title": "A", "text": "b", "colour": "red"}, {"id": 2, "text": "c", "metadata": {}}]
    file = tmp_path / "corpus.jsonl"
    file.write_text("".join(json.dumps(row) + "\n\n" for row in rows), encoding="utf-8")
    wanted = [Passage("1", "A b", {"title": "A", "colour": "red"}), Passage("2", "c", {})]
    assert list(read_passages(tmp_path)) == list(read_passages(file)) == wanted
    assert count_passages(tmp_path) == 2


@pytest.mark.parametrize("line", ["{", "[]", '{"text": "x"}', '{"_id": "1"}', '{"_id": "1", "text": 3}'])
def test_a_bad_line_is_refused_with_its_number(tmp_path: Path, line: str) -> None:
    """The error names file and line."""
    file = tmp_path / "x.jsonl"
    file.write_text('{"_id": "0", "text": "good"}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(DataInvalid, match="line 2"):
        list(read_passages(file))
    with pytest.raises(DataInvalid, match="no such file"):
        list(read_passages(tmp_path))
