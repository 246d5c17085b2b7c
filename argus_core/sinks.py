"""Feed the sinks of plugins, each from a thread of its own, so that a slow one holds nobody up."""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING

from argus_core.errors import ArgusError
from argus_core.events import Event
from argus_core.guard import never_raise, swallowed
from argus_core.words import plural

if TYPE_CHECKING:
    from argus_core.hookspecs import Sink

__all__ = ["SinkThread"]

logger = logging.getLogger(__name__)

_MAX_WAITING = 10_000


class SinkThread:
    """One sink, its queue and its daemon thread. `put` never waits."""

    def __init__(self, sink: Sink, *, max_waiting: int = _MAX_WAITING) -> None:
        """Start the thread.

        Raises:
            ArgusError: `sink` has no `write` or no `close`.
        """
        for method in ("write", "close"):
            if not callable(getattr(sink, method, None)):
                raise ArgusError(f"a sink needs a method {method}, got {sink!r:.200}")
        self._sink = sink
        self._queue: queue.SimpleQueue[Event | None] = queue.SimpleQueue()  # signal handlers may put
        self._max_waiting = max_waiting
        self.left_out = 0
        self._thread = threading.Thread(target=self._run, name="argus-sink", daemon=True)
        self._thread.start()

    def put(self, event: Event) -> None:
        """Queue an event; when the queue is full it is left out and counted. Any thread."""
        if self._queue.qsize() < self._max_waiting:
            self._queue.put(event)
        else:
            self.left_out += 1
            if self.left_out == 1:
                logger.warning(
                    "argus: %r cannot keep up, events are left out of it (the server gets all)", self._sink
                )

    def close(self, timeout_s: float) -> None:
        """Write what waits, within `timeout_s` seconds, and close the sink."""
        self._queue.put(None)
        self._thread.join(min(timeout_s, threading.TIMEOUT_MAX))
        if self._thread.is_alive():
            self.left_out += self._queue.qsize()
        if self.left_out:
            logger.warning("argus: left out of %r: %s", self._sink, plural(self.left_out, "event"))

    @never_raise
    def _run(self) -> None:
        while (event := self._queue.get()) is not None:
            try:
                self._sink.write(event)
            except Exception as error:  # noqa: BLE001 - this event is lost for this sink alone
                swallowed(error, f"{type(self._sink).__name__}.write")
        self._sink.close()
