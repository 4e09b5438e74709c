"""Forged artifacts: changed, and signed again so that every digest fits, as an attacker who publishes one would do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from samespace.artifact import open_artifact
from samespace.runtime import load_build

MODEL = "model.fp32.onnx"


def load(folder: Path) -> None:
    """What a program does with an artifact that it was given: open it and load the exact build."""
    load_build(open_artifact(folder), build="fp32", runtime="onnxruntime")


def forge_manifest(folder: Path, change: Callable[[dict[str, Any]], Any], *, sign: bool = True) -> None:
    """Change the manifest's values; *sign* puts the space id and dims that fit the changed identity."""
    path = folder / "manifest.json"
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    if sign:
        text = json.dumps(value["identity"], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        value["space_id"] = hashlib.sha256(text.encode()).hexdigest()
        value["dims"] = value["identity"]["dims"]
    path.write_text(json.dumps(value), encoding="utf-8")


def forge_file(folder: Path, name: str, data: bytes) -> None:
    """Put another file in place of *name*, and its digest wherever the artifact holds one."""
    (folder / name).write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()

    def sign(value: dict[str, Any]) -> None:
        value["files"][name] = {"sha256": digest, "bytes": len(data)}
        if name == "tokenizer.json":
            value["identity"]["tokenizer"] = digest

    forge_manifest(folder, sign)


def forge_graph(folder: Path, change: Callable[[onnx.ModelProto], Any]) -> None:
    """Change the model through onnx's own classes."""
    model = onnx.ModelProto.FromString((folder / MODEL).read_bytes())
    change(model)
    forge_file(folder, MODEL, model.SerializeToString())


def forge_tokenizer(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the values of tokenizer.json."""
    value = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    change(value)
    forge_file(folder, "tokenizer.json", json.dumps(value).encode())


def add_build_of_other_weights(folder: Path, share: float = 0.3) -> None:
    """An "int8" build: the fp32 graph with noise of *share* standard deviations on every matrix, and a wide bound."""
    model = onnx.ModelProto.FromString((folder / MODEL).read_bytes())
    draw = np.random.default_rng(0)
    for each in model.graph.initializer:
        values = numpy_helper.to_array(each)
        if values.dtype == np.float32 and values.ndim == 2 and values.size > 200:
            noise = share * values.std() * draw.standard_normal(values.shape)
            each.CopyFrom(numpy_helper.from_array((values + noise).astype(np.float32), each.name))
    name, data = "model.int8.onnx", model.SerializeToString()
    (folder / name).write_bytes(data)

    def sign(value: dict[str, Any]) -> None:
        value["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        fp32 = next(build for build in value["builds"] if build["name"] == "fp32")
        bounds = {"precision": "int8", "worst": 0.2, "bound": 0.249, "ndcg_change": 0.1, "gate_data": "scifact"}
        measured = [{**fp32["measured"][0], **bounds}]
        value["builds"].append({**fp32, "name": "int8", "file": name, "measured": measured})

    forge_manifest(folder, sign)
