"""run.json beside a model that was made, but not trained contrastively: what was done, with which versions."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ...exporting.provenance import RECORD

VERSIONS: Final = ("torch", "transformers", "sentence-transformers", "tokenizers", "accelerate", "numpy", "samespace")


def versions() -> dict[str, str]:
    """Of the packages that weights depend on."""
    return {name: importlib.metadata.version(name) for name in VERSIONS}


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write run.json; Python's version and the packages' are added."""
    said = {**record, "python": platform.python_version(), "versions": versions()}
    (folder / RECORD).write_text(json.dumps(said, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
