"""Isotropy: each number against a slow, obvious version, and at its two ends."""

from __future__ import annotations

from itertools import combinations
from math import exp, log

import numpy as np
import pytest

from samespace.errors import RequestInvalid
from samespace.evaluation import effective_rank, mean_cosine, uniformity
from samespace.vectors import Float32, normalise

FLOAT64 = 1e-9  # relative: the same sums in another order


def unit_rows(n: int, dims: int, seed: int = 0) -> Float32:
    return normalise(np.random.default_rng(seed).standard_normal((n, dims)))


def test_effective_rank_is_that_of_its_definition() -> None:
    """exp(-sum p log p) with p the singular values over their sum (Roy and Vetterli 2007, section 2)."""
    rows = unit_rows(50, 8)
    gram = rows.astype(np.float64).T @ rows.astype(np.float64)
    singular = [float(value) ** 0.5 for value in np.linalg.eigvalsh(gram)]
    shares = [value / sum(singular) for value in singular]
    assert effective_rank(rows) == pytest.approx(exp(-sum(p * log(p) for p in shares)), rel=1e-6)


def test_effective_rank_goes_from_one_to_the_dims() -> None:
    """1 for vectors on one line and for zeros, the number of dims for an orthonormal basis, 3 for three of its axes."""
    assert effective_rank(np.tile(unit_rows(1, 6), (9, 1))) == pytest.approx(1.0, abs=1e-6)
    assert effective_rank(np.zeros((4, 6))) == 1.0
    assert effective_rank(np.eye(6)) == pytest.approx(6.0)
    assert effective_rank(np.eye(6)[:3]) == pytest.approx(3.0)


def test_mean_cosine_is_the_mean_over_all_pairs() -> None:
    """The closed form equals the loop over pairs."""
    rows = unit_rows(40, 5, seed=1).astype(np.float64)
    slow = np.mean([rows[i] @ rows[j] for i, j in combinations(range(40), 2)])
    assert mean_cosine(rows) == pytest.approx(slow, rel=FLOAT64)


def test_mean_cosine_at_its_ends() -> None:
    """1 for equal vectors, 0 for a basis, -1 / (n - 1) for a vector and its opposite."""
    assert mean_cosine(np.tile([[0.6, 0.8]], (7, 1))) == pytest.approx(1.0)
    assert mean_cosine(np.eye(4)) == 0.0
    assert mean_cosine(np.array([[1.0, 0.0], [-1.0, 0.0]])) == -1.0


def test_uniformity_is_the_mean_over_all_pairs() -> None:
    """Equal to the loop over pairs, also where the rows do not fit one block."""
    for n in (30, 700):
        rows = unit_rows(n, 4, seed=2).astype(np.float64)
        slow = log(np.mean([exp(-2 * ((rows[i] - rows[j]) ** 2).sum()) for i, j in combinations(range(n), 2)]))
        assert uniformity(rows) == pytest.approx(slow, rel=FLOAT64)


def test_uniformity_at_its_ends() -> None:
    """0 for equal vectors, -4 for orthogonal ones: exp(-2 * 2)."""
    assert uniformity(np.tile([[0.6, 0.8]], (7, 1))) == pytest.approx(0.0, abs=1e-9)
    assert uniformity(np.eye(5)) == pytest.approx(-4.0)


@pytest.mark.parametrize("bad", [np.zeros(3), np.zeros((0, 3)), np.zeros((2, 0))])
def test_what_is_no_set_of_vectors_is_refused(bad: np.ndarray) -> None:
    """One vector, no vector, vectors of no length; a pair takes two."""
    for measure in (effective_rank, mean_cosine, uniformity):
        with pytest.raises(RequestInvalid, match="expected"):
            measure(bad)
    with pytest.raises(RequestInvalid, match="n >= 2"):
        mean_cosine(np.ones((1, 3)))
