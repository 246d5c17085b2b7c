"""Training is sacred: what our code raises is logged here and goes no further."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

__all__ = ["never_raise", "swallowed", "watch_swallowed"]

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger(__name__)

_seen: set[tuple[str, type[BaseException]]] = set()
_watchers: list[Callable[[BaseException], None]] = []


def never_raise(function: Callable[P, R]) -> Callable[P, R | None]:
    """Make `function` return None where it would have raised an `Exception`.

    Each kind of error (function, exception type) is logged once with its traceback, as ERROR: it is
    a bug of ours or of a plugin. KeyboardInterrupt and SystemExit pass.
    """

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R | None:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            swallowed(error, function.__qualname__)
            return None

    return guarded


def swallowed(error: BaseException, where: str) -> None:
    """Log an error that ends here, once per kind, and tell the tests about it. Any thread."""
    for watcher in _watchers:
        watcher(error)
    kind = (where, type(error))
    if kind in _seen:
        return
    _seen.add(kind)
    logger.error(
        "argus: %s failed with %s: %s; training goes on, further errors of this kind are not logged",
        where,
        type(error).__name__,
        error,
        exc_info=error,
    )


def watch_swallowed(watcher: Callable[[BaseException], None]) -> Callable[[], None]:
    """Call `watcher` with every error that is swallowed from now on; returns what ends that."""
    _watchers.append(watcher)
    return lambda: _watchers.remove(watcher)
