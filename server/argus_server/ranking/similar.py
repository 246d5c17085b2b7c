"""Which metric names are likely to mean the same."""

from __future__ import annotations

import re
from collections.abc import Iterable

from argus_core.conventions import normalise_name

__all__ = ["edit_distance", "nearest_name", "plain_name"]

_SEPARATORS = re.compile(r"[\s_\-./:]+")
_SHORT = 4
"""A name of up to so many letters is another name with one letter changed: MSE and MAE."""


def plain_name(name: str) -> str:
    """Return a name without case, separators and the stage before it: what two spellings of one share."""
    base, at, suffix = name.partition("@")
    return _SEPARATORS.sub("", normalise_name(base).casefold()) + at + suffix.casefold()


def edit_distance(a: str, b: str, limit: int = 3) -> int:
    """Return how many letters to insert, delete, replace or swap with the next; at most `limit`.

    Optimal string alignment (Damerau 1964, restricted): no part is edited twice.
    """
    if abs(len(a) - len(b)) >= limit:
        return limit
    before: list[int] = []
    last = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        row = [i]
        for j, other in enumerate(b, 1):
            best = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == b[j - 2] and a[i - 2] == other:
                best = min(best, before[j - 2] + 1)
            row.append(best)
        before, last = last, row
        if min(row) >= limit:
            return limit
    return min(last[-1], limit)


def are_close(a: str, b: str) -> bool:
    """Whether two different plain names look like a slip of the hand: long enough, and one letter apart."""
    return min(len(a), len(b)) > _SHORT and edit_distance(a, b, 2) == 1


def nearest_name(wanted: str, names: Iterable[str]) -> str | None:
    """Return which of the names is most likely the wanted one in another spelling, None if none is."""
    plain = plain_name(wanted)
    spelt = [name for name in names if name != wanted]
    same = [name for name in spelt if plain_name(name) == plain]
    close = [name for name in spelt if are_close(plain_name(name), plain)]
    return min(same or close, key=lambda name: (abs(len(name) - len(wanted)), name), default=None)
