"""The site: mkdocs builds it with warnings as errors, and no page of it asks another server for anything."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.doc_pages import ROOT

LOADED = re.compile(r"""(?:<script[^>]*\ssrc|<link[^>]*\shref|<img[^>]*\ssrc)=["']?(https?:[^"'\s>]+)""")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install 'samespace[docs]'")
    folder = tmp_path_factory.mktemp("site")
    paths = [str(ROOT / part) for part in ("sdk", "inference_server", "plugin_config")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return folder


def test_the_reference_is_that_of_the_code(site: Path) -> None:
    """There is a page for every command and for every package, with what they take."""
    from samespace.cli import COMMANDS

    for name in COMMANDS:
        assert f"samespace {name}" in (site / "reference" / "cli" / f"{name}.html").read_text(encoding="utf-8")
    assert "--max-queue-ms" in (site / "reference" / "cli" / "serve.html").read_text(encoding="utf-8")
    assert "samespace.Encoder" in (site / "reference" / "python" / "samespace.html").read_text(encoding="utf-8")
    for package in ("samespace.exporting.builds", "samespace_server.scheduling", "samespace_weaviate.pinning"):
        assert (site / "reference" / "python" / f"{package}.html").is_file()


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    """Styles, scripts, fonts and pictures are in the site; links that a reader may follow are another matter."""
    pages = list(site.rglob("*.html"))
    assert len(pages) > 80
    for page in pages:
        found = [each for each in LOADED.findall(page.read_text(encoding="utf-8")) if "rel=canonical" not in each]
        assert found == [], page.relative_to(site)
