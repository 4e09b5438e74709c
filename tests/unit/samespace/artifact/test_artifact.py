"""An artifact is whole and itself, or it is refused with the name of the file and the reason."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from samespace.artifact import Manifest, open_artifact, verify_files, write_artifact
from samespace.artifact import manifest as manifests
from samespace.artifact.fingerprint import canonical_json, relevant_settings
from samespace.errors import ArtifactDamaged, ArtifactError, FormatTooNew, ManifestInvalid


@pytest.fixture
def copy(tiny_artifact: Path, tmp_path: Path) -> Path:
    """A copy of the tiny artifact that a test may damage."""
    return Path(shutil.copytree(tiny_artifact, tmp_path / "copy"))


def edit(folder: Path, change: Any) -> None:
    path = folder / "manifest.json"
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")


def test_the_space_id_is_recomputed_from_the_manifest_alone(tiny_artifact: Path) -> None:
    """sha256 over the identity as JSON with sorted keys and no spaces, as docs/spec/space-id.md says it."""
    value = json.loads((tiny_artifact / "manifest.json").read_text(encoding="utf-8"))
    text = json.dumps(value["identity"], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    assert hashlib.sha256(text.encode()).hexdigest() == value["space_id"] == open_artifact(tiny_artifact).space_id


def test_a_whole_artifact_verifies(tiny_artifact: Path) -> None:
    """Every listed file has the digest that the manifest says."""
    assert set(verify_files(open_artifact(tiny_artifact))) == {
        "README.md", "model.fp32.onnx", "probes.npz", "tokenizer.json",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["README.md", "model.fp32.onnx", "probes.npz", "tokenizer.json"])
def test_an_altered_file_is_refused_by_name(copy: Path, name: str) -> None:
    """One flipped bit, at equal size, is found when the file is used."""
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(ArtifactDamaged, match="sha256") as caught:
        verify_files(open_artifact(copy))
    assert caught.value.file.endswith(name)


@pytest.mark.parametrize("name", ["README.md", "model.fp32.onnx", "probes.npz", "tokenizer.json", "manifest.json"])
def test_a_missing_or_truncated_file_is_refused_by_name(copy: Path, name: str) -> None:
    """Opening is enough to notice: sizes are looked at before anything is read."""
    data = (copy / name).read_bytes()
    for damage in (data[:-7], None):
        (copy / name).unlink()
        if damage is not None:
            (copy / name).write_bytes(damage)
        with pytest.raises(ArtifactDamaged) as caught:
            open_artifact(copy)
        assert caught.value.file.endswith(name)


def test_a_link_in_an_artifact_is_refused(copy: Path, tmp_path: Path) -> None:
    """An artifact holds plain files: a link could point anywhere tomorrow."""
    outside = tmp_path / "outside"
    (copy / "tokenizer.json").rename(outside)
    (copy / "tokenizer.json").symlink_to(outside)
    with pytest.raises(ArtifactDamaged, match="symbolic link"):
        open_artifact(copy)


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/b", ".hidden", "", "manifest.json", "a\\b", "x" * 200])
def test_file_names_that_leave_the_folder_are_refused(copy: Path, name: str) -> None:
    """The manifest can only name plain files of its own folder."""
    edit(copy, lambda value: value["files"].update({name: value["files"]["tokenizer.json"]}))
    with pytest.raises(ManifestInvalid):
        open_artifact(copy)


def test_a_newer_format_asks_for_an_upgrade(copy: Path) -> None:
    """Both numbers are named, and what to do."""
    edit(copy, lambda value: value.update(format=2))
    with pytest.raises(FormatTooNew, match="format 2, this samespace reads up to 1"):
        open_artifact(copy)


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.update(space_id="0" * 64),
        lambda value: value["identity"].update(pooling="cls"),
        lambda value: value["identity"]["recipe"]["prompts"].update(query="query: "),
        lambda value: value["identity"]["weights"].pop(),
        lambda value: value["identity"].update(extra=1),
        lambda value: value.update(dims=31),
        lambda value: value.update(extra=1),
        lambda value: value.pop("builds"),
        lambda value: value["builds"][0].update(file="other.onnx"),
        lambda value: value["builds"][0].update(measured=[]),
        lambda value: value["files"]["tokenizer.json"].update(sha256="0" * 64),
        lambda value: value["files"]["tokenizer.json"].update(bytes="7"),
        lambda value: value.update(matryoshka_dims=[64]),
        lambda value: value.update(format=True),
    ],
)  # fmt: skip
def test_an_edited_manifest_is_refused(copy: Path, change: Any) -> None:
    """Whatever is changed by hand no longer fits the rest."""
    edit(copy, change)
    with pytest.raises(ManifestInvalid):
        open_artifact(copy)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff\xfe", b"[]", b'{"format":1,"format":1}', b'{"format":NaN}', b"[" * 9999]
)
def test_what_is_not_a_manifest_is_refused(copy: Path, data: bytes) -> None:
    """Not JSON, not an object, a key twice, NaN, nesting without end: each is an ArtifactError."""
    (copy / "manifest.json").write_bytes(data)
    with pytest.raises(ArtifactError):
        open_artifact(copy)


def test_writing_over_an_artifact_has_to_be_asked_for(copy: Path) -> None:
    """An existing artifact stays unless it is to be replaced; a folder with other things always stays."""
    with pytest.raises(ArtifactError, match="--replace"):
        write_artifact(copy, {}, lambda _: pytest.fail("nothing may be written"))
    (copy / "manifest.json").unlink()
    with pytest.raises(ArtifactError, match="other things"):
        write_artifact(copy, {}, lambda _: pytest.fail("nothing may be written"), replace=True)


def test_a_failed_write_leaves_nothing(tiny_artifact: Path, tmp_path: Path) -> None:
    """An error half-way removes the temporary folder, and the target never appears."""
    with pytest.raises(RuntimeError):
        write_artifact(tmp_path / "new", {"tokenizer.json": tiny_artifact / "tokenizer.json"}, _fail)
    assert list(tmp_path.iterdir()) == []


def test_settings_that_cannot_change_a_vector_are_left_out() -> None:
    """Names, versions, dropout and the class's own defaults do not count; everything else does."""
    settings = {"model_type": "bert", "hidden_size": 32, "hidden_dropout_prob": 0.1, "new": 1, "rope": {"theta": 2.0}}
    assert relevant_settings(settings, {"model_type": "bert", "new": 1}) == {
        "model_type": "bert", "hidden_size": 32, "rope": {"theta": 2.0},
    }  # fmt: skip


def test_canonical_json_has_one_form() -> None:
    """Sorted keys, no white space, escapes, shortest floats; NaN is refused."""
    assert canonical_json({"b": [1.0, 1e-12], "a": "é"}) == b'{"a":"\\u00e9","b":[1.0,1e-12]}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))


def test_an_artifact_moved_aside_by_a_killed_replacement_comes_back(copy: Path, tiny_artifact: Path) -> None:
    """Between the two renames of a replacement the old artifact is hidden; the next write finds it again."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    copy.rename(copy.parent / f".copy.{dead.pid}-0.previous")
    with pytest.raises(RuntimeError):
        write_artifact(copy, {}, _fail, replace=True)
    assert open_artifact(copy).space_id == open_artifact(tiny_artifact).space_id
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]


def _fail(_: Any) -> Manifest:
    raise RuntimeError("disk full")


def test_format_1_stays_readable() -> None:
    """A manifest of each format that was ever written is kept, and read to the same space id."""
    data = (Path(__file__).parents[3] / "golden" / "manifest.format1.json").read_bytes()
    manifest = manifests.parse(data)
    assert manifest.space_id == json.loads(data)["space_id"] and manifest.build("fp32") is not None
