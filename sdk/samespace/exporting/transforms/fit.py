"""How a transform is fitted: centring, PCA, whitening and truncation, in float64 and with fixed signs.

Pure numpy: vectors in, a `Transform` out. The same vectors give the same bytes wherever the linear algebra
underneath rounds alike; an eigenvector's sign, which it is free to choose, is fixed here.

What it leaves to others: which vectors (`choice`: windows of passages, never queries), and whether the
transform helps (`choice`, by nDCG on a development split).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...errors import RequestInvalid
from ...model.transform import Transform
from ...vectors import Float32

Float64 = npt.NDArray[np.float64]

SHARES: Final = (3 / 4, 1 / 2, 1 / 3, 1 / 4, 1 / 8)
"""The sizes that are tried unless the user names some, as shares of the encoder's dims."""
_WIDE: Final = 512  # from here on sizes are multiples of 32, below of 8: what vector instructions and indexes like
_SPANNED: Final = 1e-10  # relative to the largest eigenvalue: float32 vectors leave noise of about 1e-14 there
_CONSTANT: Final = 1e-12  # mean variance of a coordinate: float32 rounding of unit vectors leaves 1e-15


@dataclass(frozen=True, slots=True)
class TransformCandidate:
    """A transform before it is fitted.

    Attributes:
        kind: "none" or one of `transform.KINDS`.
        dims: length of a vector after it; None for the encoder's own.
    """

    kind: str
    dims: int | None = None

    def __str__(self) -> str:
        return self.kind if self.dims is None else f"{self.kind}:{self.dims}"

    @staticmethod
    def parse(text: str, *, source_dims: int) -> TransformCandidate:
        """What the user wrote: none, centre, pca:K, whiten, whiten:K or truncate:K.

        Raises:
            RequestInvalid: another word, or K is no number from 1 to *source_dims*.
        """
        kind, colon, size = text.strip().partition(":")
        sized = {"none": False, "centre": False, "pca": True, "whiten": bool(colon), "truncate": True}
        if kind not in sized or sized[kind] != bool(colon):
            raise RequestInvalid(
                field="candidates",
                reason=f"{text.strip()!r}; expected none, centre, pca:K, whiten, whiten:K or truncate:K",
            )
        if not colon:
            return TransformCandidate(kind)
        if not size.isascii() or not size.isdigit() or not 1 <= int(size) <= source_dims:
            raise RequestInvalid(
                field="candidates", reason=f"{text.strip()!r}; the encoder gives {source_dims} dims, so K is 1 to that"
            )
        return TransformCandidate(kind, int(size))


NONE: Final = TransformCandidate("none")


def default_candidates(source_dims: int) -> tuple[TransformCandidate, ...]:
    """None, centre and whiten, then PCA, whitening and truncation at `SHARES` of *source_dims*, rounded."""
    step = 32 if source_dims >= _WIDE else 8
    sizes = sorted({max(step, round(source_dims * share / step) * step) for share in SHARES}, reverse=True)
    reduced = [
        TransformCandidate(kind, size) for size in sizes if size < source_dims for kind in ("pca", "whiten", "truncate")
    ]
    return (NONE, TransformCandidate("centre"), TransformCandidate("whiten"), *reduced)


@dataclass(frozen=True, slots=True)
class Moments:
    """What every fit needs of a sample, computed once.

    Attributes:
        samples: how many vectors there were.
        mean: (dims,), float64.
        eigenvalues: (dims,), float64, of the covariance (divided by n), falling, none below 0.
        eigenvectors: (dims, dims), float64; column i belongs to eigenvalue i, its largest entry is positive.
        shrinkage: how far whitening goes from the sample's covariance to a multiple of the identity, in [0, 1].
    """

    samples: int
    mean: Float64
    eigenvalues: Float64
    eigenvectors: Float64
    shrinkage: float

    @property
    def dims(self) -> int:
        """Length of a vector."""
        return len(self.mean)

    @property
    def rank(self) -> int:
        """In how many directions the sample varies; at most samples - 1."""
        return int((self.eigenvalues > _SPANNED * self.eigenvalues[0]).sum()) if self.eigenvalues[0] > 0 else 0


def moments(vectors: npt.NDArray[Any], *, shrinkage: float | None = None) -> Moments:
    """Mean and covariance of a sample, in the form that the fits take.

    Args:
        vectors: (n, dims), any float; n at least 2.
        shrinkage: in [0, 1]; None for Ledoit and Wolf's estimate from the sample.

    Raises:
        RequestInvalid: not (n, dims), fewer than 2 vectors, not finite, or all vectors are equal.
    """
    rows = np.asarray(vectors, dtype=np.float64)
    if rows.ndim != 2 or len(rows) < 2 or not np.isfinite(rows).all():
        raise RequestInvalid(field="sample", reason=f"shape {rows.shape}; expected (n, dims), n >= 2, finite")
    mean = rows.mean(axis=0)
    centred = rows - mean
    covariance = centred.T @ centred / len(rows)  # (dims, dims)
    if np.trace(covariance) / len(mean) <= _CONSTANT:
        raise RequestInvalid(
            field="sample", reason=f"all {len(rows)} vectors are equal, so there is nothing to fit: has it collapsed?"
        )
    eigenvalues, eigenvectors = np.linalg.eigh(covariance)  # rising
    eigenvalues, eigenvectors = np.maximum(eigenvalues[::-1], 0.0), eigenvectors[:, ::-1]
    largest = np.abs(eigenvectors).argmax(axis=0)  # the first of equal ones
    signs = np.where(eigenvectors[largest, np.arange(len(mean))] < 0, -1.0, 1.0)
    chosen = ledoit_wolf(centred, covariance) if shrinkage is None else shrinkage
    return Moments(len(rows), mean, eigenvalues, eigenvectors * signs, chosen)


def ledoit_wolf(centred: Float64, covariance: Float64) -> float:
    """The share of the identity that brings a sample's covariance closest to the true one, in expectation.

    shrunk = (1 - share) covariance + share m I, with m the mean eigenvalue.

    Args:
        centred: (n, dims), float64, mean removed.
        covariance: (dims, dims), float64: centred.T @ centred / n.

    Returns:
        In [0, 1]; 1 where the sample's covariance is a multiple of the identity already.

    Source: Ledoit and Wolf 2004, lemmas 3.2 to 3.4, DOI 10.1016/S0047-259X(03)00096-4. Their norm is divided by
    the dims, which cancels. The mean over samples of |x x' - S|^2 is that of |x|^4 less |S|^2.
    """
    n, dims = centred.shape
    scale = np.trace(covariance) / dims
    distance = np.square(covariance).sum() - dims * scale**2  # |S - m I|^2
    if distance <= 0:
        return 1.0
    fourth = np.square(np.einsum("nd,nd->n", centred, centred)).mean()
    error = (fourth - np.square(covariance).sum()) / n
    return float(min(max(error, 0.0) / distance, 1.0))


def fit(candidate: TransformCandidate, sample: Moments, *, fitted_on: str | None = None) -> Transform | None:
    """The transform that *candidate* names, fitted on a sample; None for "none".

    centre    x - mean
    pca:K     the K directions of largest variance of x - mean, as they are
    whiten    the same, each divided by its standard deviation after shrinkage; all of them, or the first K
    truncate  the first K numbers; takes nothing from the sample

    Args:
        fitted_on: the space that the sample's vectors are of.

    Raises:
        RequestInvalid: K above the encoder's dims, or above what the sample spans: more samples are needed.

    Source: PCA: Jolliffe 2002, chapter 2. Whitening: Su et al. 2021, section 3, arXiv:2103.15316.
    """
    kind, dims = candidate.kind, candidate.dims or sample.dims
    if dims > sample.dims:
        raise RequestInvalid(field=str(candidate), reason=f"the encoder gives {sample.dims} dims")
    if kind == "none":
        return None
    if kind == "truncate":
        return Transform(kind, np.eye(dims, sample.dims, dtype=np.float32), np.zeros(dims, np.float32), fitted_on)
    if kind == "centre":
        return _transform(kind, np.eye(sample.dims), sample, fitted_on)
    if kind == "pca":
        _require_span(candidate, dims, sample)
        return _transform(kind, sample.eigenvectors[:, :dims].T, sample, fitted_on)
    # The identity and the covariance have the same eigenvectors, so shrinking moves the eigenvalues only.
    shrunk = (1 - sample.shrinkage) * sample.eigenvalues + sample.shrinkage * sample.eigenvalues.mean()
    if sample.shrinkage == 0:
        _require_span(candidate, dims, sample)
    weight = sample.eigenvectors[:, :dims].T / np.sqrt(shrunk[:dims, None])  # (dims, source dims)
    return _transform(kind, weight, sample, fitted_on)


def _require_span(candidate: TransformCandidate, dims: int, sample: Moments) -> None:
    if dims > sample.rank:
        raise RequestInvalid(
            field=str(candidate),
            reason=f"the {sample.samples} sampled vectors vary in {sample.rank} directions only; "
            "sample more passages, or ask for fewer dims",
        )


def _transform(kind: str, weight: Float64, sample: Moments, fitted_on: str | None) -> Transform:
    numbers: tuple[Float32, Float32] = (
        np.ascontiguousarray(weight, dtype=np.float32),
        np.ascontiguousarray(-weight @ sample.mean, dtype=np.float32),
    )
    return Transform(kind, *numbers, fitted_on)
