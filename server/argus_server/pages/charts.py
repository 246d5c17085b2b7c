"""Small charts as inline SVG: data in, coordinates out; the template draws them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from argus_core.events import number_or_none
from argus_server.storage.job import Epoch

__all__ = ["Curve", "LossChart", "loss_chart"]

WIDTH, HEIGHT, LEFT, BOTTOM, PAD = 640, 240, 56, 28, 10
_MAX_POINTS = 600
_MOST = 1e300
_LEAST_SPREAD, _LEAST_SHARE = 1e-290, 1e-12
"""An axis is at least this long, and this long for its values: below, floats cannot divide it."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One line; `points` as SVG wants them, `last` the value it ends with."""

    name: str
    style: str
    points: str
    last: str
    end: tuple[float, float]


@dataclass(frozen=True, slots=True)
class LossChart:
    """Curves over epochs with the ticks of both axes, in the coordinates of one viewBox."""

    curves: Sequence[Curve]
    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]
    skipped: int
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    base: int = HEIGHT - BOTTOM


def loss_chart(epochs: Sequence[Epoch]) -> LossChart | None:
    """Return the training and validation loss of a job, None if no epoch has a finite one.

    Values that are not finite leave a gap and are counted in `skipped`; those beyond ±1e300 are drawn there.
    """
    series = {"train_loss": _series(epochs, "train_loss"), "val_loss": _series(epochs, "val_loss")}
    points = [point for line in series.values() for point in line]
    if not points:
        return None
    low_x, high_x = _spread([x for x, _ in points])
    low_y, high_y = _spread([_drawn(y) for _, y in points])

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - low_x) / (high_x - low_x) * (WIDTH - LEFT - PAD)
        up = (_drawn(y) - low_y) / (high_y - low_y) * (HEIGHT - BOTTOM - PAD)
        return round(LEFT + across, 1), round(HEIGHT - BOTTOM - up, 1)

    curves = [
        Curve(
            name.replace("_", " "),
            name.partition("_")[0],
            " ".join("{:g},{:g}".format(*place(x, y)) for x, y in _thin(line)),
            f"{line[-1][1]:.4g}",
            place(*line[-1]),
        )
        for name, line in series.items()
        if line
    ]
    skipped = sum(
        1
        for epoch in epochs
        for name in series
        if (number := number_or_none(epoch.data.get(name))) is not None and not math.isfinite(number)
    )
    x_ticks = [(place(x, low_y)[0], f"{x:g}") for x in _ticks(low_x, high_x, whole=True)]
    y_ticks = [(place(low_x, y)[1], f"{y:.3g}") for y in _ticks(low_y, high_y, whole=False)]
    return LossChart(curves, x_ticks, y_ticks, skipped)


def _series(epochs: Sequence[Epoch], name: str) -> list[tuple[float, float]]:
    numbers = ((epoch.epoch, number_or_none(epoch.data.get(name))) for epoch in epochs)
    return [(float(x), y) for x, y in numbers if y is not None and math.isfinite(y)]


def _drawn(y: float) -> float:
    """Return where a value stands: the length of an axis must be finite."""
    return max(-_MOST, min(y, _MOST))


def _spread(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of an axis, which are as far apart as arithmetic needs them to be."""
    low, high = min(values), max(values)
    largest = max(abs(low), abs(high))
    if high - low > max(_LEAST_SPREAD, _LEAST_SHARE * largest):
        return low, high
    room = max(0.5, 0.05 * largest)
    return low - room, high + room


def _thin(line: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    step = math.ceil(len(line) / _MAX_POINTS)
    return [*line[:-1:step], line[-1]]


def _ticks(low: float, high: float, *, whole: bool) -> list[float]:
    """Return about five round numbers between low and high."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((power * factor for factor in (1, 2, 5) if power * factor >= rough), power * 10)
    step = max(1.0, step) if whole else step
    first = math.ceil(low / step)
    count = int((high - first * step) / step + 1e-9) + 1
    return [(first + i) * step for i in range(max(0, min(count, 12)))]
