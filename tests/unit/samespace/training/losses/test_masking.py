"""What must not be taken as a negative."""

from __future__ import annotations

import pytest

pytest.importorskip("datasketch", reason="needs the extra train")

from samespace.training.losses.masking import known_pairs, nothing_known

LONG = "the printer on the second floor prints nothing but empty pages since the update of last week"
NEAR = LONG + " !"
EDITED = LONG.replace("printer", "printers")


def test_judged_pairs_are_known_and_others_are_not() -> None:
    """A query's own passages are right, those of another query are not."""
    known = known_pairs([("reset it", "press reset"), ("reset it", "turn it off"), ("pay", "send money")])
    assert known.right("reset it", "press reset")
    assert known.right("reset it", "turn it off")
    assert not known.right("reset it", "send money")


def test_equal_texts_are_the_same_whatever_their_ids() -> None:
    """Case, punctuation and spaces do not make another text."""
    known = known_pairs([("How to pay?", "Send money."), ("how to  pay", "Cash")], near_duplicates=False)
    assert known.right("How to pay?", "Cash")
    assert known.right("how to  pay", "Send money.")


def test_near_duplicates_of_passages_are_right_too() -> None:
    """Judged with one of its group is judged with all; others of the corpus are found as well."""
    known = known_pairs([("why empty", LONG), (EDITED, "buy toner")], others=[EDITED, NEAR])
    assert not known.right(LONG, "buy toner")  # queries that differ in a word may want other answers
    assert known.right("why empty", EDITED)
    assert known.right("why empty", NEAR)
    assert not known.right("why empty", "buy toner")
    loose = known_pairs([("why empty", LONG)], others=[EDITED], near_duplicates=False)
    assert not loose.right("why empty", EDITED)


def test_texts_that_nobody_named_are_never_known() -> None:
    """Neither a new query nor a new passage is masked, and two unknown ones do not meet."""
    known = known_pairs([("a question", "an answer")])
    assert not known.right("a question", "something new")
    assert not known.right("new", "something new")
    assert not nothing_known().right("a question", "an answer")
