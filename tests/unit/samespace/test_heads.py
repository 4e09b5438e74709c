"""Heads: the same numbers in numpy, in torch's export and behind an artifact's graph, and one space for all of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from samespace import Encoder, SpaceMismatch
from samespace.artifact import open_artifact
from samespace.errors import GateFailed, ModelUnsupported, RequestInvalid
from samespace.exporting import heads as export_heads
from samespace.exporting.builds.exact import GATES
from samespace.exporting.composites.towers import export_towers
from samespace.exporting.heads import headed
from samespace.exporting.package import export_artifact
from samespace.heads import NUMBERS, DenseLayer, Head, Heads, load_heads
from samespace.model.checkpoint import CheckpointEncoder, load_checkpoint
from samespace.model.transform import Transform
from samespace.text import ROLES
from samespace.vectors import Vectors, cosine_distance, normalise

TEXTS = ["", "reset the password", "error code", "how do I flatten a list"]
LONG = "vector space " * 60
A, B = "a" * 64, "b" * 64


def head_of(source_dims: int, dims: int, *, hidden: int = 0, seed: int = 0) -> Head:
    """Random layers: one, or two with a ReLU between."""
    random = np.random.default_rng(seed)

    def layer(rows: int, columns: int, activation: str) -> DenseLayer:
        numbers = random.normal(size=(rows, columns)) / np.sqrt(columns), random.normal(size=rows) / 10
        return DenseLayer(*(each.astype(np.float32) for each in numbers), activation)

    if not hidden:
        return Head((layer(dims, source_dims, "identity"),))
    return Head((layer(hidden, source_dims, "relu"), layer(dims, hidden, "identity")))


def unit(rows: int, dims: int) -> np.ndarray:
    return normalise(np.random.default_rng(7).normal(size=(rows, dims)))


@pytest.mark.parametrize("hidden", [0, 48])
def test_a_head_is_folded_into_the_graph_from_a_checkpoint_and_from_an_artifact(
    tiny_checkpoint: Path, tiny_artifact: Path, tmp_path: Path, hidden: int
) -> None:
    """Both exports are one space, and give what the base's vectors give with the head in numpy."""
    head = head_of(32, 24, hidden=hidden)
    from_torch = export_artifact(headed(load_checkpoint(tiny_checkpoint), head), tmp_path / "torch").artifact
    from_graph = export_artifact(headed(open_artifact(tiny_artifact), head), tmp_path / "graph").artifact
    assert from_torch.space_id == from_graph.space_id != open_artifact(tiny_artifact).space_id
    assert from_torch.manifest.identity == from_graph.manifest.identity
    wanted = head.apply(np.asarray(Encoder.load(tiny_artifact, build="fp32").encode(TEXTS, "passage")))
    for artifact in (from_torch, from_graph):
        encoder = Encoder.load(artifact, build="fp32")
        found = np.asarray(encoder.encode(TEXTS, "passage"))
        assert encoder.dims == 24 and cosine_distance(found, wanted).max() <= GATES["fp32"]
    # A long text's windows go through the head one by one, and are pooled behind it.
    ours, theirs = (
        np.asarray(Encoder.load(each, build="fp32").encode([LONG], "query")) for each in (from_torch, from_graph)
    )
    assert cosine_distance(ours, theirs).max() <= GATES["fp32"]
    card = (from_graph.folder / "README.md").read_text()
    assert "worst 1 - cos to the base's fp32 build and numpy" in card


def test_a_head_after_a_transform_and_a_head_after_a_head(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """The transform becomes a layer; names in the graph stay apart; checkpoint and artifact agree on the space."""
    random = np.random.default_rng(3)
    transform = Transform("pca", random.normal(size=(16, 32)).astype(np.float32), np.zeros(16, np.float32))
    checkpoint = load_checkpoint(tiny_checkpoint).transformed(transform)
    base = export_artifact(checkpoint, tmp_path / "base").artifact
    first, second = head_of(16, 12), head_of(12, 8, hidden=20, seed=1)
    in_torch = headed(headed(checkpoint, first), second)
    once = export_artifact(headed(base, first), tmp_path / "once").artifact
    twice = export_artifact(headed(once, second), tmp_path / "twice").artifact
    assert in_torch.identity.space_id() == twice.space_id
    found = np.asarray(Encoder.load(twice, build="fp32").encode(TEXTS, "query"))
    wanted = second.apply(first.apply(np.asarray(CheckpointEncoder(checkpoint).encode(TEXTS, "query"))))
    assert cosine_distance(found, wanted).max() <= GATES["fp32"]


def test_the_gate_sees_a_wrong_graph(tiny_artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph with another head than the identity names is not written: the gate can fail."""
    extended = export_heads.extended
    monkeypatch.setattr(export_heads, "extended", lambda graph, head: extended(graph, head_of(32, 24, seed=5)))
    with pytest.raises(GateFailed):
        export_artifact(headed(open_artifact(tiny_artifact), head_of(32, 24)), tmp_path / "wrong")
    assert not (tmp_path / "wrong").exists()


def test_two_heads_are_a_two_tower(tiny_artifact: Path, other_artifact: Path, tmp_path: Path) -> None:
    """Two frozen encoders of different spaces, each with a head: one artifact, one space, two graphs."""
    heads = {"query": head_of(32, 16), "passage": head_of(32, 16, hidden=40, seed=2)}
    bases = {"query": tiny_artifact, "passage": other_artifact}
    towers = [headed(open_artifact(bases[role]), heads[role]) for role in ROLES]
    artifact = export_towers(towers, tmp_path / "both", anyway=True, joined_as="towers").artifact
    encoder = Encoder.load(artifact, build="fp32")
    assert artifact.manifest.composite is not None and artifact.manifest.composite.kind == "two_tower"
    for role in ROLES:
        base = np.asarray(Encoder.load(bases[role], build="fp32").encode(TEXTS, role))
        assert cosine_distance(np.asarray(encoder.encode(TEXTS, role)), heads[role].apply(base)).max() <= GATES["fp32"]
    assert encoder.encode(TEXTS, "query").compare(encoder.encode(TEXTS, "passage")).shape == (4, 4)
    with pytest.raises(ModelUnsupported, match="composite"):
        headed(artifact, head_of(16, 8))


def test_sentence_transformers_folder_with_normalize_inside_is_the_same_space(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """Transformer, Pooling, Normalize, Dense, Normalize is an encoder with a head: same numbers, same space."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize

    head = head_of(32, 24)
    base = SentenceTransformer(str(tiny_checkpoint), device="cpu")
    dense = Dense(32, 24, activation_function=torch.nn.Identity())
    dense.linear.load_state_dict(
        {"weight": torch.from_numpy(head.layers[0].weight), "bias": torch.from_numpy(head.layers[0].bias)}
    )
    model = SentenceTransformer(modules=[base[0], base[1], Normalize(), dense, Normalize()], device="cpu")
    model.save_pretrained(str(tmp_path / "saved"), create_model_card=False)
    ours = load_checkpoint(tmp_path / "saved")
    assert ours.identity.space_id() == headed(load_checkpoint(tiny_checkpoint), head).identity.space_id()
    found = np.asarray(CheckpointEncoder(ours).encode(TEXTS[1:], "passage"))
    assert cosine_distance(found, model.encode(TEXTS[1:])).max() <= GATES["fp32"]


def test_a_head_survives_its_folder(tmp_path: Path) -> None:
    """Numbers, sources and space id come back; a head of both roles is written once."""
    query, passage = head_of(6, 4), head_of(5, 4, hidden=9, seed=1)
    for heads in (Heads(query, query, {"query": A, "passage": A}), Heads(query, passage, {"query": A, "passage": B})):
        heads.save(tmp_path / "head", replace=True, record={"rate": 0.1})
        again = load_heads(tmp_path / "head")
        assert (again.shared, again.space_id(), again.dims) == (heads.shared, heads.space_id(), 4)
        for role in ROLES:
            rows = unit(3, heads.of(role).source_dims)
            assert np.array_equal(again.apply(rows, role), heads.apply(rows, role))
    facts = json.loads((tmp_path / "head" / "head.json").read_text())
    assert facts["space_id"] == heads.space_id() and facts["record"] == {"rate": 0.1}
    data = bytearray((tmp_path / "head" / NUMBERS).read_bytes())
    data[-2] ^= 1
    (tmp_path / "head" / NUMBERS).write_bytes(data)
    with pytest.raises(ModelUnsupported, match="its numbers make space"):
        load_heads(tmp_path / "head")
    with pytest.raises(ModelUnsupported, match="holds no head"):
        load_heads(tmp_path)


def test_a_head_keeps_spaces_apart() -> None:
    """Vectors of the source become vectors of the head's space; of another space they are refused."""
    head = head_of(6, 4)
    heads = Heads(head, head, {"query": A, "passage": A})
    found = heads.apply(Vectors(unit(3, 6), A), "query")
    assert found.space_id == heads.space_id() and found.space_id not in (A, None)
    assert np.allclose(np.linalg.norm(np.asarray(found), axis=1), 1)
    with pytest.raises(SpaceMismatch):
        heads.apply(Vectors(unit(3, 6), B), "query")
    unknown = Heads(head, head, {"query": None, "passage": None})
    assert unknown.space_id() is None and unknown.apply(unit(3, 6), "passage").shape == (3, 4)
    with pytest.raises(RequestInvalid, match="does not know which space"):
        unknown.apply(Vectors(unit(3, 6), A), "query")
    with pytest.raises(RequestInvalid, match=r"expected \(n, 6\)"):
        head.apply(unit(3, 5))


def test_numbers_that_do_not_fit_are_refused() -> None:
    """Layers that do not follow each other, roles that lead to other dims, NaN, an unknown activation."""
    good = DenseLayer(np.eye(3, 2, dtype=np.float32), np.zeros(3, np.float32))
    with pytest.raises(ModelUnsupported):
        Head((good, good))
    with pytest.raises(ModelUnsupported):
        Heads(head_of(4, 3), head_of(4, 2), {"query": None, "passage": None})
    for weight, bias, activation in (
        (good.weight * np.nan, good.bias, "relu"),
        (good.weight, good.bias[:2], "relu"),
        (good.weight, good.bias, "tanh"),
    ):  # fmt: skip
        with pytest.raises(ModelUnsupported, match="expected one of"):
            DenseLayer(weight, bias, activation)
