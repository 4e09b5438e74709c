"""Take every published folder layout through load, encode, train and export, and write how far it is from the original.

    python benchmarks/folders.py --out benchmarks/results/folders.json --docs docs/reference/model-folders.md

The models are tiny and random, their files as on the hub (`tests/fakes/models/published.py`); the reference is
sentence-transformers on the same folder. A file that is there is gone on with: layouts in it are not run again.
`--only docs` writes the table anew from the JSON. About ten minutes on two idle cores.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from fakes.models.matrix import SAME, STEPS, run
from fakes.models.published import LAYOUTS
from loadgen.machine import machine
from samespace.cli.console import quiet_libraries

PACKAGES: Final = ("torch", "transformers", "sentence-transformers", "tokenizers", "onnx", "onnxruntime")
BEGIN, END = "<!-- table: written by benchmarks/folders.py -->", "<!-- end of table -->"


def main() -> None:
    """Run every layout, write one JSON, and put its table into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--docs", type=Path)
    parser.add_argument("--only", choices=["docs"])
    arguments = parser.parse_args()
    quiet_libraries()
    torch.set_num_threads(1)  # for models so small, threads cost more than they do: tenfold on a busy machine
    if arguments.only is None:
        rows: dict[str, Any] = {}
        if arguments.out.exists():
            rows = json.loads(arguments.out.read_text(encoding="utf-8"))["rows"]
        for name, layout in LAYOUTS.items():
            if name in rows and rows[name]["like"] == layout.like:
                continue
            with tempfile.TemporaryDirectory() as work:
                row = {"like": layout.like, **run(layout, Path(work)), "written": _now()}
            rows[name] = {key: _short(value, work) for key, value in row.items()}
            print(f"{name:24} {rows[name]}", flush=True)
            _write(arguments.out, {known: rows[known] for known in LAYOUTS if known in rows})
    if arguments.docs:
        page = arguments.docs.read_text(encoding="utf-8")
        before, after = page.partition(BEGIN)[0], page.partition(END)[2]
        rows = json.loads(arguments.out.read_text(encoding="utf-8"))["rows"]
        arguments.docs.write_text(f"{before}{BEGIN}\n\n{table(rows)}\n\n{END}{after}", encoding="utf-8")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _write(out: Path, rows: dict[str, Any]) -> None:
    record = {
        "written": _now(),
        "versions": {package: version(package) for package in PACKAGES},
        "machine": machine(),
        "gate": SAME,
        "rows": rows,
    }
    out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def table(rows: dict[str, Any]) -> str:
    """A line for each layout: what came of each step."""
    lines = ["| layout | " + " | ".join(STEPS) + " |", "| --- |" + " --- |" * len(STEPS)]
    for row in rows.values():
        cells = [_cell(row[step]) if step in row else "" for step in STEPS]
        lines.append(f"| {row['like'].replace('<', '&lt;')} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(value: float | str) -> str:
    if isinstance(value, str):
        return "refused: " + value.partition(": ")[2].partition(";")[0].replace("|", "\\|").replace("<", "&lt;")
    return "same" if value <= SAME else f"**{value:.1e}**"


def _short(value: Any, work: str) -> Any:
    return value.replace(f"{work}/", "") if isinstance(value, str) else value


if __name__ == "__main__":
    main()
