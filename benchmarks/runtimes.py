"""Measure the bare runtimes in process, without tokeniser or server, and every option that was worth trying.

    python benchmarks/runtimes.py ARTIFACT --out benchmarks/results/runtimes.json

ARTIFACT needs the builds fp32 and int8. A group is one question; its first variant is what the others are compared
with. Each variant lives in its own process; each repetition runs every variant of the group once, so that they share
whatever else the machine does; ratios are taken inside a repetition and their median is reported.

"short" is texts of 15 tokens, "medium" of 127, "mixed" from 8 to 256, all ids at random; "fresh" is mixed texts of
other lengths each time, so that most batches have a shape that the runtime has not seen. `speed` is texts/s against
the first variant, `cpu` the processor time per text against it: on a machine that is not idle the second says more
about how much work is done, and only the first says how well it is spread over cores.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

from loadgen.machine import machine, versions
from runtime_worker import Variant, Worker
from samespace.cli.console import say, table
from samespace.runtime.openvino import KERNELS_KEPT

KINDS: Final = ("short", "medium", "mixed", "fresh")
BUDGETS: Final = (256, 512, 1024, 2048, 4096)
CAPACITY: Final = "CPU_RUNTIME_CACHE_CAPACITY"
FEW: Final = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": str(KERNELS_KEPT)}
BUCKETS: Final = (16, 32, 48, 64, 96, 128, 192, 256)


def variants(artifact: Path) -> dict[str, list[Variant]]:
    """Each group's variants; the first is its baseline."""
    fp32, int8 = str(artifact / "model.fp32.onnx"), str(artifact / "model.int8.onnx")
    ort = Variant("onnxruntime fp32", fp32, "onnxruntime")
    ort8 = Variant("onnxruntime int8", int8, "onnxruntime")

    def on_openvino(name: str, file: str, hint: str) -> Variant:
        settings = {"INFERENCE_PRECISION_HINT": hint, CAPACITY: KERNELS_KEPT}
        return Variant(f"openvino {name}", file, "openvino", settings, rounded=True, environment=FEW)

    f32, bf16, ov8 = (
        on_openvino("f32", fp32, "f32"),
        on_openvino("bf16", fp32, "bf16"),
        on_openvino("int8", int8, "bf16"),
    )

    def also(base: Variant, name: str, options: Mapping[str, Any] | None = None, **changes: Any) -> Variant:
        return replace(base, name=f"{base.name}, {name}", options={**base.options, **(options or {})}, **changes)

    def budgets(base: Variant) -> list[Variant]:
        return [also(base, f"batches of {budget}", budget=budget) for budget in BUDGETS]

    return {
        "builds": [ort, ort8, f32, bf16, ov8],
        **{f"batches {base.name}": budgets(base) for base in (ort, ort8, f32, bf16, ov8)},
        "threads onnxruntime": [
            ort,
            also(ort, "1 thread", {"intra_op_num_threads": 1}),
            also(ort, "2 threads", {"intra_op_num_threads": 2}),
            also(ort, "parallel, 2 inter-op", {"execution_mode": 1, "inter_op_num_threads": 2}),
            also(ort, "1 thread, 2 callers", {"intra_op_num_threads": 1}, callers=2),
            also(ort, "2 threads, 2 callers", {"intra_op_num_threads": 2}, callers=2),
        ],
        "spinning onnxruntime": [
            ort,
            also(ort, "no spinning", {"config.session.intra_op.allow_spinning": "0"}),
            also(ort, "spinning ends with a run", {"config.session.force_spinning_stop": "1"}),
            also(ort, "blocks of 4", {"config.session.dynamic_block_base": "4"}),
            ort8,
            also(ort8, "no spinning", {"config.session.intra_op.allow_spinning": "0"}),
        ],
        "memory onnxruntime": [
            ort,
            also(ort, "no arena", {"enable_cpu_mem_arena": False}),
            also(ort, "no memory pattern", {"enable_mem_pattern": False}),
            also(ort, "denormals are zero", {"config.session.set_denormal_as_zero": "1"}),
            also(ort, "weights outside the arena", {"config.session.use_device_allocator_for_initializers": "1"}),
            also(ort, "no packed weights", {"config.session.disable_prepacking": "1"}),
        ],
        "streams openvino": [
            ov8,
            also(ov8, "1 thread", {"INFERENCE_NUM_THREADS": 1}),
            also(ov8, "latency", {"PERFORMANCE_HINT": "LATENCY"}),
            also(ov8, "throughput", {"PERFORMANCE_HINT": "THROUGHPUT"}),
            also(ov8, "throughput, 2 callers", {"PERFORMANCE_HINT": "THROUGHPUT"}, callers=2),
            also(ov8, "1 stream, 2 callers", {"NUM_STREAMS": 1}, callers=2),
            also(ov8, "2 streams, 2 callers", {"NUM_STREAMS": 2}, callers=2),
            also(ov8, "2 streams, 2 callers, half batches", {"NUM_STREAMS": 2}, callers=2, budget=512),
            bf16,
            also(bf16, "2 streams, 2 callers", {"NUM_STREAMS": 2}, callers=2),
        ],
        "pinning openvino": [
            ov8,
            also(ov8, "not pinned", {"ENABLE_CPU_PINNING": False}),
            also(ov8, "2 streams, not pinned, 2 callers", {"NUM_STREAMS": 2, "ENABLE_CPU_PINNING": False}, callers=2),
            also(ov8, "reserved", {"ENABLE_CPU_RESERVATION": True}),
            also(ov8, "no hyper-threading", {"ENABLE_HYPER_THREADING": False}),
            also(ov8, "denormals are zero", {"CPU_DENORMALS_OPTIMIZATION": True}),
        ],
        **{
            f"shapes {base.name}": [
                base,
                also(base, "shapes as they come, all kernels kept", {CAPACITY: 5000}, rounded=False, environment={}),
                also(base, "shapes as they come", rounded=False),
                also(base, "all kernels kept", {CAPACITY: 5000}, environment={}),
                also(base, "half of the kernels kept", {CAPACITY: KERNELS_KEPT // 2}),
                also(base, "no kernels kept", {CAPACITY: 0}, environment={"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "0"}),
                also(base, "a static graph for each shape", static=BUCKETS),
            ]
            for base in (ov8, bf16, f32)
        },
        "shapes onnxruntime": [ort, also(ort, "rounded", rounded=True)],
        "padding": [
            ov8,
            *(also(ov8, f"padding up to {share:.0%}", padding=share) for share in (0.0, 0.05, 0.125, 0.25)),
            ort,
            *(also(ort, f"padding up to {share:.0%}", padding=share) for share in (0.0, 0.05, 0.125, 0.25)),
        ],
        "weights openvino": [
            bf16,
            *(also(bf16, f"weights {mode}", transform=mode) for mode in ("int8_sym", "int8_asym", "int4_sym")),
            also(bf16, "weights int8_sym, groups of 0", {"DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}, transform="int8_sym"),
            also(
                bf16, "weights int8_sym, groups of 128", {"DYNAMIC_QUANTIZATION_GROUP_SIZE": 128}, transform="int8_sym"
            ),
            ov8,
            also(ov8, "the rest in f32", {"INFERENCE_PRECISION_HINT": "f32"}),
            also(ov8, "attention's keys in bf16", {"KV_CACHE_PRECISION": "bf16"}),
        ],
    }


def main() -> None:
    """Run the groups that were asked for and write one JSON; groups that were not keep their earlier result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--group", action="append", help="only these; by default all")
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    groups = variants(arguments.artifact)
    for name in arguments.group or groups:
        result = run_group(name, groups[name], arguments.repetitions)
        print(f"\n{name}\n{_table(result)}", flush=True)
        _store(arguments.out, name, result)


def run_group(name: str, members: Sequence[Variant], repetitions: int) -> dict[str, Any]:
    """Medians of all variants of a group, and their ratios to the first."""
    load = os.getloadavg()[0]
    workers: list[Worker] = []
    failed: dict[str, str] = {}
    try:
        for member in members:
            try:
                workers.append(Worker(member))
            except RuntimeError as error:
                failed[member.name] = str(error)
        passes: dict[str, dict[str, list[Any]]] = {w.variant.name: {kind: [] for kind in KINDS} for w in workers}
        for repetition in range(repetitions + 1):
            for kind in KINDS:
                lengths = _lengths(kind, repetition)
                for worker in workers:
                    found = worker.measure(lengths)
                    if repetition:  # the first is for shapes that were not seen yet
                        passes[worker.variant.name][kind].append(found)
            say(f"{name}: {repetition} of {repetitions}")
        memory = {worker.variant.name: round(worker.memory_mb()) for worker in workers}
    finally:
        for worker in workers:
            worker.close()
    first = passes[workers[0].variant.name]
    return {
        "load_before": round(load, 2),
        "repetitions": repetitions,
        "failed": failed,
        "variants": [
            {
                "name": worker.variant.name,
                "options": dict(worker.variant.options),
                "callers": worker.variant.callers,
                "budget": worker.variant.budget,
                "load_s": round(worker.load_s, 2),
                "loaded_mb": round(worker.rss_mb),
                "process_mb": memory[worker.variant.name],
                **{
                    kind: {
                        "texts_per_s": round(len(_lengths(kind, 1)) / _median(own[kind], "wall_s"), 1),
                        "tokens_per_s": round(sum(_lengths(kind, 1)) / _median(own[kind], "wall_s")),
                        "speed": _ratio(first[kind], own[kind], "wall_s"),
                        "cpu": _ratio(own[kind], first[kind], "cpu_s"),
                    }
                    for kind in KINDS
                },
            }
            for worker, own in ((each, passes[each.variant.name]) for each in workers)
        ],
    }


def _lengths(kind: str, repetition: int) -> list[int]:
    """Tokens of each text of one pass."""
    if kind == "short":
        return [15] * 256
    if kind == "medium":
        return [127] * 64
    seed = 0 if kind == "mixed" else 1 + repetition
    return np.random.default_rng(seed).integers(8, 257, size=64).tolist()


def _median(passes: Sequence[Any], what: str) -> float:
    return median(getattr(each, what) for each in passes)


def _ratio(above: Sequence[Any], below: Sequence[Any], what: str) -> float:
    pairs = zip(above, below, strict=True)
    return round(median(getattr(a, what) / getattr(b, what) for a, b in pairs), 3)


def _table(result: Mapping[str, Any]) -> str:
    cell: Callable[[Mapping[str, Any]], str] = lambda m: f"{m['texts_per_s']:.0f} x{m['speed']:.2f} cpu {m['cpu']:.2f}"  # noqa: E731
    rows = [
        [
            each["name"],
            f"{each['load_s']:.2f}",
            f"{each['loaded_mb']} {each['process_mb']}",
            *(cell(each[kind]) for kind in KINDS),
        ]
        for each in result["variants"]
    ]
    failed = "".join(f"\nfailed: {name}: {reason}" for name, reason in result["failed"].items())
    return table(["variant", "load s", "MB", *KINDS], rows) + failed


def _store(out: Path, name: str, result: Mapping[str, Any]) -> None:
    record = json.loads(out.read_text("utf-8")) if out.is_file() else {}
    record |= {"machine": machine(), "versions": versions(("onnxruntime", "openvino", "nncf"))}
    record.setdefault("groups", {})[name] = {"written": datetime.now(UTC).isoformat(timespec="seconds"), **result}
    out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
