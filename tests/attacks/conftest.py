"""Artifacts that mean harm. Each has to be refused before a runtime sees any of it, quickly and in little memory."""

from __future__ import annotations

import shutil
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fakes.models.forgery import load
from samespace.errors import ArtifactError
from samespace.runtime import onnx, openvino

REFUSAL_S = 5.0  # a refusal takes milliseconds; two shared cores may be busy with other things
REFUSAL_BYTES = 64 << 20  # of Python's own memory


@pytest.fixture
def artifact(tiny_artifact: Path, tmp_path: Path) -> Path:
    """A copy of the tiny artifact, to be forged."""
    return Path(shutil.copytree(tiny_artifact, tmp_path / "artifact"))


@pytest.fixture(autouse=True)
def no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test fails as soon as any runtime is asked to open a file."""
    for session in (onnx.OnnxSession, openvino.OpenvinoSession):
        monkeypatch.setattr(session, "__init__", lambda *_, **__: pytest.fail("a session was made"))


@pytest.fixture
def refused(artifact: Path) -> Iterator[Callable[..., None]]:
    """`refused(file, reason)`: loading the artifact raises an `ArtifactError` that names both, at little cost."""

    def check(file: str, reason: str) -> None:
        begun = time.monotonic()
        with pytest.raises(ArtifactError, match=reason) as caught:
            load(artifact)
        taken = time.monotonic() - begun
        tracemalloc.start()  # slows everything down, so it gets a run of its own
        try:
            with pytest.raises(ArtifactError):
                load(artifact)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert file in str(caught.value), caught.value
        assert taken < REFUSAL_S and peak < REFUSAL_BYTES, (taken, peak)

    yield check
