"""Work that waits for the database belongs in a thread, not on the event loop."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

import anyio.to_thread

__all__ = ["in_thread"]

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def in_thread(function: Callable[Parameters, Result]) -> Callable[Parameters, Awaitable[Result]]:
    """Return a coroutine function that runs `function` in a worker thread.

    Litestar's own `sync_to_thread` wraps a handler once for each of its paths, and so twice for
    two: what it then answers with is a coroutine.
    """

    @functools.wraps(function)
    async def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        return await anyio.to_thread.run_sync(functools.partial(function, *args, **kwargs))

    return call
