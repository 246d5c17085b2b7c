"""Call functions once, at the end of a process, in the processes that `atexit` forgets too.

`atexit` runs in the main process and in children that were spawned, not in the children that
`multiprocessing` forks; those run its finalizers. Neither has a process that SIGTERM ends, as `scancel`,
`docker stop` and `kill` do: `catch_termination` is for that. Importing this registers nothing.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

__all__ = ["Terminated", "at_process_end", "catch_termination", "last_error", "release_termination"]

_LONGEST_TERMINATION_S = 8.0
"""Docker kills 10 s after SIGTERM, Slurm and Kubernetes after 30."""

_BETWEEN_TRIES_S = 0.02
_REPORTS = frozenset(("argus_core.reporter", "argus_core.journal", "argus_core.delivery"))

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


# --- SIGTERM ------------------------------------------------------------------------------------


class Terminated(BaseException):
    """SIGTERM has ended the process."""


_termination: Terminated | None = None
_terminates_by: float | None = None


def catch_termination() -> None:
    """Let SIGTERM call what `at_process_end` was given before it ends the process, with its own exit status.

    Does nothing where SIGTERM has a handler already, the user's or a framework's, or outside of the main
    thread. A handler that is installed later takes the place of this one, and may call it without harm.
    """
    with contextlib.suppress(ValueError):  # not the main thread
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _terminated)
            _release_in_forks()


def release_termination() -> None:
    """Give SIGTERM its default meaning back, unless somebody else has a handler by now."""
    with contextlib.suppress(ValueError):  # it stays, and ends the process as ever
        if signal.getsignal(signal.SIGTERM) is _terminated and _termination is None:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            if _terminates_by is not None:  # it has waited for the end of what is closed now
                os.kill(os.getpid(), signal.SIGTERM)


@functools.cache
def _release_in_forks() -> None:
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=release_termination)


def _terminated(_number: int, frame: FrameType | None) -> None:
    """Report the end and die of the signal, after `_LONGEST_TERMINATION_S` at the latest.

    The main thread stands where the signal met it. If that is in the midst of a report, its lines and locks
    are let go of first: another signal follows soon. The last one ends a wait for a lock that nobody
    releases. Signals meanwhile change nothing: launchers forward what the whole process group has got.
    """
    global _termination, _terminates_by
    if signal.getsignal(signal.SIGTERM) is not _terminated:
        return  # called by somebody else's handler, whose decision it is
    now_s = time.monotonic()
    if _terminates_by is None:
        _terminates_by = now_s + _LONGEST_TERMINATION_S
        _signal_again(_LONGEST_TERMINATION_S)
    is_late = now_s >= _terminates_by
    if _termination is not None and not is_late:
        return
    if not is_late and _is_reporting(frame) and _signal_again(_BETWEEN_TRIES_S):
        return
    try:
        if not is_late:
            _termination = Terminated("SIGTERM")
            _call_all()
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)


def _is_reporting(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__") in _REPORTS:
            return True
        frame = frame.f_back
    return False


def _signal_again(after_s: float) -> bool:
    """Have another SIGTERM come; return whether that is possible: not when the interpreter shuts down."""
    timer = threading.Timer(after_s, os.kill, (os.getpid(), signal.SIGTERM))
    timer.daemon = True
    with contextlib.suppress(RuntimeError):
        timer.start()
    return timer.is_alive()


def last_error() -> BaseException | None:
    """Return what ended the process, or what failed last at a prompt or in a notebook: maybe long ago."""
    if _termination is not None:
        return _termination
    error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    return error if isinstance(error, BaseException) else None
