"""Static embeddings as they are published become artifacts whose vectors are those of sentence-transformers."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from fakes.models.static import LAYOUTS, save_static, save_static_router
from samespace import Encoder
from samespace.artifact import open_artifact
from samespace.errors import GateFailed, ModelUnsupported, RequestInvalid
from samespace.exporting.request import ExportRequest, export_model
from samespace.model.rebuilt import compare_rebuilt
from samespace.runtime.verification import verify_artifact
from samespace.vectors import cosine_distance

pytestmark = pytest.mark.integration

FP32_CPU = 1e-6  # 1 - cosine
TEXTS = [
    "how do i reset the password",
    "a list",
    "[CLS] in a text",
    "ZÜRICH and 如何重置",
    "the value of the index " * 300,
]


def export(folder: Path, out: Path) -> Path:
    export_model(ExportRequest(str(folder), out))
    return out


@pytest.mark.parametrize("layout", LAYOUTS)
def test_vectors_are_those_of_sentence_transformers(layout: str, tmp_path: Path) -> None:
    """On the original folder, long texts and unknown tokens included; and the artifact is verified here."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    source = save_static(tmp_path / "model", layout)
    artifact = open_artifact(export(source, tmp_path / "artifact"))
    if (source / "modules.json").exists():
        model = SentenceTransformer(str(source), device="cpu")
    else:
        model = SentenceTransformer(modules=[StaticEmbedding.load(str(source))], device="cpu")
    wanted = model.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    with Encoder.load(artifact, runtime="onnxruntime") as encoder:
        found = encoder.encode_detailed(TEXTS, "passage")
    assert cosine_distance(np.asarray(found.vectors), wanted).max() <= FP32_CPU
    assert set(found.windows) == {1}
    verify_artifact(artifact).require()
    assert compare_rebuilt(artifact) <= FP32_CPU
    assert artifact.manifest.provenance["original"]["reference"].startswith("sentence-transformers")


@pytest.mark.skipif(find_spec("model2vec") is None, reason="model2vec is not installed: pip install model2vec")
@pytest.mark.parametrize("layout", ["potion", "model2vec", "quantized"])
def test_vectors_are_those_of_model2vec(layout: str, tmp_path: Path) -> None:
    """Of texts whose tokens the vocabulary has; model2vec leaves the others out, and the export says so."""
    from model2vec import StaticModel

    source = save_static(tmp_path / "model", layout)
    known = [TEXTS[0], TEXTS[1], "the value of the index " * 20]
    wanted = StaticModel.from_pretrained(str(source)).encode(known)
    with Encoder.load(export(source, tmp_path / "artifact"), runtime="onnxruntime") as encoder:
        found = encoder.encode(known, "query")
    assert cosine_distance(np.asarray(found), np.asarray(wanted)).max() <= FP32_CPU


def test_the_id_is_over_table_weights_and_tokenizer(tmp_path: Path) -> None:
    """One table in three layouts is one space; one weight of one token, or one row, is another."""
    ids = {
        layout: open_artifact(export(save_static(tmp_path / layout, layout), tmp_path / f"{layout}-out")).space_id
        for layout in ("sentence-transformers", "potion", "model2vec", "quantized")
    }
    assert len(set(ids.values())) == 2 and ids["potion"] == ids["model2vec"] == ids["sentence-transformers"]
    for name, change in (("weights", 5), ("mapping", 5), ("embeddings", (5, 0))):
        folder = tmp_path / f"changed-{name}"
        shutil.copytree(tmp_path / "quantized", folder)
        tensors = load_file(folder / "model.safetensors")
        tensors[name][change] = tensors[name][change] + 1
        save_file(tensors, folder / "model.safetensors")
        found = open_artifact(export(folder, tmp_path / f"{name}-out")).space_id
        assert found not in ids.values()


def test_a_text_without_a_token_has_no_vector(tmp_path: Path) -> None:
    """sentence-transformers gives zeros for it, which are near to nothing; here it is an error."""
    with Encoder.load(export(save_static(tmp_path / "model"), tmp_path / "artifact")) as encoder:
        with pytest.raises(RequestInvalid, match="no tokens"):
            encoder.encode(["a list", " "], "query")
        assert len(encoder.encode(["a list", "a"], "query")) == 2


def test_queries_of_a_router_may_be_static(tmp_path: Path) -> None:
    """One two-tower artifact; each route was held against sentence-transformers, and gives its vectors."""
    from sentence_transformers import SentenceTransformer

    source = save_static_router(tmp_path / "router")
    artifact = open_artifact(export(source, tmp_path / "artifact"))
    composite = artifact.manifest.composite
    assert composite is not None and composite.kind == "two_tower"
    for part in artifact.parts:
        assert part.manifest.provenance["original"]["reference"].startswith("sentence-transformers")
    model = SentenceTransformer(str(source), device="cpu")
    with Encoder.load(artifact, runtime="onnxruntime") as encoder:
        for role, encode in (("query", model.encode_query), ("passage", model.encode_document)):
            wanted = encode(TEXTS[:3], normalize_embeddings=True, show_progress_bar=False)
            assert cosine_distance(np.asarray(encoder.encode(TEXTS[:3], role)), wanted).max() <= FP32_CPU


def test_a_table_folded_otherwise_is_found_by_the_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights of tokens that are left out are another encoder, and nothing is written."""
    from samespace.model import static

    real = static.load_file
    monkeypatch.setattr(static, "load_file", lambda file: {k: v for k, v in real(file).items() if k != "weights"})
    with pytest.raises(GateFailed, match="sentence-transformers"):
        export(save_static(tmp_path / "model", "quantized"), tmp_path / "artifact")
    assert not (tmp_path / "artifact").exists()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"embeddings": np.ones((8, 4), dtype=np.int8)}, "int8"),
        ({"embeddings": np.full((200, 4), np.nan, dtype=np.float32)}, "not finite"),
        ({"embeddings": np.ones((8, 4), dtype=np.float32)}, "ids up to"),
        ({"mystery": np.ones(3, dtype=np.float32)}, "mystery"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    """By name: numbers of another kind, rows that tokens lack, tensors that nobody knows."""
    folder = save_static(tmp_path / "model", "model2vec")
    save_file(load_file(folder / "model.safetensors") | change, folder / "model.safetensors")
    with pytest.raises(ModelUnsupported, match=reason):
        export(folder, tmp_path / "artifact")


def test_unknown_keys_and_poolings_are_refused(tmp_path: Path) -> None:
    """A setting that nobody understood may be another encoder."""
    folder = save_static(tmp_path / "model", "model2vec")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"mystery": 1}))
    with pytest.raises(ModelUnsupported, match="mystery"):
        export(folder, tmp_path / "artifact")
