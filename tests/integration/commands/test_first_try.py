"""`samespace try`: a real server, this machine's documentation, and a stranger that is refused."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from samespace.artifact import open_artifact
from samespace.demo import first_try
from samespace.demo.first_try import other_encoder, packaged_model
from samespace.demo.pydoc_set import Package
from samespace.errors import ConfigInvalid, ExtraMissing, SpaceMismatch
from samespace.progress import Advance, silent

pytestmark = pytest.mark.integration


def test_it_serves_searches_and_refuses(tiny_artifact: Path) -> None:
    """In processes without torch; the verdicts are printed with both spaces."""
    artifact = open_artifact(tiny_artifact)
    code = (
        "import sys; sys.modules.update(torch=None, transformers=None, datasketch=None)\n"
        "from samespace.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "try", str(tiny_artifact), "--no-open"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, env=_without_weaviate())
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stdout.split())
    assert told.count("refused by") == 2 and "summary lines find their own text first" in told
    assert artifact.space_id in told and other_encoder(artifact) in told
    assert "probes over gRPC" in done.stderr and "probes over HTTP" in done.stderr


def _without_weaviate() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "WEAVIATE_URL"}


def test_the_stranger_is_a_space_of_its_own(tiny_artifact: Path) -> None:
    """Of equal dims; its id is what an export with that prompt has."""
    artifact = open_artifact(tiny_artifact)
    assert other_encoder(artifact) != artifact.space_id and len(other_encoder(artifact)) == 64


def test_without_the_package_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_try, "MODEL", "no_such_package_here")
    with pytest.raises(ExtraMissing, match=r"samespace\[try\]"):
        packaged_model()


def test_a_package_with_another_encoder_is_refused(
    tiny_artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ids are named."""
    package = tmp_path / "other_minilm"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "artifact").symlink_to(tiny_artifact)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(first_try, "MODEL", "other_minilm")
    with pytest.raises(SpaceMismatch, match=first_try.SPACE):
        packaged_model()


class Quiet:
    """A console that shows nothing."""

    def say(self, sentence: str = "") -> None: ...

    def progress(self, label: str, total: int) -> AbstractContextManager[Advance]:
        return silent(label, total)


def test_no_text_is_searched_twice() -> None:
    """A docstring that two packages share is one passage; too few are an error."""
    source = Path(statistics.__file__)
    packages = [Package(name, "1", "PSF-2.0", {"statistics.py": source}) for name in ("one", "two")]
    pairs = first_try._documentation(Quiet(), packages)
    assert len(pairs) == len({pair.passage for pair in pairs}) == len({pair.query for pair in pairs}) > 3
    with pytest.raises(ConfigInvalid, match="only 0 usable docstrings in 0 packages"):
        first_try._documentation(Quiet(), [])


def test_the_wheel_of_the_model_is_the_same_each_time(tiny_artifact: Path, tmp_path: Path) -> None:
    """And an artifact of another encoder is refused, so that nobody publishes it under this name."""
    root = Path(__file__).parents[3]
    command = [sys.executable, str(root / "tools" / "model_wheel.py"), str(tiny_artifact), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and f"expected space {first_try.SPACE}" in done.stderr and not list(tmp_path.iterdir())
    patched = (
        "import sys; sys.path.insert(0, sys.argv[1]); import hashlib, json, model_wheel\n"
        "from pathlib import Path\n"
        "from samespace.artifact import open_artifact\n"
        "model_wheel.SPACE = open_artifact(sys.argv[2]).space_id\n"
        "from unittest import mock\n"
        "kind = type(open_artifact(sys.argv[2]).manifest)\n"
        "with mock.patch.object(kind, 'build', lambda self, name: self.builds[0]):\n"
        "    made = [model_wheel.wheel(Path(sys.argv[2]), Path(sys.argv[3]) / name) for name in 'ab']\n"
        "print(json.dumps([hashlib.sha256(each.read_bytes()).hexdigest() for each in made]))\n"
    )
    arguments = [str(root / "tools"), str(tiny_artifact), str(tmp_path)]
    done = subprocess.run([sys.executable, "-c", patched, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)
    assert first == second
