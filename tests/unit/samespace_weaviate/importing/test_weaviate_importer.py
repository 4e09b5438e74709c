"""samespace_weaviate.importing.importer"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakes.clock import FakeClock
from fakes.weaviate.database import OTHER_SPACE, SPACE, FakeDatabase, FakeEncoder
from samespace.encoder import Encoded
from samespace.errors import Overloaded, RequestInvalid, SpaceMismatch, WeaviateError, WeaviateUnavailable
from samespace.progress import Advance
from samespace.text import LongTexts, Role
from samespace_weaviate import CollectionSpec, Passage, create
from samespace_weaviate.access.values import StoredObject, object_uuid
from samespace_weaviate.importing.importer import ImportOptions, import_passages
from samespace_weaviate.importing.windows import Target, window_uuid

SPEC = CollectionSpec("Article", SPACE, "http://encoder:8080")
TEXTS = dict.fromkeys(("text", "passageId", "title"), "text")
TARGET = Target("Article", SPEC.vector_name, SPACE, "text", "passageId", {**TEXTS, "year": "int"})
WINDOWS = replace(TARGET, properties={**TARGET.properties, "documentId": "text"}, long_texts="windows")
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
    assert (report.written, report.failed, sorted(store.batches), sorted(done)) == (10, (), [2, 4, 4], [2, 4, 4])
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

    time = FakeClock()
    store = database(refuse=refuse)
    report = import_passages(store, TARGET, FakeEncoder(), PASSAGES, batch=10, patience=time.patience())
    assert (report.written, store.batches, time.pauses) == (9, [10, 1, 1], [1.0, 2.0])
    assert [(failure.passage, failure.reason) for failure in report.failed] == [("3", "no such vector")]


def test_a_weaviate_that_stays_away_ends_the_import(tmp_path: Path) -> None:
    """Where nothing at all is taken any more, an outage is no reason to write off every passage: run it again."""
    store = database(refuse=lambda entry, attempt: "503 service unavailable")
    options, time = ImportOptions(state=tmp_path / "run"), FakeClock()
    with pytest.raises(WeaviateUnavailable, match="503"):
        import_passages(store, TARGET, FakeEncoder(), PASSAGES, options=options, patience=time.patience(20))
    assert (store.batches, time.pauses) == ([10] * 6, [1.0, 2.0, 4.0, 8.0, 5.0])
    assert not (tmp_path / "run.failures.jsonl").exists()


def test_a_weaviate_that_comes_back_is_waited_for() -> None:
    """A connection that breaks is tried again, later every time; nothing is lost."""
    gone = iter([True, True])

    def refuse(entry: StoredObject, attempt: int) -> str | None:
        if next(gone, False):
            raise WeaviateUnavailable(address="here", reason="connection refused")
        return None

    time = FakeClock()
    report = import_passages(database(refuse=refuse), TARGET, FakeEncoder(), PASSAGES, patience=time.patience())
    assert (report.written, time.pauses) == (10, [1.0, 2.0])


class BusyEncoder(FakeEncoder):
    """Refuses the first call as overloaded."""

    def encode_detailed(
        self,
        texts: Sequence[str],
        role: Role,
        *,
        long_texts: LongTexts = "pool",
        dims: int | None = None,
        progress: Advance | None = None,
    ) -> Encoded:
        if self.calls == 0:
            self.calls += 1
            raise Overloaded(queued=9, limit=8, unit="tokens", retry_after_ms=250)
        return super().encode_detailed(texts, role, long_texts=long_texts, dims=dims, progress=progress)


def test_an_overloaded_encoder_is_waited_for_as_long_as_it_says() -> None:
    """Back-pressure of the encoder server slows the import down and does not end it."""
    time = FakeClock()
    assert import_passages(database(), TARGET, BusyEncoder(), PASSAGES, patience=time.patience()).written == 10
    assert time.pauses == [0.25]


def test_a_failing_writer_stops_the_encoding_thread() -> None:
    """When Weaviate goes away in the middle, the error comes out at once and nothing keeps encoding."""

    def refuse(entry: StoredObject, attempt: int) -> str | None:
        raise ConnectionError("gone")

    encoder, many = FakeEncoder(), (Passage(str(number), "text") for number in range(10_000))
    with pytest.raises(ConnectionError, match="gone"):
        import_passages(database(refuse=refuse), TARGET, encoder, many, batch=1)
    assert encoder.calls < 20
    assert "samespace-import" not in [thread.name for thread in threading.enumerate()]


def test_what_cannot_be_imported_is_noted_and_the_rest_goes_on(tmp_path: Path) -> None:
    """A doubled id, an empty text, a property of the wrong type: each is in the file with its reason, without text."""
    store = database()
    bad = [Passage("1", "again"), Passage("e", "  "), Passage("y", "secret text", {"year": "soon"})]
    options = ImportOptions(state=tmp_path / "run")
    report = import_passages(store, TARGET, FakeEncoder(), [*PASSAGES, *bad], options=options)
    assert report.written == 10
    found = [json.loads(line) for line in (tmp_path / "run.failures.jsonl").read_text().splitlines()]
    assert {entry["id"]: entry["reason"] for entry in found} == {
        "1": "the id appears twice; only the first was imported",
        "e": "the text is empty",
        "y": "property year is not of type int: could not convert string to float: 'soon'",
    }
    assert "secret" not in (tmp_path / "run.failures.jsonl").read_text()


class Choosy(FakeEncoder):
    """Refuses requests with a certain text in them."""

    def encode_detailed(self, texts: Sequence[str], role: Role, **rest: Any) -> Encoded:
        if "too long" in texts:
            raise RequestInvalid(field=f"texts[{texts.index('too long')}]", reason="900 windows, at most 512 are taken")
        return super().encode_detailed(texts, role, **rest)


def test_a_text_that_the_encoder_refuses_does_not_take_its_batch_with_it() -> None:
    """Each text of the batch is then asked for alone, and the one to blame is named."""
    report = import_passages(database(), TARGET, Choosy(), [*PASSAGES, Passage("book", "too long")])
    assert report.written == 10
    assert [(failure.passage, "900 windows" in failure.reason) for failure in report.failed] == [("book", True)]


def test_an_interrupted_import_goes_on_after_its_last_finished_batch(tmp_path: Path) -> None:
    """Finished batches are not encoded or sent again, a torn last line does not count, and at the end nothing stays."""
    options = ImportOptions(state=tmp_path / "run")

    def refuse(entry: StoredObject, attempt: int) -> str | None:
        if entry.properties["passageId"] == "8":
            raise ConnectionError("gone")
        return None

    store = database(refuse=refuse)
    with pytest.raises(ConnectionError):
        import_passages(store, TARGET, FakeEncoder(), PASSAGES, batch=2, options=options)
    journal = tmp_path / "run.journal"
    finished = len(journal.read_text().splitlines()) - 1
    with journal.open("a") as file:
        file.write('{"batch": 4, "dig')
    again = database()
    again.objects = store.objects
    report = import_passages(again, TARGET, FakeEncoder(), PASSAGES, batch=2, options=options)
    assert report.skipped == 2 * finished
    assert len(again.batches) == 5 - finished
    assert set(again.objects["Article"]) == {object_uuid("Article", passage.id) for passage in PASSAGES}
    assert not journal.exists()


def test_running_again_tries_what_failed_and_nothing_else(tmp_path: Path) -> None:
    """The journal stays while something is not written; once all is, it is gone."""
    options = ImportOptions(state=tmp_path / "run")
    store = database(
        refuse=lambda entry, attempt: "no" if entry.properties["passageId"] == "3" and attempt == 1 else None
    )
    assert len(import_passages(store, TARGET, FakeEncoder(), PASSAGES, batch=4, options=options).failed) == 1
    store.batches.clear()
    report = import_passages(store, TARGET, FakeEncoder(), PASSAGES, batch=4, options=options)
    assert (report.written, report.skipped, store.batches) == (1, 9, [1])
    assert list(tmp_path.iterdir()) == []


def test_a_collection_that_was_made_anew_is_imported_from_the_beginning(tmp_path: Path) -> None:
    """A journal does not outlive the objects that it tells of."""
    options = ImportOptions(state=tmp_path / "run")
    store = database(refuse=lambda entry, attempt: "no" if entry.properties["passageId"] == "9" else None)
    import_passages(store, TARGET, FakeEncoder(), PASSAGES, batch=4, options=options)
    report = import_passages(database(), TARGET, FakeEncoder(), PASSAGES, batch=4, options=options)
    assert (report.written, report.skipped) == (10, 0)


@pytest.mark.parametrize("changed", [1, 10])
def test_other_texts_of_the_same_ids_are_imported_again(changed: int, tmp_path: Path) -> None:
    """A backup of an earlier edition was restored, or it is another Weaviate: one object of a batch, or all."""
    options = ImportOptions(state=tmp_path / "run")
    store = database(
        refuse=lambda entry, attempt: "no" if entry.properties["passageId"] == "9" and attempt == 1 else None
    )
    import_passages(store, TARGET, FakeEncoder(), PASSAGES, batch=4, options=options)
    for passage in PASSAGES[:changed]:
        key = object_uuid("Article", passage.id)
        if key in store.objects["Article"]:
            old = store.objects["Article"][key]
            store.objects["Article"][key] = replace(old, properties={**old.properties, "text": "of the first edition"})
    report = import_passages(store, TARGET, FakeEncoder(), PASSAGES, batch=4, options=options)
    assert not report.failed
    stored = {each.properties["passageId"]: each.properties["text"] for each in store.objects["Article"].values()}
    assert stored == {passage.id: passage.text for passage in PASSAGES}
    assert report.skipped == (5 if changed == 1 else 0)


@pytest.mark.parametrize(
    "changed", [{"year": 1999}, {"title": "of the first edition"}, {"year": None}, {"right": "taken away since"}]
)
def test_other_properties_of_the_same_texts_are_imported_again(changed: dict[str, Any], tmp_path: Path) -> None:
    """A price, an access right: what the first edition said of it would have stayed."""
    options = ImportOptions(state=tmp_path / "run")
    passages = [Passage(each.id, each.text, {"year": 2020, "title": "t", "right": None}) for each in PASSAGES]
    target = replace(TARGET, properties={**TARGET.properties, "right": "text"})
    store = database(
        refuse=lambda entry, attempt: "no" if entry.properties["passageId"] == "9" and attempt == 1 else None
    )
    import_passages(store, target, FakeEncoder(), passages, batch=4, options=options)
    key = object_uuid("Article", "2")
    old = store.objects["Article"][key]
    kept = {name: value for name, value in {**old.properties, **changed}.items() if value is not None}
    store.objects["Article"][key] = replace(old, properties=kept)
    report = import_passages(store, target, FakeEncoder(), passages, batch=4, options=options)
    assert report.skipped == 5 and store.objects["Article"][key].properties["year"] == 2020
    assert store.objects["Article"][key].properties["title"] == "t"
    assert all("right" not in each.properties for each in store.objects["Article"].values())


def test_only_some_passages_can_be_imported(tmp_path: Path) -> None:
    """The ids of an earlier import's failures, without its journal."""
    options = ImportOptions(state=tmp_path / "run", only=frozenset({"3", "5"}))
    store = database()
    assert import_passages(store, TARGET, FakeEncoder(), PASSAGES, options=options).written == 2
    assert {entry.properties["passageId"] for entry in store.objects["Article"].values()} == {"3", "5"}


def test_a_list_of_failures_that_is_worked_off_is_kept_until_that_is_done(tmp_path: Path) -> None:
    """An outage in the middle must not take the only list of what is left to do with it."""
    options = ImportOptions(state=tmp_path / "run")
    no = database(refuse=lambda entry, attempt: "no")
    import_passages(no, TARGET, FakeEncoder(), PASSAGES, options=options)
    before = (tmp_path / "run.failures.jsonl").read_text()
    gone = database(refuse=lambda entry, attempt: "503 service unavailable")
    with pytest.raises(WeaviateUnavailable):
        some = replace(options, only=frozenset({"3", "5"}))
        import_passages(gone, TARGET, FakeEncoder(), PASSAGES, options=some, patience=FakeClock().patience())
    assert (tmp_path / "run.failures.jsonl").read_text() == before


def test_a_long_document_is_an_object_a_window() -> None:
    """Text and vector are the slice's own; the places say where it is from, and a short text is window 0."""
    store, text = database(), "a b c d e f"
    report = import_passages(store, WINDOWS, FakeEncoder(), [Passage("long", text), Passage("short", " x ")])
    assert (report.written, report.long_texts) == (3, 1)
    found = sorted(
        (entry.properties for entry in store.objects["Article"].values()), key=lambda each: each["passageId"]
    )
    assert found == [
        {
            "text": "a b c d",
            "passageId": "long#0",
            "documentId": "long",
            "windowNumber": 0,
            "spanStart": 0,
            "spanEnd": 7,
        },
        {"text": "e f", "passageId": "long#1", "documentId": "long", "windowNumber": 1, "spanStart": 8, "spanEnd": 11},
        {"text": " x ", "passageId": "short", "documentId": "short", "windowNumber": 0, "spanStart": 0, "spanEnd": 3},
    ]
    second = store.objects["Article"][window_uuid("Article", "long", 1)]
    alone = FakeEncoder().encode(["e f"], "passage").__array__()[0]
    assert (second.vector == alone).all()
    assert window_uuid("Article", "long", 0) == object_uuid("Article", "long")


def test_windows_that_a_changed_document_no_longer_has_are_removed() -> None:
    """Only of the documents that were imported; the first import of an empty collection asks for no removal."""
    store = database()
    import_passages(store, WINDOWS, FakeEncoder(), [Passage("1", "a b c d e f g h i"), Passage("2", "a b c d e")])
    assert not [each for each in store.sent if each.startswith("delete")]
    report = import_passages(store, WINDOWS, FakeEncoder(), [Passage("1", "a b c d e")])
    assert report.removed == 1
    left = sorted(entry.properties["passageId"] for entry in store.objects["Article"].values())
    assert left == ["1#0", "1#1", "2#0", "2#1"]


def test_a_document_with_a_window_that_was_refused_is_a_failure_once() -> None:
    """The failure names the document, so that it can be tried again whole."""
    store = database(refuse=lambda entry, attempt: "bad" if "#" in entry.properties["passageId"] else None)
    report = import_passages(store, WINDOWS, FakeEncoder(), [Passage("1", "a b c d e"), Passage("2", "a")])
    assert [(failure.passage, failure.reason) for failure in report.failed] == [("1", "bad")]


def test_one_multi_vector_a_document() -> None:
    """All windows' vectors are in one object, with the whole text."""
    store = database()
    target = replace(TARGET, long_texts="multivector")
    import_passages(store, target, FakeEncoder(), [Passage("1", "a b c d e"), Passage("2", "a")])
    shapes = {entry.properties["text"]: entry.vector.shape for entry in store.objects["Article"].values()}
    assert shapes == {"a b c d e": (2, 8), "a": (1, 8)}


def test_each_object_goes_to_the_tenant_that_its_property_names() -> None:
    """Tenants that are not there are made, once; a passage that names none is a failure."""
    store = database()
    target = replace(TARGET, multi_tenant=True)
    passages = [Passage(str(number), "x", {"owner": "ab"[number % 2]}) for number in range(6)]
    options = ImportOptions(tenant_property="owner")
    report = import_passages(store, target, FakeEncoder(), [*passages, Passage("7", "x")], batch=2, options=options)
    assert (report.written, [failure.passage for failure in report.failed]) == (6, ["7"])
    assert {name: len(door.objects["Article"]) for name, door in store.doors.items()} == {"a": 3, "b": 3}
    assert sorted(each for each in store.sent if each.startswith("add")) == ["add_tenant a", "add_tenant b"]
    assert report.left_out == ()


def test_two_tenants_may_have_passages_of_the_same_id() -> None:
    """An id appears twice only where it is twice in one tenant; also where each text is asked for alone."""
    store = database()
    target = replace(TARGET, multi_tenant=True)
    passages = [Passage("1", "x", {"owner": "a"}), Passage("1", "y", {"owner": "b"}), Passage("1", "z", {"owner": "a"})]
    options = ImportOptions(tenant_property="owner")
    bad = Passage("book", "too long", {"owner": "a"})
    report = import_passages(store, target, Choosy(), [*passages, bad], options=options)
    assert (report.written, [failure.passage for failure in report.failed]) == (2, ["1", "book"])
    (a,), (b,) = (store.doors[name].objects["Article"].values() for name in "ab")
    assert (a.properties["text"], b.properties["text"]) == ("x", "y")


@pytest.mark.parametrize("multi_tenant", [True, False])
def test_a_tenant_has_to_be_said_exactly_where_there_are_tenants(multi_tenant: bool) -> None:
    """Nothing is encoded before that is clear."""
    target = replace(TARGET, multi_tenant=multi_tenant, tenant="" if multi_tenant else "acme")
    with pytest.raises(RequestInvalid, match="tenant"):
        import_passages(database(), target, FakeEncoder(), PASSAGES)


def test_a_collection_of_windows_needs_their_properties() -> None:
    """Without them a window could not say where it is from; nothing is sent."""
    with pytest.raises(WeaviateError, match="documentId"):
        import_passages(database(), replace(TARGET, long_texts="windows"), FakeEncoder(), PASSAGES)


def test_what_is_written_and_not_searchable_is_no_clean_import() -> None:
    """Each written object's own vector has to find it; the report names what no search finds."""
    store = database()
    lost = object_uuid("Article", "4")
    store.unindexed.add(lost)
    report = import_passages(store, TARGET, FakeEncoder(), PASSAGES)
    assert (report.searched, report.lost, report.failed, report.clean) == (10, (lost,), (), False)
    assert any("NO search finds" in line and "repair" in line for line in report.sentences())
    assert import_passages(database(), TARGET, FakeEncoder(), PASSAGES).clean


def test_after_an_outage_everything_is_searched_for_and_not_a_sample() -> None:
    """What an earlier run wrote may be what the crash took out of the index."""
    earlier = database()
    import_passages(earlier, TARGET, FakeEncoder(), [Passage(f"old{n}", f"text {n}") for n in range(20)])
    earlier.unindexed.add(object_uuid("Article", "old7"))
    assert import_passages(earlier, TARGET, FakeEncoder(), PASSAGES).searched == 10
    attempts = iter(["503 service unavailable"])
    earlier._refuse = lambda entry, attempt: next(attempts, None)
    report = import_passages(earlier, TARGET, FakeEncoder(), PASSAGES, batch=10, patience=FakeClock().patience())
    assert (report.searched, report.lost) == (30, (object_uuid("Article", "old7"),))


@pytest.mark.parametrize("finished", [5, 10])
def test_what_goes_on_searches_the_tenants_that_were_finished_before(finished: int, tmp_path: Path) -> None:
    """What interrupted the earlier run may have harmed any of them, also where nothing is left to write."""
    store, target = database(), replace(TARGET, multi_tenant=True)
    passages = [Passage(str(number), f"x {number}", {"owner": "ab"[number // 5]}) for number in range(10)]
    options = ImportOptions(tenant_property="owner", state=tmp_path / "run")

    done = list[int]()

    def stop(count: int) -> None:
        done.append(count)
        if sum(done) == finished:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_passages(store, target, FakeEncoder(), passages, batch=5, options=options, progress=stop)
    lost = object_uuid("Article", "3")
    store.doors["a"].unindexed.add(lost)
    report = import_passages(store, target, FakeEncoder(), passages, batch=5, options=options)
    assert report.skipped == finished
    assert (report.searched, report.lost, report.clean) == (10, (lost,), False)


def test_an_import_that_is_killed_while_it_searches_goes_on_with_searching(tmp_path: Path) -> None:
    """Everything is written by then; a run that began anew would write the same vectors, and search for a sample."""
    store, options = database(), ImportOptions(state=tmp_path / "run")
    nearest = store.nearest

    def killed(*_: Any) -> Any:
        raise KeyboardInterrupt

    store.nearest = killed  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        import_passages(store, TARGET, FakeEncoder(), PASSAGES, batch=4, options=options)
    store.nearest = nearest  # type: ignore[method-assign]
    store.batches.clear()
    report = import_passages(store, TARGET, FakeEncoder(), PASSAGES, batch=4, options=options)
    assert (report.skipped, report.searched, store.batches) == (10, 10, [])
    assert list(tmp_path.iterdir()) == []
