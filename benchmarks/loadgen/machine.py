"""What a result has to say about where it was measured."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

_FLAGS: Final = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8")
_VERSIONS: Final = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
found = {"python": sys.version.split()[0]}
for name in sys.argv[1:]:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def _cpu() -> tuple[str, list[str]]:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = fields.get("flags", "").split()
    return fields.get("model name", platform.machine()), [flag for flag in _FLAGS if flag in flags]


def machine() -> dict[str, Any]:
    """Processor, its instructions that matter here, the cores that this process may use, memory, and how busy it is."""
    name, flags = _cpu()
    return {
        "processor": name,
        "flags": flags,
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def versions(names: Sequence[str]) -> dict[str, str]:
    """Of packages in this environment; what is not installed is left out."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def versions_of(python: Path | None, names: Sequence[str]) -> dict[str, str]:
    """Of packages in another interpreter's environment."""
    if python is None:
        return {}
    done = subprocess.run([str(python), "-c", _VERSIONS, *names], capture_output=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def command_line() -> str:
    """How this was started, with the folders of this machine left out."""
    told = [f"benchmarks/{Path(sys.argv[0]).name}"]
    told += [f"…/{Path(each).name}" if Path(each).is_absolute() else shlex.quote(each) for each in sys.argv[1:]]
    return f"python {' '.join(told)}"
