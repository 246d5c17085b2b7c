"""What the last commit left of a project's rows, so that the next one need not ask for them.

Jobs that run report again and again, and each report changes the same few rows. They are remembered as of a
version of the project, on the connection that wrote it: whatever else writes to a project gives it another
version, and a database that has failed over another connection. Then they are read again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Any, Generic, TypeVar

from argus_server.storage.projections import BatchState, JobState

__all__ = ["JobKey", "Memories", "Remembered"]

JobKey = tuple[str, str]

_PROJECTS = 16
_JOBS = 256
_BATCHES = 32
_KEYS = 256
_ROW_CHARACTERS = 4096
"""What is longer is read again: rows hold what senders like."""

Key = TypeVar("Key", bound=Hashable)
State = TypeVar("State")


class _Rows(Generic[Key, State]):
    """The rows that were written last, each with what was made of it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rows: OrderedDict[Key, tuple[Mapping[Any, Any], State]] = OrderedDict()

    def get(self, key: Key) -> tuple[Mapping[Any, Any], State] | None:
        """Return the row in the database, and its state; None if it has to be read."""
        return self._rows.get(key)

    def put(self, key: Key, row: Mapping[Any, Any], state: State, *, is_small: bool = False) -> None:
        """Remember what a row is now; `is_small` if it is not much longer than it was."""
        known = self._rows.pop(key, None)
        if (known is None or not is_small) and _length(row) > _ROW_CHARACTERS:
            return
        self._rows[key] = row, state
        if len(self._rows) > self._limit:
            self._rows.popitem(last=False)

    def forget(self, key: Key) -> None:
        """Read the row the next time."""
        self._rows.pop(key, None)


def _length(row: Mapping[Any, Any]) -> int:
    return sum(len(value) for value in row.values() if type(value) is str)


class Remembered:
    """Rows of one project. One transaction at a time has it."""

    def __init__(self) -> None:
        self.batches: _Rows[str, BatchState] = _Rows(_BATCHES)
        self.jobs: _Rows[JobKey, JobState] = _Rows(_JOBS)
        self.keys: _Rows[str, None] = _Rows(_KEYS)


class Memories:
    """What is remembered of some projects. Any thread."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[Any, Remembered]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, project: str, version: Any) -> Remembered:
        """Return what is known of a project at this version, and know nothing of it until it is put back."""
        with self._lock:
            known, remembered = self._kept.pop(project, (None, None))
        return remembered if remembered is not None and known == version else Remembered()

    def put(self, project: str, version: Any, remembered: Remembered) -> None:
        """Keep what is true of this version, once that is committed."""
        with self._lock:
            self._kept.pop(project, None)
            self._kept[project] = version, remembered
            if len(self._kept) > _PROJECTS:
                self._kept.popitem(last=False)
