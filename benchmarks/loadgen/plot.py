"""The picture of `benchmarks/results/peers.json`: texts a second of everybody, on one logarithmic axis a class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any, Final

from .goals import KINDS

# Okabe and Ito's colours, told apart with any kind of colour vision; the markers say the same without colour.
_STYLE: Final = {
    "samespace": ("#0072B2", "o"),
    "bare": ("#999999", "|"),
    "library": ("#009E73", "^"),
    "peer": ("#D55E00", "s"),
}
_NAMES: Final = {
    "samespace": "samespace",
    "bare": "runtime alone, ideal batches",
    "library": "library in process",
    "peer": "other servers",
}
WRONG: Final = 1e-3  # mean 1 - cos from which a marker is drawn hollow


def draw(record: Mapping[str, Any], stem: Path) -> list[Path]:
    """Write *stem*.png and *stem*.svg."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    plt.rcParams.update({"font.size": 10, "svg.hashsalt": "samespace", "svg.fonttype": "none"})
    order = list(_STYLE)
    rows = sorted(record["contestants"], key=lambda each: order.index(each["group"]))
    rows.reverse()  # the first is on top
    figure, panels = plt.subplots(1, len(KINDS), figsize=(12, 0.32 * len(rows) + 1.9), sharey=True)
    for panel, kind in zip(panels, KINDS, strict=True):
        rates = [max(0.1, median(each["texts_per_s"] for each in row["rounds"][kind])) for row in rows]
        for at, (row, rate) in enumerate(zip(rows, rates, strict=True)):
            colour, marker = _STYLE[row["group"]]
            right = row["vectors"]["mean_distance"] < WRONG
            panel.plot([min(rates) * 0.7, rate], [at, at], color="#DDDDDD", linewidth=1, zorder=1)
            panel.plot(
                rate, at, marker=marker, markersize=8, color=colour, zorder=2, markeredgewidth=2,
                markerfacecolor=colour if right else "white",
            )  # fmt: skip
            panel.annotate(
                f"{rate:,.0f}", (rate, at), xytext=(8, 0), textcoords="offset points", va="center", fontsize=9
            )
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.set_xlim(min(rates) * 0.7, max(rates) * 2.4)
        panel.set_title(f"{kind}: {record['texts'][kind]['mean_tokens']:.0f} tokens on average", fontsize=11)
        panel.set_xlabel("texts a second (logarithmic)")
        for side in ("top", "right", "left"):
            panel.spines[side].set_visible(False)
        panel.tick_params(axis="y", length=0)
        panel.grid(axis="x", which="major", color="#EEEEEE")
        panel.set_axisbelow(True)
    panels[0].set_yticks(range(len(rows)), [_label(row) for row in rows])
    groups = {row["group"] for row in rows}
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", markersize=8, markeredgewidth=2, label=_NAMES[group])
        for group, (colour, marker) in _STYLE.items()
        if group in groups
    ]
    handles.append(
        Line2D([], [], color="#555555", marker="s", linestyle="", markersize=8, markeredgewidth=2,
               markerfacecolor="white", label=f"hollow: other vectors (mean 1 - cos above {WRONG:g})")
    )  # fmt: skip
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False, fontsize=10)
    machine = record["machine"]
    figure.suptitle(
        f"{record['model']}, {record['clients']} clients that send one text at a time, {machine['cores']} cores "
        f"({machine['processor']}), {record['written'][:10]}",
        fontsize=11,
    )
    figure.tight_layout(rect=(0, 0.05, 1, 0.98))
    files = [stem.with_suffix(".png"), stem.with_suffix(".svg")]
    figure.savefig(files[0], dpi=150)
    figure.savefig(files[1], metadata={"Date": None})
    plt.close(figure)
    return files


def _label(row: Mapping[str, Any]) -> str:
    """The name, and the mean cosine where the vectors are not those of fp32."""
    cosine = 1 - row["vectors"]["mean_distance"]
    return row["name"] if cosine > 1 - WRONG else f"{row['name']}  (cos {cosine:.3f})"
