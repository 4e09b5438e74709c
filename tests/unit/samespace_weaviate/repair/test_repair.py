"""samespace_weaviate.repair: what an audit named is mended, nothing else is touched, and an audit proves it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from fakes.weaviate.audited import AuditedFake, WordEncoder
from fakes.weaviate.database import OTHER_SPACE, SPACE
from fakes.weaviate.swapping import Swapping
from samespace.errors import DataInvalid, SpaceMismatch
from samespace_weaviate import CollectionSpec
from samespace_weaviate.audit import AuditOptions, Kind, Offender, audit
from samespace_weaviate.repair.journal import RepairJournal
from samespace_weaviate.repair.mend import RepairReport, repair

RIGHT, WRONG = WordEncoder(), WordEncoder(OTHER_SPACE)
SPEC = CollectionSpec("Article", SPACE, "http://encoder:8080", long_texts="pool")
TEXTS = [
    f"the {one} near the {other} {number}" for number in range(20) for one in ("river", "mill") for other in "abcd"
]


class Killed(BaseException):
    """The process is gone."""


def filled() -> tuple[AuditedFake, list[UUID]]:
    database = AuditedFake(SPEC.schema())
    return database, database.fill(RIGHT, TEXTS)


def mended(database: AuditedFake, path: Path, **more: Any) -> RepairReport:
    with RepairJournal(path, "Article", SPACE) as journal:
        return repair(database, "Article", RIGHT, journal, **more)  # type: ignore[arg-type]


def spoiled() -> tuple[AuditedFake, list[UUID], dict[UUID, Kind]]:
    """A collection with one object of each fault, and what an audit says of them."""
    database, ids = filled()
    database.set_vectors(ids[0], None)
    database.set_vectors(ids[1], np.asarray(WRONG.encode(["x"], "passage").__array__()))
    database.set_vectors(ids[2], np.asarray(RIGHT.encode(["an older text"], "passage").__array__()))
    database.unindexed |= {ids[3], ids[4]}
    named = {each.uuid: each.kind for each in audit(database, "Article", RIGHT, AuditOptions(sample=None)).offenders}  # type: ignore[arg-type]
    assert set(named) == set(ids[:5])
    return database, ids, named


def test_everything_that_an_audit_names_is_mended_and_nothing_else_is_touched(tmp_path: Path) -> None:
    """Wrong, missing, stale and unsearchable vectors; the others stay byte for byte."""
    database, ids, named = spoiled()
    before = dict(database.objects[""])
    report = mended(database, tmp_path / "journal")
    assert (
        report.clean
        and report.mended == 5
        and dict(report.named) == {kind: list(named.values()).count(kind) for kind in named.values()}
    )
    assert sorted(database.patched) == sorted(ids[:5])
    assert all(database.objects[""][uuid] is before[uuid] for uuid in ids[5:])


def test_an_unsearchable_vector_keeps_its_direction(tmp_path: Path) -> None:
    """It is made another vector by a hair, because Weaviate does not index the same one again."""
    database, ids = filled()
    database.unindexed.add(ids[7])
    before = database.objects[""][ids[7]].vector
    assert mended(database, tmp_path / "journal").clean
    after = database.objects[""][ids[7]].vector
    assert before is not None and after is not None
    assert not np.array_equal(before, after) and np.allclose(before, after, rtol=1e-5)


@pytest.mark.parametrize("left_behind", [True, False])
def test_a_text_that_is_edited_meanwhile_may_leave_another_encoder_s_vector_behind(
    tmp_path: Path, left_behind: bool
) -> None:
    """Weaviate merges our patch into the object as it read it, with the other vectors of before the edit."""
    schema, beside = SPEC.schema(), replace(SPEC, space_id=OTHER_SPACE)
    schema["vectorConfig"] |= beside.schema()["vectorConfig"]
    database = AuditedFake(schema)
    ids = database.fill(RIGHT, TEXTS)
    key = ids[7]
    database.unindexed.add(key)
    there = database.objects[""]
    there[key] = replace(there[key], vectors={beside.vector_name: np.ones(2, np.float32)})
    patch = database.patch_vector

    def patched(name: str, uuid: UUID, *rest: Any) -> None:
        if there[key].properties["text"] == TEXTS[7]:
            other = np.ones(2, np.float32) * (1 if left_behind else 2)
            there[key] = replace(there[key], properties={"text": "edited"}, vectors={beside.vector_name: other})
        patch(name, uuid, *rest)

    database.patch_vector = patched  # type: ignore[method-assign]
    report = mended(database, tmp_path / "journal")
    assert report.after is not None and report.after.clean, report.after.offenders
    assert (report.stale, report.clean) == (((key,), False) if left_behind else ((), True))


def test_what_no_filter_finds_is_named_and_written_again(tmp_path: Path) -> None:
    """A node that was killed may have lost an object's entry in the inverted index; the object is there."""
    database, ids = filled()
    database.hidden |= set(ids[7:9])
    report = mended(database, tmp_path / "journal")
    assert dict(report.named) == {Kind.UNFILTERED: 2} and report.clean and not database.hidden


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    """It says how many would be mended, and leaves neither a change nor a plan that the next run would believe."""
    database, _, named = spoiled()
    report = mended(database, tmp_path / "journal", dry_run=True)
    assert sum(report.named.values()) == len(named) and report.after is not None and not report.clean
    assert database.patched == []
    with RepairJournal(tmp_path / "journal", "Article", SPACE) as journal:
        assert journal.mends is None


def test_a_dry_run_does_not_believe_a_journal(tmp_path: Path) -> None:
    """A repair that was killed left a plan of nothing; since then objects went wrong."""
    database, _, named = spoiled()
    with RepairJournal(tmp_path / "journal", "Article", SPACE) as journal:
        journal.plan([])
    report = mended(database, tmp_path / "journal", dry_run=True)
    assert sum(report.named.values()) == len(named) and not report.clean


def test_a_plan_that_is_worked_off_is_made_anew(tmp_path: Path) -> None:
    """Killed when all was mended, or nothing was to be; since then objects went wrong."""
    database, _, named = spoiled()
    with RepairJournal(tmp_path / "journal", "Article", SPACE) as journal:
        journal.plan([])
    report = mended(database, tmp_path / "journal")
    assert report.clean and report.mended == len(named)


def test_a_killed_repair_goes_on(tmp_path: Path) -> None:
    """Killed before any single write in turn, the same call mends the rest, and what was mended is not audited anew."""
    for last in range(5):
        database, _, _ = spoiled()
        patch, left = database.patch_vector, [last]

        def dying(*arguments: Any, patch: Any = patch, left: list[int] = left) -> None:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            patch(*arguments)

        database.patch_vector = dying  # type: ignore[method-assign]
        path = tmp_path / f"journal{last}"
        with pytest.raises(Killed):
            mended(database, path)
        database.patch_vector = patch  # type: ignore[method-assign]
        report = mended(database, path)
        assert report.clean and sum(report.named.values()) == 5, last


def test_a_text_that_changes_meanwhile_gets_the_vector_of_the_new_one(tmp_path: Path) -> None:
    """It is read again after it was written."""
    database, ids, _ = spoiled()
    patch = database.patch_vector

    def changing(name: str, uuid: UUID, vector: str, row: Any) -> None:
        patch(name, uuid, vector, row)
        if uuid == ids[0] and database.objects[""][uuid].properties["text"] != "new words":
            each = database.objects[""][uuid]
            database.objects[""][uuid] = type(each)(each.uuid, {"text": "new words"}, each.vector)

    database.patch_vector = changing  # type: ignore[method-assign]
    assert mended(database, tmp_path / "journal").clean


def test_what_cannot_be_mended_is_no_clean_repair(tmp_path: Path) -> None:
    """A vector without a text has nothing that it could be made of: it is left alone and told."""
    database, ids = filled()
    each = database.objects[""][ids[0]]
    database.objects[""][ids[0]] = type(each)(each.uuid, {}, each.vector)
    report = mended(database, tmp_path / "journal")
    assert not report.clean and report.after is not None
    assert [offender.kind for offender in report.after.offenders] == [Kind.NO_TEXT]
    assert database.patched == []


def test_the_journal_of_something_else_is_refused(tmp_path: Path) -> None:
    """Of another collection or space; and an encoder of another space writes nothing."""
    database, _, _ = spoiled()
    with RepairJournal(tmp_path / "journal", "Article", SPACE) as journal:
        journal.plan([])
    with pytest.raises(DataInvalid, match="--journal"):
        RepairJournal(tmp_path / "journal", "Other", SPACE)
    with RepairJournal(tmp_path / "new", "Article", OTHER_SPACE) as journal, pytest.raises(SpaceMismatch):
        repair(database, "Article", WRONG, journal)  # type: ignore[arg-type]
    assert database.patched == []


def test_replicas_that_stay_apart_are_no_clean_repair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is audited or written while nodes hold different objects, and the report is not clean."""
    from samespace_weaviate.repair import mend

    class Apart:
        alike = False

    monkeypatch.setattr(mend, "factor", lambda database, name: 3)
    monkeypatch.setattr(mend, "reconcile", lambda *arguments, **options: Apart())
    database, _, _ = spoiled()
    report = mended(database, tmp_path / "journal")
    assert not report.clean and report.after is None and database.patched == []
    Apart.alike = True
    assert mended(database, tmp_path / "journal").clean


@pytest.mark.parametrize("sample", [None, 1])
def test_what_a_swapped_model_mended_before_a_kill_is_mended_again(tmp_path: Path, sample: int | None) -> None:
    """Also where the audits see a sample: what a journal calls mended is looked at by nobody then."""
    database, ids = filled()
    for uuid in ids[:70]:  # more than a page
        database.set_vectors(uuid, None)
    encoder = Swapping(RIGHT, WRONG)
    pages = 0

    def killed(what: str, count: int) -> None:
        nonlocal pages
        pages += what == "mended"
        if pages == 2:
            raise Killed

    with RepairJournal(tmp_path / "journal", "Article", SPACE) as journal:
        encoder.encode(["x"], "passage")
        journal.plan([Offender(uuid, "", Kind.MISSING, "", None) for uuid in ids[:70]])
        encoder.swapped = True
        with pytest.raises(Killed):
            repair(database, "Article", encoder, journal, AuditOptions(sample=sample), progress=killed)  # type: ignore[arg-type]
    right = Swapping(RIGHT, WRONG)
    with RepairJournal(tmp_path / "journal", "Article", SPACE) as journal:
        assert len(journal.left) == 70
        repair(database, "Article", right, journal, AuditOptions(sample=sample))  # type: ignore[arg-type]
    assert audit(database, "Article", RIGHT, AuditOptions(sample=None)).clean  # type: ignore[arg-type]
