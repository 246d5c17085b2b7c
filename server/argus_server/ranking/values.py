"""What a metric value is: a number that ranks, or something that is only shown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from argus_core.events import number_or_none

__all__ = ["finite", "finite_of", "flatten", "mean_of", "raw_text", "raw_texts"]


_NESTED = frozenset({dict, type(None)})


def flatten(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics with nested objects spelt out, `{"a": {"b": 1}}` as `{"a.b": 1}`.

    A key that was sent literally wins over one that comes of nesting. Nulls are no values.
    """
    if type(metrics) is dict and _NESTED.isdisjoint(map(type, metrics.values())):
        return metrics  # as nearly all are
    flat: dict[str, Any] = {}
    stack: list[tuple[str, Any]] = [(key, value) for key, value in reversed(list(metrics.items()))]
    while stack:
        key, value = stack.pop()
        if isinstance(value, Mapping):
            stack += [(f"{key}.{inner}", item) for inner, item in reversed(list(value.items()))]
        elif value is not None and (key in metrics or key not in flat):
            flat[key] = value
    return flat


def finite(value: Any) -> float | None:
    """Return the number that can be ranked, None for NaN, infinities, booleans, text and lists."""
    if type(value) is float:
        return value if math.isfinite(value) else None
    number = number_or_none(value)
    return number if number is not None and math.isfinite(number) else None


def finite_of(values: Iterable[Any]) -> list[float | None]:
    """Return `finite` of each of many, in half of the time."""
    lowest, highest = -math.inf, math.inf
    return [value if type(value) is float and lowest < value < highest else finite(value) for value in values]


def mean_of(numbers: Sequence[float]) -> float:
    """Return the mean of finite numbers, one at least: finite also where their sum is not."""
    try:
        return math.fsum(numbers) / len(numbers)
    except OverflowError:
        return sum(number / len(numbers) for number in numbers)


def raw_text(value: Any) -> str:
    """Return a value as CSV and `data-value` carry it: numbers at round-trip precision."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return msgspec.json.encode(value).decode() if math.isfinite(value) else repr(value)
    if isinstance(value, int):
        return repr(value)
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")  # neither HTML nor CSV can carry a NUL
    return "[" + ", ".join(raw_text(item) for item in value) + "]" if isinstance(value, list) else str(value)


def raw_texts(values: Sequence[Any]) -> list[str]:
    """Return `raw_text` of each of many; finite floats, as nearly all are, in a tenth of the time."""
    lowest, highest = -math.inf, math.inf
    floats = [value if type(value) is float and lowest < value < highest else 0.0 for value in values]
    texts = msgspec.json.encode(floats)[1:-1].decode().split(",") if floats else []
    for i, value in enumerate(values):
        if floats[i] is not value:
            texts[i] = raw_text(value)
    return texts
