"""Forged artifacts: changed, and signed again so that every digest fits, as an attacker who publishes one would do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx

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
