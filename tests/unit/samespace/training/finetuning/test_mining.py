"""Hard negatives."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("datasketch", reason="needs the extra train")

from samespace.evaluation import Run
from samespace.training.finetuning.mining import Mining, choose, interleave, rank_bm25, rank_vectors
from samespace.training.losses.masking import known_pairs

ANSWER = "turn the red valve to the left until the pump stops making noise and wait a minute"
COPY = "Turn the red valve to the left, until the pump stops making noise; and wait a minute!"
CORPUS = [ANSWER, COPY, "turn the blue valve", "the pump is loud", "cats sleep", "dogs bark"]


def ranked(rows: list[int], scores: list[float]) -> Run:
    return Run(np.array([rows]), np.array([scores], dtype=np.float32))


def test_right_answers_and_their_copies_are_no_negatives() -> None:
    """By text: the copy has another id and no judgement."""
    known = known_pairs([("loud pump", ANSWER)], CORPUS)
    found = ranked([0, 1, 2, 3, 4], [0.9, 0.88, 0.6, 0.5, 0.1])
    assert choose(["loud pump"], CORPUS, found, known, Mining(3, 0.05)) == [[2, 3, 4]]


def test_what_scores_like_the_right_answer_is_left_out() -> None:
    """The margin is a share of the right answer's score."""
    known = known_pairs([("loud pump", ANSWER)], CORPUS)
    found = ranked([2, 0, 3, 4], [0.95, 0.9, 0.87, 0.5])
    assert choose(["loud pump"], CORPUS, found, known, Mining(3, 0.0)) == [[3, 4]]
    assert choose(["loud pump"], CORPUS, found, known, Mining(3, 0.05)) == [[4]]


def test_two_copies_are_one_negative() -> None:
    """Near-duplicates among the negatives are taken once."""
    known = known_pairs([("cat question", "cats sleep")], CORPUS)
    found = ranked([4, 0, 1, 5], [0.9, 0.5, 0.49, 0.3])
    assert choose(["cat question"], CORPUS, found, known, Mining(3, 0.05)) == [[0, 5]]


def test_where_the_right_answer_was_not_found_the_top_is_left_out() -> None:
    """It may well be right: nothing says how high the right answer is."""
    known = known_pairs([("loud pump", ANSWER)], CORPUS)
    found = ranked([2, 3, 4, -1], [1.0, 0.97, 0.5, -np.inf])
    assert choose(["loud pump"], CORPUS, found, known, Mining(3, 0.05)) == [[4]]


def test_bm25_and_vectors_rank() -> None:
    """BM25 finds shared words; vectors their neighbours, best first."""
    assert rank_bm25(["blue valve"], CORPUS).rows[0, 0] == 2
    p = np.eye(4, dtype=np.float32)
    q = np.array([[0.1, 0.9, 0.3, 0.0]], dtype=np.float32)
    found = rank_vectors(q, p)
    assert found.rows[0].tolist() == [1, 2, 0, 3]
    assert found.scores[0].tolist() == pytest.approx([0.9, 0.3, 0.1, 0.0])


def test_rankings_are_taken_in_turn() -> None:
    """Each once, hardest first, no more than asked."""
    assert interleave([[1, 2, 3], [2, 4]], 4) == [1, 2, 4, 3]
    assert interleave([[1, 2, 3], [2, 4]], 2) == [1, 2]
    assert interleave([], 3) == []
