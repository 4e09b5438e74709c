"""samespace_weaviate.importing.journal and samespace_weaviate.importing.batches"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samespace.errors import DataInvalid
from samespace_weaviate import Failure, Passage
from samespace_weaviate.access.journal import JournalBusy, read_journal
from samespace_weaviate.access.values import object_uuid
from samespace_weaviate.importing.batches import batches
from samespace_weaviate.importing.journal import FinishedBatch, ImportJournal, read_failed_ids, write_failures

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "journals"
KEY = {"collection": "Article", "batch": 2}
PASSAGES = [Passage(str(number), f"text {number}") for number in range(7)]


def done(number: int) -> FinishedBatch:
    return FinishedBatch(number, f"d{number}", ("3", "ü"))


@settings(max_examples=40, deadline=None)
@given(count=st.integers(0, 6), cut=st.integers(0, 400))
def test_a_journal_that_was_cut_anywhere_is_read_up_to_its_last_whole_line(count: int, cut: int) -> None:
    """Whatever a kill leaves: no error, no batch that is not there, and appending goes on in a line of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.journal"
        journal = ImportJournal.open(path, KEY)
        journal.begin()
        header = path.stat().st_size
        for number in range(count):
            journal.note(done(number))
        journal.close()
        whole = path.read_bytes()
        path.write_bytes(whole[: max(header, len(whole) - cut)])
        kept = path.read_bytes().count(b"\n") - 1
        again = ImportJournal.open(path, KEY)
        assert again.finished == {number: done(number) for number in range(kept)}
        again.begin()
        again.note(done(99))
        again.close()
        assert list(ImportJournal.open(path, KEY).finished) == [*range(kept), 99]


def test_a_journal_of_another_import_is_not_continued(tmp_path: Path) -> None:
    """Another collection, space or batch size: nothing of it counts. A file that is no journal is not overwritten."""
    path = tmp_path / "x.journal"
    journal = ImportJournal.open(path, KEY)
    journal.begin()
    journal.note(done(0))
    journal.close()
    assert ImportJournal.open(path, {**KEY, "batch": 3}).finished == {}
    path.write_text("my notes\n")
    with pytest.raises(DataInvalid, match="journal"):
        ImportJournal.open(path, KEY)


def test_journals_of_before_checked_lines_are_read(tmp_path: Path) -> None:
    """They were plain lines; from the next run on the same facts are checked ones."""
    path = tmp_path / "x.journal"
    path.write_bytes((GOLDEN / "import.format1.journal").read_bytes() + b'{"batch": 2, "dig')
    wanted = {0: FinishedBatch(0, "d0", ("3", "ü")), 1: FinishedBatch(1, "d1")}
    for _ in range(2):
        journal = ImportJournal.open(path, KEY)
        assert journal.finished == wanted
        journal.begin()
        journal.close()
    assert [entry.get("batch") for entry in read_journal(path)] == [None, 0, 1]


def test_a_damaged_journal_is_an_error_and_two_imports_do_not_share_one(tmp_path: Path) -> None:
    """A batch that is wrongly taken for finished is never imported."""
    path = tmp_path / "x.journal"
    journal = ImportJournal.open(path, KEY)
    journal.begin()
    journal.note(done(0))
    with pytest.raises(JournalBusy):
        ImportJournal.open(path, KEY).begin()
    journal.note(done(1))
    journal.close()
    path.write_bytes(path.read_bytes().replace(b'"d0"', b'"d9"'))
    with pytest.raises(DataInvalid, match="damaged"):
        ImportJournal.open(path, KEY)


def test_batches_come_out_the_same_and_those_that_are_done_are_left_out() -> None:
    """A batch counts as done with just its own input; of one that failed in part, the failed are left to do."""
    first = list(batches(PASSAGES, "Article", 3))
    assert [len(batch.passages) for batch in first] == [3, 3, 1]
    finished = {0: FinishedBatch(0, first[0].digest), 1: FinishedBatch(1, first[1].digest, failed=("4",))}
    journal = ImportJournal(Path("x"), KEY, finished)
    again = list(batches(PASSAGES, "Article", 3, journal))
    assert [[passage.id for passage in batch.passages] for batch in again] == [[], ["4"], ["6"]]
    assert [len(batch.finished) for batch in again] == [3, 2, 0]
    changed = [PASSAGES[0], Passage("1", "another text"), *PASSAGES[2:]]
    assert [len(batch.passages) for batch in batches(changed, "Article", 3, journal)] == [3, 1, 1]


def test_a_batch_of_long_documents_has_fewer_of_them() -> None:
    """So that memory is bounded; a document beyond the bound is alone."""
    long = [Passage("1", "x" * 6), Passage("2", "y" * 6), Passage("3", "z" * 30), Passage("4", "a")]
    assert [len(batch.passages) for batch in batches(long, "Article", 9, chars=14)] == [2, 1, 1]


def test_failures_are_ids_and_reasons_and_none_leave_no_file(tmp_path: Path) -> None:
    """What is written can be read back; an empty list takes the file away."""
    path = tmp_path / "f.jsonl"
    write_failures(path, [Failure(object_uuid("A", "ü"), "no", "ü", "acme"), Failure(object_uuid("A", "2"), "no", "2")])
    assert read_failed_ids(path) == {"ü", "2"}
    assert '"tenant": "acme"' in path.read_text()
    write_failures(path, [])
    with pytest.raises(DataInvalid, match="no such file"):
        read_failed_ids(path)
    path.write_text("{}\n")
    with pytest.raises(DataInvalid, match="line 1"):
        read_failed_ids(path)
