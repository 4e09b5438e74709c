"""Recompute an artifact's space id by docs/spec/space-id.md, with Python's standard library and nothing else.

Call: python verify_space_id.py ARTIFACT_FOLDER_OR_MANIFEST [CHECKPOINT_FOLDER]
With a folder, its files are hashed too; with a checkpoint, so is every tensor of its model.safetensors that the
identity names. Ends with status 1 and the reason at the first thing that does not fit.
"""

import hashlib
import json
import sys
from pathlib import Path

DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32"}


def digest(data):
    return hashlib.sha256(data).hexdigest()


def check(condition, reason):
    if not condition:
        sys.exit(f"does not fit: {reason}")


def verify_manifest(path):
    manifest = json.loads(path.read_text(encoding="utf-8"))
    identity = manifest["identity"]
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    found = digest(text.encode("ascii"))
    check(found == manifest["space_id"], f"identity gives {found}, the manifest says {manifest['space_id']}")
    return manifest


def verify_folder(folder):
    manifest = verify_manifest(folder / "manifest.json")
    for name, entry in manifest["files"].items():
        check(digest((folder / name).read_bytes()) == entry["sha256"], f"bytes of {name}")
    if "tokenizer" in manifest["identity"]:
        check(manifest["files"]["tokenizer.json"]["sha256"] == manifest["identity"]["tokenizer"], "tokenizer.json")
    for part, (space_id, _, _) in zip(manifest.get("parts", ()), manifest["identity"].get("parts", ()), strict=True):
        check(digest((folder / part / "manifest.json").read_bytes()) == manifest["parts"][part], f"manifest of {part}")
        check(verify_folder(folder / part)["space_id"] == space_id, f"space id of {part}")
    return manifest


def verify_weights(identity, path):
    data = path.read_bytes()  # 8 bytes of header length, the header as JSON, the tensors' bytes
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    for name, dtype, shape, sha256 in identity["weights"]:
        tensor = header[name.removeprefix("backbone.")]
        begin, end = tensor["data_offsets"]
        found = [DTYPES[tensor["dtype"]], tensor["shape"], digest(data[start + begin : start + end])]
        check(found == [dtype, shape, sha256], f"weight {name}: checkpoint {found}")


manifest = (verify_folder if Path(sys.argv[1]).is_dir() else verify_manifest)(Path(sys.argv[1]))
if len(sys.argv) > 2:
    verify_weights(manifest["identity"], Path(sys.argv[2]) / "model.safetensors")
print(manifest["space_id"])  # noqa: T201 - it is a program
