"""Vectors know their space and refuse to meet another."""

from __future__ import annotations

import copy
import pickle
from collections import deque
from typing import Any

import numpy as np
import pytest

from samespace.errors import RequestInvalid, SpaceMismatch
from samespace.vectors import Vectors, cosine_distance, normalise

ONE, TWO = "1" * 64, "2" * 64


def unit(rows: int, dims: int, seed: int = 0) -> np.ndarray:
    return normalise(np.random.default_rng(seed).normal(size=(rows, dims)))


def test_vectors_of_one_space_compare() -> None:
    """q @ d.T is the cosine of each pair where both sides are of one space."""
    q, d = unit(2, 8), unit(3, 8, seed=1)
    assert np.allclose(Vectors(q, ONE) @ Vectors(d, ONE).T, q @ d.T)


def test_vectors_of_two_spaces_do_not_compare() -> None:
    """Equal dims do not help: the error carries and names both ids."""
    with pytest.raises(SpaceMismatch) as caught:
        Vectors(unit(2, 8), ONE) @ Vectors(unit(3, 8), TWO).T
    assert (caught.value.expected, caught.value.found) == (ONE, TWO)
    assert ONE in str(caught.value) and TWO in str(caught.value)


def test_stacking_two_spaces_is_refused() -> None:
    """A matrix with rows of two spaces cannot be made."""
    with pytest.raises(SpaceMismatch):
        Vectors.stack([Vectors(unit(2, 8), ONE), Vectors(unit(2, 8), TWO)])


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_plain_array_is_refused_in_a_product(side: str) -> None:
    """An array without a space could be of any space; numpy.asarray is the way to leave the check out."""
    vectors, plain = Vectors(unit(2, 8), ONE), unit(3, 8)
    with pytest.raises(TypeError, match=r"numpy\.asarray"):
        _ = vectors @ plain.T if side == "left" else plain @ vectors


def test_numpy_users_get_the_plain_array() -> None:
    """numpy.asarray gives the numbers, read-only, without a copy."""
    array = np.asarray(Vectors(unit(2, 8), ONE))
    assert type(array) is np.ndarray and array.dtype == np.float32 and not array.flags.writeable


def test_slices_keep_the_space() -> None:
    """A row, a slice and a selection are Vectors of the same space."""
    vectors = Vectors(unit(5, 8), ONE)
    for part in (vectors[0], vectors[1:3], vectors[[0, 4]], next(iter(vectors))):
        assert part.space_id == ONE and part.shape[1] == 8
    with pytest.raises(IndexError):
        vectors[5]


@pytest.mark.parametrize(("wire_type", "tolerance"), [("float32", 0.0), ("float16", 1e-3)])
def test_wire_bytes_come_back(wire_type: str, tolerance: float) -> None:
    """float32 rows travel exactly, float16 rows within the half's precision."""
    vectors = Vectors(unit(3, 8), ONE)
    back = Vectors.from_bytes(vectors.to_bytes(wire_type), dims=8, space_id=ONE, wire_type=wire_type)  # type: ignore[arg-type]
    assert np.abs(np.asarray(back) - np.asarray(vectors)).max() <= tolerance


def test_bytes_that_are_no_rows_are_refused() -> None:
    """A truncated reply is an error, not a shorter matrix."""
    with pytest.raises(RequestInvalid):
        Vectors.from_bytes(b"\0" * 33, dims=8, space_id=ONE)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(bad: float) -> None:
    """NaN compares with nothing, so it never becomes a vector."""
    with pytest.raises(RequestInvalid):
        Vectors(np.array([[bad, 0.0]]), ONE)


def test_truncation_renormalises() -> None:
    """The first dims of a vector, at unit length."""
    part = Vectors(unit(2, 8), ONE).truncate(4)
    assert np.allclose(np.linalg.norm(np.asarray(part), axis=1), 1.0, atol=1e-6)


def test_cosine_distance_sees_what_one_minus_dot_cannot() -> None:
    """Rows that differ by one unit in the last place are near 1e-15 apart, not anywhere within 1e-7."""
    a = unit(1, 384)
    b = np.nextafter(a, np.float32(2.0))
    assert 0.0 < cosine_distance(a, b)[0] < 1e-13
    assert cosine_distance(a, -a)[0] == pytest.approx(2.0)


@pytest.mark.parametrize(
    "mix",
    [
        lambda a, b: np.concatenate([a, b]),
        lambda a, b: np.vstack((a, b)),
        lambda a, b: np.stack([a, b], axis=1),
        lambda a, b: np.dot(a, b.T),
        lambda a, b: np.inner(a, b),
        lambda a, b: np.einsum("id,jd->ij", a, b),
        lambda a, b: np.where([[True]], a, b),
        lambda a, b: np.append(a, b, axis=0),
        lambda a, b: np.concatenate(deque([a, b])),
        lambda a, b: np.allclose(a, b),
        lambda a, b: b[0] in a,
    ],
)
def test_numpy_functions_do_not_mix_spaces(mix: Any) -> None:
    """What takes several arrays is asked for their spaces; within one space the answer is numpy's."""
    one, two = Vectors(unit(3, 8), ONE), Vectors(unit(3, 8, seed=1), TWO)
    with pytest.raises(SpaceMismatch):
        mix(one, two)
    mix(one, one)


@pytest.mark.parametrize("mix", [lambda a, b: a + b, lambda a, b: np.add(a, b), lambda a, b: np.asarray(a) * b])
def test_there_is_no_arithmetic(mix: Any) -> None:
    """Not even inside one space: the sum of two vectors is not a vector of the encoder."""
    with pytest.raises(TypeError):
        mix(Vectors(unit(3, 8), ONE), Vectors(unit(3, 8), ONE))


def test_equality_is_one_answer() -> None:
    """Equal means the same space and the same numbers, and equal vectors hash alike."""
    vectors, same, other = Vectors(unit(3, 8), ONE), Vectors(unit(3, 8), ONE), Vectors(unit(3, 8), TWO)
    assert vectors == same and hash(vectors) == hash(same) and vectors[1] in vectors
    assert vectors != other and vectors != vectors[:2] and vectors != np.asarray(vectors).tolist()
    assert Vectors(-unit(1, 8), ONE) not in vectors
    with pytest.raises(TypeError, match="one row"):
        _ = 1.0 in vectors


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda vectors: pickle.loads(pickle.dumps(vectors))])
def test_copies_keep_the_space_and_stay_read_only(copied: Any) -> None:
    """Processes may send vectors to each other; what arrives is as safe as what was sent."""
    back = copied(Vectors(unit(3, 8), ONE))
    assert back == Vectors(unit(3, 8), ONE)
    with pytest.raises(ValueError, match="WRITEABLE"):
        np.asarray(back).flags.writeable = True


def test_only_truncate_shortens_vectors() -> None:
    """`v[:, :4]` would leave rows that are not of unit length, and unlike lengths do not stack."""
    vectors = Vectors(unit(3, 8), ONE)
    with pytest.raises(TypeError, match="truncate"):
        vectors[:, :4]  # type: ignore[index]
    with pytest.raises(RequestInvalid, match="8 and 4"):
        Vectors.stack([vectors, vectors.truncate(4)])
