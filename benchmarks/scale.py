"""How a bulk job grows: with rows (time and memory), and with workers.

    python benchmarks/scale.py --artifact artifacts/minilm                    # all of it; an hour on two cores
    python benchmarks/scale.py --artifact artifacts/minilm --rows 2000,4000 --worker-rows 512 --rounds 1    (a try)

1. Rows: short texts through a tiny encoder, made here, so that everything but the model is what is measured: 10,000 to
   1,000,000 rows in one process on one core. Linear means that a further row costs the same at every size (the slope
   between neighbouring sizes), flat that the peak of memory stays.
2. Workers: passages of the standard library's documentation through --artifact, by one process on one core and on two,
   and by one and two of Ray's actors. Rounds are interleaved; the medians and their ratios are told.

Each run is a process of its own. Ray's start is not counted, its workers' loading of the encoder is. Writes
benchmarks/results/scale.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

from loadgen.machine import command_line, machine, versions
from loadgen.texts import Source, load_tokenizer

RESULT: Final = Path(__file__).parent / "results" / "scale.json"
TESTS: Final = Path(__file__).resolve().parents[1] / "tests"
ROWS: Final = (10_000, 30_000, 100_000, 300_000, 1_000_000)
LINEAR: Final = 1.1
"""The costliest slope over the cheapest. Slopes below FROM rows are told and not judged: they are mostly the start."""
FROM: Final = 30_000
PART_ROWS: Final = 1024
WORKERS_PART_ROWS: Final = 64
"""Small parts, so that Ray has some for each worker, and two of them end at about the same time."""
WAYS: Final = (("process", 1), ("process", 2), ("ray", 1), ("ray", 2))


def main() -> None:
    """Measure, judge, write."""
    arguments = _arguments()
    if arguments.child:
        print(json.dumps(one_run(json.loads(arguments.child))))
        return
    record: dict[str, Any] = {"written": datetime.now(UTC).isoformat(timespec="seconds"), "command": command_line()}
    record |= {"machine": machine(), "versions": versions(["samespace", "onnxruntime", "openvino", "pyarrow", "ray"])}
    with TemporaryDirectory(dir=arguments.work) as name:
        work = Path(name)
        record["rows"] = by_rows(arguments.rows, arguments.tiny or tiny_artifact(work), work)
        if arguments.artifact:
            record["workers"] = by_workers(arguments, work)
        elif arguments.out.exists():  # rows again; what was measured of workers stays
            record |= {"workers": json.loads(arguments.out.read_text(encoding="utf-8"))["workers"]}
    record["machine"]["load_after"] = round(os.getloadavg()[0], 2)
    record["verdicts"] = verdicts(record)
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record["verdicts"], indent=1))


def by_rows(sizes: Sequence[int], artifact: Path, work: Path) -> list[dict[str, Any]]:
    """Seconds, CPU seconds and peak memory by number of rows, with the cost of a further row."""
    found: list[dict[str, Any]] = []
    for rows in sizes:
        corpus = work / f"{rows}.parquet"
        write_corpus(corpus, (f"reset the password of user {row}" for row in range(rows)))
        run = started(corpus, work / f"out-{rows}", artifact, ("process", 1), PART_ROWS)
        entry = {"rows": rows, **run}
        if found:
            further = rows - found[-1]["rows"]
            for unit in ("seconds", "cpu_seconds"):
                entry[f"{unit}_per_million_further_rows"] = (run[unit] - found[-1][unit]) / further * 1e6
        found.append(entry)
        print(json.dumps(entry), file=sys.stderr)
    return found


def by_workers(arguments: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Median seconds of each way, and how much faster two are than one."""
    corpus = work / "passages.parquet"
    texts = Source(load_tokenizer(None)).texts("medium", min(arguments.worker_rows, 1024))
    write_corpus(corpus, (f"{texts[row % len(texts)].text} {row}" for row in range(arguments.worker_rows)))
    ways = [way for way in WAYS if way[0] == "process" or find_spec("ray") is not None]
    seconds: dict[str, list[float]] = {f"{engine} {count}": [] for engine, count in ways}
    for turn in range(arguments.rounds):
        for engine, count in ways:
            out = work / f"out-{engine}-{count}-{turn}"
            run = started(corpus, out, arguments.artifact, (engine, count), WORKERS_PART_ROWS)
            seconds[f"{engine} {count}"].append(run["seconds"])
            print(f"{engine} {count}: {run['seconds']:.1f} s", file=sys.stderr)
    middle = {name: median(values) for name, values in seconds.items()}
    same = {(work / f"out-{engine}-{count}-0" / "part-00000-000000.parquet").read_bytes() for engine, count in ways}
    return {
        "rows": arguments.worker_rows,
        "seconds": seconds,
        "texts_per_s": {name: arguments.worker_rows / value for name, value in middle.items()},
        "two_over_one": {
            engine: middle[f"{engine} 1"] / middle[f"{engine} 2"] for engine in dict.fromkeys(way[0] for way in ways)
        },
        "same_bytes": len(same) == 1,
    }


def verdicts(record: dict[str, Any]) -> dict[str, Any]:
    """Whether time is linear and memory flat, and the ratios for workers."""
    rows = record["rows"]
    slopes = [row["seconds_per_million_further_rows"] for row in rows[1:] if row["rows"] > FROM]
    cpu = [row["cpu_seconds_per_million_further_rows"] for row in rows[1:] if row["rows"] > FROM]
    peaks = [row["peak_bytes"] for row in rows if row["rows"] > FROM]
    found: dict[str, Any] = {}
    if len(slopes) > 1:
        found = {
            "costliest_over_cheapest_row": max(slopes) / min(slopes),
            "the_same_in_cpu_time": max(cpu) / min(cpu),
            "linear": max(slopes) / min(slopes) <= LINEAR,
            "peak_memory_largest_over_smallest": max(peaks) / min(peaks),
            "flat": max(peaks) / min(peaks) <= LINEAR,
        }
    if "workers" in record:
        found |= {"two_workers_over_one": record["workers"]["two_over_one"]}
        found |= {"same_bytes": record["workers"]["same_bytes"]}
    return found


def started(corpus: Path, out: Path, artifact: Path, way: tuple[str, int], part_rows: int) -> dict[str, Any]:
    """One run in a process of its own."""
    told = {"corpus": str(corpus), "out": str(out), "artifact": str(artifact), "engine": way[0], "count": way[1]}
    told |= {"part_rows": part_rows}
    command = [sys.executable, __file__, "--child", json.dumps(told)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{told}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def one_run(told: dict[str, Any]) -> dict[str, Any]:
    """What a child does: the job, timed."""
    from samespace.artifact import open_artifact
    from samespace.bulk import BulkJob, Options, run
    from samespace.bulk.cluster import Cluster, connected, run_on_ray
    from samespace.bulk.job import plan_job
    from samespace.bulk.local import run_here
    from samespace.cli.serving.embed import OpenForBulk

    opened = OpenForBulk(told["artifact"], "fp32", "auto", "cpu")
    options = Options(open_artifact(told["artifact"]).space_id)
    job = BulkJob((told["corpus"],), told["out"], options, part_rows=told["part_rows"])

    def engine(parts: Any, options: Options, out: str, progress: Any) -> Iterator[Any]:
        if told["engine"] == "ray":
            return run_on_ray(parts, options, out, opened, cluster=Cluster(workers=told["count"]), progress=progress)
        return run_here(parts, options, out, opened, cores=told["count"], progress=progress)

    def timed() -> float:
        began = time.monotonic()
        run(job, plan_job(job), engine, lambda rows: None)
        return time.monotonic() - began

    if told["engine"] == "ray":
        with connected(Cluster(workers=told["count"])):
            return {"seconds": timed()}
    before = time.process_time()
    seconds = timed()
    # Not getrusage: its maximum is kept over exec, so that it would be this program's, which had torch in it.
    peak = _status_bytes("VmHWM")
    return {"seconds": seconds, "cpu_seconds": time.process_time() - before, "peak_bytes": peak}


def _status_bytes(name: str) -> int:
    """A figure of /proc/self/status, which is in kB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def write_corpus(path: Path, texts: Iterator[str]) -> None:
    """A Parquet file of ids and *texts*, written as they come."""
    from itertools import islice

    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema([("id", pyarrow.string()), ("text", pyarrow.string())])
    written = 0
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        while some := list(islice(texts, 65_536)):
            ids = [str(written + row) for row in range(len(some))]
            writer.write_table(pyarrow.table({"id": ids, "text": some}, schema=schema))
            written += len(some)


def tiny_artifact(work: Path) -> Path:
    """A random BERT of 32 dims and 2 layers, exported; needs the extra `train`."""
    sys.path.insert(0, str(TESTS))
    from fakes.models.encoders import save_tiny_bert
    from samespace.exporting.package import export_artifact
    from samespace.model.checkpoint import load_checkpoint

    export_artifact(load_checkpoint(save_tiny_bert(work / "checkpoint", seed=1)), work / "tiny")
    return work / "tiny"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artifact", type=Path, help="for the workers; without it only rows are measured anew")
    parser.add_argument("--tiny", type=Path, help="a tiny artifact that is there already")
    parser.add_argument("--rows", type=_numbers, default=ROWS, help="sizes (default 10000 to 1000000)")
    parser.add_argument("--worker-rows", type=int, default=4096, help="passages for the workers (default 4096)")
    parser.add_argument("--rounds", type=int, default=3, help="of the workers (default 3)")
    parser.add_argument("--work", type=Path, help="where temporary files go")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def _numbers(value: str) -> tuple[int, ...]:
    return tuple(int(each) for each in value.split(","))


if __name__ == "__main__":
    main()
