"""Is the doctor right? Faults planted in real sets, and healthy sets that must not alarm.

    python benchmarks/doctor.py DATA_FOLDER --out benchmarks/results/doctor.json [--encoder ARTIFACT]

DATA_FOLDER holds scifact, cranfield, stackfaq, medquad and covidqa_long in the BEIR layout. Each case is looked at
without an encoder and, where one is named, with it. A planted fault is found where its own error or warning is there,
missed where it is not; any other error or warning that the same set does not have unplanted is blame of the innocent.
On a healthy set every error or warning is a false alarm, but for what is true of it (`TRUE`). A file that is there is
gone on with: cases in it are not looked at again. Texts are not written.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from loadgen import doctor_sets
from loadgen.machine import machine
from samespace.cli.encoders import open_encoder
from samespace.evaluation.retrieval import Embedder
from samespace.training.data.examples import TrainingData
from samespace.training.doctor import Diagnosis, Questions, examine
from samespace.training.doctor.pairing import Remembering

TRUE: Mapping[str, Mapping[str, str]] = {
    "covidqa_long": {"long_passages": "whole papers: nine tenths of their tokens are beyond 512"},
    "covidqa_long, test_late alone": {"long_passages": "whole papers"},
    "medquad, split anew": {
        "boilerplate": "ten sentences stand in a tenth of the passages",
        "common_beginnings": "836 passages begin with the same eight words",
    },
    "medquad, dev alone": {
        "boilerplate": "ten sentences stand in a tenth of the passages",
        "common_beginnings": "836 passages begin with the same eight words",
    },
}
"""What is said of healthy sets and is so."""


def main() -> None:
    """Run everything and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--encoder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default="", help="only cases whose name has this in it")
    arguments = parser.parse_args()
    ways: dict[str, Embedder | None] = {"words": None}
    if arguments.encoder:
        ways["encoder"] = Remembering(open_encoder(arguments.encoder))
    record = _begun(arguments.out)
    if arguments.encoder:
        record["encoder"] = ways["encoder"].name  # type: ignore[union-attr]
    for name, make in doctor_sets.healthy(arguments.data):
        for way in _missing(record, "healthy", name, ways) if arguments.only in name else ():
            record["healthy"].setdefault(name, {})[way] = _healthy(name, make(), ways[way])
            _write(arguments.out, record)
    for name, base, plant in doctor_sets.planted(arguments.data):
        for way in _missing(record, "planted", name, ways) if arguments.only in name else ():
            found = _planted(base(), plant(base()), ways[way])
            record["planted"].setdefault(name, {})[way] = found
            print(name, way, found["verdict"], list(found["blamed_wrongly"]), flush=True)
            _write(arguments.out, record)
    for name, make in doctor_sets.published(arguments.data):
        if arguments.only in name and name not in record["published"]:
            looked = _looked(make(), None)
            record["published"][name] = {"errors": _said(looked, "error"), "warnings": _said(looked, "warning")}
            _write(arguments.out, record)
    print(f"written: {arguments.out}")


def _begun(out: Path) -> dict[str, Any]:
    """What was written by a run that was broken off, or looked at other cases."""
    before = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    return {
        "machine": machine(),
        "versions": {name: version(name) for name in ("datasketch", "bm25s", "numpy", "tokenizers")},
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        **{part: before.get(part, {}) for part in ("healthy", "planted", "published")},
        "encoder": before.get("encoder"),
    }


def _missing(record: Mapping[str, Any], part: str, name: str, ways: Mapping[str, Any]) -> list[str]:
    return [way for way in ways if way not in record[part].get(name, {})]


def _looked(data: TrainingData, embedder: Embedder | None) -> Diagnosis:
    return examine(data, Questions(cost=False), embedder=embedder)


def _alarms(found: Diagnosis) -> set[str]:
    return {each.name for each in found.findings("error", "warning")}


def _said(found: Diagnosis, severity: Any) -> dict[str, str]:
    return {each.name: each.says for each in found.findings(severity)}


def _healthy(name: str, data: TrainingData, embedder: Embedder | None) -> dict[str, Any]:
    began = time.process_time()
    found = _looked(data, embedder)
    true = TRUE.get(name, {})
    numbers = {check.name: dict(check.numbers) for check in found.checks if check.name == "pairing"}
    wrong = {each: text for each, text in (_said(found, "error") | _said(found, "warning")).items() if each not in true}
    print(name, "false alarms:", wrong or "none", flush=True)
    return {
        "examples": dict(found.splits),
        "passages": found.passages,
        "false_alarms": wrong,
        "true": {each: why for each, why in true.items() if each in _alarms(found)},
        "pairing": numbers.get("pairing", {}),
        "processor_seconds": round(time.process_time() - began, 1),
    }


_BEFORE: dict[tuple[int, bool], set[str]] = {}


def _planted(base: TrainingData, fault: doctor_sets.Fault, embedder: Embedder | None) -> dict[str, Any]:
    key = id(base), embedder is None
    if key not in _BEFORE:
        _BEFORE[key] = _alarms(_looked(base, embedder))
    found = _looked(fault.data, embedder)
    alarms = _alarms(found) - _BEFORE[key]
    blamed = sorted(alarms - {*fault.right, *fault.true})
    verdict = "found" if alarms & set(fault.right) else "missed"
    if not fault.right:
        verdict = "silent" if not blamed else "blamed"
    texts = _said(found, "error") | _said(found, "warning")
    return {
        "verdict": verdict,
        "as": {name: texts[name] for name in sorted(alarms & set(fault.right))},
        "blamed_wrongly": {name: texts[name] for name in blamed},
    }


def _write(out: Path, record: Mapping[str, Any]) -> None:
    out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    out.with_suffix(".md").write_text(_markdown(record), encoding="utf-8")


def _markdown(record: Mapping[str, Any]) -> str:
    """The two tables of the documentation."""
    lines = ["| planted | strength | in | by words | with the encoder |", "| --- | --- | --- | --- | --- |"]
    for name, ways in record["planted"].items():
        cells = []
        for way in ("words", "encoder"):
            each = ways.get(way)
            blamed = f"; blames {', '.join(each['blamed_wrongly'])}" if each and each["blamed_wrongly"] else ""
            cells.append(f"{each['verdict']}{blamed}" if each else "not run")
        lines.append("| " + " | ".join([*name.split(" | "), *cells]) + " |")
    lines += [
        "",
        "| healthy set | false alarms by words | with the encoder | said, and true |",
        "| --- | --- | --- | --- |",
    ]
    for name, ways in record["healthy"].items():
        counts = [str(len(ways[way]["false_alarms"])) if way in ways else "not run" for way in ("words", "encoder")]
        true = ", ".join(f"`{each}`" for each in ways["words"]["true"])
        lines.append(f"| {name} | {counts[0]} | {counts[1]} | {true} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
