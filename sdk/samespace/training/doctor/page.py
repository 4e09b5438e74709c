"""A diagnosis as one HTML document, with pictures, that opens offline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal

from ...report import heading, histogram, note, page, paragraph, table
from ...text import shortened
from .diagnosis import Check, DataFinding, Diagnosis, Severity, TextName

_KIND: Final[Mapping[Severity, Literal["bad", "warn", "plain"]]] = {"error": "bad", "warning": "warn", "note": "plain"}
_MOST_CHARS: Final = 400


def report(diagnosis: Diagnosis) -> str:
    """The whole document. It holds texts of the data only where the diagnosis does."""
    return page(f"Doctor: {diagnosis.data}", *_parts(diagnosis))


def _parts(diagnosis: Diagnosis) -> Iterator[str]:
    sizes = ", ".join(f"{count} of {split}" for split, count in diagnosis.splits.items())
    yield paragraph(f"Examples: {sizes}. Passages: {diagnosis.passages}.")
    errors, warnings = diagnosis.findings("error"), diagnosis.findings("warning")
    if not errors and not warnings:
        yield note("No error and no warning.", "good")
    for finding in (*errors, *warnings):
        yield note(finding.says, _KIND[finding.severity])
    for check in diagnosis.checks:
        yield from _section(check, diagnosis.texts)


def sentence(finding: DataFinding) -> str:
    """What was found, and what to do."""
    return f"{finding.says} {finding.advice}." if finding.advice else finding.says


def _section(check: Check, texts: Mapping[TextName, str]) -> Iterator[str]:
    yield heading(check.title)
    if not check.findings:
        yield paragraph("Nothing to say.")
    for finding in check.findings:
        yield note(sentence(finding), _KIND[finding.severity])
        if finding.examples:
            yield paragraph(
                "For example: " + "; ".join(" and ".join(map(str, each)) for each in finding.examples) + "."
            )
        if texts and finding.examples:
            rows = [(str(name), shortened(texts[name], _MOST_CHARS)) for each in finding.examples for name in each]
            yield table(("text", "begins"), rows)
    for part in check.tables:
        yield table(part.head, part.rows)
    for picture in check.histograms:
        if any(picture.series.values()):
            low = 0.0 if min(min(values, default=0.0) for values in picture.series.values()) >= 0 else None
            yield histogram(picture.series, label=picture.label, low=low, high=picture.high)
