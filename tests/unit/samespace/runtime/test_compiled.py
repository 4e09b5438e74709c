"""Compiled models between starts: used where nothing is different, and never in the way."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from samespace.artifact import open_artifact
from samespace.runtime import load_build, openvino
from samespace.runtime.compiled import CompiledModel

SETTINGS = {"NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_what_is_kept_is_read_again(cache: Path) -> None:
    """By the same version, with the same settings, of the same graph; else there is nothing."""
    assert CompiledModel("a" * 64, "1", SETTINGS).write(b"code")
    assert CompiledModel("a" * 64, "1", SETTINGS).read() == b"code"
    assert CompiledModel("a" * 64, "2", SETTINGS).read() is None
    assert CompiledModel("b" * 64, "1", SETTINGS).read() is None
    assert CompiledModel("a" * 64, "1", {**SETTINGS, "NUM_STREAMS": 2}).read() is None
    # The next version takes the place of the last, so that they do not pile up.
    assert CompiledModel("a" * 64, "2", SETTINGS).write(b"newer")
    assert len(list(cache.rglob("model.bin"))) == 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data[:4000],
        lambda data: data[:-4] + b"CODE",
        lambda data: b"[" * len(data),
        lambda data: data.replace(b'"1"', b'"2"'),
    ],
)
def test_a_file_that_is_not_whole_is_not_used(cache: Path, spoil: Callable[[bytes], bytes]) -> None:
    """A runtime that is given half a model may crash, so it is given none."""
    CompiledModel("a" * 64, "1", SETTINGS).write(b"code")
    (file,) = cache.rglob("model.bin")
    file.write_bytes(spoil(file.read_bytes()))
    assert CompiledModel("a" * 64, "1", SETTINGS).read() is None


def test_no_folder_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be kept, nothing is."""
    (tmp_path / "plain").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "plain"))
    place = CompiledModel("a" * 64, "1", SETTINGS)
    assert not place.write(b"code") and place.read() is None


def test_a_small_file_system_is_not_filled(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """64 MB of a pod's memory are not for a model of 60 MB, and what was there stays."""
    place = CompiledModel("a" * 64, "1", SETTINGS)
    assert place.write(b"code")
    small = os.statvfs_result((4096, 4096, 16, 4, 4, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: small)
    assert not place.write(b"x" * 8192) and place.read() == b"code"


@pytest.mark.skipif(not openvino.installed(), reason="needs OpenVINO")
def test_the_second_start_computes_the_same(cache: Path, tiny_artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not compiled again, its probes are computed again, and its vectors are those of the first."""
    artifact = open_artifact(tiny_artifact)

    def load() -> object:
        return load_build(artifact, build="fp32", runtime="openvino", streams=1, kept=True)

    ids = np.array([[2, 7, 9, 3]], dtype=np.int64)
    first = load()
    assert len(list(cache.rglob("model.bin"))) == 1
    core = type(openvino._imported().Core())

    def refuse(*_: object) -> None:
        raise AssertionError("compiled again")

    monkeypatch.setattr(core, "compile_model", refuse)
    second = load()
    mask = np.ones_like(ids)
    assert np.array_equal(first.session(ids, mask), second.session(ids, mask))  # type: ignore[attr-defined]
    assert second.worst <= second.bound  # type: ignore[attr-defined]


@pytest.mark.skipif(not openvino.installed(), reason="needs OpenVINO")
def test_what_openvino_does_not_read_is_compiled_anew(cache: Path, tiny_artifact: Path) -> None:
    """A file with the right digest of something that is no model."""
    artifact = open_artifact(tiny_artifact)
    load_build(artifact, build="fp32", runtime="openvino", kept=True)
    (file,) = cache.rglob("model.bin")
    head = json.loads(file.read_bytes()[:4096])
    junk = b"no model" * 100
    head["sha256"] = hashlib.sha256(junk).hexdigest()
    file.write_bytes(json.dumps(head).encode().ljust(4096) + junk)
    loaded = load_build(artifact, build="fp32", runtime="openvino", kept=True)
    assert loaded.worst <= loaded.bound
    assert file.read_bytes()[4096:] != junk


def test_nothing_is_kept_where_nobody_asked(cache: Path, tiny_artifact: Path) -> None:
    """Exports and checks compile for themselves."""
    load_build(open_artifact(tiny_artifact), build="fp32")
    assert not list(cache.rglob("model.bin"))
