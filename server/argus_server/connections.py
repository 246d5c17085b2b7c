"""Connections that wait for slow clients no longer than they should.

uvicorn bounds how long an idle connection is kept after an answer, and nothing else: who connects and
says nothing, or a byte a minute, or reads no answer, holds a connection for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["BACKLOG", "PatientProtocol", "allow_connections", "patient_protocol"]

BACKLOG = 256
"""Connections that are taken at once, before the first of them can make room for another."""
_SPARE_FILES = 256 + BACKLOG
"""What the process opens beside the connections it keeps: the database, the log, libraries."""


def allow_connections(wanted: int) -> int:
    """Return how many connections the system lets this process have, `wanted` at most.

    Raises the soft limit of open files as far as it has to and may.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    needed = wanted + _SPARE_FILES
    target = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft < target:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
            soft = target
    return max(1, min(wanted, soft - _SPARE_FILES))


def patient_protocol(max_connections: int) -> type[PatientProtocol]:
    """Return the protocol of one server."""
    return type("PatientProtocol", (PatientProtocol,), {"max_connections": max_connections, "_open": {}})


class PatientProtocol(H11Protocol):
    """HTTP/1.1 with an end to every wait.

    A request's head comes within `head_s`, counted from the connection or from its first byte, and an
    answer is read on within `stall_s`. The rest of a body that the answer did not wait for is thrown
    away for `linger_s`, so that the sender can read the answer; then the connection is cut.

    With `max_connections` open, a new one takes the place of the one that has waited longest without a
    request, or for the rest of one. How long a body may take is `argus_server.bodies`' to say.
    """

    head_s: ClassVar[float] = 15
    stall_s: ClassVar[float] = 30
    linger_s: ClassVar[float] = 10
    max_connections: ClassVar[int] = 1000

    _open: ClassVar[dict[PatientProtocol, None]] = {}
    """Every connection, in the order in which they began to wait for a request."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a request; make room if there is none."""
        super().connection_made(transport)
        self._wait_at_most(self.head_s)
        if len(self._open) > self.max_connections:
            self._evict()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._open.pop(self, None)
        self._stop_waiting()
        self._read_on()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in some bytes of a request."""
        lingered = self._is_lingering
        if self._deadline is None and not self._is_answering:
            self._wait_at_most(self.head_s)  # the first bytes of the next request
        super().data_received(data)
        if self._is_answering:
            self._stop_waiting()
        elif lingered and not self._is_lingering:
            self._wait_at_most(self.head_s)

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the sender to notice that it need not go on."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._stall()
        elif not self._is_answering:
            self._wait_at_most(self.linger_s if self._is_lingering else None)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, also one whose last answer nobody reads."""
        super().timeout_keep_alive_handler()
        self._stall()

    def pause_writing(self) -> None:
        """Wait for a client that does not read, but not for ever."""
        super().pause_writing()
        self._stall()

    def resume_writing(self) -> None:
        """Go on: the client reads again."""
        self._read_on()
        super().resume_writing()

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _is_lingering(self) -> bool:
        """Whether the answer is given and the body it was for has not ended."""
        is_unread = self.conn.their_state is h11.SEND_BODY
        return is_unread and self.cycle is not None and self.cycle.response_complete

    def _wait_at_most(self, seconds: float | None) -> None:
        """Begin to wait for the client, behind all others who wait; None leaves the end to uvicorn."""
        self._stop_waiting()
        self._open.pop(self, None)
        self._open[self] = None
        if seconds is not None:
            self._deadline = self.loop.call_later(seconds, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _stall(self) -> None:
        if self._stalled is None:
            self._stalled = self.loop.call_later(self.stall_s, self.transport.abort)

    def _read_on(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _evict(self) -> None:
        """Cut the connection that has waited longest; this one if all others are being answered."""
        idle = (item for item in self._open if not item._is_answering)
        unfinished = (item for item in self._open if item.conn.their_state is h11.SEND_BODY)
        victim = next(idle)
        if victim is self:
            victim = next(unfinished, self)
        del self._open[victim]
        victim.transport.abort()
