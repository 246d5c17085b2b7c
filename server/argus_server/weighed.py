"""Answers that are kept as long as they fit into a bound of bytes.

What an answer takes in memory is found by walking through all of it. A count of answers, or a look at some
parts of one, would leave the bound to whoever sends a few long texts.
"""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from operator import attrgetter
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np

__all__ = ["FLOAT", "WeighedCache", "weight_of"]

FLOAT = 32
"""What a float takes, as the allocator rounds it."""
_FIXED: dict[type, int] = {float: FLOAT}
"""What all objects of a type take; nothing where there is one of it, or it is code."""
_FIXED.update((kind, 0) for kind in (type(None), bool, type, FunctionType, MethodType, BuiltinFunctionType))
_SMALL_INTEGERS = range(-5, 257)
_ENTRY = 500
"""What it takes to keep any answer, beside its name and itself."""


def weight_of(value: Any, most: int = sys.maxsize) -> int:
    """Return how many bytes of memory a value takes, with all that it is made of; each part once.

    A class whose objects are many may know a shorter way, a method `memory_bytes`. Of objects that are
    neither containers nor dataclasses, structs or arrays only themselves are weighed.

    Args:
        value: what nobody changes meanwhile.
        most: with more the walk ends, and what was found by then is returned.
    """
    total = 0
    seen: set[int] = set()
    waiting: list[Iterable[Any]] = [(value,)]
    while waiting:
        for item in waiting.pop():
            kind: Any = type(item)
            fixed = _FIXED.get(kind)
            if fixed is not None:
                total += fixed
            elif kind is int:
                total += 0 if item in _SMALL_INTEGERS else _rounded(item)
            elif id(item) not in seen:
                seen.add(id(item))
                if kind is str:
                    total += _rounded(item)
                    continue
                known, parts = _walk_of(kind)
                total += _rounded(item) if known is None else known(item)
                if total > most:
                    return total
                waiting += parts(item)
    return total


def _rounded(item: Any) -> int:
    return sys.getsizeof(item) + 15 & ~15


@cache
def _walk_of(kind: type) -> tuple[Callable[[Any], int] | None, Callable[[Any], Sequence[Iterable[Any]]]]:
    """Return what knows the weight of an object of this type, if anything does; and what has its parts."""
    if hasattr(kind, "memory_bytes"):
        return kind.memory_bytes, lambda _: ()
    if issubclass(kind, (list, tuple, set, frozenset)):
        return None, lambda item: (item,)
    if issubclass(kind, dict):
        return None, lambda item: (item.keys(), item.values())
    if issubclass(kind, np.ndarray):
        return None, lambda item: ((item.base,),)
    names = getattr(kind, "__struct_fields__", ())
    if is_dataclass(kind):
        names = tuple(field.name for field in fields(kind))
    if not names:
        return None, lambda _: ()
    parts = attrgetter(*names)
    return None, (lambda item: ((parts(item),),)) if len(names) == 1 else lambda item: (parts(item),)


@dataclass(frozen=True, slots=True)
class _Kept:
    answer: Any
    weight: int


class WeighedCache:
    """The answers that were asked for last, as many as weigh no more than `most` bytes. Any thread.

    An answer belongs to somebody, and all of an owner's answers can be forgotten at once. While one is worked
    out or weighed nobody waits: two threads that miss the same answer both make it, and one is kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[Hashable, str], _Kept] = OrderedDict()
        self._names: defaultdict[Hashable, set[str]] = defaultdict(set)
        self._lock = threading.Lock()
        self._weight = 0

    @property
    def weight(self) -> int:
        """How many bytes all that is kept takes."""
        return self._weight

    def recall(self, owner: Hashable, name: str) -> Any:
        """Return an answer that is kept.

        Raises:
            KeyError: it is not.
        """
        with self._lock:
            found = self._kept[owner, name]
            self._kept.move_to_end((owner, name))
        return found.answer

    def keep(self, owner: Hashable, name: str, answer: Any) -> None:
        """Keep an answer, which nobody changes any more, and let go of those that were not asked for longest.

        One that is heavier than all that may be kept is not.
        """
        weight = _ENTRY + _rounded(name) + weight_of(answer, self._most)
        with self._lock:
            self._drop(owner, name)
            if weight > self._most:
                return
            self._kept[owner, name] = _Kept(answer, weight)
            self._names[owner].add(name)
            self._weight += weight
            while self._weight > self._most:
                self._drop(*next(iter(self._kept)))

    def forget(self, owner: Hashable) -> None:
        """Let go of all answers of an owner."""
        with self._lock:
            for name in tuple(self._names.get(owner, ())):
                self._drop(owner, name)

    def _drop(self, owner: Hashable, name: str) -> None:
        known = self._kept.pop((owner, name), None)
        if known is None:
            return
        self._weight -= known.weight
        self._names[owner].discard(name)
        if not self._names[owner]:
            del self._names[owner]
