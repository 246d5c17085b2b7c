"""Curves as inline SVG: data in, coordinates out; the template draws them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Axis", "Chart", "Curve", "Line", "curve_chart", "time_unit"]

Axis = Literal["epoch", "time"]

WIDTH, HEIGHT, LEFT, BOTTOM, PAD = 640, 260, 58, 30, 12
_MAX_POINTS = 600
_MOST = 1e300
_LEAST_SPREAD, _LEAST_SHARE, _LEAST_FACTOR = 1e-290, 1e-12, 1e-9
"""An axis is at least this long, this long for its values, and this many powers of ten: below, floats cannot
divide it."""
_MAX_DECADES = 7
_EXPONENTS = (-300, 300)
"""Between these powers of ten a logarithmic axis has ticks."""


@dataclass(frozen=True, slots=True)
class Line:
    """Points of one line, by epoch or by seconds; None where there is no finite value.

    Attributes:
        name: what it is called; empty for one that only stands behind the others.
        slot: which of the eight colours and dashes it has, counted from 1; 0 for grey.
    """

    name: str
    slot: int
    points: Sequence[tuple[float, float | None]]


@dataclass(frozen=True, slots=True)
class Curve:
    """One line as it is drawn: the `points` of each unbroken piece, `last` the value it ends with."""

    name: str
    slot: int
    pieces: Sequence[str]
    last: str
    end: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves with the ticks of both axes, in the coordinates of one viewBox. Grey ones come first.

    Attributes:
        skipped: how many values are not drawn: not finite, or not above zero on a logarithmic scale.
    """

    curves: Sequence[Curve]
    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]
    x_label: str
    skipped: int
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    base: int = HEIGHT - BOTTOM

    @property
    def named(self) -> list[Curve]:
        """The curves that are not grey."""
        return [curve for curve in self.curves if curve.slot]


def time_unit(seconds: float) -> tuple[str, float]:
    """Return the unit of a time axis that is so long, and how many seconds it has."""
    for limit, unit, size in ((180.0, "s", 1.0), (3 * 3600.0, "min", 60.0), (72 * 3600.0, "h", 3600.0)):
        if seconds <= limit:
            return unit, size
    return "days", 86400.0


def curve_chart(lines: Sequence[Line], *, axis: Axis = "epoch", log: bool = False) -> Chart | None:
    """Return the chart of some lines, None if nothing of them can be drawn.

    What is not finite leaves a gap; what is beyond ±1e300 is drawn there.
    """

    def drawable(value: float | None) -> bool:
        return value is not None and math.isfinite(value) and (value > 0 or not log)

    def drawn(value: float) -> float:
        return math.log10(value) if log else max(-_MOST, min(value, _MOST))

    xs = [x for line in lines for x, y in line.points if drawable(y)]
    ys = [drawn(y) for line in lines for _, y in line.points if y is not None and drawable(y)]
    if not ys:
        return None
    low_x, high_x = _spread(xs)
    low_y, high_y = _spread(ys, _LEAST_FACTOR if log else _LEAST_SPREAD)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - low_x) / (high_x - low_x) * (WIDTH - LEFT - PAD)
        up = (y - low_y) / (high_y - low_y) * (HEIGHT - BOTTOM - PAD)
        return round(LEFT + across, 1), round(HEIGHT - BOTTOM - up, 1)

    curves = []
    for line in sorted(lines, key=lambda line: line.slot):
        pieces = _pieces([(x, drawn(y) if y is not None and drawable(y) else None) for x, y in line.points])
        if pieces:
            last = next(y for _, y in reversed(line.points) if y is not None and drawable(y))
            texts = [_text([place(*point) for point in _thin(some)]) for some in pieces]
            curves.append(Curve(line.name, line.slot, texts, f"{last:.4g}", place(*pieces[-1][-1])))
    skipped = sum(y is not None and not drawable(y) for line in lines if line.slot for _, y in line.points)
    unit, size = ("", 1.0) if axis == "epoch" else time_unit(high_x)
    ticks = _ticks(low_x / size, high_x / size, whole=axis == "epoch")
    x_ticks = [(place(x * size, low_y)[0], f"{x:g}") for x in ticks]
    marks = _decades(low_y, high_y) if log else [(y, f"{y:.3g}") for y in _ticks(low_y, high_y, whole=False)]
    y_ticks = [(place(low_x, y)[1], label) for y, label in marks]
    label = "epoch" if axis == "epoch" else f"{unit} since the start"
    return Chart(curves, x_ticks, y_ticks, label, skipped)


def _text(points: Sequence[tuple[float, float]]) -> str:
    """Return points as SVG wants them; one alone is there twice, so that it is drawn as a dot."""
    return " ".join(f"{x:g},{y:g}" for x, y in (points if len(points) > 1 else [*points, *points]))


def _pieces(points: Sequence[tuple[float, float | None]]) -> list[list[tuple[float, float]]]:
    """Return the stretches of a line between its gaps."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if y is not None:
            pieces[-1].append((x, y))
        elif pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]


def _spread(values: Sequence[float], least: float = _LEAST_SPREAD) -> tuple[float, float]:
    """Return the ends of an axis, which are as far apart as arithmetic needs them to be."""
    low, high = min(values), max(values)
    largest = max(abs(low), abs(high))
    if high - low > max(least, _LEAST_SHARE * largest):
        return low, high
    room = max(0.5, 0.05 * largest)
    return low - room, high + room


def _thin(line: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """Return a long line by the lowest and the highest point of each short stretch: no peak is lost."""
    if len(line) <= _MAX_POINTS:
        return line
    size = math.ceil(2 * len(line) / _MAX_POINTS)
    kept = [line[0]]
    for start in range(1, len(line) - 1, size):
        stretch = line[start : min(start + size, len(line) - 1)]
        ends = {stretch.index(pick(stretch, key=lambda point: point[1])) for pick in (min, max)}
        kept += [stretch[i] for i in sorted(ends)]
    return [*kept, line[-1]]


def _ticks(low: float, high: float, *, whole: bool) -> list[float]:
    """Return about five round numbers between low and high."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((power * factor for factor in (1, 2, 5) if power * factor >= rough), power * 10)
    step = max(1.0, step) if whole else step
    first = math.ceil(low / step)
    count = int((high - first * step) / step + 1e-9) + 1
    return [(first + i) * step for i in range(max(0, min(count, 12)))]


def _decades(low: float, high: float) -> list[tuple[float, str]]:
    """Return the ticks of a logarithmic axis, whose ends are exponents: powers of ten, and 2 and 5 if few."""
    first, last = math.ceil(max(low, _EXPONENTS[0])), math.floor(min(high, _EXPONENTS[1]))
    step = max(1, math.ceil((last - first + 1) / _MAX_DECADES))
    marks = [float(exponent) for exponent in range(first, last + 1, step)]
    if len(marks) < 3:
        digits = [math.log10(factor) for factor in (1, 2, 5)]
        marks = [part + exponent for exponent in range(first - 1, last + 1) for part in digits]
        marks = [mark for mark in marks if low <= mark <= high]
    if len(marks) < 2:
        values = _ticks(10.0**low, 10.0**high, whole=False) if _fits(low) and _fits(high) else []
        return [(math.log10(value), f"{value:.4g}") for value in values if value > 0]
    return [(mark, f"{10.0**mark:.3g}") for mark in marks]


def _fits(exponent: float) -> bool:
    return _EXPONENTS[0] <= exponent <= _EXPONENTS[1]
