"""Call functions once, at the end of a process, in the processes that `atexit` forgets too.

`atexit` runs in the main process and in children that were spawned, not in the children that
`multiprocessing` forks; those run its finalizers. Importing this registers nothing.
"""

from __future__ import annotations

import atexit
import functools
import os
import sys
from collections.abc import Callable

__all__ = ["at_process_end", "last_error"]

_reporting: list[Callable[[], None]] = []
_closing: list[Callable[[], None]] = []


def at_process_end(function: Callable[[], None], *, closes: bool = False) -> None:
    """Have `function` called when this process ends, or a fork of it; once, however often it is given.

    The functions given last are called first. Any thread; to be called again in a fork that shall end
    as its parent would.

    Args:
        function: may still report.
        closes: it reports nothing: call it after all those that may.
    """
    functions = _closing if closes else _reporting
    if function not in functions:
        functions.append(function)
    _watch(os.getpid())


@functools.cache
def _watch(_pid: int) -> None:
    atexit.unregister(_call_all)  # a fork inherits its parent's
    atexit.register(_call_all)
    util, process = sys.modules.get("multiprocessing.util"), sys.modules.get("multiprocessing.process")
    if util is not None and process is not None and process.parent_process() is not None:
        util.Finalize(None, _call_all, exitpriority=0)


_ended_pid: int | None = None


def _call_all() -> None:
    """Call everything, once in a process: a spawned child comes here by both ways."""
    global _ended_pid
    if _ended_pid == os.getpid():
        return
    _ended_pid = os.getpid()
    for function in (*reversed(_reporting), *reversed(_closing)):
        function()


def last_error() -> BaseException | None:
    """Return what ended the process, or what failed last at a prompt or in a notebook: maybe long ago."""
    error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    return error if isinstance(error, BaseException) else None
