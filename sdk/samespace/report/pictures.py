"""Pictures as SVG: histograms, lines, points, bars. Sizes are in SVG's own units; the page scales them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

import numpy as np

from ..text import shortened

_WIDTH: Final = 640
_HEIGHT: Final = 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 28, 24, 44
_COLOURS: Final = 6
_DASHES: Final = ("", "6 3", "2 3", "8 3 2 3", "1 2", "10 4")

Points = Sequence[tuple[float, float]]


def histogram(
    series: Mapping[str, Sequence[float]],
    *,
    label: str,
    low: float | None = None,
    high: float | None = None,
    bins: int = 40,
) -> str:
    """How often values occur: an outline for each series, each scaled to its own number of values.

    Args:
        series: name to values; values that are not finite are left out and counted in the caption.
        label: what is counted, with its unit; below the axis.
        low, high: the ends of the axis; those of the data if not given.
    """
    kept = {name: np.asarray(values, dtype=np.float64) for name, values in series.items()}
    strange = sum(int((~np.isfinite(values)).sum()) for values in kept.values())
    kept = {name: values[np.isfinite(values)] for name, values in kept.items()}
    everything = np.concatenate([*kept.values(), np.empty(0)])
    left = low if low is not None else float(everything.min() if everything.size else 0.0)
    right = high if high is not None else float(everything.max() if everything.size else 1.0)
    if right <= left:
        left, right = left - 0.5, right + 0.5
    edges = np.linspace(left, right, bins + 1)
    shares = {
        name: np.histogram(np.clip(values, left, right), edges)[0] / max(1, values.size)
        for name, values in kept.items()
    }
    top = max((float(share.max()) for share in shares.values()), default=0.0) or 1.0
    frame = _Frame(left, right, 0.0, top)
    marks, keys = [], []
    for number, (name, share) in enumerate(shares.items()):
        steps = [(float(edges[0]), 0.0)]
        for index, height in enumerate(share):
            steps += [(float(edges[index]), float(height)), (float(edges[index + 1]), float(height))]
        steps.append((float(edges[-1]), 0.0))
        path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in steps)
        colour = f"var(--c{number % _COLOURS})"
        marks.append(
            f'<polygon points="{path}" fill="{colour}" fill-opacity="0.18" stroke="{colour}" stroke-width="1.5" '
            f'stroke-dasharray="{_DASHES[number % _COLOURS]}"/>'
        )
        keys.append(_key(number, f"{name} ({kept[name].size} values)"))
    caption = f"{strange} values are not finite and not shown." if strange else ""
    return _figure(frame, marks, keys, x=label, y="share", caption=caption)


def lines(series: Mapping[str, Points], *, x: str, y: str, log_x: bool = False) -> str:
    """A line for each series; points that are not finite are left out, and the line has a gap there.

    Args:
        series: name to (x, y) in the order in which they are joined.
        log_x: for values of x over several powers of ten; all must be above 0.
    """
    frame = _around(series.values(), log_x=log_x)
    marks, keys = [], []
    for number, (name, points) in enumerate(series.items()):
        colour, dash = f"var(--c{number % _COLOURS})", _DASHES[number % _COLOURS]
        for piece in _pieces(points):
            path = " ".join(f"{frame.x(a):.1f},{frame.y(b):.1f}" for a, b in piece)
            if len(piece) == 1:
                a, b = piece[0]
                marks.append(f'<circle cx="{frame.x(a):.1f}" cy="{frame.y(b):.1f}" r="2.5" fill="{colour}"/>')
            else:
                marks.append(
                    f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8" '
                    f'stroke-dasharray="{dash}"/>'
                )
        keys.append(_key(number, name))
    return _figure(frame, marks, keys, x=x, y=y)


def scatter(series: Mapping[str, Points], *, x: str = "", y: str = "") -> str:
    """A point for each pair of finite values."""
    frame = _around(series.values())
    marks, keys = [], []
    for number, (name, points) in enumerate(series.items()):
        colour = f"var(--c{number % _COLOURS})"
        marks += [
            f'<circle cx="{frame.x(a):.1f}" cy="{frame.y(b):.1f}" r="2.2" fill="{colour}" fill-opacity="0.55"/>'
            for a, b in points
            if math.isfinite(a) and math.isfinite(b)
        ]
        keys.append(_key(number, name))
    return _figure(frame, marks, keys, x=x, y=y)


def bars(values: Mapping[str, float], *, label: str) -> str:
    """A horizontal bar for each value, with the value beside it; bars begin at 0."""
    finite = [value for value in values.values() if math.isfinite(value)]
    low, high = min([0.0, *finite]), max([0.0, *finite])
    if high == low:
        high = low + 1.0
    margin, row = 200, 24
    height = row * len(values) + 30
    place = _scale(low, high, margin, _WIDTH - 70)
    marks = []
    for number, (name, value) in enumerate(values.items()):
        y = 4 + row * number
        marks.append(f'<text x="{margin - 8}" y="{y + 15}" text-anchor="end">{escape(shortened(name, 30))}</text>')
        if math.isfinite(value):
            left, right = sorted((place(0.0), place(value)))
            width = max(1.0, right - left)
            marks.append(f'<rect x="{left:.1f}" y="{y}" width="{width:.1f}" height="{row - 6}" fill="var(--c0)"/>')
        end = place(max(0.0, value)) if math.isfinite(value) else place(0.0)
        marks.append(f'<text x="{end + 6:.1f}" y="{y + 14}">{value:.4g}</text>')
    marks.append(f'<text x="{margin}" y="{height - 8}">{escape(label)}</text>')
    return _svg(_WIDTH, height, marks)


@dataclass(frozen=True, slots=True)
class _Frame:
    """The part of the plane that is shown."""

    left: float
    right: float
    bottom: float
    top: float
    log_x: bool = False

    def x(self, value: float) -> float:
        if self.log_x:
            return _scale(math.log10(self.left), math.log10(self.right), _LEFT, _WIDTH - _RIGHT)(math.log10(value))
        return _scale(self.left, self.right, _LEFT, _WIDTH - _RIGHT)(value)

    def y(self, value: float) -> float:
        return _scale(self.bottom, self.top, _HEIGHT - _BOTTOM, _TOP)(value)


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _around(series: Iterable[Points], *, log_x: bool = False) -> _Frame:
    """The frame that holds all finite points."""
    points = [(x, y) for each in series for x, y in each if math.isfinite(x) and math.isfinite(y)]
    xs, ys = [x for x, _ in points] or [1.0], [y for _, y in points] or [0.0]
    left, right, bottom, top = min(xs), max(xs), min(ys), max(ys)
    if right == left:
        left, right = (left / 2, right * 2) if log_x else (left - 0.5, right + 0.5)
    if top == bottom:
        bottom, top = bottom - 0.5, top + 0.5
    room = 0.04 * (top - bottom)
    return _Frame(left, right, bottom - room, top + room, log_x)


def _pieces(points: Points) -> list[list[tuple[float, float]]]:
    pieces: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if math.isfinite(x) and math.isfinite(y):
            pieces[-1].append((x, y))
        elif pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]


def _ticks(low: float, high: float, log: bool = False) -> list[float]:
    """Round numbers between *low* and *high*, some five of them."""
    if log:
        found = [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
        inside = [each for each in found if low <= each <= high]
        return inside or [low, high]
    raw = (high - low) / 5
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * unit for factor in (1, 2, 5, 10) if factor * unit >= raw)
    first = math.ceil(low / step)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _figure(frame: _Frame, marks: Sequence[str], keys: Sequence[str], *, x: str, y: str, caption: str = "") -> str:
    axes = []
    base = _HEIGHT - _BOTTOM
    for value in _ticks(frame.left, frame.right, frame.log_x):
        at = frame.x(value)
        axes.append(f'<line class="axis" x1="{at:.1f}" x2="{at:.1f}" y1="{base}" y2="{base + 4}"/>')
        axes.append(f'<text x="{at:.1f}" y="{base + 17}" text-anchor="middle">{value:.4g}</text>')
    for value in _ticks(frame.bottom, frame.top):
        at = frame.y(value)
        axes.append(f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        axes.append(f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{value:.4g}</text>')
    axes.append(f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(x)}</text>')
    axes.append(f'<text x="4" y="{_TOP - 10}">{escape(y)}</text>')
    return _svg(_WIDTH, _HEIGHT, [*axes, *marks], " ".join([*keys, escape(caption)]).strip())


def _key(number: int, name: str) -> str:
    """One entry of the legend, below the picture, where it hides nothing."""
    line = (
        f'<line x1="0" x2="24" y1="6" y2="6" stroke="var(--c{number % _COLOURS})" stroke-width="3" '
        f'stroke-dasharray="{_DASHES[number % _COLOURS]}"/>'
    )
    return f'<span class="key"><svg viewBox="0 0 24 12">{line}</svg> {escape(name)}</span>'


def _svg(width: int, height: int, marks: Sequence[str], caption: str = "") -> str:
    said = f"<figcaption>{caption}</figcaption>" if caption else ""
    return f'<figure><svg viewBox="0 0 {width} {height}" role="img">' + "".join(marks) + f"</svg>{said}</figure>"
