"""What the doctor says: findings of checks, with the numbers and pictures behind them.

Plain values; texts of the data are named, not held.

What it leaves to others: how it is shown (`page`, `samespace.cli.training.doctor`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from ...text import Role

Severity = Literal["error", "warning", "note"]
SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "note")

PLURAL: Final[Mapping[Role, str]] = {"query": "queries", "passage": "passages"}


@dataclass(frozen=True, slots=True)
class TextName:
    """A text by its id, which may be looked up and shown to whoever asks for it."""

    role: Role
    id: str

    def __str__(self) -> str:
        return f"{self.role} {self.id}"


@dataclass(frozen=True, slots=True)
class DataFinding:
    """One thing that is worth saying.

    Attributes:
        name: which one, for programs: "leaked_queries", "one_class", ...
        severity: "error": training on this would deceive. "warning": look at it. "note": good to know.
        says: a sentence with the numbers.
        advice: what to do about it; "" for notes.
        examples: texts that show it; each example is one, or those that belong together.
    """

    name: str
    severity: Severity
    says: str
    advice: str = ""
    examples: tuple[tuple[TextName, ...], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The plain form."""
        return {
            "name": self.name,
            "severity": self.severity,
            "says": self.says,
            "advice": self.advice,
            "examples": [[{"role": name.role, "id": name.id} for name in example] for example in self.examples],
        }


@dataclass(frozen=True, slots=True)
class Histogram:
    """Numbers to be drawn as how often they occur.

    Attributes:
        label: what is counted, with its unit.
        series: name -> values.
        high: where the axis ends; what lies beyond is drawn there. None: the largest value.
    """

    label: str
    series: Mapping[str, Sequence[float]]
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a head."""

    head: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


@dataclass(frozen=True, slots=True)
class Check:
    """What one check came to.

    Attributes:
        name: "leakage", "duplicates", ...
        title: the same for people.
        findings: may be empty: nothing to say.
        numbers: what was measured; plain JSON values.
        tables, histograms: for the report.
    """

    name: str
    title: str
    findings: tuple[DataFinding, ...] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()
    histograms: tuple[Histogram, ...] = ()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything the doctor found in one set.

    Attributes:
        data: the set's name.
        splits: split -> number of examples.
        passages: how many the corpus has.
        checks: in the order in which they are told.
        texts: the texts of all examples of findings, by name; empty unless texts were asked for.
    """

    data: str
    splits: Mapping[str, int]
    passages: int
    checks: tuple[Check, ...]
    texts: Mapping[TextName, str] = field(default_factory=dict)

    def findings(self, *severities: Severity) -> list[DataFinding]:
        """The findings of these severities, all without any; errors first."""
        asked = severities or SEVERITIES
        return [
            finding
            for severity in SEVERITIES
            if severity in asked
            for check in self.checks
            for finding in check.findings
            if finding.severity == severity
        ]

    def healthy(self, *, strict: bool = False) -> bool:
        """No error, and no warning either where *strict*."""
        return not self.findings(*(("error", "warning") if strict else ("error",)))

    def to_json(self) -> dict[str, Any]:
        """The plain form."""
        value: dict[str, Any] = {
            "data": self.data,
            "splits": dict(self.splits),
            "passages": self.passages,
            "healthy": self.healthy(),
            "checks": {
                check.name: {"findings": [each.to_json() for each in check.findings], "numbers": dict(check.numbers)}
                for check in self.checks
            },
        }
        if self.texts:
            value["texts"] = {str(name): text for name, text in self.texts.items()}
        return value


def share(part: float, whole: float) -> str:
    """ "12 %", or "0.3 %" where it is small."""
    percent = 100 * part / whole if whole else 0.0
    return f"{percent:.0f} %" if percent >= 10 or percent == 0 else f"{percent:.1f} %"


def few(names: Sequence[tuple[TextName, ...]], most: int = 5) -> tuple[tuple[TextName, ...], ...]:
    """The first of *names*, each once: enough to look at."""
    return tuple(dict.fromkeys(names))[:most]


def interval(hits: int, count: int, independent: int | None = None) -> tuple[float, float]:
    """95 % interval of the share *hits* / *count*, where only *independent* of them are.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    n, p, z = count if independent is None else independent, hits / count, 1.96
    middle, spread = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return max(0.0, (middle - spread) / (1 + z**2 / n)), min(1.0, (middle + spread) / (1 + z**2 / n))
