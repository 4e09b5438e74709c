"""Protocol buffers as bytes: messages taken apart by a table of their fields, without protobuf itself.

It is stricter than protobuf, so that nothing can be hidden between two readers: a field that the table does not
know, that has another wire type, or that stands twice where once is right, is an error; protobuf would skip or merge.

Source: Protocol Buffers, "Encoding", https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

Kind = Literal["number", "bytes", "fixed32", "fixed64"]

_WIRE: Final[dict[str, int]] = {"number": 0, "fixed64": 1, "bytes": 2, "fixed32": 5}
_FIXED_BYTES: Final[dict[int, int]] = {1: 8, 5: 4}
_PACKED: Final = 2


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message; *refused* is why a file that has it is refused, or ""."""

    name: str
    kind: Kind
    many: bool = False
    refused: str = ""


@dataclass(slots=True)
class Reader:
    """Takes messages apart, and gives up after *fields_left* fields: the time that a file can cost is bounded."""

    fields_left: int

    def message(self, data: memoryview, table: Mapping[int, Field], what: str) -> dict[str, list[Any]]:
        """The fields of one message: name -> values in order. Numbers are signed; the rest are slices of *data*.

        A packed field of many numbers is one slice (see `numbers`); numbers that stand alone are `int`.

        Raises:
            ValueError: *data* is not such a message; the text says why and names *what*.
        """
        found: dict[str, list[Any]] = {}
        try:
            self._read_into(found, data, table, what)
        except ValueError:
            found.clear()  # the error may be kept for a while, and its traceback with it
            raise
        return found

    def _read_into(self, found: dict[str, list[Any]], data: memoryview, table: Mapping[int, Field], what: str) -> None:
        at, end = 0, len(data)
        while at < end:
            self.fields_left -= 1
            if self.fields_left < 0:
                raise ValueError("it has more parts than any encoder")
            tag, at = _varint(data, at, what)
            field = table.get(tag >> 3)
            if field is None:
                raise ValueError(f"{what} has an unknown field {tag >> 3}")
            if field.refused:
                raise ValueError(f"{what} has {field.refused}")
            wire = tag & 7
            if wire != _WIRE[field.kind] and not (field.many and wire == _PACKED):
                raise ValueError(f"{what} has its {field.name} in wire type {wire}")
            value: Any
            if wire == 0:
                value, at = _varint(data, at, what)
                value = value - (1 << 64) if value >> 63 else value
            else:
                size = _FIXED_BYTES.get(wire)
                if size is None:
                    size, at = _varint(data, at, what)
                if size > end - at:
                    raise ValueError(f"{what} is truncated: its {field.name} wants {size} bytes, {end - at} are left")
                value, at = data[at : at + size], at + size
            if found.setdefault(field.name, []) and not field.many:
                raise ValueError(f"{what} has its {field.name} twice")
            found[field.name].append(value)


def numbers(values: list[Any]) -> npt.NDArray[np.int64]:
    """A repeated number field, packed or not, as int64; the bits of a uint64 above 2^63 come out negative."""
    parts = [_unpacked(value) if isinstance(value, memoryview) else np.array([value], np.int64) for value in values]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def fixed(values: list[Any], dtype: str) -> npt.NDArray[Any]:
    """A repeated fixed32 or fixed64 field, packed or not, as *dtype*."""
    return np.frombuffer(b"".join(values), dtype=dtype)


def text(values: list[Any] | None, *, limit: int = 4096) -> str:
    """A string field; "" where it is absent."""
    if not values:
        return ""
    if len(values[0]) > limit:
        raise ValueError(f"a name has {len(values[0])} bytes")
    return bytes(values[0]).decode("utf-8")


def _varint(data: memoryview, at: int, what: str) -> tuple[int, int]:
    value = shift = 0
    for at in range(at, min(at + 10, len(data))):  # noqa: B020 - goes on from where it stands
        byte = data[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at + 1
        shift += 7
    raise ValueError(f"{what} is truncated or no protobuf at byte {at} of it")


def _unpacked(data: memoryview) -> npt.NDArray[np.int64]:
    """The numbers of a packed field, all at once: a file may hold millions."""
    raw = np.frombuffer(data, dtype=np.uint8)
    last = np.flatnonzero(raw < 0x80)
    if not len(raw):
        return np.empty(0, np.int64)
    if not len(last) or last[-1] != len(raw) - 1:
        raise ValueError("packed numbers are truncated")
    first = np.concatenate([[0], last[:-1] + 1])
    lengths = last - first + 1
    if lengths.max() > 10:
        raise ValueError("a packed number has more than 10 bytes")
    result = np.zeros(len(last), np.uint64)
    for place in range(int(lengths.max())):
        here = lengths > place
        bits = (raw[first[here] + place] & 0x7F).astype(np.uint64)
        result[here] |= bits << np.uint64(7 * place)
    return result.view(np.int64)
