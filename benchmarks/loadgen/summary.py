"""The page of a comparison: one table for people, made from the record alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final

from .goals import KINDS

_COMMAND: Final = """python benchmarks/peers.py artifacts/minilm --model MODEL_FOLDER --name all-MiniLM-L6-v2 \\
    --out benchmarks/results/{file} --container-python PYTHON --container-code FOLDER --infinity-python PYTHON \\
    --tei BINARY"""


def summary(record: Mapping[str, Any], file: str) -> str:
    """Markdown of *record*, which is in *file*."""
    machine, sizes = record["machine"], record["texts"]
    lengths = ", ".join(f"{kind} {sizes[kind]['mean_tokens']:.0f}" for kind in KINDS)
    flags = ", ".join(machine.get("flags", ())) or "no special instructions known"
    rows = [_row(each) for each in record["contestants"]]
    plain = any(each["name"] == "Weaviate's container" for each in record["contestants"])
    averages = " Weaviate's container averages sentences, unless it is told to take whole texts." if plain else ""
    missing = [f"- Not measured: {each['name']}: {each['reason']}" for each in record.get("not_measured", ())]
    return "\n".join(
        [
            "# Texts a second, beside other servers",
            "",
            f"{record['model']} on {machine['cores']} cores, {machine['processor']} ({flags}),",
            f"{record['written'][:10]}. {record['clients']} clients send one text at a time over HTTP, as Weaviate",
            "does; `bare` and libraries run ideal batches in process." + averages,
            f"Median of {record['repetitions']} rounds, everybody measured in each of them.",
            f"Mean tokens of a text: {lengths}. Alone: median time of one client's short text.",
            "",
            "```",
            _COMMAND.format(file=file),
            "```",
            "",
            f"That command writes this page, from [the result]({file}).",
            "Its `--help` says how the others are installed.",
            "",
            f"| | {' | '.join(KINDS)} | alone, ms | peak MB | ready, s | mean 1 - cos | texts refused |",
            "| --- " * (len(KINDS) + 6) + "|",
            *(f"| {' | '.join(row)} |" for row in rows),
            *(["", *missing] if missing else []),
            "",
            f"![the same as a picture]({file.removesuffix('.json')}.svg)",
            "",
        ]
    )


def _row(each: Mapping[str, Any]) -> Sequence[str]:
    rounds = each["rounds"]
    rates = [f"{median(one['texts_per_s'] for one in rounds[kind]):.0f}" for kind in KINDS]
    alone = [one["latency_p50_ms"] for one in each["alone"]]
    refused = max(one.get("rejected_share", 0.0) for kind in KINDS for one in rounds[kind])
    return [
        each["name"],
        *rates,
        f"{median(alone):.1f}" if alone else "-",
        f"{each['peak_rss_bytes'] / 1e6:.0f}",
        f"{each['ready_s']:.1f}",
        f"{each['vectors']['mean_distance']:.0e}",
        f"{refused:.0%}",
    ]
