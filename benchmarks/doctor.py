"""Let the doctor look at retrieval sets, and write what it found.

    python benchmarks/doctor.py DATA_FOLDER... --out benchmarks/results/doctor.json [--encoder ARTIFACT]

A set that the file has already is replaced, the others stay. Without an encoder each set takes seconds; with one, up to
2000 training examples are encoded, and the corpus of a set that leaks. Texts are not written.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from loadgen.machine import machine
from samespace.cli.encoders import open_encoder
from samespace.cli.training.doctor import show, text_path
from samespace.training.data.sources import load_data
from samespace.training.doctor import Questions, examine


def main() -> None:
    """Run everything and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--encoder")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    sets = json.loads(arguments.out.read_text(encoding="utf-8"))["sets"] if arguments.out.exists() else {}
    for folder in arguments.data:
        sets[folder.resolve().name] = _examined(folder, arguments.encoder)
        record = {
            "machine": machine(),
            "versions": {name: version(name) for name in ("datasketch", "bm25s", "numpy", "tokenizers")},
            "sets": dict(sorted(sets.items())),
        }
        arguments.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        print(f"written: {arguments.out}")


def _examined(folder: Path, name: str | None) -> dict[str, Any]:
    began, used = time.perf_counter(), time.process_time()
    data = load_data(folder)
    plain = examine(data, Questions())
    record: dict[str, Any] = {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - began, 1),
        "processor_seconds": round(time.process_time() - used, 1),
    }
    if name is None:
        show(plain)
        return record | {"encoder": None, "diagnosis": plain.to_json()}
    with open_encoder(name) as encoder:
        full = examine(data, Questions(), text_encoders=text_path(encoder), embedder=encoder)
        show(full)
        return record | {"encoder": encoder.space_id, "diagnosis": full.to_json()}


if __name__ == "__main__":
    main()
