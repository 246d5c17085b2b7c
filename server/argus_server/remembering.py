"""What is made of a short text is kept: the same few names stand on a page again and again."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

__all__ = ["remember_short"]

T = TypeVar("T")

_SHORT = 300
"""Longer texts are not remembered: a name may have millions of characters."""


def remember_short(most: int) -> Callable[[Callable[[str], T]], Callable[[str], T]]:
    """Have a function keep its results for the `most` short texts that it saw last."""

    def decorate(function: Callable[[str], T]) -> Callable[[str], T]:
        remembered = lru_cache(most)(function)

        @wraps(function)
        def answer(text: str) -> T:
            return remembered(text) if len(text) <= _SHORT else function(text)

        return answer

    return decorate
