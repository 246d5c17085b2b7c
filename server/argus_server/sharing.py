"""What several readers ask for at once is made once.

With each result every open page asks for its board again, all of them at the same moment.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

__all__ = ["Shared"]

T = TypeVar("T")


class Shared(Generic[T]):
    """Answers by what they answer; those that were asked for last, `most_bytes` of them. Any thread.

    Who asks for one that is being made waits for it, and makes it too if that fails. A name stands for one
    answer for ever: what may change belongs into the name.
    """

    def __init__(self, most_bytes: int, weigh: Callable[[T], int]) -> None:
        self._most_bytes = most_bytes
        self._weigh = weigh
        self._making: dict[Hashable, Future[T]] = {}
        self._made: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, name: Hashable, make: Callable[[], T]) -> T:
        """Return the answer of this name, which nobody changes."""
        with self._lock:
            if name in self._made:
                self._made.move_to_end(name)
                return self._made[name][0]
            waited_for = self._making.get(name)
            if waited_for is None:
                mine: Future[T] = Future()
                self._making[name] = mine
        if waited_for is not None:
            return make() if waited_for.exception() is not None else waited_for.result()
        try:
            answer = make()
        except BaseException as error:
            self._end(name)
            mine.set_exception(error)
            raise
        self._keep(name, answer)
        mine.set_result(answer)
        return answer

    def _end(self, name: Hashable) -> None:
        with self._lock:
            del self._making[name]

    def _keep(self, name: Hashable, answer: T) -> None:
        weight = self._weigh(answer)
        with self._lock:
            del self._making[name]
            self._made[name] = answer, weight
            self._bytes += weight
            while self._bytes > self._most_bytes:
                _, (_, freed) = self._made.popitem(last=False)
                self._bytes -= freed
