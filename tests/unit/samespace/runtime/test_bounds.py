"""What a build may differ by is not its author's word alone."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.models.forgery import forge_manifest
from samespace.artifact import open_artifact
from samespace.errors import BuildError
from samespace.runtime import load_artifact
from samespace.runtime.verification import verify_artifact


@pytest.mark.parametrize("precision", ["int8", "fp16", "fp32"])
def test_a_build_of_other_weights_is_not_verified_by_a_bound_of_its_author(
    tiny_artifact: Path, tmp_path: Path, precision: str
) -> None:
    """The manifest said how far the build may be from the space's vectors, and cosine .82 was "verified"."""
    onnx, artifact = pytest.importorskip("onnx"), Path(shutil.copytree(tiny_artifact, tmp_path / "forged"))
    model, draw = onnx.load(artifact / "model.fp32.onnx"), np.random.default_rng(0)
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.ndim == 2 and values.size > 200:
            noisy = values + 0.3 * values.std() * draw.standard_normal(values.shape)
            tensor.CopyFrom(onnx.numpy_helper.from_array(noisy.astype("f4"), tensor.name))
    data = model.SerializeToString()
    (artifact / "model.other.onnx").write_bytes(data)

    def change(manifest: dict[str, Any]) -> None:
        entry = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        manifest["files"]["model.other.onnx"] = entry
        exact = next(build for build in manifest["builds"] if build["name"] == "fp32")
        wide = {**exact["measured"][0], "precision": precision, "worst": 0.2, "bound": 0.249}
        other = {**exact, "name": "int8", "file": "model.other.onnx", "measured": [wide]}
        manifest["builds"] = [exact, other]

    forge_manifest(artifact, change)
    found = verify_artifact(open_artifact(artifact))
    assert [build.right for build in found.encoders[0].builds][-1] is False
    with pytest.raises(BuildError):
        load_artifact(open_artifact(artifact), build="int8")
