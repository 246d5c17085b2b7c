"""Who is on the stack: the only exact answer to "validation or test?" in Transformers and Keras."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType

__all__ = ["find_frame", "frames_of"]


def find_frame(function: str, package: str) -> FrameType | None:
    """Return the innermost frame of `function` in a module of `package` ("": any) on this thread's stack.

    About a microsecond. A flag set at the begin of training would stay set after an exception; users
    have functions called `fit` too, hence the package.
    """
    frame: FrameType | None = sys._getframe(1)
    prefix = package + "." if package else ""
    while frame is not None:
        if frame.f_code.co_name == function:
            module = frame.f_globals.get("__name__", "")
            if module.startswith(prefix) or module == package:
                return frame
        frame = frame.f_back
    return None


def frames_of(function: str) -> Iterator[FrameType]:
    """Go through the frames of all functions of that name on this thread's stack, the innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == function:
            yield frame
        frame = frame.f_back
