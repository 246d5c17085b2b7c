"""What several readers ask for at once is made once.

With each result every open page asks for its board again, all of them at the same moment.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Generic, TypeVar

from argus_server.weighed import WeighedCache

__all__ = ["Shared"]

T = TypeVar("T")


class Shared(Generic[T]):
    """Answers by name; those asked for last, as many as weigh no more than `most_bytes`. Any thread.

    Who asks for one that is being made waits for it, and makes it too if that fails. A name stands for one
    answer for ever: what may change belongs into the name.
    """

    def __init__(self, most_bytes: int) -> None:
        self._making: dict[str, Future[T]] = {}
        self._lock = threading.Lock()
        self._made = WeighedCache(most_bytes)

    @property
    def weight(self) -> int:
        """How many bytes all that is kept takes."""
        return self._made.weight

    def get(self, name: str, make: Callable[[], T]) -> T:
        """Return the answer of this name, which nobody changes."""
        with self._lock:
            with suppress(KeyError):
                made: T = self._made.recall("", name)
                return made
            others = self._making.get(name)
            if others is None:
                mine: Future[T] = Future()
                self._making[name] = mine
        if others is not None:
            return make() if others.exception() is not None else others.result()
        try:
            answer = make()
            self._made.keep("", name, answer)
        except BaseException as error:
            self._end(name)
            mine.set_exception(error)
            raise
        self._end(name)
        mine.set_result(answer)
        return answer

    def _end(self, name: str) -> None:
        with self._lock:
            del self._making[name]
