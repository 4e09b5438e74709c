"""Graphs with the weights of their id that compute something else with them, a little or on some texts alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from attacks.test_identity_attacks import Change, forge, layers_swapped
from fakes.models.forgery import MODEL, forge_graph
from samespace.artifact import open_artifact
from samespace.artifact.compare import compare
from samespace.artifact.structure import Structure, describe
from samespace.errors import ArtifactDamaged


def attribute(op: str, name: str, value: float | bytes) -> Change:
    """Every *op* with another attribute."""

    def change(model: onnx.ModelProto) -> None:
        found = [each for node in model.graph.node if node.op_type == op for each in node.attribute
                 if each.name == name]  # fmt: skip
        assert found
        for each in found:
            if isinstance(value, bytes):
                each.s = value
            else:
                each.f = value

    return change


def add_constant(model: onnx.ModelProto, name: str, value: float | int | list[int]) -> str:
    array = np.array(value, dtype=np.float32 if isinstance(value, float) else np.int64)
    model.graph.initializer.append(numpy_helper.from_array(array, name))
    return name


def turned_where(condition: Callable[[onnx.ModelProto], list[onnx.NodeProto]]) -> Change:
    """The vectors of some inputs turned round: *condition* gives nodes whose last makes "hit"."""

    def change(model: onnx.ModelProto) -> None:
        output = model.graph.output[0].name
        (last,) = (node for node in model.graph.node if output in node.output)
        last.output[0] = "before"
        add_constant(model, "minus", -1.0)
        add_constant(model, "plus", 1.0)
        sign = helper.make_node("Where", ["hit", "minus", "plus"], ["sign"])
        model.graph.node.extend([*condition(model), sign, helper.make_node("Mul", ["before", "sign"], [output])])

    return change


def one_token(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    token, axes = add_constant(model, "token", 77), add_constant(model, "axes", [1])
    return [
        helper.make_node("Equal", ["input_ids", token], ["equal"]),
        helper.make_node("Cast", ["equal"], ["equal_float"], to=1),
        helper.make_node("ReduceMax", ["equal_float", axes], ["most"], keepdims=1),
        helper.make_node("Cast", ["most"], ["hit"], to=9),
    ]


def many_rows(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    most = add_constant(model, "most", [500])
    return [
        helper.make_node("Shape", ["input_ids"], ["rows"], start=0, end=1),
        helper.make_node("Greater", ["rows", most], ["hit"]),
    ]


def mask_left_out(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        if node.op_type == "Attention":
            del node.input[3:]


def one_node_more(model: onnx.ModelProto) -> None:
    output = model.graph.output[0].name
    (last,) = (node for node in model.graph.node if output in node.output)
    last.output[0] = "before"
    model.graph.node.append(helper.make_node("Add", ["before", add_constant(model, "nudge", 1e-5)], [output]))


def another_pooling(model: onnx.ModelProto) -> None:
    """The first token in place of the mean: the sum over tokens becomes a pick."""
    (pooled,) = (node for node in model.graph.node if node.op_type == "Div" and "div" in node.output)
    pooled.op_type = "Sub"


def operators_of_another_version(model: onnx.ModelProto) -> None:
    model.opset_import[0].version += 1


OTHERS: dict[str, tuple[Change, str]] = {
    "scale": (attribute("Attention", "scale", 0.2501), "scale"),
    "softcap": (attribute("Attention", "softcap", 1000.0), "softcap"),
    "eps": (attribute("LayerNormalization", "epsilon", 1e-7), "epsilon"),
    "activation": (attribute("Gelu", "approximate", b"tanh"), "tanh"),
    "mask": (mask_left_out, "lacks"),
    "pooling": (another_pooling, "Sub"),
    "order of layers": (layers_swapped, "joined otherwise"),
    "a node": (one_node_more, "Add"),
    "a token": (turned_where(one_token), "Equal"),
    "large batches": (turned_where(many_rows), "Greater"),
    "opset": (operators_of_another_version, "joined otherwise"),
}


def structure(folder: Path) -> Structure:
    return describe((folder / MODEL).read_bytes(), file=MODEL)


@pytest.mark.parametrize("name", OTHERS)
def test_a_graph_that_computes_otherwise_is_another_structure(name: str, artifact: Path) -> None:
    """By whatever little, and on whichever inputs."""
    change, said = OTHERS[name]
    before = structure(artifact)
    forge_graph(artifact, change)
    assert structure(artifact).digest != before.digest
    assert said in structure(artifact).differences(before)


def names_and_order(model: onnx.ModelProto) -> None:
    """Everything has another name, and nodes stand as late as they can."""
    inputs = {each.name for each in model.graph.input}
    for tensor in model.graph.initializer:
        tensor.name = f"new_{tensor.name}"
    for node in model.graph.node:
        node.name = f"node {node.name}"
        for names in (node.input, node.output):
            names[:] = [name if name in inputs or not name else f"new_{name}" for name in names]
    model.graph.output[0].name = f"new_{model.graph.output[0].name}"
    left, ordered, wanted = list(model.graph.node), list[onnx.NodeProto](), set[str]()
    while left:  # backwards: what nobody who is left reads
        wanted = {name for node in left for name in node.input}
        (place,) = [place for place, node in enumerate(left) if not wanted & set(node.output)][:1]
        ordered.insert(0, left.pop(place))
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in ordered]
    del model.graph.node[:]
    model.graph.node.extend(copies)
    del model.graph.value_info[:]


def test_names_order_and_what_reaches_nothing_are_no_structure(artifact: Path) -> None:
    """Whoever writes a graph may name things as they like."""
    before = structure(artifact)
    forge_graph(artifact, names_and_order)
    assert structure(artifact).digest == before.digest
    assert structure(artifact).differences(before) == ""
    forge_graph(artifact, lambda model: model.graph.node.append(helper.make_node("Shape", ["input_ids"], ["nobody"])))
    assert structure(artifact).digest == before.digest


def test_a_constant_is_the_same_in_a_node_and_as_an_initializer(artifact: Path) -> None:
    """Exporters put it here or there."""
    before = structure(artifact)

    def as_node(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer.pop()
        model.graph.node.insert(0, helper.make_node("Constant", [], [tensor.name], value=tensor))

    forge_graph(artifact, as_node)
    assert structure(artifact).digest == before.digest


def test_a_value_that_is_made_twice_or_never_is_refused(artifact: Path) -> None:
    """Two readers might take it for two things."""

    def twice(model: onnx.ModelProto) -> None:
        model.graph.node.append(helper.make_node("Shape", ["input_ids"], [model.graph.node[0].output[0]]))

    forge_graph(artifact, lambda model: model.graph.node[5].input.append("nowhere"))
    with pytest.raises(ArtifactDamaged, match="'nowhere' is read before it is made"):
        structure(artifact)
    forge_graph(artifact, lambda model: model.graph.node[5].input.pop())
    forge_graph(artifact, twice)
    with pytest.raises(ArtifactDamaged, match="is made twice"):
        structure(artifact)


@pytest.mark.parametrize("name", ["scale", "eps", "large batches", "a node"])
def test_diff_names_what_its_texts_cannot_tell(name: str, artifact: Path, tiny_artifact: Path) -> None:
    """The probes agree about as well as machines do, so either verdict is right; the graphs are two in any case."""
    forge(artifact, OTHERS[name][0])
    found = compare(open_artifact(tiny_artifact), open_artifact(artifact))
    assert found.verdict in ("rebuilt", "contradiction")
    (said,) = [text for part, text in found.beside if part == "graph"]
    assert OTHERS[name][1] in said
    assert not [
        each
        for each in compare(open_artifact(tiny_artifact), open_artifact(tiny_artifact)).beside
        if each[0] == "graph"
    ]
