"""Links between pages, to files and to headings lead somewhere."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from fakes.doc_pages import ROOT, pages, spans, without_blocks, without_code

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(r"(?:sdk|inference_server|plugin_config|tests|benchmarks|docs|docker|tools|recipes)/[\w./-]*\w")
PAGE = re.compile(r"(?<![\w./-])docs/[\w/-]+\.md\b")
GIVEN_AS_EXAMPLES = ("docs/decisions/NNN",)
WITH_RESULTS = [*pages(), *sorted((ROOT / "benchmarks" / "results").glob("*.md")), ROOT / "benchmarks" / "LOG.md"]


@pytest.mark.parametrize("page", WITH_RESULTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """The file exists, and has the heading that the link names."""
    for address in LINK.findall(without_code(page)):
        if "://" in address:
            continue
        name, _, anchor = address.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.relative_to(ROOT)}: {address}"
        assert target.is_relative_to(ROOT), f"{page.relative_to(ROOT)}: {address} leaves the repository"
        assert not anchor or anchor in _anchors(target), f"{page.relative_to(ROOT)}: no heading for {address}"


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_in_the_text_exists(page: Path) -> None:
    """A path of the repository that stands in a sentence or a table is there."""
    for span in spans(page):
        if PATH.fullmatch(span) and not span.startswith(GIVEN_AS_EXAMPLES):
            assert (ROOT / span).exists(), f"{page.relative_to(ROOT)}: `{span}`"


def test_where_to_change_what_names_places_that_exist() -> None:
    """Each cell of CONTRIBUTING's table that names a place names one that is there; every line has tests."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.partition("## Where do I change what")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("|")][2:]
    assert {row[0].strip() for row in rows} >= {
        "a pooling", "a serve option", "an HTTP dialect", "a loss", "the window rule", "another vector database",
        "an architecture", "an error",
    }  # fmt: skip
    for row in rows:
        for cell in (row[1], row[3]):
            assert PATH.search(cell), f"{row[0]}: {cell} names no place"
        for path in PATH.findall("|".join(row)):
            assert (ROOT / path).exists(), f"{row[0]}: {path}"


def test_pages_that_other_files_name_exist() -> None:
    """A docstring, a message, a template or a recipe that sends a reader to a page names one that is there."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    for name in listed:
        if name.endswith((".py", ".toml", ".yaml", ".env", ".txt", ".md")) and (ROOT / name).is_file():
            for page in PAGE.findall((ROOT / name).read_text(encoding="utf-8")):
                assert (ROOT / page).is_file(), f"{name} names {page}"


def _anchors(page: Path) -> set[str]:
    """The headings of *page* as Markdown's table of contents names them."""
    headings = re.findall(r"^#+ (.+)$", without_blocks(page), re.MULTILINE)
    plain = [re.sub(r"[`*]", "", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-") for heading in plain}
