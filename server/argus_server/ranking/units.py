"""When a number is likely to be in another unit than its name says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from argus_core.conventions import Convention

__all__ = ["Jump", "is_fraction", "is_measured", "likely_unit", "nearest_factor"]

Jump = tuple[float, str]
"""What the values are multiplied by, and in words what they then are."""

FACTORS: dict[str, tuple[Jump, ...]] = {
    "s": ((1e3, "milliseconds"), (1e6, "microseconds"), (1e9, "nanoseconds")),
    "MB": ((1024.0, "KB"), (1024.0**2, "bytes"), (1 / 1024, "GB")),
    "": ((100.0, "percent"),),
    "%": ((0.01, "a fraction"),),
}
"""By unit: in what else people send it, and by how much it is then larger."""

_LEAST_OTHERS = 3
_ROOM = 0.3
"""In powers of ten: how far from the factor a ratio may be."""
_SLOWEST_S = 10.0
"""Nobody waits so many seconds for one prediction at the median."""
_QUICK = ("Latency_P50", "Latency_P95", "Latency_P99", "Inference_Time_Per_Sample")
_FRACTIONS = {
    *("accuracy", "balanced_accuracy", "precision", "recall", "auroc", "mIoU", "R2", "PCC"),
    *("f1", "f1_macro", "f1_micro", "f1_weighted"),
}


_LIKE: dict[str, str] = {
    **dict.fromkeys(("ms", "msec", "µs", "μs", "us", "ns", "min", "h", "sec", "seconds"), "s"),
    **dict.fromkeys(("B", "bytes", "kB", "KB", "KiB", "MiB", "GB", "GiB", "TB"), "MB"),
}
"""Units that people set: by the factors of which other one their values go wrong."""


def nearest_factor(unit: str, ratio: float) -> Jump | None:
    """Return the factor by which values of this unit go wrong that a ratio is close to.

    In what they then are is known of the units that metrics have by themselves; of others only how much
    larger they are.
    """
    if not (ratio > 0 and math.isfinite(ratio)):
        return None
    jumps = FACTORS.get(_LIKE.get(unit, unit), ())
    close = [jump for jump in jumps if abs(math.log10(ratio / jump[0])) <= _ROOM]
    found = min(close, key=lambda jump: abs(math.log10(ratio / jump[0])), default=None)
    return found if found is None or unit in FACTORS else (found[0], "")


def is_measured(unit: str) -> bool:
    """Whether values of a unit are known to go wrong by certain factors: times and sizes."""
    return _LIKE.get(unit, unit) in ("s", "MB")


def is_fraction(key: str) -> bool:
    """Whether a metric of this name lies between 0 and 1, as its definition has it."""
    return key.partition("@")[0] in _FRACTIONS


def likely_unit(key: str, meaning: Convention, value: float, others: Sequence[float]) -> str:
    """Return in what a value seems to be sent, in words; empty if nothing speaks against its unit.

    Args:
        key: the metric.
        meaning: its unit.
        value: the finite value.
        others: values of the same metric from elsewhere.
    """
    if meaning.unit == "s" and key in _QUICK and value >= _SLOWEST_S:
        return "milliseconds"
    if is_fraction(key) and 1 < value <= 100:
        return "percent"
    sizes = [abs(other) for other in others if other and math.isfinite(other)]
    if len(sizes) < _LEAST_OTHERS or not value or meaning.unit not in ("s", "MB"):
        return ""
    jump = nearest_factor(meaning.unit, abs(value) / median(sizes))
    return jump[1] if jump is not None else ""
