"""Faults injected into real Weaviates, and what is lost, doubled, mixed, brought back or unsearchable afterwards.

    WEAVIATE_BINARY=/path/to/weaviate python benchmarks/faults.py --out benchmarks/results/faults.json \\
        --docs docs/reference/faults.md

Each row has a new collection: an import or a migration is injured, then all is counted by plain means on every node
(`faultlab.count`), samespace is asked for its verdict, repairs, and all is counted again. Encoders are tiny and random;
what is right is told by sentence-transformers on the original folders. Rows that are in the file already are not run
again (--again NAME does), so it can be stopped at any time, and run for each version of Weaviate, also at once.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from fakes.models.encoders import save_tiny_bert
from fakes.weaviate.nodes import Nodes, weaviate_nodes
from faultlab.cluster import ROWS as THREE
from faultlab.count import Encode
from faultlab.single import ROWS as ONE
from faultlab.single import FaultRow
from faultlab.site import EncoderProcess, Site
from loadgen.machine import machine, versions
from samespace.artifact import open_artifact
from samespace.cli.console import say
from samespace.errors import SamespaceError
from samespace.exporting.package import export_artifact
from samespace.folders import whole_file
from samespace.model.checkpoint import load_checkpoint

BEGIN: Final = "<!-- table: written by benchmarks/faults.py -->"
END: Final = "<!-- end of table -->"
KINDS: Final = ("lost", "doubled", "mixed", "brought_back", "undone", "unsearchable", "unfiltered")


def main() -> None:
    """Run the rows that are missing, and write the file and the page after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the file of results, which is added to")
    parser.add_argument("--docs", type=Path, help="page whose table is written anew")
    parser.add_argument("--only", action="append", default=[], help="NODES/NAME of a row, e.g. 3/lagging-replica")
    parser.add_argument("--again", action="append", default=[], help="the same, also where it is in the file")
    arguments = parser.parse_args()
    binary = os.environ.get("WEAVIATE_BINARY")
    if binary:
        wanted = {*arguments.only, *arguments.again}
        for row in (*ONE, *THREE):
            key = f"{row.nodes}/{row.name}"
            if key in wanted or not (wanted or row.slow):
                _once(row, key, Path(binary), arguments)
    _write(arguments)


def _once(row: FaultRow, key: str, binary: Path, arguments: argparse.Namespace) -> None:
    version = _version(binary)
    there = any((each["key"], each["weaviate"]) == (key, version) for each in _read(arguments.out)["rows"])
    if there and key not in arguments.again:
        return
    say(f"{version} {key}: {row.fault}")
    began = time.monotonic()
    try:
        found = run(row, binary)
    except (AssertionError, SamespaceError, httpx.HTTPError, subprocess.SubprocessError, OSError) as error:
        found = {"row": row.fault, "failed": f"{type(error).__name__}: {str(error)[:400]}"}
    seconds = round(time.monotonic() - began)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    ran = {"seconds": seconds, "load": round(os.getloadavg()[0], 1), "commit": commit.stdout.strip()}
    entry = {"key": key, "weaviate": version, "nodes": row.nodes, "fault": row.fault, **found, **ran}
    _write(arguments, entry)
    say(json.dumps(entry))


def run(row: FaultRow, binary: Path) -> dict[str, Any]:
    """One row: how it ended, what samespace said, and the damage before and after its repair."""
    with tempfile.TemporaryDirectory(prefix="samespace-faults-") as made, ExitStack() as stack:
        folder = Path(made)
        data = folder / "weaviate"
        data.mkdir()
        if row.disk_mb:
            stack.enter_context(_own_disk(data, row.disk_mb))
        old, new = (stack.enter_context(_encoder(folder, seed)) for seed in (1, 2))
        nodes: Nodes = stack.enter_context(weaviate_nodes(binary, data, row.nodes, environment=row.settings))
        key = row.settings.get("AUTHENTICATION_APIKEY_ALLOWED_KEYS", "").partition(",")[0]
        references = dict(_reference(folder, seed, each) for seed, each in ((1, old), (2, new)))
        site = Site(nodes, old, new, references, folder / "journals", key)
        ended = row.run(site)
        now, verdict = site.counted(), site.verdict()
        false = verdict == "clean" and now.any
        before = site.damaged or now
        if site.damaged is not None:
            verdict = f"import not clean; mended, then {verdict}"
        repaired = site.mend()
        after = site.counted()
        last = site.verdict()
    return {
        "objects": len(site.truth),
        "ended": ended,
        "events": site.events,
        "stopped": site.stopped,
        "verdict": verdict,
        "before": asdict(before),
        "repair": repaired,
        "after": asdict(after),
        "verdict_after": last,
        "false_verdict": false or (last == "clean" and after.any),
    }


@contextmanager
def _own_disk(folder: Path, size_mb: int) -> Iterator[None]:
    """A file system of that size in memory; needs the right to mount."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def _encoder(folder: Path, seed: int) -> Iterator[EncoderProcess]:
    checkpoint = save_tiny_bert(folder / f"checkpoint{seed}", seed=seed)
    export_artifact(load_checkpoint(checkpoint), folder / f"artifact{seed}")
    started = EncoderProcess(folder / f"artifact{seed}", folder)
    try:
        yield started
    finally:
        started.kill()


def _reference(folder: Path, seed: int, encoder: EncoderProcess) -> tuple[str, Encode]:
    """(space id, how sentence-transformers encodes for it)."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder / f"checkpoint{seed}"), device="cpu")

    def encode(texts: Sequence[str]) -> Any:
        return np.asarray(model.encode(list(texts), batch_size=256, normalize_embeddings=True), dtype=np.float64)

    return open_artifact(encoder.artifact).manifest.space_id, encode


def _version(binary: Path) -> str:
    """What it calls itself; it has to be started to be asked."""
    if binary not in _VERSIONS:
        with tempfile.TemporaryDirectory() as folder, weaviate_nodes(binary, Path(folder)) as nodes:
            _VERSIONS[binary] = str(httpx.get(f"{nodes[0].url}/v1/meta").json()["version"])
    return _VERSIONS[binary]


_VERSIONS: dict[Path, str] = {}


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text())) if path.exists() else {"rows": []}


def _write(arguments: argparse.Namespace, entry: Mapping[str, Any] | None = None) -> None:
    """Put *entry* in the place of the row of its key and version; another process may do so at the same time."""
    folder = os.open(arguments.out.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        _write_all(arguments, entry)
    finally:
        os.close(folder)


def _write_all(arguments: argparse.Namespace, entry: Mapping[str, Any] | None) -> None:
    results = _read(arguments.out)
    if entry is not None:
        key = (entry["key"], entry["weaviate"])
        results["rows"] = [each for each in results["rows"] if (each["key"], each["weaviate"]) != key] + [entry]
        results |= {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine()}
        results["versions"] = versions(("samespace", "weaviate-client", "sentence-transformers", "numpy"))
        with whole_file(arguments.out) as file:
            file.write((json.dumps(results, indent=1) + "\n").encode())
    if arguments.docs is not None:
        page = arguments.docs.read_text(encoding="utf-8")
        head, _, rest = page.partition(BEGIN)
        arguments.docs.write_text(f"{head}{BEGIN}\n\n{table(results['rows'])}\n\n{END}{rest.partition(END)[2]}")


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows in Markdown, by version and number of nodes."""
    lines = [
        "| Weaviate | nodes | fault | objects | before repair | samespace says | after repair | samespace says |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for each in sorted(rows, key=lambda row: (row["weaviate"], row["nodes"], row["key"])):
        start = f"| {each['weaviate']} | {each['nodes']} | {each['fault']} |"
        if "failed" in each:
            lines.append(f"{start} | not finished: {each['failed'][:80]} | | | |")
            continue
        lines.append(
            f"{start} {each['objects']:,} | {_words(each['before'])} | {each['verdict']} | {_words(each['after'])} | "
            f"{each['verdict_after']} |"
        )
    return "\n".join(lines)


def _words(damage: Mapping[str, int]) -> str:
    return ", ".join(f"{damage[kind]} {kind.replace('_', ' ')}" for kind in KINDS if damage[kind]) or "0"


if __name__ == "__main__":
    main()
