"""Numbers as people read them: one unit and one number of decimals for a column."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from argus_core.events import number_or_none
from argus_server.ranking.values import raw_text

__all__ = ["Style", "choose_style", "choose_unit"]

_TIME_UNITS = ((1e-3, "µs", 1e6), (1.0, "ms", 1e3), (120.0, "s", 1.0), (7200.0, "min", 1 / 60))
_MAX_DECIMALS = 6
_MORE_DECIMALS = 2
"""So many more than its values need show a column's best and second best apart."""
_NOISE = 1e-9
"""A spread that is smaller than this part of the value is rounding, not a difference between seeds."""
_MAX_FIXED = 1e9
_UNGROUPED = 999.0
"""From a thousand on numbers have commas; this one does not, however it is rounded."""
_LARGEST = sys.float_info.max
_SMALL = 0.5
"""What is larger never reads as zero, nor needs a sign, whatever the decimals."""


def choose_unit(raw_unit: str, numbers: Sequence[float]) -> tuple[str, float]:
    """Return the unit of a whole column and what its raw values are multiplied by."""
    middle = _middle(_sizes(numbers))
    if raw_unit == "s" and middle > 0:
        return next(((unit, scale) for limit, unit, scale in _TIME_UNITS if middle < limit), ("h", 1 / 3600))
    if raw_unit == "MB" and middle >= 1024:
        return "GB", 1 / 1024
    return ("" if raw_unit == "count" else raw_unit), 1.0


@dataclass(frozen=True, slots=True)
class Style:
    """How the numbers of one column are written. `decimals` None means powers of ten."""

    scale: float = 1.0
    decimals: int | None = 0

    def number(self, value: float) -> str:
        """Return a finite raw number as the table shows it."""
        scaled = value * self.scale
        if self.decimals is None or not -_MAX_FIXED < scaled < _MAX_FIXED:
            return self._power(_within(scaled))
        text = f"{scaled:,.{self.decimals}f}"
        if scaled > _SMALL:
            return text
        if scaled and not text.strip("-0.,"):  # it would read as zero, and is not
            return f"{scaled:.2e}"
        return text.replace("-", "−") if text.strip("-0.,") else text.lstrip("-")

    def numbers(self, values: Iterable[float | None]) -> list[str]:
        """Return `number` of each of many, several times as fast; empty text for None."""
        scale, decimals, write = self.scale, self.decimals, self.number
        if decimals is None:
            return ["" if value is None else write(value) for value in values]
        short, long = f"%.{decimals}f", f",.{decimals}f"
        least = min(_SMALL, 10.0**-decimals)
        return [
            ""
            if value is None
            else short % scaled
            if least < (scaled := value * scale) < _UNGROUPED
            else format(scaled, long)
            if _SMALL < scaled < _MAX_FIXED
            else write(value)
            for value in values
        ]

    def _power(self, scaled: float) -> str:
        return f"{scaled:.2e}" if self.decimals is None else f"{scaled:.3e}"

    def spread(self, std: float, mean: float | None) -> str:
        """Return a standard deviation beside its mean; only the noise of floating point reads as zero."""
        scaled = _within(std * self.scale)
        if self.decimals is None:
            return f"{scaled:.1e}"
        if scaled >= _MAX_FIXED:
            return f"{scaled:.3e}"
        text = f"{scaled:,.{self.decimals}f}"
        is_noise = std <= _NOISE * abs(mean or 0.0)
        return text if is_noise or text.strip("0.") else f"{scaled:.1e}"

    def value(self, raw: Any) -> str:
        """Return any value as the table shows it."""
        number = number_or_none(raw)
        if number is None:
            return raw_text(raw)
        if math.isnan(number):
            return "NaN"
        if math.isinf(number):
            return _power_of_ten(raw) if isinstance(raw, int) else "∞" if number > 0 else "−∞"
        return self.number(number)


def choose_style(
    numbers: Sequence[float], stds: Sequence[float], contests: Sequence[tuple[float, float]], scale: float
) -> Style:
    """Return how a column is written.

    With spreads, the typical one shows two significant digits; without, the typical value shows
    three. The best and the second best of a contest then differ in what is shown, if up to two more decimals
    can do that: a pair that nearly ties does not give all others digits that say nothing.

    Args:
        numbers: the raw values of the column; what is not finite has no say.
        stds: their standard deviations, likewise.
        contests: (best, second) where they differ.
        scale: what raw values are multiplied by.
    """
    scaled = _sizes(number * scale for number in numbers)
    if not scaled:
        return Style(scale, 0)
    typical = _middle(scaled)
    if all(number.is_integer() and number < 1e15 for number in scaled) and not any(stds):
        return Style(scale, 0)
    spreads = [std for std in _sizes(std * scale for std in stds) if std > _NOISE * typical]
    decimals = _digits(_middle(spreads), 2) if spreads else _digits(typical, 3)
    if decimals > _MAX_DECIMALS and typical < 10**-_MAX_DECIMALS * 100:
        return Style(scale, None)
    decimals = min(decimals, _MAX_DECIMALS)
    finest = min(decimals + _MORE_DECIMALS, _MAX_DECIMALS)
    apart = (_decimals_apart(best * scale, second * scale, decimals) for best, second in contests)
    return Style(scale, max((needed for needed in apart if needed <= finest), default=decimals))


def _decimals_apart(a: float, b: float, decimals: int) -> int:
    """Return how many decimals, from so many on, make two numbers look different."""
    while decimals <= _MAX_DECIMALS and f"{a:.{decimals}f}" == f"{b:.{decimals}f}":
        decimals += 1
    return decimals


def _sizes(numbers: Iterable[float]) -> list[float]:
    """Return the absolute values that say how large a column's numbers are: finite, and not zero."""
    return [size for number in numbers if 0 < (size := abs(number)) < math.inf]


def _middle(sizes: Sequence[float]) -> float:
    """Return the median of finite sizes, which may not overflow where it halves a sum; 0 of none."""
    return _within(median(sizes)) if sizes else 0.0


def _within(number: float) -> float:
    """Return the number, or the largest float where arithmetic went beyond it."""
    return max(-_LARGEST, min(number, _LARGEST))


def _power_of_ten(number: int) -> str:
    """Return an integer that no float can hold as a power of ten."""
    digits = str(abs(number))
    return f"{'−' if number < 0 else ''}{digits[0]}.{digits[1:4]}e+{len(digits) - 1}"


def _digits(number: float, significant: int) -> int:
    """Return how many decimals show `significant` digits of a positive finite number."""
    return max(0, significant - 1 - math.floor(math.log10(number)))
