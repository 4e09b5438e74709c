"""ONNX files that mean harm, in artifacts whose every digest fits."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from fakes.models.forgery import MODEL, forge_file, forge_graph, forge_manifest
from samespace.artifact.graph_check import DOMAINS, INPUTS, Graph, check_bytes, check_graph
from samespace.errors import ArtifactDamaged

Change = Callable[[onnx.ModelProto], Any]
WEIGHT = "backbone.embeddings.word_embeddings.weight"


def initializer(model: onnx.ModelProto, name: str = WEIGHT) -> onnx.TensorProto:
    return next(each for each in model.graph.initializer if each.name == name)


def outside(tensor: onnx.TensorProto, location: str) -> None:
    """Move a tensor's data into a file, as `onnx.save(save_as_external_data=True)` does."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "64")):
        tensor.external_data.add(key=key, value=value)


def in_branches(depth: int, node: onnx.NodeProto) -> onnx.NodeProto:
    """*node* inside the branches of *depth* nested Ifs."""
    for level in range(depth):
        graph = helper.make_graph([node], f"g{level}", [], [helper.make_empty_tensor_value_info(node.output[0])])
        node = helper.make_node("If", ["flag"], [f"if{level}"], then_branch=graph, else_branch=graph)
    return node


def constant(name: str, values: Any) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values), name)


def set_values(values: Any) -> Change:
    def change(model: onnx.ModelProto) -> None:
        tensor = initializer(model)
        array = numpy_helper.to_array(tensor).copy()
        array[3, 5] = values
        tensor.CopyFrom(numpy_helper.from_array(array, WEIGHT))

    return change


def as_half_with(value: float) -> Change:
    def change(model: onnx.ModelProto) -> None:
        array = np.zeros((7, 9), np.float16)
        array[6, 8] = value
        model.graph.initializer.append(constant("half", array))

    return change


def sized(op: str, *inputs: Any) -> Change:
    """A node that says in constants that it makes something huge."""

    def change(model: onnx.ModelProto) -> None:
        names = [f"bomb{number}" for number in range(len(inputs))]
        model.graph.initializer.extend(constant(name, each) for name, each in zip(names, inputs, strict=True))
        model.graph.node.insert(0, helper.make_node(op, names, ["bomb"]))

    return change


def add(*nodes: onnx.NodeProto) -> Change:
    return lambda model: model.graph.node.extend(nodes)


def shaped(dims: list[int], **data: Any) -> Change:
    """A tensor that says it has these dims, and holds these data."""
    return lambda model: model.graph.initializer.append(TensorProto(name="huge", data_type=1, dims=dims, **data))


ATTACKS: dict[str, tuple[Change, str]] = {
    "external data": (lambda m: outside(initializer(m), "../../../../etc/passwd"), "external data"),
    "an address as external data": (lambda m: outside(initializer(m), "*/_ORT_MEM_ADDR_/*"), "external data"),
    "external data in a branch": (
        lambda m: m.graph.node.append(
            in_branches(1, helper.make_node("Constant", [], ["c"], value=_outside_tensor()))
        ),
        "external data",
    ),
    "entries of external data alone": (
        lambda m: initializer(m).external_data.add(key="location", value="x"), "external data",
    ),
    "a custom operator": (add(helper.make_node("Run", ["input_ids"], ["x"], domain="com.attacker")), "com.attacker"),
    "a compiled engine": (
        add(helper.make_node("EPContext", [], ["x"], domain="com.microsoft", ep_cache_context="../x.so")), "EPContext",
    ),
    "a custom operator in a branch": (
        add(in_branches(2, helper.make_node("Run", [], ["x"], domain="com.attacker"))), "com.attacker",
    ),
    "a function of its own": (
        lambda m: m.functions.append(
            helper.make_function("ai.onnx", "Gelu", ["x"], ["y"],
                                 [helper.make_node("Run", ["x"], ["y"], domain="com.attacker")], [])
        ),
        "functions",
    ),
    "a loop": (add(helper.make_node("Loop", ["a", "b"], ["x"])), "Loop"),
    "chance": (add(helper.make_node("RandomNormal", [], ["x"], shape=[1])), "RandomNormal"),
    "branches without end": (add(in_branches(10, helper.make_node("Identity", ["a"], ["x"]))), "nested"),
    "dims beyond memory": (shaped([2**31 - 1, 2**31 - 1], raw_data=b"\0" * 64), "says shape"),
    "dims that overflow": (shaped([2**33, 2**33], raw_data=b""), "shape"),
    "negative dims": (shaped([-1, 4], raw_data=b"\0" * 16), "shape"),
    "no data": (shaped([4]), "says shape"),
    "data in two fields": (shaped([1], raw_data=b"\0" * 4, float_data=[1.0]), "raw_data and float_data"),
    "data in a foreign field": (shaped([1], int64_data=[1]), "int64_data"),
    "a rank of 60": (shaped([1] * 60, raw_data=b"\0" * 4), "shape"),
    "NaN weights": (set_values(np.nan), f"{WEIGHT}' holds NaN"),
    "infinite weights": (set_values(-np.inf), f"{WEIGHT}' holds infinite"),
    "NaN in half precision": (as_half_with(np.nan), "holds NaN"),
    "infinite half precision": (as_half_with(np.inf), "holds infinite"),
    "NaN in an attribute": (add(helper.make_node("Elu", ["x"], ["y"], alpha=float("nan"))), "NaN"),
    "NaN in a constant": (add(helper.make_node("Constant", [], ["c"], value=constant("", np.float32("nan")))), "NaN"),
    "a huge ConstantOfShape": (sized("ConstantOfShape", np.array([2**40])), "ConstantOfShape would make"),
    "a huge Expand": (sized("Expand", np.float32(1), np.array([2**20, 2**20])), "Expand would make"),
    "a huge Tile": (sized("Tile", np.ones((1, 1), np.float32), np.array([2**20, 2**20])), "Tile would make"),
    "a huge Range": (sized("Range", np.int64(0), np.int64(2**50), np.int64(1)), "Range would make"),
    "a further input": (
        lambda m: m.graph.input.append(helper.make_tensor_value_info("x", 1, [1])), "inputs are 'attention_mask, inp",
    ),
    "no mask": (lambda m: m.graph.input.pop(), "inputs are 'input_ids'"),
    "an input that is given already": (lambda m: setattr(m.graph.initializer[-1], "name", "input_ids"), "int64"),
    "two outputs": (lambda m: m.graph.output.append(m.graph.output[0]), "2 outputs"),
    "other dims": (lambda m: setattr(m.graph.output[0].type.tensor_type.shape.dim[1], "dim_value", 33), "shape"),
    "ids as text": (lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", TensorProto.STRING), "int64"),
    "a sparse tensor": (lambda m: m.graph.sparse_initializer.add(dims=[2**40]), "sparse"),
    "strings": (lambda m: m.graph.initializer.append(helper.make_tensor("s", 8, [1], ["x"])), "strings"),
    "training": (lambda m: m.training_info.add(), "training"),
    "a weight twice": (lambda m: m.graph.initializer.append(initializer(m)), "two initializers"),
    "a name of a megabyte": (lambda m: setattr(m.graph.node[0], "op_type", "x" * 2**20), "1048576 bytes"),
    "no graph": (lambda m: m.ClearField("graph"), "no graph"),
}  # fmt: skip


def _outside_tensor() -> onnx.TensorProto:
    tensor = constant("", np.ones(16, np.float32))
    outside(tensor, "../outside.bin")
    return tensor


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_dangerous_graph_is_refused(artifact: Path, refused: Callable[..., None], attack: str) -> None:
    """Every digest fits, and the content is refused all the same, by the file's name and the reason."""
    change, reason = ATTACKS[attack]
    forge_graph(artifact, change)
    refused(MODEL, reason)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data[: len(data) // 2], "truncated"),
        (lambda data: data[:-1], "truncated"),
        (lambda data: b"", "no graph"),
        (lambda data: b"\x80" * 50, "truncated or no protobuf"),
        (lambda data: b"PK\x03\x04" + data, "unknown field|wire type"),
        # protobuf would merge the second graph into the first: nodes that one reader sees and another does not.
        (lambda data: data + b"\x3a\x02\x12\x00", "graph twice"),
        (lambda data: data + b"\xfa\x3f\x01x", "unknown field"),
        (lambda data: data + b"\x0b\x0c", "wire type 3"),
        (lambda data: data + b"\x08", "truncated"),
    ],
)
def test_bytes_that_readers_could_see_differently_are_refused(
    artifact: Path, refused: Callable[..., None], change: Callable[[bytes], bytes], reason: str
) -> None:
    """Truncated, merged, unknown: what protobuf would skip or mend is an error here."""
    forge_file(artifact, MODEL, change((artifact / MODEL).read_bytes()))
    refused(MODEL, reason)


def test_an_enum_that_wraps_around_is_refused(artifact: Path, refused: Callable[..., None]) -> None:
    """protobuf cuts an enum to 32 bits: 2^32 + 1 as data location would be read as EXTERNAL."""
    tensor = TensorProto(name="x", data_type=1, dims=[0]).SerializeToString() + b"\x70\x81\x80\x80\x80\x10"
    assert TensorProto.FromString(tensor).data_location == TensorProto.EXTERNAL
    graph = b"\x2a" + len(tensor).to_bytes(1, "little") + tensor
    forge_file(artifact, MODEL, b"\x3a" + len(graph).to_bytes(1, "little") + graph)
    refused(MODEL, "external data")


def test_a_file_that_another_reader_would_open_is_refused(artifact: Path, refused: Callable[..., None]) -> None:
    """Runtimes choose their reader by the ending: .ort holds compiled graphs, .xml OpenVINO's own."""
    (artifact / MODEL).rename(artifact / "model.ort")

    def rename(value: dict[str, Any]) -> None:
        value["files"]["model.ort"] = value["files"].pop(MODEL)
        for build in value["builds"]:
            build["file"] = "model.ort"

    forge_manifest(artifact, rename)
    refused("model.ort", r"end in \.onnx")


def test_a_graph_of_a_million_parts_is_given_up(artifact: Path, refused: Callable[..., None]) -> None:
    """Empty parts take two bytes each; the work that a file can cause is bounded."""
    forge_file(artifact, MODEL, _message(7, _message(1, b"\x0a\x00" * 2_000_000 + b"\x22\x01A")))
    refused(MODEL, "more parts")


def _message(number: int, data: bytes) -> bytes:
    size, length = len(data), b""
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + data


@pytest.mark.parametrize(
    "values",
    [
        np.float32("-inf"),
        np.full(4, np.finfo(np.float32).min),
        np.array([-np.inf, 0.0, np.inf], np.float16),
        np.triu(np.full((32, 32), -np.inf, np.float32), 1),
        np.triu(np.full((32, 32), -np.inf, np.float16), 1),
    ],
)
def test_masks_may_be_infinite(artifact: Path, values: Any) -> None:
    """Attention adds minus infinity where it may not look: such constants are no damage."""
    forge_graph(artifact, lambda model: model.graph.initializer.append(constant("mask", values)))
    assert check_graph(artifact / MODEL, dims=32).embedding_rows is not None


def test_values_outside_raw_data_are_read_too() -> None:
    """`onnx.helper.make_tensor` writes floats and packed integers in fields of their own, halves as integers."""
    for kind, values in ((1, [1.0, -2.0]), (10, [1.0, -2.0]), (16, [1.0]), (11, [0.5]), (7, [-1, 2**40]), (3, [-7])):
        tensor = helper.make_tensor("x", kind, [len(values)], values)
        assert isinstance(check_bytes(_small(tensor), dims=4, file="x"), Graph)
        if kind in (1, 10, 11, 16):
            with pytest.raises(ArtifactDamaged, match="NaN"):
                check_bytes(_small(helper.make_tensor("x", kind, [1], [float("nan")])), dims=4, file="x")


def _small(*tensors: onnx.TensorProto) -> bytes:
    """A model of a few hundred bytes, in which most mutations hit something that matters."""
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in INPUTS]
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["ids"], to=TensorProto.INT64),
        helper.make_node("DequantizeLinear", ["table", "scale"], ["rows"]),
        helper.make_node("Gather", ["rows", "ids"], ["picked"]),
        helper.make_node("If", ["flag"], ["unused"], then_branch=_branch("a"), else_branch=_branch("b")),
        helper.make_node("ReduceMean", ["picked"], ["vectors"]),
    ]
    initializers = [
        constant("table", np.ones((6, 4), np.int8)), constant("scale", np.float32(1)), constant("flag", np.bool_(True)),
        *tensors,
    ]  # fmt: skip
    output = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", 4])
    graph = helper.make_graph(nodes, "g", inputs, [output], initializers)
    return bytes(helper.make_model(graph).SerializeToString())


def _branch(name: str) -> onnx.GraphProto:
    node = helper.make_node("Constant", [], [name], value=constant("", np.arange(3.0, dtype=np.float32)))
    return helper.make_graph([node], name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, [3])])


def test_the_embedding_is_found_behind_casts_and_quantisation() -> None:
    """int8 builds keep the embedding as whole numbers; its rows are still the size of the vocabulary."""
    assert check_bytes(_small(), dims=4, file="x").embedding_rows == 6


SMALL = _small(helper.make_tensor("packed", 1, [3], [1.0, 2.0, 3.0]), helper.make_tensor("many", 7, [3], [1, 300, -1]))


@given(data=st.data())
@settings(max_examples=3000, deadline=None)
def test_mutated_graphs_never_crash_nor_slip_through(data: st.DataObject) -> None:
    """A mutated file is refused, or onnx's own reader sees the same harmless graph in it."""
    raw = bytearray(SMALL)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        piece = data.draw(st.binary(max_size=3) | st.just(bytes(raw[at : at + 12])))
        raw[at : at + data.draw(st.integers(0, 3))] = piece
    # What onnx cannot read at all, in parts that the check does not look into, no runtime will.
    with contextlib.suppress(ArtifactDamaged, DecodeError):
        check_bytes(bytes(raw), dims=4, file="x")
        _harmless(onnx.ModelProto.FromString(bytes(raw)))


def _harmless(model: onnx.ModelProto) -> None:
    """What the check promises, asked of onnx's own classes."""
    assert not model.functions and sorted(each.name for each in model.graph.input) == list(INPUTS)
    graphs = [model.graph]
    while graphs:
        graph = graphs.pop()
        tensors = [*graph.initializer]
        for node in graph.node:
            assert node.domain in DOMAINS
            for attribute in node.attribute:
                tensors += [attribute.t, *attribute.tensors]
                graphs += [attribute.g, *attribute.graphs]
        for tensor in tensors:
            assert not tensor.external_data and tensor.data_location == TensorProto.DEFAULT
            if tensor.data_type in (1, 10, 11, 16) and tensor.name:
                assert not np.isnan(numpy_helper.to_array(tensor).astype(np.float64)).any()


def test_mutations_of_the_real_graph_never_crash(tiny_artifact: Path) -> None:
    """Bytes changed at random all over an exported file, from a fixed seed."""
    real, chance = (tiny_artifact / MODEL).read_bytes(), np.random.default_rng(5)
    for _ in range(300):
        raw = bytearray(real)
        for at in chance.integers(0, len(raw), size=chance.integers(1, 20)):
            raw[at] = int(chance.integers(256))
        with contextlib.suppress(ArtifactDamaged):
            check_bytes(bytes(raw), dims=32, file="x")


def test_the_untouched_artifact_passes(tiny_artifact: Path) -> None:
    """The check has nothing against what samespace exports, and finds the embedding in it."""
    rows = check_graph(tiny_artifact / MODEL, dims=32).embedding_rows
    assert rows == 177


def test_builds_are_checked_on_every_way_in(artifact: Path) -> None:
    """`Artifact.graph` is the one door: a digest that does not fit is found there first."""
    from samespace.artifact import open_artifact

    data = bytearray((artifact / MODEL).read_bytes())
    data[len(data) // 2] ^= 1
    (artifact / MODEL).write_bytes(data)
    with pytest.raises(ArtifactDamaged, match="sha256"):
        open_artifact(artifact).graph(MODEL)
