"""Events that a server has said it will never take, kept beside the journals with its reasons.

`rejected.jsonl` has one JSON object a line: `reason`, `url` of that server, and `event` as it was sent. All
processes of a host append to it. Whoever sends its events again sets it aside under a name of its own
first, and deletes that when each of them is with the server or parked anew: killed in between, it has
sent some events twice, which does no harm.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from argus_core.transport import Rejection
from argus_core.words import plural

__all__ = ["NAME", "Parked", "finish", "keep", "park", "parked", "set_aside"]

logger = logging.getLogger(__name__)

NAME = "rejected.jsonl"


@dataclass(frozen=True, slots=True)
class Parked:
    """One rejected event.

    Attributes:
        event: as it was sent.
        reason: why the server rejected it, the latest time.
        url: the server, or None where that is not known.
    """

    event: bytes
    reason: str
    url: str | None = None

    @property
    def line(self) -> str:
        """What stands in the file."""
        event = self.event.decode("utf-8", "replace")
        return json.dumps({"reason": self.reason, "url": self.url, "event": event})


def park(directory: Path, lines: Sequence[bytes], rejected: Sequence[Rejection], *, url: str | None) -> None:
    """Keep the rejected ones of these events, and say so once."""
    logger.warning(
        "argus: the server rejected %s, kept in %s; the first because: %s",
        plural(len(rejected), "event"),
        directory / NAME,
        rejected[0].reason,
    )
    try:
        keep(directory, [Parked(lines[item.index], item.reason, url) for item in rejected])
    except OSError as error:
        logger.warning("argus: cannot keep the rejected events: %s", error)


def keep(directory: Path, events: Iterable[Parked]) -> None:
    """Append to the file. One write, so that the lines of two processes do not mix.

    Raises:
        OSError: the file cannot be written.
    """
    text = "".join(event.line + "\n" for event in events).encode()
    if text:
        with (directory / NAME).open("a+b", buffering=0) as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                text = text if file.read(1) == b"\n" else b"\n" + text  # behind a line torn in a write
            if file.write(text) != len(text):
                raise OSError(28, "the disk is full")


def parked(directory: Path) -> list[Parked]:
    """Return every rejected event that waits here, each once with the latest reason; oldest first."""
    return _read([*_aside(directory), directory / NAME])


def set_aside(directory: Path) -> tuple[list[Path], list[Parked]]:
    """Take the file away from those who append to it; return what is set aside now, and the events in it.

    What somebody has set aside and never finished is taken along.
    """
    with contextlib.suppress(FileNotFoundError):
        (directory / NAME).rename(directory / f"{NAME}.{time.time_ns()}")
    paths = _aside(directory)
    return paths, _read(paths)


def finish(directory: Path, paths: Sequence[Path], known: Iterable[Parked]) -> None:
    """Delete what was set aside, now that its `known` events are taken care of.

    What a process still wrote into it, having opened it before, is kept.

    Raises:
        OSError: it cannot be kept; nothing is deleted.
    """
    events = {event.event for event in known}
    keep(directory, [event for event in _read(paths) if event.event not in events])
    for path in paths:
        path.unlink(missing_ok=True)


def _aside(directory: Path) -> list[Path]:
    return sorted(directory.glob(f"{NAME}.*"), key=lambda path: (len(path.name), path.name))


def _read(paths: Iterable[Path]) -> list[Parked]:
    found: dict[bytes, Parked] = {}
    for path in paths:
        try:
            lines = path.read_bytes().splitlines()
        except FileNotFoundError:
            continue
        for line in lines:
            event = _parsed(line)
            if event is not None:
                found[event.event] = event
    return list(found.values())


def _parsed(line: bytes) -> Parked | None:
    """Return what a line holds, None if it was torn in a write."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, Mapping) or not isinstance(entry.get("event"), str):
        return None
    url = entry.get("url")
    return Parked(entry["event"].encode(), str(entry.get("reason")), url if isinstance(url, str) else None)
