"""One writer that stores the events of all waiting requests in one commit."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from argus_core.events import Event
from argus_server.errors import StoreError, WriterBusy
from argus_server.storage.store import Store, Stored

__all__ = ["Commit", "GroupWriter"]

logger = logging.getLogger(__name__)

_GROUP_EVENTS = 10_000


@dataclass(frozen=True, slots=True)
class Commit:
    """What one commit stored: event by event, for how many requests, and how long it took."""

    events: Sequence[Event]
    stored: Sequence[Stored]
    n_requests: int
    duration_s: float


class _Request:
    """Events that wait, and where their answer goes: to a future of an event loop, or of threads."""

    def __init__(self, events: Sequence[Event], size_bytes: int, answer: Answer) -> None:
        self.events = events
        self.size_bytes = size_bytes
        self.answer = answer


Answer = Future[list[Stored]] | asyncio.Future[list[Stored]]
Outcome = list[Stored] | StoreError


def _give(answers: Iterable[tuple[Answer, Outcome]]) -> None:
    for answer, outcome in answers:
        if answer.done():  # nobody waits any more
            continue
        if isinstance(outcome, StoreError):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)


def _answer(answers: Sequence[tuple[Answer, Outcome]]) -> None:
    """Answer requests. An event loop is woken once for all of its own: each time costs a system call."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Answer, Outcome]]] = defaultdict(list)
    for answer, outcome in answers:
        if isinstance(answer, asyncio.Future):
            by_loop[answer.get_loop()].append((answer, outcome))
        else:
            _give([(answer, outcome)])
    for loop, some in by_loop.items():
        with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
            loop.call_soon_threadsafe(_give, some)


class GroupWriter:
    """A thread that commits: while one commit reaches the disk, the next group gathers.

    A lone request is stored at once; under load the price of a commit is shared. What waits is
    bounded, in requests and in bytes.
    """

    def __init__(
        self,
        store: Store,
        *,
        waiting_requests: int,
        waiting_bytes: int,
        on_commit: Callable[[Commit], None] | None = None,
    ) -> None:
        """`on_commit` is called in the writer's thread, after the answers were given: return at once."""
        self._store = store
        self._on_commit = on_commit
        self._max_requests = waiting_requests
        self._max_bytes = waiting_bytes
        self._waiting: deque[_Request] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None
        self.commits = 0
        """Commits so far; each may hold many requests."""

    @property
    def waiting(self) -> tuple[int, int]:
        """How many requests wait, and their size together in bytes."""
        with self._changed:
            return len(self._waiting), self._waiting_bytes

    def start(self) -> None:
        """Begin to write. Requests may be submitted before."""
        self._thread = threading.Thread(target=self._run, name="argus-writer", daemon=True)
        self._thread.start()

    def submit(self, events: Sequence[Event], size_bytes: int) -> Future[list[Stored]]:
        """Return what will hold the answer once the events are committed. Any thread; never waits.

        Raises:
            WriterBusy: as much as is allowed waits already; nothing was taken.
        """
        answer: Future[list[Stored]] = Future()
        answer.set_running_or_notify_cancel()  # from here on it is answered, never cancelled
        self._take(_Request(events, size_bytes, answer))
        return answer

    async def store(self, events: Sequence[Event], size_bytes: int) -> list[Stored]:
        """Return what became of the events once they are committed; they are, even if nobody waits for it.

        Raises:
            WriterBusy: as much as is allowed waits already; nothing was taken.
            StoreError: nothing was stored.
        """
        answer: asyncio.Future[list[Stored]] = asyncio.get_running_loop().create_future()
        self._take(_Request(events, size_bytes, answer))
        return await answer

    def _take(self, request: _Request) -> None:
        size_bytes = request.size_bytes
        with self._changed:
            if self._closing:
                raise WriterBusy("the server is shutting down")
            too_large = self._waiting_bytes + size_bytes > self._max_bytes and self._waiting
            if len(self._waiting) >= self._max_requests or too_large:
                raise WriterBusy(f"{len(self._waiting)} requests wait for the database")
            self._waiting.append(request)
            self._waiting_bytes += size_bytes
            self._changed.notify()

    def close(self, timeout_s: float | None = None) -> None:
        """Store what waits, then stop. Returns when the last answer is given, or the time is over."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is None:
            return
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            logger.error("%d requests wait for a database that does not answer; giving up", self.waiting[0])

    def _run(self) -> None:
        while group := self._next_group():
            self._store_group(group)

    def _next_group(self) -> list[_Request]:
        """Wait for requests and return those that fit one commit; none when it is time to stop."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            group: list[_Request] = []
            n_events = 0
            while self._waiting and (not group or n_events + len(self._waiting[0].events) <= _GROUP_EVENTS):
                request = self._waiting.popleft()
                self._waiting_bytes -= request.size_bytes
                n_events += len(request.events)
                group.append(request)
            return group

    def _store_group(self, group: Sequence[_Request]) -> None:
        events = [event for request in group for event in request.events]
        began = time.monotonic()
        try:
            stored = self._store.add_events(events)
            self.commits += 1
        except Exception as error:  # noqa: BLE001 - the thread must live on, and each request be answered
            self._store_apart(group, error)
            return
        rest = iter(stored)
        _answer([(request.answer, list(islice(rest, len(request.events)))) for request in group])
        self._tell(Commit(events, stored, len(group), time.monotonic() - began))

    def _tell(self, commit: Commit) -> None:
        try:
            if self._on_commit is not None:
                self._on_commit(commit)
        except Exception:
            logger.exception("what was committed could not be told")

    def _store_apart(self, group: Sequence[_Request], error: Exception) -> None:
        """After a failure, give each request its own commit: one bad neighbour spoils nobody's answer."""
        if len(group) == 1:
            logger.error("%d events not stored", len(group[0].events), exc_info=error)
            failure = error if isinstance(error, StoreError) else StoreError(str(error))
            _answer([(group[0].answer, failure)])
            return
        for request in group:
            self._store_group([request])
