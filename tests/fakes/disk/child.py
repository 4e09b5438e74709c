"""The process in which a disk fails; see the package."""

from __future__ import annotations

import ctypes
import io
import json
import shutil
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

_MOST = 1000


def _run(arguments: list[str]) -> tuple[int, str, list[str]]:
    """Exit code, what was raised beside it, and stderr of the command."""
    from samespace.cli import main

    sys.argv = ["samespace", *arguments]
    said, code, error = io.StringIO(), 0, ""
    with redirect_stderr(said), redirect_stdout(io.StringIO()):
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        except BaseException:  # noqa: BLE001 - the test is told of anything
            code, error = 1, traceback.format_exc()
    return code, error, said.getvalue().splitlines()


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def main() -> None:
    asked = json.loads(sys.argv[1])
    fault, out = ctypes.CDLL(None), sys.stdout
    for n in asked["numbers"] or range(1, _MOST):
        folder = Path(asked["folder"]) / f"{asked['error']}-{int(asked['once'])}-{n}"
        folder.mkdir()
        if asked["before"]:
            shutil.copytree(asked["before"], folder / "out")
        arguments = [str(folder / "out") if each == "OUT" else each for each in asked["arguments"]]
        fault.fault_arm(str(folder).encode(), n, asked["error"], int(asked["once"]))
        code, error, lines = _run(arguments)
        fired = fault.fault_count() >= n
        fault.fault_arm(b"", 0, 0, 0)
        told = {"n": n, "fired": fired, "code": code, "error": error, "lines": lines, "left": _files(folder)}
        if asked["again"]:
            told["again"] = _run(arguments)[0]
            told["whole"] = _files(folder)
        print(json.dumps(told), file=out, flush=True)
        if not fired:
            return


if __name__ == "__main__":
    main()
