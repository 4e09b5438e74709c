"""Vectors that know their space.

`Vectors` is a float32 array of unit rows together with the id of the space that they live in.
Whatever would compare or stack vectors of two spaces raises `SpaceMismatch`, numpy's own functions included
(`numpy.concatenate([v1, v2])`, `numpy.dot(v1, v2.T)`). Whoever wants the plain numbers takes them with
`numpy.asarray(vectors)` (or `numpy.array`, `numpy.r_`: they see one operand at a time) and is on their own from there.

What it leaves to others: making vectors (`encoder`), searching many of them (`evaluation.retrieval`), how they
look in a file (`vector_files`).
What it gives up: arithmetic. The mean of two vectors is not a vector of an encoder, so there is no `+`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, final

import numpy as np
import numpy.typing as npt

from .errors import RequestInvalid, SpaceMismatch

Float32 = npt.NDArray[np.float32]
WireType = Literal["float32", "float16"]

_WIRE_DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
}


def normalise(rows: npt.NDArray[Any]) -> Float32:
    """Rows scaled to unit length, float32, same shape (n, dim); a zero row stays zero."""
    values = np.asarray(rows, dtype=np.float32)
    lengths = np.sqrt(np.einsum("...d,...d->...", values, values, dtype=np.float64))
    return np.asarray(values / np.maximum(lengths, 1e-12)[..., None], dtype=np.float32)


def cosine_distance(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """1 - cos of each pair of rows, (n,) float64; exact to about 1e-16 also for nearly equal rows.

    It is computed as |a/|a| - b/|b||^2 / 2, which does not cancel the way 1 - a·b does: two float32
    rows that differ in the last bit come out near 1e-15 instead of anywhere within 1e-7 of zero.
    """
    a = np.asarray(left, dtype=np.float64)
    b = np.asarray(right, dtype=np.float64)
    a = a / np.maximum(np.linalg.norm(a, axis=-1, keepdims=True), 1e-300)
    b = b / np.maximum(np.linalg.norm(b, axis=-1, keepdims=True), 1e-300)
    return np.asarray(np.square(a - b).sum(axis=-1) / 2.0, dtype=np.float64)


@final
class Vectors:
    """A read-only (n, dim) float32 array of unit rows and the id of their space."""

    __slots__ = ("_array", "_space_id")
    # numpy asks this before it takes over `array @ vectors`: without it, ndarray would silently win.
    __array_ufunc__ = None

    def __init__(self, array: npt.NDArray[Any], space_id: str) -> None:
        values = np.array(array, dtype=np.float32, copy=True, order="C")
        if values.ndim != 2:
            raise RequestInvalid(field="array", reason=f"expected shape (n, dim), got {values.shape}")
        if not np.isfinite(values).all():
            raise RequestInvalid(field="array", reason="contains NaN or infinity")
        values.flags.writeable = False
        # A view of a read-only array, unlike the array itself, cannot be made writeable by whoever gets it.
        self._array: Float32 = values.view()
        self._space_id = space_id

    @property
    def space_id(self) -> str:
        """The full space id, 64 hex digits."""
        return self._space_id

    @property
    def dims(self) -> int:
        """How many numbers a vector has."""
        return int(self._array.shape[1])

    @property
    def shape(self) -> tuple[int, int]:
        """(n, dim)."""
        return int(self._array.shape[0]), int(self._array.shape[1])

    @property
    def T(self) -> TransposedVectors:  # noqa: N802 - numpy's own name for it
        """The right-hand side of `q @ d.T`."""
        return TransposedVectors(self)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if dtype is not None and np.dtype(dtype) != self._array.dtype:
            if copy is False:
                raise ValueError(f"float32 vectors cannot be seen as {np.dtype(dtype)} without a copy")
            return self._array.astype(dtype)
        return self._array.copy() if copy else self._array

    def __array_function__(
        self, function: Callable[..., Any], types: Iterable[type], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """numpy's functions on the plain numbers, once all `Vectors` among the arguments are of one space.

        Source: NumPy Enhancement Proposal 18.
        """
        plain_args, plain_kwargs = self._plain(list(args), function), self._plain(dict(kwargs), function)
        return function(*plain_args, **plain_kwargs)

    def _plain(self, value: Any, function: Callable[..., Any]) -> Any:
        if isinstance(value, TransposedVectors):
            return self._plain(value.vectors, function).T
        if isinstance(value, Vectors):
            value.require(self._space_id, where=f"numpy.{function.__name__}")
            return value._array
        if isinstance(value, Sequence) and not isinstance(value, str | bytes):
            return [self._plain(each, function) for each in value]
        if isinstance(value, dict):
            return {key: self._plain(each, function) for key, each in value.items()}
        return value

    def __len__(self) -> int:
        return int(self._array.shape[0])

    def __iter__(self) -> Iterator[Vectors]:
        return (self[row] for row in range(len(self)))

    def __eq__(self, other: object) -> bool:
        """Whether *other* is `Vectors` of the same space with the same numbers; one answer, not one a row."""
        if not isinstance(other, Vectors):
            return NotImplemented
        return self._space_id == other._space_id and np.array_equal(self._array, other._array)

    def __hash__(self) -> int:
        return hash((self._space_id, self._array.shape, self._array[:1].tobytes()))

    def __contains__(self, vector: object) -> bool:
        """Whether the one row of *vector* is among the rows here, number by number.

        Raises:
            SpaceMismatch: it is of another space, so the question has no answer.
        """
        if not isinstance(vector, Vectors) or len(vector) != 1:
            raise TypeError("only Vectors of one row can be looked for in Vectors")
        vector.require(self._space_id, where="in")
        return vector.dims == self.dims and bool((self._array == vector._array).all(axis=1).any())

    def __reduce__(self) -> tuple[type[Vectors], tuple[Float32, str]]:
        # Copies and pickles go through the constructor, so they are checked, and read-only too.
        return Vectors, (np.array(self._array), self._space_id)

    def __getitem__(self, rows: int | slice | Sequence[int] | npt.NDArray[Any]) -> Vectors:
        """The chosen rows, always (k, dim): one row stays a `Vectors` of one."""
        if isinstance(rows, int | np.integer):
            index = int(rows)
            if not -len(self) <= index < len(self):
                raise IndexError(f"row {index} of {len(self)} vectors")
            return Vectors(self._array[index][None, :], self._space_id)
        if isinstance(rows, tuple):
            raise TypeError("Vectors take one index, for rows; truncate(dims) keeps the first numbers of each row")
        return Vectors(self._array[rows], self._space_id)

    def __matmul__(self, other: object) -> Float32:
        if isinstance(other, TransposedVectors):
            return self.compare(other.vectors)
        raise TypeError(
            f"Vectors @ {type(other).__name__}: the right side has no space. Write q @ d.T with Vectors on both "
            "sides, or numpy.asarray(q) @ ... to leave the check out"
        )

    def __rmatmul__(self, other: object) -> Float32:
        raise TypeError(
            f"{type(other).__name__} @ Vectors: the left side has no space. Write q @ d.T with Vectors on both "
            "sides, or use numpy.asarray to leave the check out"
        )

    def compare(self, other: Vectors) -> Float32:
        """Cosine of each vector here with each vector of *other*.

        Returns:
            (len(self), len(other)), float32, in [-1, 1] up to rounding.

        Raises:
            SpaceMismatch: the two are of different spaces.
        """
        other.require(self._space_id, where="compare")
        if other.dims != self.dims:
            raise RequestInvalid(
                field="dims", reason=f"{self.dims} on the left, {other.dims} on the right; truncate both alike"
            )
        return np.asarray(self._array @ other._array.T, dtype=np.float32)  # (n, dim) @ (dim, m)

    def require(self, space_id: str, *, where: str) -> None:
        """Raise `SpaceMismatch` unless these vectors are of space *space_id*."""
        if self._space_id != space_id:
            raise SpaceMismatch(expected=space_id, found=self._space_id, where=where)

    def truncate(self, dims: int) -> Vectors:
        """The first *dims* numbers of each vector, renormalised; still the same space.

        Only an encoder that was trained for it (Matryoshka) keeps its quality; see `Encoder.encode(dims=)`,
        which refuses sizes that the manifest does not list.
        """
        if not 1 <= dims <= self.dims:
            raise RequestInvalid(field="dims", reason=f"{dims} of {self.dims}; expected 1 to {self.dims}")
        return Vectors(normalise(self._array[:, :dims]), self._space_id)

    @staticmethod
    def stack(parts: Sequence[Vectors]) -> Vectors:
        """All rows of *parts* in order; every part has to be of the first part's space."""
        if not parts:
            raise RequestInvalid(field="parts", reason="nothing to stack")
        for part in parts[1:]:
            part.require(parts[0].space_id, where="stack")
            if part.dims != parts[0].dims:
                raise RequestInvalid(field="dims", reason=f"{parts[0].dims} and {part.dims}; truncate all alike")
        return Vectors(np.concatenate([part._array for part in parts]), parts[0].space_id)

    def to_bytes(self, wire_type: WireType = "float32") -> bytes:
        """Packed little-endian rows, as they travel in `EmbedReply.vectors`."""
        return self._array.astype(_WIRE_DTYPES[wire_type]).tobytes()

    @staticmethod
    def from_bytes(data: bytes, *, dims: int, space_id: str, wire_type: WireType = "float32") -> Vectors:
        """The inverse of `to_bytes`; refuses a length that is no whole number of rows."""
        dtype = _WIRE_DTYPES[wire_type]
        if dims < 1 or len(data) % (dims * dtype.itemsize):
            raise RequestInvalid(
                field="vectors", reason=f"{len(data)} bytes are not a whole number of {dims}-dim {wire_type} rows"
            )
        return Vectors(np.frombuffer(data, dtype=dtype).reshape(-1, dims), space_id)

    def __repr__(self) -> str:
        return f"Vectors({len(self)} x {self.dims}, space {self._space_id[:12]})"


@final
class TransposedVectors:
    """What `vectors.T` gives: only good as the right-hand side of `@`."""

    __slots__ = ("vectors",)
    __array_ufunc__ = None

    def __init__(self, vectors: Vectors) -> None:
        self.vectors = vectors

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return self.vectors.__array__(dtype, copy).T

    def __array_function__(
        self, function: Callable[..., Any], types: Iterable[type], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """As for `Vectors`."""
        return self.vectors.__array_function__(function, types, args, kwargs)

    @property
    def T(self) -> Vectors:  # noqa: N802 - numpy's own name for it
        """Back again."""
        return self.vectors
