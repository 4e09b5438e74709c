"""The pictures of `benchmarks/results/replicas.json`: latency and throughput by replicas, and a billion passages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_COLOURS: Final = ("#0072B2", "#009E73", "#D55E00")
_MARKERS: Final = ("o", "^", "s")


def draw(record: Mapping[str, Any], stem: Path) -> None:
    """Write *stem*.png and *stem*.svg."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"font.size": 10, "svg.hashsalt": "samespace", "svg.fonttype": "none"})
    figure, (speed, latency, billion) = plt.subplots(1, 3, figsize=(13, 4.2))
    rows = record["simulated"]
    loads = sorted({row["load"] for row in rows})
    for load, colour, marker in zip(loads, _COLOURS, _MARKERS, strict=True):
        mine = [row for row in rows if row["load"] == load]
        counts = [row["replicas"] for row in mine]
        label = f"at {100 * load:.0f} % of capacity"
        speed.plot(counts, [row["texts_per_s"] for row in mine], color=colour, marker=marker, label=label)
        latency.plot(counts, [row["p99_us"] / 1000 for row in mine], color=colour, marker=marker, label=label)
        by_chance = [row["p99_by_chance_us"] / 1000 for row in mine]
        latency.plot(counts, by_chance, color=colour, marker=marker, linestyle=":", markerfacecolor="white")
    speed.set_title("texts a second (127 tokens)")
    latency.set_title("p99 in ms; dotted: given out by chance")
    _billion(billion, record)
    for panel in (speed, latency):
        panel.set_xlabel("replicas of one core")
        panel.legend(frameon=False)
    for panel in (speed, latency, billion):
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.grid(which="major", color="#EEEEEE")
        panel.set_axisbelow(True)
        for side in ("top", "right"):
            panel.spines[side].set_visible(False)
    figure.text(0.01, 0.01, "Simulated from service times measured on one core. GPUs, prices and Weaviate's rates are "
                "assumptions.", fontsize=8, color="#555555")  # fmt: skip
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    for suffix, options in ((".png", {"dpi": 110}), (".svg", {"metadata": {"Date": None}})):
        figure.savefig(stem.with_suffix(suffix), **options)
    plt.close(figure)


def _billion(panel: Any, record: Mapping[str, Any]) -> None:
    """Hours of the import; hollow where Weaviate or the network and not the encoder sets the pace."""
    for name, colour, marker in (("CPU cores", _COLOURS[0], "o"), ("GPUs", _COLOURS[2], "s")):
        mine = [row for row in record["imports"] if row["on"] == name]
        label = name if name == "CPU cores" else f"{name} (assumed, not measured)"
        panel.plot([row["count"] for row in mine], [row["hours"] for row in mine], color=colour, zorder=1, label=label)
        for row in mine:
            full = row["bottleneck"] == "encoder"
            panel.plot(
                row["count"], row["hours"], marker=marker, color=colour, markerfacecolor=colour if full else "white"
            )
    panel.set_title("hours for a billion (hollow: Weaviate limits)")
    panel.set_xlabel("cores or GPUs that encode")
    panel.legend(frameon=False)
