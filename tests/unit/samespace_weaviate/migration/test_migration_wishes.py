"""A journal is gone on with by the command, the name and the options that it is of, or by none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fakes.weaviate.in_memory import FakeWeaviate
from samespace.errors import MigrationBlocked, RequestInvalid
from samespace_weaviate import CollectionSpec
from samespace_weaviate.migration.plan import Migration
from samespace_weaviate.migration.refusals.wishes import Asked, refuse_other_names, refuse_other_wishes

SPACE = "2" * 64
JOURNAL = Path("A.migration")
DONE = Migration(
    "m", "A", False, "A_old", "A_new", "e_1", f"e_{SPACE[:12]}", "1" * 64, SPACE, "text", False, guard=True
)


@pytest.fixture
def database() -> FakeWeaviate:
    found = FakeWeaviate()
    found.create(CollectionSpec("A_new", SPACE, "http://encoder:8080").schema())
    return found


@pytest.mark.parametrize("name", ["A", "a", "A_old", "A_new"])
def test_each_of_its_names_will_do(name: str, database: FakeWeaviate) -> None:
    refuse_other_wishes(database, DONE, Asked(name), JOURNAL)
    refuse_other_wishes(database, DONE, Asked(name, False, "A", "text", "http://encoder:8080/", True), JOURNAL)


def test_a_journal_of_another_collection_finishes_nothing(database: FakeWeaviate) -> None:
    """`migrate J2 --finish --journal J1.migration` deleted J1."""
    with pytest.raises(RequestInvalid, match="is of A, which leads from A_old to A_new; NAME is B"):
        refuse_other_names(DONE, Asked("B"), JOURNAL)


def test_a_journal_of_the_other_command_is_named() -> None:
    with pytest.raises(RequestInvalid, match="is of `samespace weaviate migrate`, not of move"):
        refuse_other_names(DONE, Asked("A", moves=True), JOURNAL)
    with pytest.raises(RequestInvalid, match="is of `samespace weaviate move`, not of migrate"):
        refuse_other_names(replace(DONE, carries=True), Asked("A"), JOURNAL)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Asked("A", alias="Other"), "--alias is Other, and was A"),
        (Asked("A", text_property="body"), "--property is body, and was text"),
        (Asked("A", guard=False), "--guard is off, and was on"),
        (Asked("A", server="http://encoder:9999"), "--server is http://encoder:9999, and A_new was made with"),
    ],
)
def test_an_option_that_has_no_effect_any_more_is_refused(asked: Asked, said: str, database: FakeWeaviate) -> None:
    """A typo in an address was corrected in the second try, and the first one stayed, with exit code 0."""
    with pytest.raises(MigrationBlocked, match=said):
        refuse_other_wishes(database, DONE, asked, JOURNAL)


def test_a_token_in_an_address_is_not_shown(database: FakeWeaviate) -> None:
    asked = Asked("A", server="http://user:secret@encoder:9999")
    with pytest.raises(MigrationBlocked) as raised:
        refuse_other_wishes(database, DONE, asked, JOURNAL)
    assert "secret" not in str(raised.value)
