"""A release: versions and changelog agree, what is built is whole, and nothing heavy is published."""

from __future__ import annotations

import importlib.util
import io
import json
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]
LOG = "# Changelog\n\n## Unreleased\n\n### Doors\n- a change\n\n## 0.0.9 (2026-01-01)\n- older\n"


@pytest.fixture
def release(tmp_path: Path) -> ModuleType:
    """tools/release.py on a repository of its own."""
    spec = importlib.util.spec_from_file_location("release", ROOT / "tools" / "release.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.CHANGELOG, module.VERSION_FILE = tmp_path / "CHANGELOG.md", tmp_path / "__init__.py"
    module.CHANGELOG.write_text(LOG)
    module.VERSION_FILE.write_text('__version__ = "0.0.9"\n')
    return module


def test_a_version_gets_the_unreleased_section(release: ModuleType) -> None:
    """Its heading goes between Unreleased, which stays, and what was under it."""
    assert release.prepare("0.1.0", "2026-11-30") == "0.1.0"
    log = release.CHANGELOG.read_text()
    assert "## Unreleased\n\n## 0.1.0 (2026-11-30)\n\n### Doors\n- a change\n\n## 0.0.9" in log
    assert '__version__ = "0.1.0"' in release.VERSION_FILE.read_text()
    assert release.unreleased(log).strip() == "" and release.prepare("", "2026-12-01") == "0.1.0"


@pytest.mark.parametrize(
    ("version", "reason"), [("0.0.9", "has a section 0.0.9"), ("1.0", "three numbers"), ("v1.0.0", "three numbers")]
)
def test_wrong_versions_change_nothing(release: ModuleType, version: str, reason: str) -> None:
    with pytest.raises(SystemExit, match=reason):
        release.prepare(version, "2026-11-30")
    assert release.CHANGELOG.read_text() == LOG


def test_a_version_without_its_section_is_refused(release: ModuleType) -> None:
    """And so is a release with nothing in it."""
    release.VERSION_FILE.write_text('__version__ = "0.2.0"\n')
    with pytest.raises(SystemExit, match=r"the version is 0\.2\.0, CHANGELOG\.md has 0\.0\.9"):
        release.prepare("", "2026-11-30")
    release.CHANGELOG.write_text("# Changelog\n\n## Unreleased\n\n## 0.0.9 (2026-01-01)\n- older\n")
    with pytest.raises(SystemExit, match="nothing to release"):
        release.prepare("0.3.0", "2026-11-30")


def _built(folder: Path, *names: str) -> tuple[Path, Path]:
    wheel, sdist = folder / "a.whl", folder / "a.tar.gz"
    with zipfile.ZipFile(wheel, "w") as packed:
        for name in names:
            packed.writestr(name, "")
    with tarfile.open(sdist, "w:gz") as packed_source:
        packed_source.addfile(tarfile.TarInfo("a/README.md"), io.BytesIO())
    return wheel, sdist


def test_what_users_need_is_in_the_wheel_and_weights_are_not(release: ModuleType, tmp_path: Path) -> None:
    """The .proto files were missing once."""
    needed = ("samespace/py.typed", "samespace/rpc/v1/encoder.proto", "samespace/rpc/v1/admin.proto",
              "samespace_server/http/api_page.html", "samespace_weaviate/__init__.py")  # fmt: skip
    release.check_built(*_built(tmp_path, *needed))
    for left_out in needed:
        with pytest.raises(SystemExit, match=left_out):
            release.check_built(*_built(tmp_path, *(name for name in needed if name != left_out)))
    with pytest.raises(SystemExit, match=r"model\.onnx"):
        release.check_built(*_built(tmp_path, *needed, "samespace/model.onnx"))


def test_the_bill_names_each_requirement_once(release: ModuleType, tmp_path: Path) -> None:
    """With the version that it was tested with, and whether it is needed at all."""
    wheel = tmp_path / "samespace-0.1.0-py3-none-any.whl"
    lines = (
        "Name: samespace",
        "Version: 0.1.0",
        "Requires-Dist: numpy>=1.26",
        "Requires-Dist: torch>=2; extra == 'train'",
        "Requires-Dist: samespace[rpc]; extra == 'server'",
        "Requires-Dist: numpy>=1.26; extra == 'x'",
    )
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr("samespace-0.1.0.dist-info/METADATA", "\n".join(lines) + "\n\n")
    bill = json.loads(json.dumps(release.bill(wheel, "0.1.0")))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    found = {each["name"]: each for each in bill["components"]}
    assert list(found) == ["numpy", "torch"] and len(bill["components"]) == 2
    tested = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    assert found["numpy"]["version"] == tested["numpy"] and found["torch"]["scope"] == "optional"
    assert found["numpy"]["purl"] == f"pkg:pypi/numpy@{tested['numpy']}"
    assert len({each["bom-ref"] for each in bill["components"]}) == 2
