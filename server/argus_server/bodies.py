"""Request bodies, bounded: how large one is, how long it takes, and what all of them hold together.

A body is read only by who needs it, after the guards: what nobody may send is refused unread.
"""

from __future__ import annotations

import asyncio
import threading
import zlib
from collections.abc import Callable
from typing import Any

import anyio
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, Receive, Scope, Send

from argus_server.settings import Limits

__all__ = ["Allowance", "BoundedBodies", "Memory", "expand", "watched"]

_PIECE_BYTES = 256 * 1024
_MOST_MEMBERS = 1000


class Memory:
    """What all requests together may hold, in bytes. Any thread."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self._lock = threading.Lock()

    def take(self, size_bytes: int) -> bool:
        """Hold so many bytes more; False, and nothing is held, if that is too much."""
        with self._lock:
            fits = self.held_bytes + size_bytes <= self.limit_bytes
            self.held_bytes += size_bytes if fits else 0
            return fits

    def give_back(self, size_bytes: int) -> None:
        """Hold so many bytes less."""
        with self._lock:
            self.held_bytes -= size_bytes


class Allowance:
    """What one request holds of the `Memory`, until it is closed."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.held_bytes = 0

    def take(self, size_bytes: int) -> None:
        """Hold so many bytes more.

        Raises:
            HTTPException: 429: other requests hold what there is; come back later.
        """
        if not self._memory.take(size_bytes):
            detail = f"the requests of this moment hold {self._memory.limit_bytes} bytes; try again"
            raise HTTPException(status_code=429, detail=detail, headers={"Retry-After": "2"})
        self.held_bytes += size_bytes

    def close(self) -> None:
        """Give everything back."""
        self._memory.give_back(self.held_bytes)
        self.held_bytes = 0


class BoundedBodies:
    """Middleware: bounds the time that a body takes and the memory that all bodies hold.

    Litestar bounds the size of one. A sender that stalls, or sends less than `Limits.body_bytes_per_s`,
    gets a 408; what comes when the memory is full, a 429.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with a `receive` that watches."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        state = scope["litestar_app"].state
        allowance = Allowance(state.memory)
        scope["state"]["allowance"] = allowance
        try:
            await self._app(scope, watched(receive, allowance, state.settings.limits), send)
        finally:
            allowance.close()


def watched(receive: Receive, allowance: Allowance, limits: Limits) -> Receive:
    """Return a `receive` that gives a body only so much time, and holds what it gives of the allowance."""
    clock = asyncio.get_running_loop().time
    started = clock()
    received_bytes, complete = 0, False

    async def receive_in_time() -> Any:
        nonlocal received_bytes, complete
        if complete:
            return await receive()
        patience_s = limits.body_s + received_bytes / limits.body_bytes_per_s
        try:
            with anyio.fail_after(max(0, started + patience_s - clock())):
                message: Any = await receive()
        except TimeoutError:
            detail = f"the body did not come in time: {received_bytes} bytes in {clock() - started:.0f} s"
            raise HTTPException(status_code=408, detail=detail) from None
        if message["type"] == "http.disconnect":
            raise HTTPException(status_code=400, detail="the body ended too early")
        size_bytes = len(message.get("body", b""))
        allowance.take(size_bytes)
        received_bytes += size_bytes
        complete = not message.get("more_body", False)
        return message

    return receive_in_time


def expand(
    body: bytes, encoding: str, limit_bytes: int, take: Callable[[int], None] = lambda _: None
) -> bytes | bytearray:
    """Return the body without its gzip; never holds more than the limit.

    Args:
        body: as it came over the wire. Gzip may have several members, one after the other.
        encoding: the request's Content-Encoding, in lower case.
        limit_bytes: of the expanded body.
        take: called with the size of each piece before the next is made.

    Raises:
        HTTPException: 413 above the limit, 415 for another encoding, 400 for broken gzip.
    """
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip"):
        detail = f"Content-Encoding {encoding[:80]!r} is not supported; use gzip"
        raise HTTPException(status_code=415, detail=detail, headers={"Accept-Encoding": "gzip"})
    expanded = bytearray()
    view = memoryview(body)
    machine = zlib.decompressobj(wbits=31)
    place, members = 0, 1
    try:
        while place < len(view) or not machine.eof:
            source = machine.unconsumed_tail or view[place : place + _PIECE_BYTES]
            if machine.eof:
                machine, members = zlib.decompressobj(wbits=31), members + 1
            if members > _MOST_MEMBERS:
                raise HTTPException(status_code=400, detail=f"gzip of more than {_MOST_MEMBERS} members")
            place += 0 if machine.unconsumed_tail else len(source)
            if not source:
                raise HTTPException(status_code=400, detail="the body is not gzip: it ends too early")
            piece = machine.decompress(source, _PIECE_BYTES)
            place -= len(machine.unused_data)
            take(len(piece))
            expanded += piece
            if len(expanded) > limit_bytes:
                detail = f"the body expands to more than {limit_bytes} bytes"
                raise HTTPException(status_code=413, detail=detail)
    except zlib.error as error:
        raise HTTPException(status_code=400, detail=f"the body is not gzip: {error}") from None
    return expanded
