"""Percentiles of a stream that nobody keeps."""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import accumulate

__all__ = ["Quantiles"]


class Quantiles:
    """Percentiles of a stream of positive numbers, in constant memory.

    The first 1024 values are kept, so their percentiles are exact; after that a logarithmic
    histogram (as in DDSketch) answers with a relative error of 0.5 % at most. Interpolates linearly
    between neighbours, as NumPy does by default.

    Attributes:
        count: how many values there were.
        total: their sum.
    """

    _KEEP = 1024
    _ACCURACY = 0.005
    _GAMMA = (1 + _ACCURACY) / (1 - _ACCURACY)
    _LOG_GAMMA = math.log(_GAMMA)
    _SMALLEST = 1e-9  # whatever is below, 0 too, counts as this: it has a logarithm

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self._kept: list[float] = []
        self._bins: dict[int, int] = {}

    def add(self, value: float) -> None:
        """Take one value into account; about half a microsecond."""
        self.count += 1
        self.total += value
        if self.count <= self._KEEP:
            self._kept.append(value)
            return
        while self._kept:
            self._add_to_bin(self._kept.pop())
        self._add_to_bin(value)

    def _add_to_bin(self, value: float) -> None:
        index = math.ceil(math.log(max(value, self._SMALLEST)) / self._LOG_GAMMA)
        self._bins[index] = self._bins.get(index, 0) + 1  # half the time a Counter takes

    def quantile(self, q: float) -> float | None:
        """Return the q-quantile, 0 <= q <= 1, or None when there were no values."""
        if not self.count:
            return None
        position = q * (self.count - 1)
        below = math.floor(position)
        lower = self._at_rank(below)
        upper = self._at_rank(min(below + 1, self.count - 1))
        return lower + (upper - lower) * (position - below)

    def _at_rank(self, rank: int) -> float:
        """Return the value at `rank`, counted from 0, of the sorted stream."""
        if self._kept:
            return sorted(self._kept)[rank]
        indices = sorted(self._bins)
        ends = list(accumulate(self._bins[index] for index in indices))
        index = indices[bisect_right(ends, rank)]
        return 2 * self._GAMMA**index / (self._GAMMA + 1)
