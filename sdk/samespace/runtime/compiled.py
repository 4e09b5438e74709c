"""What OpenVINO compiled, kept for the next start: half of a start's work is compiling the same model again.

It is machine code, so it is kept only in a folder that nobody else can write to. It is used for the same bytes of a
graph, the same settings, CPU and OpenVINO alone, and only whole: a digest stands beside it, because a runtime that is
given half a model may crash. A wrong one would not pass the probes, which are computed at every start.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from .cpu import this_cpu
from .folder import digest_of, private_folder, write_whole

KIND: Final = "openvino"
_NAME: Final = "model.bin"
_HEAD_BYTES: Final = 4096


class CompiledModel:
    """The place of one compiled model."""

    def __init__(self, graph_sha256: str, version: str, settings: Mapping[str, Any]) -> None:
        """Of a graph's file, by OpenVINO *version*, with *settings*; on this CPU."""
        cpu = this_cpu()
        self._circumstances: dict[str, Any] = {
            "graph": graph_sha256, "openvino": version, "settings": dict(settings), "cpu": [cpu.model, *cpu.flags],
        }  # fmt: skip
        # One place for each use of a graph: the next version takes that of the last.
        use = {"graph": graph_sha256, "settings": dict(settings)}
        folder = private_folder(KIND, digest_of(use))
        self._file: Path | None = None if folder is None else folder / _NAME

    def read(self) -> bytes | None:
        """What was compiled; None where nothing is that can be believed."""
        if self._file is None:
            return None
        try:
            with self._file.open("rb") as stream:
                head, data = json.loads(stream.read(_HEAD_BYTES)), stream.read()
            if head["circumstances"] != self._circumstances or head["sha256"] != hashlib.sha256(data).hexdigest():
                return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return data

    def write(self, data: bytes) -> bool:
        """Keep what was compiled; whether it could be kept."""
        head = {"circumstances": self._circumstances, "sha256": hashlib.sha256(data).hexdigest()}
        line = json.dumps(head).encode().ljust(_HEAD_BYTES)
        return self._file is not None and len(line) == _HEAD_BYTES and write_whole(self._file, [line, data])
