"""For tests of code that reports: a transport that keeps events in memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from argus_core.events import Event, decode_event
from argus_core.guard import swallowed
from argus_core.transport import Receipt, Rejection

__all__ = ["MemoryTransport", "memory"]

_shared: dict[str, MemoryTransport] = {}
_lock = threading.Lock()


class MemoryTransport:
    """Keeps what a server would have committed, each event id once, in the order of arrival."""

    def __init__(self) -> None:
        self._events: dict[str, Event] = {}

    @property
    def events(self) -> list[Event]:
        """The events so far; `flush` or `close` the reporter before you look."""
        return list(self._events.values())

    @property
    def types(self) -> list[str]:
        """The types of `events`."""
        return [event.event_type for event in self.events]

    def of_type(self, event_type: str) -> list[Event]:
        """Return the events of one type, in order."""
        return [event for event in self.events if event.event_type == event_type]

    def send(self, events: Sequence[bytes]) -> Receipt:
        """Decode and keep `events`; one that breaks the schema is rejected, as a server would.

        It also counts as swallowed (`argus_core.guard.watch_swallowed`), so that a test notices.
        """
        rejected = []
        for index, line in enumerate(events):
            try:
                event = decode_event(line)
            except ValueError as error:
                swallowed(error, "MemoryTransport.send")
                rejected.append(Rejection(index, str(error)))
            else:
                self._events.setdefault(event.event_id, event)
        return Receipt(rejected)

    def close(self) -> None:
        """Keep everything."""

    def clear(self) -> None:
        """Forget everything."""
        self._events.clear()


def memory(name: str) -> MemoryTransport:
    """Return the transport behind the URL `memory://NAME`, the same for the same name."""
    with _lock:
        return _shared.setdefault(name, MemoryTransport())
