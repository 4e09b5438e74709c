"""Artifacts that say a space id which is not theirs, with every digest and every probe made to fit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from fakes.models.forgery import MODEL, forge_file, forge_graph, load
from samespace.artifact import Probes, open_artifact
from samespace.artifact.compare import compare
from samespace.embed import embed_roles
from samespace.errors import ArtifactDamaged
from samespace.runtime.verification import verify_artifact

WEIGHT = "backbone.embeddings.word_embeddings.weight"
NORM = "backbone.encoder.layer.0.output.LayerNorm.weight"
Change = Callable[[onnx.ModelProto], Any]


def initializer(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    return next(each for each in model.graph.initializer if each.name == name)


def permuted(model: onnx.ModelProto) -> None:
    """The issue's: the rows of the word embeddings in another order."""
    tensor = initializer(model, WEIGHT)
    rows = numpy_helper.to_array(tensor)
    tensor.CopyFrom(numpy_helper.from_array(rows[np.random.default_rng(7).permutation(len(rows))], WEIGHT))


def kept_and_not_used(model: onnx.ModelProto) -> None:
    """The weight that the id names is in the file, and another one is read."""
    permuted(model)
    tensor = initializer(model, WEIGHT)
    other = numpy_helper.from_array(numpy_helper.to_array(tensor), "another")
    original = numpy_helper.to_array(tensor)[np.argsort(np.random.default_rng(7).permutation(tensor.dims[0]))]
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(original), WEIGHT))
    model.graph.initializer.append(other)
    for node in model.graph.node:
        node.input[:] = ["another" if name == WEIGHT else name for name in node.input]


def used_for_its_shape(model: onnx.ModelProto) -> None:
    """The same, and the right weight is asked how large it is."""
    kept_and_not_used(model)
    sizes = helper.make_node("Shape", [WEIGHT], ["sizes"])
    zero = helper.make_node("Cast", ["sizes_none"], ["sizes_float"], to=1)
    none = helper.make_node("Sub", ["sizes", "sizes"], ["sizes_none"])
    total = helper.make_node("ReduceSum", ["sizes_float"], ["sizes_sum"], keepdims=0)
    last = model.graph.node[-1]
    last.output[0] = "before_sizes"
    added = helper.make_node("Add", ["before_sizes", "sizes_sum"], [model.graph.output[0].name])
    model.graph.node.extend([sizes, none, zero, total, added])


def one_more_weight(model: onnx.ModelProto) -> None:
    """Something is added that the id does not name."""
    values = np.random.default_rng(3).normal(size=32).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(values, "push"))
    model.graph.node[-1].output[0] = "before_push"
    model.graph.node.append(helper.make_node("Add", ["before_push", "push"], [model.graph.output[0].name]))


def a_constant_node(model: onnx.ModelProto) -> None:
    """The same, in a node instead of an initializer."""
    values = numpy_helper.from_array(np.random.default_rng(3).normal(size=32).astype(np.float32))
    model.graph.node[-1].output[0] = "before_push"
    model.graph.node.append(helper.make_node("Constant", [], ["push"], value=values))
    model.graph.node.append(helper.make_node("Add", ["before_push", "push"], [model.graph.output[0].name]))


def order_of_ids(model: onnx.ModelProto) -> None:
    """A table of whole numbers that sends each id to another."""
    order = np.random.default_rng(7).permutation(initializer(model, WEIGHT).dims[0]).astype(np.int64)
    model.graph.initializer.append(numpy_helper.from_array(order, "order"))
    first = helper.make_node("Gather", ["order", "input_ids"], ["moved_ids"])
    for node in model.graph.node:
        node.input[:] = [
            "moved_ids" if name == "input_ids" and node.op_type == "Gather" else name for name in node.input
        ]
    model.graph.node.insert(0, first)


def ids_turned_round(model: onnx.ModelProto) -> None:
    """All weights are there and used; arithmetic alone sends each id to another."""
    most = initializer(model, WEIGHT).dims[0] - 1
    model.graph.initializer.append(numpy_helper.from_array(np.array(most, dtype=np.int64), "most"))
    first = helper.make_node("Sub", ["most", "input_ids"], ["moved_ids"])
    for node in model.graph.node:
        node.input[:] = [
            "moved_ids" if name == "input_ids" and node.op_type == "Gather" else name for name in node.input
        ]
    model.graph.node.insert(0, first)


def layers_swapped(model: onnx.ModelProto) -> None:
    """Two layers with the weights of each other."""
    names = {each.name for each in model.graph.initializer}
    # By place: the exporter renames matrices that it transposes, and biases that are equal are in the file once.
    products = [node for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in names]
    half = len(products) // 2
    assert half and len(products) == 2 * half
    for one, other in zip(products[:half], products[half:], strict=True):
        one.input[1], other.input[1] = other.input[1], one.input[1]


def forge(folder: Path, change: Change) -> None:
    """Change the graph, make the probes of what it computes now, and sign both; the identity stays as it was."""
    forge_graph(folder, change)
    artifact = open_artifact(folder)
    session = onnxruntime.InferenceSession((folder / MODEL).read_bytes())

    def run(ids: Any, mask: Any) -> Any:
        return session.run(None, {"input_ids": ids, "attention_mask": mask})[0]

    old = artifact.probes()
    vectors = embed_roles(run, artifact.text_encoder(), old.texts, old.roles, dims=old.vectors.shape[1])
    forge_file(folder, "probes.npz", Probes(old.texts, old.roles, vectors).to_bytes())


@pytest.fixture
def original(tiny_artifact: Path, tmp_path: Path) -> Path:
    """Another copy, left as it is."""
    return Path(shutil.copytree(tiny_artifact, tmp_path / "original"))


WEIGHTS: list[tuple[Change, str]] = [
    (permuted, "not in it; 'backbone.embeddings.word_embeddings.weight' is not"),
    (kept_and_not_used, "nothing of it reaches the vectors"),
    (used_for_its_shape, "nothing of it reaches the vectors"),
    (one_more_weight, "'push' of shape .32., which its space id does not name"),
    (a_constant_node, "'push' of shape .32., which its space id does not name"),
    (order_of_ids, "'order' of shape .*which its space id does not name"),
]


@pytest.mark.parametrize(("change", "reason"), WEIGHTS)
def test_weights_of_another_encoder_are_found(change: Change, reason: str, artifact: Path) -> None:
    """Before a session is made: by `verify`, and by whoever loads it."""
    space_id = open_artifact(artifact).space_id
    forge(artifact, change)
    assert open_artifact(artifact).space_id == space_id
    with pytest.raises(ArtifactDamaged, match=reason):
        verify_artifact(str(artifact))
    with pytest.raises(ArtifactDamaged, match=reason):
        load(artifact)


@pytest.mark.parametrize("change", [permuted, layers_swapped, ids_turned_round])
def test_one_id_with_other_probes_is_a_contradiction(change: Change, artifact: Path, original: Path) -> None:
    """Equal ids are no reason to compare vectors whose probes disagree."""
    forge(artifact, change)
    assert compare(open_artifact(original), open_artifact(artifact)).verdict == "contradiction"
    assert compare(open_artifact(original), open_artifact(original)).verdict == "same"


def test_an_artifact_that_is_what_it_says_is_proved(artifact: Path) -> None:
    """Every weight of the identity, by its name."""
    opened = open_artifact(artifact)
    assert set(opened.find_weights().weights) == {weight.name for weight in opened.manifest.encoder.weights}
