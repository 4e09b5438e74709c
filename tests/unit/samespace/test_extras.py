"""What is installed, and what is installed twice."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from samespace.errors import ExtraMissing
from samespace.extras import ONNXRUNTIMES, check_install, require_extra

EXTRAS = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "optional-dependencies"
]


def _installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    def version(name: str) -> str:
        if name not in names:
            raise metadata.PackageNotFoundError(name)
        return "1.32.0"

    monkeypatch.setattr("samespace.extras.metadata.version", version)


def test_onnxruntime_installed_twice_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """By both packages, with what to remove; one of them alone, or none, is fine."""
    for names in ((), *((name,) for name in ONNXRUNTIMES)):
        _installed(monkeypatch, *names)
        assert check_install() is None
    _installed(monkeypatch, "onnxruntime", "onnxruntime-gpu")
    said = check_install()
    assert said is not None and "onnxruntime 1.32.0, onnxruntime-gpu 1.32.0" in said
    assert "pip uninstall onnxruntime onnxruntime-gpu" in said


def test_no_extra_but_its_own_brings_an_onnxruntime() -> None:
    """`train` beside `gpu` would install the module twice."""
    bringing = {name for name, lines in EXTRAS.items() for line in lines if line.startswith("onnxruntime")}
    assert bringing == {"cpu", "gpu"}
    through = {name for name, lines in EXTRAS.items() for line in lines if "samespace[" in line and "gpu" in line}
    assert through == set()


def test_a_missing_extra_is_named() -> None:
    with pytest.raises(ExtraMissing, match=r"pip install 'samespace\[x\]'"):
        require_extra("x", feature="this", modules=("sys", "no_such_module_here"))
