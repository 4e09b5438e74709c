"""Install the built wheel in clean environments and see that it works: `make matrix`.

python tools/matrix.py dist/samespace-*.whl

Every Python from 3.11 on that this machine has gets the newest versions that the extras allow, and the oldest of them
also the lowest. In each an artifact is loaded, served and asked, without torch (`tools/smoke.py`). A table ends it; the
exit code is 1 where a row failed. Environments lie in build/matrix, and uv makes them.
"""

from __future__ import annotations

import argparse
import email
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = ("certify", "cpu", "eval", "heads", "server", "weaviate")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
_TIMEOUT_S = 1800


@dataclass(frozen=True, slots=True)
class Row:
    """One environment."""

    python: str
    program: str
    versions: str  # "highest" or "lowest-direct", as uv names them

    def run(self, wheel: Path, artifact: Path, folder: Path) -> str:
        """ "ok", or what failed first, with the end of what it printed."""
        home = folder / f"{self.python}-{self.versions}"
        shutil.rmtree(home, ignore_errors=True)
        python = home / "bin" / "python"
        steps = (
            ["uv", "venv", "--quiet", "--python", self.program, str(home)],
            ["uv", "pip", "install", "--quiet", "--python", str(python), "--resolution", self.versions,
             str(wheel.resolve()), *requirements(wheel, EXTRAS)],
            [str(python), str(ROOT / "tools" / "smoke.py"), str(artifact)],
        )  # fmt: skip
        for step in steps:
            try:
                done = subprocess.run(
                    step, capture_output=True, text=True, timeout=_TIMEOUT_S, cwd=folder, env=_clean()
                )
            except subprocess.TimeoutExpired:
                return f"{step[0]}: not done in {_TIMEOUT_S} s"
            if done.returncode:
                return " ".join((done.stderr or done.stdout).split())[-300:]
        return f"ok: {' '.join(done.stdout.split())}"


def requirements(wheel: Path, extras: tuple[str, ...]) -> list[str]:
    """What *wheel* requires with *extras*, as requirements of one's own: uv lowers those alone to their lowest."""
    with zipfile.ZipFile(wheel) as packed:
        (name,) = (each for each in packed.namelist() if each.endswith(".dist-info/METADATA"))
        lines = email.message_from_bytes(packed.read(name)).get_all("Requires-Dist") or []
    found: dict[str, str] = {}
    for extra in ("", *extras):
        for requirement in map(Requirement, lines):
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
                continue
            if requirement.marker is None and extra:
                continue
            if requirement.name == "samespace":
                found |= {each: each for each in requirements(wheel, tuple(sorted(requirement.extras)))}
            else:
                plain = f"{requirement.name}{requirement.specifier}"
                found[plain] = plain
    return list(found)


def _clean() -> dict[str, str]:
    """The environment without what would show a fresh install the repository's own packages."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


def rows(pythons: dict[str, str]) -> list[Row]:
    """The newest versions on each Python, the lowest on the oldest: few old versions have wheels for a new one."""
    newest = [Row(version, program, "highest") for version, program in pythons.items()]
    return [*newest, *(Row(each.python, each.program, "lowest-direct") for each in newest[:1])]


def installed() -> dict[str, str]:
    """Version -> program of those of `PYTHONS` that are here, found by uv or among pyenv's; nothing is downloaded."""
    found = {}
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for each in PYTHONS:
        asked = ["uv", "python", "find", "--quiet", "--no-python-downloads", each]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=60, env=_clean())
        own = sorted(pyenv.glob(f"{each}.*/bin/python{each}"))
        if done.returncode == 0:
            found[each] = done.stdout.strip()
        elif own:
            found[each] = str(own[-1])
    return found


def tiny_artifact(folder: Path) -> Path:
    """An artifact to try, of a random encoder that the tests make; needs the environment of the tests."""
    sys.path[:0] = [str(ROOT / "tests")]
    from fakes.models.encoders import save_tiny_bert
    from samespace.api.commands import export

    return export(save_tiny_bert(folder / "model", seed=1), folder / "artifact").artifact.folder


def main() -> int:
    """0 where every row is ok."""
    parser = argparse.ArgumentParser(description="Try the built wheel on every Python of this machine.")
    parser.add_argument("wheel", type=Path)
    asked = parser.parse_args()
    folder = ROOT / "build" / "matrix"
    folder.mkdir(parents=True, exist_ok=True)
    pythons = installed()
    missing = [each for each in PYTHONS if each not in pythons]
    results = []
    with tempfile.TemporaryDirectory() as work:
        artifact = tiny_artifact(Path(work))
        for row in rows(pythons):
            results.append((row, row.run(asked.wheel, artifact, folder)))
            sys.stdout.write(f"Python {row.python}, {row.versions}: {results[-1][1]}\n")
            sys.stdout.flush()
    if len({said for row, said in results if row.python == next(iter(pythons), "")}) == 1:
        sys.stdout.write("lowest and highest were the same versions: nothing low was tried\n")
        return 1
    for each in missing:
        sys.stdout.write(f"Python {each}: not tried, this machine has none\n")
    return int(not results or any(not said.startswith("ok") for _, said in results))


if __name__ == "__main__":
    sys.exit(main())
