"""Manifests and folders that mean harm: names that lead elsewhere, links, sizes, nesting, mutations."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.models.forgery import MODEL, forge_file, forge_manifest
from samespace.artifact import Manifest, Probes, open_artifact, write_artifact
from samespace.artifact import manifest as manifests
from samespace.artifact.composite import concatenation
from samespace.errors import ArtifactError

GOLDEN = Path(__file__).parents[1] / "golden" / "manifest.format1.json"


def move_file(to: str) -> Callable[[dict[str, Any]], None]:
    """List the model, and let the build name it, under another name."""

    def change(value: dict[str, Any]) -> None:
        value["files"][to] = value["files"].pop(MODEL)
        for build in value["builds"]:
            build["file"] = to

    return change


@pytest.mark.parametrize(
    "name",
    ["../model.fp32.onnx", "/etc/passwd", "sub/model.onnx", "..\\model.onnx", "\u2025/model.onnx", "a\0.onnx", "."],
)
def test_a_name_that_leads_elsewhere_is_refused(artifact: Path, refused: Callable[..., None], name: str) -> None:
    """Traversal, absolute paths, other separators: names are plain, even if there is such a file."""
    (artifact.parent / MODEL).write_bytes((artifact / MODEL).read_bytes())
    forge_manifest(artifact, move_file(name))
    refused("manifest.json", "file name")


@pytest.mark.parametrize("name", [MODEL, "tokenizer.json", "probes.npz", "manifest.json", "README.md"])
def test_a_link_or_a_pipe_is_refused(artifact: Path, refused: Callable[..., None], name: str) -> None:
    """A link may point to other bytes tomorrow, and reading a pipe waits for ever."""
    (artifact / name).rename(artifact.parent / "outside")
    (artifact / name).symlink_to(artifact.parent / "outside")
    refused(name, "symbolic link")
    (artifact / name).unlink()
    os.mkfifo(artifact / name)
    refused(name, "plain file|missing")


@pytest.mark.parametrize("name", [MODEL, "tokenizer.json", "probes.npz"])
def test_wrong_digests_are_refused(artifact: Path, refused: Callable[..., None], name: str) -> None:
    """One bit, at equal size, in any file that a runtime would come to see."""
    data = bytearray((artifact / name).read_bytes())
    data[len(data) // 2] ^= 1
    (artifact / name).write_bytes(data)
    refused(name, "sha256")


def test_a_swapped_tokenizer_is_refused_by_the_identity(artifact: Path, refused: Callable[..., None]) -> None:
    """The files' digests are signed again, the identity is not: it names the tokenizer too."""
    wanted = json.loads((artifact / "manifest.json").read_text())["identity"]["tokenizer"]
    forge_file(artifact, "tokenizer.json", (artifact / "tokenizer.json").read_bytes() + b"\n")
    forge_manifest(artifact, lambda value: value["identity"].update(tokenizer=wanted))
    refused("manifest.json", "another tokenizer.json than the identity")


@pytest.mark.parametrize("dims", [0, -1, 65_537, 10**30, 33, 2**31])
def test_dims_that_nothing_has_are_refused(artifact: Path, refused: Callable[..., None], dims: int) -> None:
    """Huge dims would be allocated; other dims contradict the probes and the graph."""
    forge_manifest(artifact, lambda value: value["identity"].update(dims=dims))
    refused("probes.npz" if dims == 33 else "manifest.json", f"{dims}")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"format": 1, "format": 1}', "stands twice"),
        (b'{"format": 99}', "format 99, this samespace reads up to"),
        (b'{"format": 1e999}', "format is inf"),
        (b'{"format": NaN}', "NaN"),
        (b'{"format": ' + b"1" * 10_000 + b"}", "digits"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a":' * 100_000, "not JSON"),
        (b" " * (17 << 20), "at most"),
        (b"\xff\xfe{", "not JSON"),
        (b"{}", "format is None"),
        (b"", "not JSON"),
    ],
)
def test_what_is_no_manifest_is_refused(artifact: Path, refused: Callable[..., None], data: bytes, reason: str) -> None:
    """Keys twice, newer formats, numbers and nesting without end, megabytes of nothing."""
    (artifact / "manifest.json").write_bytes(data)
    refused("manifest.json", reason)


@pytest.mark.parametrize("depth", [100, 500, *range(960, 1000)])
def test_nesting_is_refused_at_every_depth(artifact: Path, depth: int) -> None:
    """Between what JSON's reader takes and what its writer takes, no RecursionError escapes."""
    text = (artifact / "manifest.json").read_text()
    nested = '"architecture": {"x": ' + "[" * depth + "]" * depth + ","
    (artifact / "manifest.json").write_text(text.replace('"architecture": {', nested, 1))
    with pytest.raises(ArtifactError, match=r"manifest\.json"):
        open_artifact(artifact)


@pytest.mark.parametrize(
    "change",
    [
        lambda recipe: recipe.update(token_limit=10**9),
        lambda recipe: recipe.update(window_overlap=10**9),
        lambda recipe: recipe["prompts"].update(query="\ud800"),
        lambda recipe: recipe["prompts"].update(query="word " * 40),
        lambda recipe: recipe.update(token_limit=4, window_overlap=3),
        lambda recipe: recipe.update(combine="exec"),
    ],
)
def test_a_recipe_that_cannot_work_is_refused(
    artifact: Path, refused: Callable[..., None], change: Callable[[dict[str, Any]], Any]
) -> None:
    """A prompt that leaves no room, one that is no text, limits beyond reason."""
    forge_manifest(artifact, lambda value: change(value["identity"]["recipe"]))
    refused("manifest.json", "recipe|prompt|token_limit|does not fit tokenizer")


@pytest.fixture
def composite(tiny_artifact: Path, other_artifact: Path, tmp_path: Path) -> Path:
    """A concatenation of the two tiny encoders, without running either."""
    parts = {"part1": open_artifact(tiny_artifact), "part2": open_artifact(other_artifact)}
    identity = concatenation([(part.space_id, 32) for part in parts.values()])
    digests = {
        name: hashlib.sha256((part.folder / "manifest.json").read_bytes()).hexdigest() for name, part in parts.items()
    }
    probes = Probes(("a",), ("passage",), np.eye(1, 64, dtype=np.float32)).to_bytes()
    write_artifact(
        tmp_path / "both",
        {"probes.npz": probes},
        lambda files: Manifest("both", identity, files, (), parts=digests),
        parts=parts,
    )
    return tmp_path / "both"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda root: (root / "part2" / "tokenizer.json").unlink(), "tokenizer.json"),
        (lambda root: forge_manifest(root / "part2", lambda value: value.update(name="other")), "the composite says"),
        (lambda root: shutil.rmtree(root / "part2"), "plain folder"),
        (lambda root: swap_for_link(root / "part2"), "plain folder"),
        (lambda root: forge_manifest(root, lambda value: value["parts"].update({"../part3": "0" * 64})), "parts"),
        (lambda root: forge_manifest(root, lambda value: value["identity"]["parts"].reverse()), "sha256|is space"),
        (lambda root: forge_manifest(root, nested_in_itself), "parts"),
    ],
)
def test_a_composite_is_refused_with_its_parts(composite: Path, change: Callable[[Path], Any], reason: str) -> None:
    """What holds for an artifact holds for each part of it, and the parts are those of the identity."""
    assert len(open_artifact(composite).parts) == 2
    change(composite)
    with pytest.raises(ArtifactError, match=reason):
        open_artifact(composite)


def swap_for_link(folder: Path) -> None:
    folder.rename(folder.parent.parent / "elsewhere")
    folder.symlink_to(folder.parent.parent / "elsewhere")


def nested_in_itself(value: dict[str, Any]) -> None:
    value["identity"]["parts"][1] = [value["space_id"], 64, 1.0]
    value["identity"]["dims"] = 96
    value["parts"] = {"part1": value["parts"]["part1"], "..": "0" * 64}


@given(data=st.data())
@settings(max_examples=2000, deadline=None)
def test_mutated_manifests_never_crash(data: st.DataObject) -> None:
    """Any value at any place, signed again or not, is read or refused."""
    value = json.loads(GOLDEN.read_text(encoding="utf-8"))
    for _ in range(data.draw(st.integers(1, 3))):
        _mutate(value, data)
    with contextlib.suppress(ArtifactError):
        assert isinstance(manifests.parse(json.dumps(value).encode()), Manifest)


@given(data=st.data())
@settings(max_examples=2000, deadline=None)
def test_mutated_bytes_never_crash(data: st.DataObject) -> None:
    """The same for the file's bytes."""
    raw = bytearray(GOLDEN.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 40))] = data.draw(
            st.binary(max_size=4) | st.sampled_from([b"{", b"[[", b'"'])
        )
    with contextlib.suppress(ArtifactError):
        assert isinstance(manifests.parse(bytes(raw)), Manifest)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["encoder", "two_tower", 2**70])
)


def _mutate(value: dict[str, Any], data: st.DataObject) -> None:
    node: Any = value
    while True:
        key = data.draw(st.sampled_from(list(node) if isinstance(node, dict) else list(range(len(node)))))
        if isinstance(node[key], dict | list) and node[key] and data.draw(st.booleans()):
            node = node[key]
            continue
        choice = data.draw(st.integers(0, 3))
        if choice == 0 and isinstance(node, dict):
            node[data.draw(st.text(max_size=5))] = node.pop(key)
        elif choice == 1:
            del node[key]
        else:
            node[key] = data.draw(SCALARS | st.lists(SCALARS) | st.dictionaries(st.text(), SCALARS))
        return
