"""A release: its version and changelog section are written, and what was built is listed and digested.

python tools/release.py prepare 0.2.0    # writes both; without a version only checks that they agree
python tools/release.py finish           # SBOM, provenance and SHA256SUMS beside the wheel and the sdist in dist/

`make release` calls both, with the build between them. Tagging and uploading are left to a person, or to
.github/workflows/release.yml.
Formats: CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json), in-toto statement v1 with SLSA provenance v1.
"""

from __future__ import annotations

import datetime
import email
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
CHANGELOG = ROOT / "CHANGELOG.md"
VERSION_FILE = ROOT / "sdk" / "samespace" / "__init__.py"
_VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)
_SEMVER = re.compile(r"\d+\.\d+\.\d+")
_SECTION = re.compile(r"^## (\d+\.\d+\.\d+) \((\d{4}-\d\d-\d\d)\)$", re.MULTILINE)


def prepare(version: str, today: str) -> str:
    """Write *version* and its section of the changelog; "" only checks. Raises `SystemExit` for what does not fit."""
    source, log = VERSION_FILE.read_text(encoding="utf-8"), CHANGELOG.read_text(encoding="utf-8")
    current = _current(source)
    if version:
        if not _SEMVER.fullmatch(version):
            raise SystemExit(f"VERSION={version}: expected three numbers such as 0.2.0")
        if version in dict(_SECTION.findall(log)):
            raise SystemExit(f"CHANGELOG.md has a section {version} already; choose the next version")
        if not unreleased(log).strip():
            raise SystemExit("CHANGELOG.md: nothing is under Unreleased, so there is nothing to release")
        log = log.replace("## Unreleased\n", f"## Unreleased\n\n## {version} ({today})\n", 1)
        CHANGELOG.write_text(log, encoding="utf-8")
        VERSION_FILE.write_text(_VERSION.sub(f'__version__ = "{version}"', source, count=1), encoding="utf-8")
        return version
    newest = _SECTION.search(log)
    if newest is None or newest.group(1) != current:
        found = "no released section" if newest is None else newest.group(1)
        raise SystemExit(f"the version is {current}, CHANGELOG.md has {found}: make release VERSION=X.Y.Z")
    return current


def unreleased(log: str) -> str:
    """What stands under "Unreleased"."""
    return re.split(r"^## ", log.partition("## Unreleased\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def _current(source: str) -> str:
    found = _VERSION.search(source)
    if found is None:
        raise SystemExit(f"{VERSION_FILE}: has no __version__")
    return found.group(1)


def finish(version: str) -> list[Path]:
    """Check what was built, and write the lists beside it; their paths."""
    wheel, sdist = DIST / f"samespace-{version}-py3-none-any.whl", DIST / f"samespace-{version}.tar.gz"
    check_built(wheel, sdist)
    models = sorted(DIST.glob(f"samespace_minilm-{version}-*.whl"))
    sbom = DIST / f"samespace-{version}.cdx.json"
    sbom.write_text(json.dumps(bill(wheel, version), indent=2) + "\n", encoding="utf-8")
    built = [sdist, wheel, *models, sbom]
    digests = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in built}
    statement = DIST / f"samespace-{version}.intoto.json"
    statement.write_text(json.dumps(provenance(digests, _commit()), indent=2) + "\n", encoding="utf-8")
    digests[statement.name] = hashlib.sha256(statement.read_bytes()).hexdigest()
    sums = DIST / "SHA256SUMS"
    sums.write_text("".join(f"{digest}  {name}\n" for name, digest in digests.items()), encoding="utf-8")
    return [*built, statement, sums]


def check_built(wheel: Path, sdist: Path) -> None:
    """Raise `SystemExit` where a file is missing that users need, or one is there that nobody should publish."""
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
    needed = {"samespace/py.typed", "samespace/rpc/v1/encoder.proto", "samespace/rpc/v1/admin.proto",
              "samespace_server/http/api_page.html", "samespace_weaviate/__init__.py"}  # fmt: skip
    if missing := sorted(needed - names):
        raise SystemExit(f"{wheel.name} lacks {', '.join(missing)}")
    with tarfile.open(sdist) as packed_source:
        names |= set(packed_source.getnames())
    heavy = sorted(name for name in names if name.endswith((".safetensors", ".onnx", ".bin", ".whl")))
    if heavy:
        raise SystemExit(f"weights or wheels would be published: {', '.join(heavy)}")


def bill(wheel: Path, version: str) -> dict[str, Any]:
    """The CycloneDX bill of the wheel: its requirements, in the versions that it was tested with."""
    with zipfile.ZipFile(wheel) as packed:
        metadata = email.message_from_bytes(packed.read(f"samespace-{version}.dist-info/METADATA"))
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    tested = dict(line.split("==") for line in lines if "==" in line)
    components = []
    for requirement in sorted(set(metadata.get_all("Requires-Dist") or ())):
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-")
        if name.startswith("samespace") or any(each["name"] == name for each in components):
            continue
        pinned = tested.get(name, "")
        purl = f"pkg:pypi/{name}@{pinned}" if pinned else f"pkg:pypi/{name}"
        scope = "optional" if "extra ==" in requirement else "required"
        component = {"type": "library", "bom-ref": purl, "name": name, "purl": purl, "scope": scope}
        components.append(component | ({"version": pinned} if pinned else {}))
    root = {"type": "library", "bom-ref": f"pkg:pypi/samespace@{version}", "name": "samespace", "version": version}
    licence = {"licenses": [{"license": {"id": "Apache-2.0"}}], "purl": f"pkg:pypi/samespace@{version}"}
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "metadata": {"component": root | licence},
            "components": components}  # fmt: skip


def provenance(digests: dict[str, str], commit: str) -> dict[str, Any]:
    """An in-toto statement: which files, of which commit, by which command. Unsigned; the workflow signs."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in digests.items()],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "https://github.com/samespace/samespace/blob/main/tools/release.py",
                "externalParameters": {"command": "make release"},
                "resolvedDependencies": [
                    {"uri": "git+https://github.com/samespace/samespace", "digest": {"gitCommit": commit}}
                ],
            },
            "runDetails": {"builder": {"id": "https://github.com/samespace/samespace/blob/main/Makefile"}},
        },
    }


def _commit() -> str:
    asked = ["git", "rev-parse", "HEAD"]
    return subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    """Print what was done."""
    step, *rest = sys.argv[1:] or [""]
    if step == "prepare":
        today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
        sys.stdout.write(f"version {prepare(rest[0] if rest else '', today)}\n")
    elif step == "finish":
        for file in finish(_current(VERSION_FILE.read_text(encoding="utf-8"))):
            sys.stdout.write(f"{file.relative_to(ROOT)}\n")
    else:
        raise SystemExit("expected: release.py prepare [VERSION], or release.py finish")


if __name__ == "__main__":
    main()
