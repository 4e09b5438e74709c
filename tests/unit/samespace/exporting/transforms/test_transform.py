"""Transforms: the fits against slow, obvious versions, what cannot be fitted, and the file between two commands."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from samespace.errors import ModelUnsupported, RequestInvalid
from samespace.evaluation import Comparison
from samespace.exporting.transforms.choice import CandidateScore, WindowVectors, best, smallest
from samespace.exporting.transforms.fit import (
    Moments,
    TransformCandidate,
    default_candidates,
    fit,
    ledoit_wolf,
    moments,
)
from samespace.model.evidence import TransformEvidence
from samespace.model.transform import Transform
from samespace.vectors import Float32, Vectors, normalise

FLOAT32 = 2e-5  # entries of a whitened covariance: weights are rounded to float32, then divided by small deviations
SPACE = "a" * 64


def cone(n: int = 400, dims: int = 12, seed: int = 0) -> Float32:
    """Unit vectors around a common direction, with unlike variances: what encoders give."""
    random = np.random.default_rng(seed)
    spread = random.standard_normal((n, dims)) * np.linspace(1.0, 0.1, dims)
    return normalise(spread @ np.linalg.qr(random.standard_normal((dims, dims)))[0] + 1.0)


def fitted(text: str, vectors: Float32, shrinkage: float | None = None) -> Transform:
    transform = fit(TransformCandidate.parse(text, source_dims=vectors.shape[1]), moments(vectors, shrinkage=shrinkage))
    assert transform is not None
    return transform


def mapped(transform: Transform, vectors: Float32) -> np.ndarray:
    """The linear map alone, without the scaling that follows it."""
    return vectors.astype(np.float64) @ transform.weight.T.astype(np.float64) + transform.bias


def test_whitened_vectors_have_the_identity_as_covariance() -> None:
    """Without shrinkage: mean 0, variance 1, no correlation; also for the first K of them."""
    vectors = cone()
    for text, dims in (("whiten", 12), ("whiten:5", 5)):
        white = mapped(fitted(text, vectors, shrinkage=0.0), vectors)
        assert np.abs(white.mean(axis=0)).max() < FLOAT32
        assert np.abs(white.T @ white / len(white) - np.eye(dims)).max() < FLOAT32


def test_whitening_divides_by_the_shrunk_deviation() -> None:
    """With shrinkage s: the covariance of what comes out is e / ((1 - s) e + s m) for each eigenvalue e of mean m."""
    vectors = cone()
    sample = moments(vectors, shrinkage=0.3)
    white = mapped(fitted("whiten", vectors, shrinkage=0.3), vectors)
    expected = [e / (0.7 * e + 0.3 * np.mean(sample.eigenvalues)) for e in sample.eigenvalues]
    assert np.abs(white.T @ white / len(white) - np.diag(expected)).max() < FLOAT32


def test_ledoit_wolf_is_that_of_its_definition() -> None:
    """b^2 / d^2 with b^2 = min(mean |x x' - S|^2 / n, d^2) and d^2 = |S - m I|^2 (lemmas 3.2 to 3.4)."""
    for n in (7, 60, 3000):
        vectors = cone(n).astype(np.float64)
        centred = vectors - vectors.mean(axis=0)
        covariance = sum(np.outer(x, x) for x in centred) / n
        d2 = np.square(covariance - np.eye(12) * np.trace(covariance) / 12).sum()
        b2 = sum(np.square(np.outer(x, x) - covariance).sum() for x in centred) / n**2
        assert ledoit_wolf(centred, np.asarray(covariance)) == pytest.approx(min(b2, d2) / d2, rel=1e-9)


def test_ledoit_wolf_agrees_with_scikit_learn() -> None:
    """An independent implementation, where it is installed."""
    covariance = pytest.importorskip("sklearn.covariance")
    assert moments(cone(30)).shrinkage == pytest.approx(covariance.ledoit_wolf(cone(30).astype(float))[1], rel=1e-9)


def test_more_samples_need_less_shrinkage() -> None:
    """Shrinkage falls from few samples to many, and is the whole way for a covariance that is a ball."""
    assert 1 >= moments(cone(5)).shrinkage > moments(cone(50)).shrinkage > moments(cone(5000)).shrinkage > 0
    assert moments(np.concatenate([np.eye(3), -np.eye(3)])).shrinkage == 1.0


def test_pca_keeps_the_order_of_variance() -> None:
    """Variances fall, nothing is correlated, distances are those of the vectors, and K are the first K."""
    vectors = cone()
    whole = mapped(fitted("pca:12", vectors), vectors)
    covariance = whole.T @ whole / len(whole)
    assert (np.diff(np.diag(covariance)) <= 0).all()
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < FLOAT32
    assert np.linalg.norm(whole[0] - whole[1]) == pytest.approx(np.linalg.norm(vectors[0] - vectors[1]), rel=1e-5)
    assert np.array_equal(fitted("pca:4", vectors).weight, fitted("pca:12", vectors).weight[:4])


def test_pca_is_that_of_the_singular_values() -> None:
    """The directions are the right singular vectors of the centred sample, up to sign."""
    vectors = cone()
    right = np.linalg.svd(vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64))[2]
    assert np.abs(fitted("pca:12", vectors).weight @ right.T) == pytest.approx(np.eye(12), abs=1e-5)


def test_centring_removes_the_mean() -> None:
    """The mean of what comes out is 0 and nothing else changes."""
    vectors = cone()
    centred = mapped(fitted("centre", vectors), vectors)
    assert np.abs(centred.mean(axis=0)).max() < FLOAT32
    assert centred[0] - centred[1] == pytest.approx(vectors[0] - vectors[1], abs=1e-6)


def test_truncation_is_that_of_vectors() -> None:
    """truncate:K gives exactly what `Vectors.truncate` gives."""
    vectors = cone()
    assert np.array_equal(fitted("truncate:5", vectors).apply(vectors), np.asarray(Vectors(vectors, SPACE).truncate(5)))


def test_applying_gives_unit_vectors() -> None:
    """After the map comes the scaling; a vector that the map sends to zero stays zero."""
    vectors = cone()
    lengths = np.linalg.norm(fitted("whiten:5", vectors).apply(vectors), axis=1)
    assert lengths == pytest.approx(np.ones(len(vectors)), abs=1e-6)
    to_zero = Transform("truncate", np.zeros((1, 12), np.float32), np.zeros(1, np.float32))
    assert np.array_equal(to_zero.apply(vectors[:1]), [[0.0]])


def test_the_same_vectors_give_the_same_bytes(tmp_path: Path) -> None:
    """Two fits write one file, and the sign of a direction does not follow from the order of the sample."""
    vectors = cone()
    for name in ("one", "two"):
        fitted("whiten:5", vectors).save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert fitted("pca:5", vectors[::-1]).weight == pytest.approx(fitted("pca:5", vectors).weight, abs=1e-5)
    largest = moments(vectors).eigenvectors
    assert (largest[np.abs(largest).argmax(axis=0), range(12)] > 0).all()


def test_fewer_samples_than_dims() -> None:
    """PCA has n - 1 directions and refuses more; whitening goes on, because shrinkage fills the rest."""
    few = cone(6)
    assert moments(few).rank == 5
    assert fitted("pca:5", few).dims == 5
    with pytest.raises(RequestInvalid, match=r"pca:6: the 6 sampled vectors vary in 5 directions only; sample more"):
        fitted("pca:6", few)
    assert np.isfinite(fitted("whiten", few).apply(few)).all()
    with pytest.raises(RequestInvalid, match="vary in 5 directions"):
        fitted("whiten", few, shrinkage=0.0)


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        (np.tile(cone(1), (9, 1)), "all 9 vectors are equal"),
        (cone(1), "n >= 2"),
        (np.zeros(12), "n >= 2"),
        (np.full((3, 2), np.nan), "finite"),
    ],
)
def test_samples_that_say_nothing_are_refused(sample: Float32, reason: str) -> None:
    """Constant vectors, one vector, no matrix, NaN: a sentence, not a matrix of NaN."""
    with pytest.raises(RequestInvalid, match=reason):
        moments(sample)


def test_candidates_are_read_as_they_are_written() -> None:
    """Every form, back to the same text; "none" fits to nothing."""
    for text in ("none", "centre", "pca:8", "whiten", "whiten:8", "truncate:12"):
        assert str(TransformCandidate.parse(text, source_dims=12)) == text
    assert fit(TransformCandidate("none"), moments(cone())) is None


@pytest.mark.parametrize("text", ["", "zca", "pca", "truncate", "none:3", "centre:3", "pca:", "pca:x", "whiten:-1"])
def test_other_words_are_refused(text: str) -> None:
    """A word that means nothing, a size that is missing or should be."""
    with pytest.raises(RequestInvalid, match="candidates"):
        TransformCandidate.parse(text, source_dims=12)


def test_a_size_above_the_encoders_is_refused() -> None:
    """K = 0 and K > dims, when read and when fitted."""
    for text in ("pca:13", "whiten:13", "truncate:0"):
        with pytest.raises(RequestInvalid, match="the encoder gives 12 dims"):
            TransformCandidate.parse(text, source_dims=12)
    with pytest.raises(RequestInvalid, match="the encoder gives 12 dims"):
        fit(TransformCandidate("truncate", 13), moments(cone()))


@pytest.mark.parametrize(
    ("dims", "sizes"),
    [
        (384, (288, 192, 128, 96, 48)),
        (768, (576, 384, 256, 192, 96)),
        (1024, (768, 512, 352, 256, 128)),
        (32, (24, 16, 8)),
        (8, ()),
    ],
)
def test_default_sizes_are_round_shares(dims: int, sizes: tuple[int, ...]) -> None:
    """3/4 to 1/8 of the dims, in multiples of 8 or 32, each with PCA, whitening and truncation."""
    candidates = default_candidates(dims)
    assert [str(each) for each in candidates[:3]] == ["none", "centre", "whiten"]
    assert tuple(each.dims for each in candidates[3:]) == tuple(size for size in sizes for _ in range(3))


def test_a_transform_survives_its_file(tmp_path: Path) -> None:
    """Kind, numbers and the space that it was fitted on; another space and other files are refused."""
    path = tmp_path / "made" / "t.safetensors"
    sample: Moments = moments(cone())
    transform = fit(TransformCandidate("whiten", 5), sample, fitted_on=SPACE)
    assert transform is not None
    transform.save(path)
    assert [each.name for each in path.parent.iterdir()] == ["t.safetensors"]
    again = Transform.load(path, fitted_on=SPACE)
    assert (again.kind, again.fitted_on, again.dims, again.source_dims) == ("whiten", SPACE, 5, 12)
    assert np.array_equal(again.weight, transform.weight) and np.array_equal(again.bias, transform.bias)
    with pytest.raises(ModelUnsupported, match=r"fitted on space aaaaaaaaaaaa, .* bbbbbbbbbbbb; give both commands"):
        Transform.load(path, fitted_on="b" * 64)
    path.write_bytes(b"no transform")
    for bad in (path, tmp_path / "absent"):
        with pytest.raises(ModelUnsupported, match="holds no transform"):
            Transform.load(bad)


EVIDENCE = TransformEvidence(
    transform="whiten:5",
    pick="smallest",
    max_loss=1.0,
    tried=7,
    data="faq",
    split="dev",
    sampled_windows=400,
    ndcg_10=0.7012,
    ndcg_10_none=0.7,
    change=Comparison(0.0012, -0.01, 0.0123, 0.84, wins=20, losses=19, queries=101),
    date="2026-11-22",
)


def test_evidence_survives_the_file_and_reads_as_a_sentence(tmp_path: Path) -> None:
    """Why it was taken comes back as it was; a file without it says so with None."""
    transform = fitted("whiten:5", cone())
    transform.save(tmp_path / "bare")
    replace(transform, evidence=EVIDENCE).save(tmp_path / "told")
    assert Transform.load(tmp_path / "bare").evidence is None
    assert Transform.load(tmp_path / "told").evidence == EVIDENCE
    assert EVIDENCE.sentence() == (
        "whiten:5, smallest of 7 tried, on faq/dev (101 queries, 2026-11-22): nDCG@10 0.7012 against 0.7000 "
        "without it, +0.12 points (95 % between -1.00 and +1.23; these queries chose it, so it is too good and has no "
        "p-value)"
    )
    named = replace(EVIDENCE, pick="whiten:5", tried=1)
    assert named.sentence().endswith("+0.12 points (95 % between -1.00 and +1.23, p = 0.8400)")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tried", "7"),
        ("tried", float("inf")),
        ("ndcg@10", float("nan")),
        ("ndcg@10", 10**400),
        ("date", 3),
        ("ndcg@10_change", {}),
        ("ndcg@10_change", {**EVIDENCE.change.to_json(), "low": "x"}),
        ("ndcg@10_change", []),
    ],
)
def test_evidence_that_is_none_is_refused(tmp_path: Path, key: str, value: object) -> None:
    """Wrong types and numbers that are no numbers; a key that a newer samespace added is not."""
    numbers = {"weight": np.eye(2, 3, dtype=np.float32), "bias": np.zeros(2, np.float32)}

    def written(evidence: object) -> Path:
        facts = {"kind": "truncate", "fitted_on": None, "evidence": evidence}
        save_file(numbers, tmp_path / "t", metadata={"samespace": json.dumps(facts)})
        return tmp_path / "t"

    assert Transform.load(written(EVIDENCE.to_json() | {"newer": 1})).evidence == EVIDENCE
    with pytest.raises(ModelUnsupported, match="holds no transform"):
        Transform.load(written(EVIDENCE.to_json() | {key: value}))


def test_numbers_that_do_not_fit_are_refused() -> None:
    """Shapes that do not match, an unknown kind, NaN, float64."""
    weight, bias = np.eye(2, 3, dtype=np.float32), np.zeros(2, np.float32)
    for arguments in (
        ("zca", weight, bias),
        ("pca", weight, bias[:1]),
        ("pca", weight * np.nan, bias),
        ("pca", weight.astype(np.float64), bias),
    ):
        with pytest.raises(ModelUnsupported, match="expected one of"):
            Transform(*arguments)


def scored(text: str, dims: int, points: float, p_value: float) -> CandidateScore:
    """A row of the table with a change of nDCG@10 of *points* against .5000."""
    mean = points / 100
    change = Comparison(mean, mean - 0.01, mean + 0.01, p_value, wins=1, losses=1, queries=9)
    candidate = TransformCandidate.parse(text, source_dims=384)
    return CandidateScore(candidate, dims, 0.5 + mean, 0.9, 50.0, 0.1, -3.0, None if text == "none" else change)


def test_the_best_is_none_unless_a_candidate_is_better_beyond_chance() -> None:
    """Of two candidates p has to be below .025 each; a loss never wins, however certain."""
    none, lucky, bad = (
        scored("none", 384, 0.0, 1.0), scored("centre", 384, 3.0, 0.03), scored("whiten", 384, -9.0, 0.0001)
    )  # fmt: skip
    assert best([none]) is none
    assert best([none, lucky, bad]) is none
    real = scored("pca:128", 128, 1.0, 0.0001)
    assert best([none, lucky, bad, real]) is real


def test_the_smallest_is_the_one_with_the_fewest_dims_within_the_loss() -> None:
    """None where all others lose more; of equal sizes the one that ranks better."""
    none = scored("none", 384, 0.0, 1.0)
    rows = [none, scored("pca:96", 96, -0.9, 0.3), scored("whiten:96", 96, -0.2, 0.8), scored("pca:48", 48, -1.1, 0.2)]
    assert str(smallest(rows).candidate) == "whiten:96"
    assert str(smallest(rows, max_loss=2).candidate) == "pca:48"
    assert smallest(rows, max_loss=0) is none


def test_a_sample_is_drawn_once_and_the_same_again() -> None:
    """No window twice, all of them where fewer are there, another draw for another seed."""
    vectors = cone(20)
    windows = WindowVectors((), vectors)
    assert np.array_equal(windows.sample(30), vectors)
    seven = windows.sample(7)
    assert len(np.unique(seven, axis=0)) == 7 and np.array_equal(seven, windows.sample(7))
    assert not np.array_equal(seven, windows.sample(7, seed=1))
