"""What a graph computes, up to the names in it: a canonical description, to hold two graphs against each other.

Each value is described by the operator that makes it, the operator's attributes and the descriptions of what it reads;
a constant by its type, shape and values. The digest of the vectors' description is that of all that reaches them. So
another scale, epsilon, activation, mask, order of layers, constant or node is another digest. Other names, another
order in the file, and nodes that reach nothing are the same one.

What it gives up: two graphs that compute the same in two ways differ. Exporters of two versions often write such ones.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ..errors import ArtifactDamaged
from . import onnx_fields
from .graph_check import INPUTS, MAX_FIELDS
from .protobuf import Field, Reader, fixed, numbers, text

_WIDTHS: Final = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2, 21: 1, 22: 1}
_SHOWN: Final = 3
Message = Mapping[str, list[Any]]


@dataclass(frozen=True, slots=True)
class Structure:
    """A graph without its names.

    Attributes:
        digest: sha256 in hex digits; equal where two graphs are the same computation.
        nodes: what the nodes that reach the vectors are, each with its attributes, and how often.
    """

    digest: str
    nodes: Mapping[str, int]

    def differences(self, other: Structure) -> str:
        """What differs from *other*, for people; "" where nothing does."""
        if self.digest == other.digest:
            return ""
        mine, theirs = Counter(self.nodes), Counter(other.nodes)
        parts = [
            f"{word} {', '.join(f'{count} x {node}' for node, count in sorted(found.items())[:_SHOWN])}"
            f"{', …' * (len(found) > _SHOWN)}"
            for word, found in (("has", mine - theirs), ("lacks", theirs - mine))
            if found
        ]
        return " and ".join(parts) or "has the same nodes, joined otherwise or with other constants"


def describe(data: bytes, *, file: str) -> Structure:
    """The structure of an ONNX file that passed `graph_check`; *file* is the name that errors give.

    Time is that of hashing the file once.

    Raises:
        ArtifactDamaged: a node reads what nothing before it gives, or a name is given twice.
    """
    try:
        return _Description().model(memoryview(data))
    except ValueError as error:
        raise ArtifactDamaged(file=file, reason=f"cannot be described: {error}") from error


class _Description:
    def __init__(self) -> None:
        self._read = Reader(MAX_FIELDS)
        self._made_by: dict[bytes, tuple[str, tuple[bytes, ...]]] = {}  # a node: what it is, and what it reads

    def model(self, data: memoryview) -> Structure:
        model = self._read.message(data, onnx_fields.MODEL, "the model")
        graph = self._read.message(model["graph"][0], onnx_fields.GRAPH, "the graph")
        (vectors,) = self._graph(graph, {name: _digest("input", name) for name in INPUTS})
        opsets = sorted(self._number(each) for each in model.get("opset_import", ()))
        return Structure(_digest("opset", *map(str, opsets), vectors).hex(), self._reached(vectors))

    def _number(self, opset: memoryview) -> int:
        """The version of the one domain that may be used: field 2 of OperatorSetIdProto."""
        table = {1: Field("domain", "bytes"), 2: Field("version", "number")}
        return int(self._read.message(opset, table, "an opset").get("version", [0])[0])

    def _graph(self, graph: Message, outer: Mapping[str, bytes]) -> list[bytes]:
        """The descriptions of a graph's outputs, in order."""
        values = dict(outer)
        for each in graph.get("initializer", ()):
            name, digest = self._tensor(each)
            values[name] = digest
        for each in graph.get("node", ()):
            raw = self._read.message(each, onnx_fields.NODE, "a node")
            digest = self._node(raw, values)
            for place, name in enumerate(text([value]) for value in raw.get("output", ())):
                if name:
                    if name in values:
                        raise ValueError(f"the value {name[:80]!r} is made twice")
                    values[name] = digest if place == 0 else _digest("output", str(place), digest)
                    self._made_by[values[name]] = self._made_by[digest]
        outputs = [self._read.message(each, onnx_fields.VALUE, "an output") for each in graph.get("output", ())]
        return [_found(values, text(value.get("name"))) for value in outputs]

    def _node(self, raw: Message, values: Mapping[str, bytes]) -> bytes:
        op = text(raw.get("op_type"))
        if op == "Constant":
            return self._constant(raw)
        said: list[str] = []
        hidden: list[bytes] = []
        for each in raw.get("attribute", ()):
            attribute = self._read.message(each, onnx_fields.ATTRIBUTE, "an attribute")
            shown, digests = self._attribute(attribute, values)
            said.append(shown)
            hidden.append(_digest(shown, *digests))
        inputs = tuple(
            _found(values, name) if name else b"" for name in (text([each]) for each in raw.get("input", ()))
        )
        label = f"{op}({', '.join(sorted(said))})"
        digest = _digest("node", op, text(raw.get("overload")), *sorted(hidden), "reads", *inputs)
        self._made_by[digest] = (label, inputs)
        return digest

    def _constant(self, raw: Message) -> bytes:
        """A node that is a constant, as the initializer that it could be."""
        (attribute,) = (self._read.message(each, onnx_fields.ATTRIBUTE, "a constant") for each in raw["attribute"])
        if "t" in attribute:
            digest = self._tensor(attribute["t"][0])[1]
        else:
            digest = _digest("constant", self._attribute(attribute, {})[0])
        self._made_by[digest] = ("", ())
        return digest

    def _attribute(self, raw: Message, values: Mapping[str, bytes]) -> tuple[str, list[bytes]]:
        """What people are shown of an attribute, and the descriptions of what is in it."""
        name, shown, digests = text(raw.get("name")), [], list[bytes]()
        for key in ("f", "floats"):
            if key in raw:
                shown.append(str([float(value) for value in fixed(raw[key], "<f4")]))
        for key in ("i", "ints"):
            if key in raw:
                shown.append(str(numbers(raw[key]).tolist()))
        for key in ("s", "strings"):
            shown += [repr(bytes(value)) for value in raw.get(key, ())]
        for tensor in (*raw.get("t", ()), *raw.get("tensors", ())):
            digests.append(self._tensor(tensor)[1])
        for branch in (*raw.get("g", ()), *raw.get("graphs", ())):
            digests += self._graph(self._read.message(branch, onnx_fields.GRAPH, "a branch"), values)
        for other in ("tp", "type_protos"):
            digests += [_digest(bytes(value)) for value in raw.get(other, ())]
        return f"{name} {' '.join(shown)}".strip(), digests

    def _tensor(self, data: memoryview) -> tuple[str, bytes]:
        """A constant's name, and its description: type, shape and bytes, wherever the file holds them."""
        raw = self._read.message(data, onnx_fields.TENSOR, "a tensor")
        code, shape = int(raw.get("data_type", [0])[0]), numbers(raw.get("dims", [])).tolist()
        digest = _digest("tensor", str(code), str(shape), _bytes(raw, code))
        self._made_by[digest] = ("", ())
        return text(raw.get("name")), digest

    def _reached(self, vectors: bytes) -> Mapping[str, int]:
        left, seen, found = [vectors], set[bytes](), Counter[str]()
        while left:
            digest = left.pop()
            if digest not in seen:
                seen.add(digest)
                label, reads = self._made_by.get(digest, ("", ()))
                found[label] += 1
                left += reads
        del found[""]
        return found


def _bytes(raw: Message, code: int) -> bytes:
    """The values as the bytes that raw data holds, little-endian."""
    if "float_data" in raw:
        return fixed(raw["float_data"], "<f4").tobytes()
    if "double_data" in raw:
        return fixed(raw["double_data"], "<f8").tobytes()
    for key in ("int32_data", "int64_data", "uint64_data"):
        if key in raw:
            return numbers(raw[key]).astype(np.dtype(f"<i{_WIDTHS[code]}")).tobytes()
    return bytes(raw.get("raw_data", [b""])[0])


def _found(values: Mapping[str, bytes], name: str) -> bytes:
    if name not in values:
        raise ValueError(f"{name[:80]!r} is read before it is made")
    return values[name]


def _digest(*parts: str | bytes) -> bytes:
    """sha256 over the parts, each with its length, so that no two lists of parts have one digest."""
    digest = hashlib.sha256()
    for part in _encoded(parts):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()


def _encoded(parts: Sequence[str | bytes]) -> list[bytes]:
    return [part.encode("utf-8") if isinstance(part, str) else part for part in parts]
