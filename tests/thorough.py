"""How much the long tests do: in CI (`CI=true`) all of it, at a desk a part that is over in two minutes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

_IS_CI = bool(os.environ.get("CI"))
_PART = 8


def examples(number: int) -> int:
    """Return how many random examples a property is tried on."""
    return number if _IS_CI else max(5, number // _PART)


def some(cases: Sequence[T]) -> Sequence[T]:
    """Return the cases to try: every one, or every eighth."""
    return cases if _IS_CI else cases[::_PART]
