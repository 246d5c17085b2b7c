"""From the training loop to the server: a journal that is the queue, and one thread that empties it."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from argus_core.errors import TransportError
from argus_core.guard import swallowed
from argus_core.journal import Chunk, Journal, JournalFile, dead_journals, same_url
from argus_core.rejected import park
from argus_core.transport import Receipt, Rejection, Transport
from argus_core.words import plural

__all__ = ["EVENTS_PER_REQUEST", "Delivery", "replay", "send_all"]

logger = logging.getLogger(__name__)

EVENTS_PER_REQUEST = 500
_FIRST_BACKOFF_S = 0.5
_LONGEST_BACKOFF_S = 60.0
_SHORTEST_WAIT_S = 0.1
_COLLECT_S = 0.05


class Delivery:
    """Takes events from any thread, and has a daemon thread of its own send them in order.

    `put` costs one write to disk and never waits for the network. The thread starts with the first
    event and belongs to the process that started it: after a fork, make a new `Delivery`.

    Attributes:
        rejected: how many events the server will never take.
        unranked: job id → why the leaderboard will not rank that job, as the server said on the way.
    """

    def __init__(
        self, journal: Journal, transport: Transport | None, *, directory: Path, url: str | None
    ) -> None:
        """Nothing is opened and no thread runs before the first `put`.

        Args:
            journal: where events wait.
            transport: where they go; None keeps them in the journal for `argus sync`.
            directory: where dead processes may have left journals.
            url: the server those must have been meant for to be sent along.
        """
        self.pid = os.getpid()
        self.journal = journal
        self._transport = transport
        self._directory = directory
        self._url = url
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._deadline = float("inf")
        self._settled = threading.Condition()
        self._refused: TransportError | None = None
        self._warned_waiting = False
        self._is_away = False
        self.rejected = 0
        self.unranked: dict[str, str] = {}

    def put(self, line: bytes, *, makes_row: bool = True) -> None:
        """Take one event: when this returns, it is in the journal. Any thread."""
        self.journal.append(line, makes_row=makes_row)
        if self._transport is None:
            return
        if self._thread is None:
            self._start()
        if not self._wake.is_set():
            self._wake.set()

    def _start(self) -> None:
        with self._settled:
            if self._thread is not None:
                return
            thread = threading.Thread(target=self._run, name="argus-delivery", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter is shutting down: the journal keeps it
                return
            self._thread = thread

    def flush(self, timeout_s: float) -> bool:
        """Wait until the server has everything, at most `timeout_s` seconds; return whether it has.

        Does not wait for a server that is known to be away.
        """
        if self._transport is None:
            return self.journal.pending == 0
        self._wake.set()
        deadline = time.monotonic() + timeout_s
        with self._settled:
            while self.journal.pending and not self._is_away and self._refused is None and self._is_running():
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    break
                self._settled.wait(min(remaining, 0.5))
        return self.journal.pending == 0

    def close(self, timeout_s: float) -> bool:
        """Send what is left within `timeout_s` seconds, then stop; return whether all was sent.

        A server that does not answer gets one more try, not the whole time.
        """
        self._deadline = deadline = time.monotonic() + timeout_s
        self._closing.set()
        self._wake.set()
        if self._is_running() and self._thread is not threading.current_thread():
            assert self._thread is not None
            self._thread.join(min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX))
        if not self._is_running():
            if self._transport is not None:
                self._transport.close()
            self.journal.close()
        return self.journal.pending == 0

    def _is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    # --- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._deliver_until_closed()
        except Exception as error:  # noqa: BLE001 - a bug in here must not take the process along
            swallowed(error, "argus-delivery")
        finally:
            with self._settled:
                self._settled.notify_all()

    def _deliver_until_closed(self) -> None:
        has_replayed = False
        while self._refused is None:
            self._wake.wait()
            self._wake.clear()
            if not self._closing.is_set():
                self._closing.wait(_COLLECT_S)  # a burst of events travels in one request
            is_last_round = self._closing.is_set()
            while self._refused is None and (chunk := self.journal.read(EVENTS_PER_REQUEST)):
                if not self._deliver(chunk):
                    return
            with self._settled:
                self._settled.notify_all()
            if not has_replayed and not is_last_round:
                has_replayed = True
                self._replay_dead()
            if is_last_round:
                return

    def _deliver(self, chunk: Chunk) -> bool:
        """Send a chunk until the server has it; return False when giving up for now."""
        assert self._transport is not None
        backoff_s = _FIRST_BACKOFF_S
        while True:
            try:
                receipt = send_all(self._transport, chunk.lines)
            except Exception as caught:  # noqa: BLE001 - whatever it was, the events are still here
                error = _as_transport_error(caught)
                if not error.retryable:
                    self._refuse(error)
                    return False
                self._warn_waiting(error)
                if not self._wait_to_retry(error, backoff_s):
                    return False
                backoff_s = min(backoff_s * 2, _LONGEST_BACKOFF_S)
                continue
            self._park(chunk.lines, receipt.rejected)
            self.unranked |= receipt.unranked
            self.journal.acknowledge(chunk)
            self._is_away = False
            if self._warned_waiting:
                self._warned_waiting = False
                logger.warning("argus: the server is back; %s to go", plural(self.journal.pending, "event"))
            return True

    def _wait_to_retry(self, error: TransportError, backoff_s: float) -> bool:
        """Wait before the next try; return False if there shall be none.

        Once closing, a server that answers is asked again until the deadline, one that does not
        answer gets a last try.
        """
        asked_s = error.retry_after_s
        wait_s = _jittered(backoff_s) if asked_s is None else max(asked_s, _SHORTEST_WAIT_S)
        if not self._closing.is_set():
            self._closing.wait(wait_s)
            return True
        if error.status is None or time.monotonic() + wait_s >= self._deadline:
            return False
        time.sleep(wait_s)
        return True

    def _refuse(self, error: TransportError) -> None:
        self._refused = error
        fix = {
            401: "set ARGUS_TOKEN to a token that `argus token create --scope report` printed",
            403: "use a token with the scope `report` for this project",
        }.get(error.status or 0, "check ARGUS_URL")
        logger.error(
            "argus: sending has stopped, %s in the journal for `argus sync`: %s. To fix it: %s.",
            plural(self.journal.pending, "event"),
            error,
            fix,
        )

    def _warn_waiting(self, error: TransportError) -> None:
        self._is_away = True
        with self._settled:
            self._settled.notify_all()
        if not self._warned_waiting:
            self._warned_waiting = True
            logger.warning(
                "argus: %s; what waits in the journal is sent when it is back: %s",
                error,
                plural(self.journal.pending, "event"),
            )

    def _park(self, lines: Sequence[bytes], rejected: Sequence[Rejection]) -> None:
        if rejected:
            self.rejected += len(rejected)
            park(self._directory, lines, rejected, url=self._url)

    def _live_events_first(self) -> bool:
        """Send what this process has reported meanwhile; return whether there is time for older things."""
        while not self._closing.is_set() and (chunk := self.journal.read(EVENTS_PER_REQUEST)):
            if not self._deliver(chunk):
                return False
        return not self._closing.is_set()

    def _replay_dead(self) -> None:
        assert self._transport is not None
        for file in dead_journals(self._directory):
            if self._closing.is_set():
                return
            if self._url is None or file.url != same_url(self._url):
                continue
            try:
                count = replay(
                    file, self._transport, directory=self._directory, go_on=self._live_events_first
                )
            except Exception as caught:  # noqa: BLE001 - an old journal must not stop the new one
                error = _as_transport_error(caught)
                logger.warning("argus: %s is kept for `argus sync`: %s", file.path.name, error)
                if error.retryable:
                    return
                continue  # this journal is not for our token; another may be
            if count:
                logger.warning("argus: sent %s that an earlier process had left", plural(count, "event"))


def replay(
    file: JournalFile, transport: Transport, *, directory: Path, go_on: Callable[[], bool] = lambda: True
) -> int:
    """Send what a dead process left in `file`, delete it, and return how many events that were.

    `go_on` is asked before each request; when it says no, the file stays and remembers how far it got.

    Raises:
        TransportError: the server took not all of them; the file stays, and remembers how far it got.
        OSError: the file cannot be read.
    """
    count = 0
    while chunk := file.read(EVENTS_PER_REQUEST):
        if not go_on():
            return count
        rejected = send_all(transport, chunk.lines).rejected
        if rejected:
            park(directory, chunk.lines, rejected, url=file.url)
        file.acknowledge(chunk)
        count += len(chunk.lines)
    if file.torn_lines:
        logger.warning("argus: skipped %s of %s", plural(file.torn_lines, "torn line"), file.path.name)
    file.delete()
    return count


def _as_transport_error(error: Exception) -> TransportError:
    """Return the error that says what to do; one that nobody foresaw is logged and tried again."""
    if isinstance(error, TransportError):
        return error
    swallowed(error, "sending events")
    return TransportError(f"{type(error).__name__}: {error}", retryable=True)


def send_all(transport: Transport, lines: Sequence[bytes]) -> Receipt:
    """Send `lines`, in halves where the request is too large; return what the server said of all of them.

    Raises:
        TransportError: not all of them are known to be committed.
    """
    try:
        return transport.send(lines)
    except TransportError as error:
        if error.status == 400 or (error.status == 413 and len(lines) == 1):
            if len(lines) == 1:
                return Receipt([Rejection(0, str(error))])
        elif error.status != 413:
            raise
    half = len(lines) // 2
    first = send_all(transport, lines[:half])
    second = send_all(transport, lines[half:])
    moved = [Rejection(item.index + half, item.reason) for item in second.rejected]
    return Receipt(first.rejected + moved, first.unranked | second.unranked)


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.5, 1.5)  # noqa: S311 - spreads load, keeps no secret
