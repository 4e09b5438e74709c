"""Export every architecture with every pooling, and write how far each build is from torch.

    python benchmarks/architectures.py --out benchmarks/results/architectures.json \\
        --docs benchmarks/results/architectures.md

The models are tiny and random, those of the tests (`tests/fakes/models/architectures.py`): they show whether a graph is
right, not how good an encoder is. `--only agreement`, `--only int8` and `--only speed` do one part and keep the others
as they were in the JSON; `--only docs` writes the page anew. All parts take about an hour on two cores.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from fakes.models.architectures import FAMILIES, save_tiny
from loadgen.machine import machine
from samespace.cli.console import quiet_libraries
from samespace.errors import SamespaceError
from samespace.exporting.builds.calibration import Calibration
from samespace.exporting.builds.exact import GATES, BuildFile, build_fp32, session_over
from samespace.exporting.builds.int8 import build_calibrated, build_dynamic
from samespace.exporting.builds.parity import ParityReference, reference, worst_distance
from samespace.exporting.graph import OPSETS, graph_of
from samespace.model.checkpoint import Overrides, load_checkpoint
from samespace.model.modules import POOLING_NAMES

POOLINGS: Final = (*POOLING_NAMES, "attention")
SCALE, ROWS, TOKENS, ROUNDS = 8, 8, 128, 15
"""Of the timings: 256 dims (2 layers), one batch of 8 x 128 tokens, the fastest of 15 runs in turns."""
PACKAGES: Final = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime", "openvino", "nncf")
RUNTIMES: Final = (("onnxruntime", "fp32"), ("openvino", "fp32"), ("openvino", "bf16"))
INT8_RUNTIMES: Final = ("onnxruntime", "openvino")
BEGIN, END = "<!-- tables: written by benchmarks/architectures.py -->", "<!-- end of tables -->"


def main() -> None:
    """Run what was asked for, write one JSON, and put its tables into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--docs", type=Path)
    parser.add_argument("--only", choices=["agreement", "int8", "speed", "docs"])
    arguments = parser.parse_args()
    quiet_libraries()
    record: dict[str, Any] = json.loads(arguments.out.read_text("utf-8")) if arguments.out.exists() else {}
    for part, run in (("agreement", _agreement), ("int8", _calibrated), ("speed", _speed)):
        if arguments.only in (None, part):
            began = time.perf_counter()
            rows = list(run())
            record[part] = {
                "written": datetime.now(UTC).isoformat(timespec="seconds"),
                "minutes": round((time.perf_counter() - began) / 60, 1),
                "versions": {name: version(name) for name in PACKAGES},
                "machine": machine(),
                "rows": rows,
            }
            arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if arguments.docs:
        page = arguments.docs.read_text(encoding="utf-8")
        before, after = page.partition(BEGIN)[0], page.partition(END)[2]
        arguments.docs.write_text(f"{before}{BEGIN}\n\n{_tables(record)}\n\n{END}{after}", encoding="utf-8")


def _agreement() -> Iterator[dict[str, Any]]:
    for name in FAMILIES:
        for pooling in POOLINGS:
            with tempfile.TemporaryDirectory() as folder:
                checkpoint = load_checkpoint(save_tiny(Path(folder) / name, name, pooling=pooling))
            wanted = reference(checkpoint)
            row: dict[str, Any] = {
                "family": name,
                "model_type": checkpoint.architecture.model_type,
                "class": type(checkpoint.module.backbone).__name__,
                "attention": checkpoint.module.backbone.config._attn_implementation,
                "pooling": pooling,
                "natural": pooling == FAMILIES[name].pooling,
            }
            try:
                build = build_fp32(checkpoint, wanted)
            except SamespaceError as error:
                row["failed"] = str(error)
            else:
                row["opset"] = build.opset
                row["worst"] = {"/".join(key): _worst(build.data, *key, wanted) for key in RUNTIMES}
                row["worst"]["onnxruntime/int8"] = _int8(build, wanted)
            print(f"{name:20} {pooling:14} {row.get('worst') or row['failed']}", flush=True)
            yield row


def _worst(data: bytes, runtime: str, precision: str, wanted: ParityReference) -> float | None:
    """The worst 1 - cos, whatever the gate says; None where the runtime fails."""
    try:
        with session_over(data, runtime, precision) as session:
            return worst_distance(session, wanted)
    except Exception as error:  # noqa: BLE001  a failure is a result; runtimes' exceptions share no base class
        print(f"  {runtime} {precision}: {str(error).splitlines()[0][:200]}")
        return None


def _int8(build: BuildFile, wanted: ParityReference) -> float | None:
    try:
        return build_dynamic(build, wanted)[0].measured[0].worst
    except Exception as error:  # noqa: BLE001  a failure is a result; runtimes' exceptions share no base class
        print(f"  int8: {str(error).splitlines()[0][:200]}")
        return None


def _calibrated() -> Iterator[dict[str, Any]]:
    """The calibrated int8 of each family with its natural pooling: whether nncf and both runtimes take its graph."""
    for name, family in FAMILIES.items():
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = load_checkpoint(save_tiny(Path(folder) / name, name))
        wanted = reference(checkpoint)
        probes = wanted.probes
        texts = Calibration("probes", probes.texts, probes.roles)
        row: dict[str, Any] = {"family": name, "pooling": family.pooling, "worst": {}}
        try:
            build, failed = build_calibrated(build_fp32(checkpoint, wanted), wanted, texts)
            row["worst"] = {each.runtime: each.worst for each in build.measured}
        except SamespaceError as error:
            failed = [error]
        row["failed"] = [str(error).splitlines()[0][:200] for error in failed]
        print(f"{name:20} {row['worst']} {row['failed']}", flush=True)
        yield row


def _speed() -> Iterator[dict[str, Any]]:
    """Milliseconds of one batch at either opset: what the order of `OPSETS` rests on."""
    random = np.random.default_rng(0)
    for name in FAMILIES:
        with tempfile.TemporaryDirectory() as folder:
            saved = save_tiny(Path(folder) / name, name, scale=SCALE)
            checkpoint = load_checkpoint(saved, Overrides(token_limit=2 * TOKENS))
        ids = random.integers(0, checkpoint.architecture.vocabulary, size=(ROWS, TOKENS), dtype=np.int64)
        lengths = random.integers(TOKENS // 2, TOKENS + 1, size=ROWS)
        lengths[0] = TOKENS
        mask = (np.arange(TOKENS)[None, :] < lengths[:, None]).astype(np.int64)
        graphs: dict[int, bytes] = {}
        for opset in OPSETS:
            try:
                graphs[opset] = graph_of(checkpoint, opset)
            except SamespaceError as error:
                print(f"  {name} {opset}: {error}")
        row: dict[str, Any] = {"family": name}
        for runtime, precision in RUNTIMES:
            with ExitStack() as stack:
                sessions = {}
                for opset, data in graphs.items():
                    try:
                        session = stack.enter_context(session_over(data, runtime, precision))
                        session(ids * mask, mask)
                        sessions[opset] = session
                    except Exception as error:  # noqa: BLE001  a failure is a result; runtimes' exceptions share no base class
                        print(f"  {name} {opset} {runtime}: {str(error).splitlines()[0][:200]}")
                row[f"{runtime}/{precision}"] = _fastest_ms(sessions, ids * mask, mask)
        print(row, flush=True)
        yield row


def _fastest_ms(sessions: Mapping[int, Callable[..., Any]], ids: Any, mask: Any) -> dict[str, float]:
    """The fastest run of each, taken in turns, so that other work on the machine meets both alike."""
    found = {opset: float("inf") for opset in sessions}
    for _ in range(ROUNDS):
        for opset, session in sessions.items():
            began = time.perf_counter()
            session(ids, mask)
            found[opset] = min(found[opset], 1000 * (time.perf_counter() - began))
    return {str(opset): round(ms, 2) for opset, ms in found.items()}


def _tables(record: Mapping[str, Any]) -> str:
    """Three tables: one line a family, the worst of every pooling, and the timings."""
    agreement = record["agreement"]
    calibrated = {row["family"]: row["worst"] for row in record["int8"]["rows"]}
    columns = [*("/".join(key) for key in RUNTIMES), "onnxruntime/int8"]
    heads = [*columns[:-1], "dynamic int8", *(f"int8 on {runtime}" for runtime in INT8_RUNTIMES)]
    rows: list[dict[str, Any]] = agreement["rows"]
    versions = ", ".join(f"{name} {number}" for name, number in agreement["versions"].items())
    lines = [
        "### Families",
        "",
        f"{agreement['written'][:10]}; {versions}. The worst 1 - cos over all poolings",
        f"(gates: fp32 {GATES['fp32']:g}, bf16 {GATES['bf16']:g}). int8 is gated by nDCG on real models, so its",
        "columns only show that the graph can be quantised and run, and what random weights do; the calibrated one",
        "is of the family's natural pooling.",
        "",
        f"| family | class | attention | opset | {' | '.join(heads)} |",
        f"| --- | --- | --- | --- |{' --- |' * len(heads)}",
    ]
    for family in dict.fromkeys(row["family"] for row in rows):
        of_family = [row for row in rows if row["family"] == family]
        first = of_family[0]
        cells = [_number([_of(row, column) for row in of_family]) for column in columns]
        cells += [_number([calibrated[family].get(runtime)]) for runtime in INT8_RUNTIMES]
        opsets = "/".join(dict.fromkeys(str(row.get("opset", "none")) for row in of_family))
        lines.append(f"| {family} | {first['class']} | {first['attention']} | {opsets} | {' | '.join(cells)} |")
    for column in columns[:3]:
        lines += ["", f"### Every pooling: {column}", "", f"| family | {' | '.join(POOLINGS)} |"]
        lines.append(f"| --- |{' --- |' * len(POOLINGS)}")
        for family in dict.fromkeys(row["family"] for row in rows):
            found = {row["pooling"]: _of(row, column) for row in rows if row["family"] == family}
            lines.append(f"| {family} | {' | '.join(_number([found[pooling]]) for pooling in POOLINGS)} |")
    if "speed" in record:
        lines += ["", *_timings(record["speed"])]
    return "\n".join(lines)


def _timings(speed: Mapping[str, Any]) -> list[str]:
    """What either opset takes, one line a family."""
    lines = [
        "### Opset 23 or 20",
        "",
        f"{speed['written'][:10]}: milliseconds of a batch of {ROWS} x {TOKENS} tokens, 2 layers (ModernBERT 4), "
        f"{32 * SCALE} dims, the",
        f"fastest of {ROUNDS} runs in turns, on two shared cores: differences below a tenth are noise.",
        "",
        f"| family | {' | '.join(f'{key[0]}/{key[1]}: 23 | 20' for key in RUNTIMES)} |",
        f"| --- |{' --- | --- |' * len(RUNTIMES)}",
    ]
    for row in speed["rows"]:
        cells = [str(row["/".join(key)].get(str(opset), "fails")) for key in RUNTIMES for opset in OPSETS]
        lines.append(f"| {row['family']} | {' | '.join(cells)} |")
    return lines


def _of(row: Mapping[str, Any], column: str) -> float | None:
    worst: float | None = (row.get("worst") or {}).get(column)
    return worst


def _number(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return "fails" if len(known) < len(values) else f"{max(known):.0e}"


if __name__ == "__main__":
    main()
