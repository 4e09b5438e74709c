"""The space id can be recomputed by anybody: a program that does not know samespace comes to the same digits."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from samespace.artifact import open_artifact

GOLDEN = Path(__file__).parents[3] / "golden"
VERIFIER = GOLDEN / "verify_space_id.py"


def verify(*paths: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(VERIFIER), *map(str, paths)]  # -I: no packages of this environment's paths
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_the_verifier_is_independent() -> None:
    """Sixty lines at most, and nothing imported but the standard library."""
    source = VERIFIER.read_text(encoding="utf-8")
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([each.name for each in node.names] if isinstance(node, ast.Import) else [node.module or ""])
    }
    assert len(source.splitlines()) <= 60 and imported <= sys.stdlib_module_names


def test_an_artifact_has_the_id_that_its_checkpoint_gives(tiny_artifact: Path, tiny_checkpoint: Path) -> None:
    """From the bytes of model.safetensors to the space id, each step by another program than samespace."""
    result = verify(tiny_artifact, tiny_checkpoint)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == open_artifact(tiny_artifact).space_id


def test_a_composite_is_verified_with_its_parts(tiny_artifact: Path, other_artifact: Path, tmp_path: Path) -> None:
    """Its id covers the ids of its parts, so each of them is recomputed too."""
    from samespace.exporting.composites.concatenate import combine

    combine([open_artifact(tiny_artifact), open_artifact(other_artifact)], tmp_path / "both")
    assert verify(tmp_path / "both").stdout.strip() == open_artifact(tmp_path / "both").space_id
    tokenizer = tmp_path / "both" / "part2" / "tokenizer.json"
    tokenizer.write_bytes(tokenizer.read_bytes() + b" ")
    assert "tokenizer.json" in verify(tmp_path / "both").stderr


@pytest.mark.parametrize("golden", sorted(GOLDEN.glob("manifest.format*.json")), ids=lambda path: path.name)
def test_released_manifests_keep_their_ids(golden: Path) -> None:
    """A manifest of each format that was ever written."""
    result = verify(golden)
    assert (result.returncode, result.stdout.strip()) == (0, json.loads(golden.read_text())["space_id"])


def test_a_changed_digit_of_the_identity_is_seen(tiny_artifact: Path, tmp_path: Path) -> None:
    """One hex digit of one weight's digest, and the id no longer fits."""
    folder = Path(shutil.copytree(tiny_artifact, tmp_path / "copy"))
    text = (folder / "manifest.json").read_text(encoding="utf-8")
    weight = json.loads(text)["identity"]["weights"][3][3]
    changed = weight[:-1] + ("0" if weight[-1] != "0" else "1")
    (folder / "manifest.json").write_text(text.replace(weight, changed), encoding="utf-8")
    result = verify(folder)
    assert result.returncode == 1 and re.search("identity gives [0-9a-f]{64}, the manifest says", result.stderr)


def test_a_changed_weight_of_the_checkpoint_is_seen(tiny_artifact: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    """One flipped bit of one tensor, and the checkpoint is named as another one."""
    data = bytearray((tiny_checkpoint / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(data)
    result = verify(tiny_artifact, tmp_path)
    assert result.returncode == 1 and "does not fit: weight backbone." in result.stderr


@pytest.mark.parametrize("name", ["tokenizer.json", "probes.npz", "model.fp32.onnx"])
def test_a_changed_file_is_seen(tiny_artifact: Path, tmp_path: Path, name: str) -> None:
    """Each listed file is hashed."""
    folder = Path(shutil.copytree(tiny_artifact, tmp_path / "copy"))
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    result = verify(folder)
    assert result.returncode == 1 and name in result.stderr


@pytest.fixture(scope="session")
def in_go(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The verifier in Go, built."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go here to build the second verifier with")
    program = tmp_path_factory.mktemp("go") / "verify"
    source = GOLDEN / "verify_space_id.go"
    subprocess.run([go, "build", "-o", str(program), str(source)], check=True, timeout=300)
    return program


def test_a_verifier_in_another_language_agrees(
    in_go: Path, tiny_artifact: Path, other_artifact: Path, tmp_path: Path
) -> None:
    """Written from the page alone: released manifests, a folder, a composite, doubles, strings and a certificate."""
    from samespace.artifact.certificate import certify, new_key
    from samespace.exporting.composites.concatenate import combine

    def run(*arguments: object) -> tuple[int, str]:
        done = subprocess.run([in_go, *map(str, arguments)], capture_output=True, text=True, timeout=60)
        return done.returncode, (done.stdout or done.stderr).strip()

    for golden in sorted(GOLDEN.glob("manifest.format*.json")):
        assert run(golden) == (0, json.loads(golden.read_text())["space_id"])
    parts = [open_artifact(tiny_artifact), open_artifact(other_artifact)]
    combine(parts, tmp_path / "both")
    assert run(tmp_path / "both") == (0, open_artifact(tmp_path / "both").space_id)
    new_key(tmp_path / "key")
    new_key(tmp_path / "stranger")
    certify(tmp_path / "both", tmp_path / "key")
    assert run(tmp_path / "both", tmp_path / "key.pub")[0] == 0
    assert run(tmp_path / "both", tmp_path / "stranger.pub") == (1, "does not fit: no signature of this key")
    odd = {"z": 1e-05, "a": [1, 1.0, 1e16, -0.0, 2.5e-7, 123456789.0, 0.0001, 1e22], 'é😀\n\u007f/"': [None, True]}
    (tmp_path / "odd.json").write_text(json.dumps({"identity": odd, "space_id": _digest(odd)}), encoding="utf-8")
    assert run(tmp_path / "odd.json") == (0, _digest(odd))
    tokenizer = tmp_path / "both" / "part2" / "tokenizer.json"
    tokenizer.write_bytes(tokenizer.read_bytes() + b" ")
    assert run(tmp_path / "both") == (1, "does not fit: bytes of tokenizer.json")


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
