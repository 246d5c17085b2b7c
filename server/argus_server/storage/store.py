"""The store: a contract in words, and its implementation in SQL."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
from sqlalchemy import Connection, select
from sqlalchemy.exc import SQLAlchemyError

from argus_core.events import Event, encode_event
from argus_server.errors import StoreError
from argus_server.storage import log, schema
from argus_server.storage.clock import now_us
from argus_server.storage.credentials import Credentials
from argus_server.storage.dialect import describe, make_engines
from argus_server.storage.folding import fold_events
from argus_server.storage.locked import LockedProject
from argus_server.storage.migrate import migrate, revision
from argus_server.storage.project_settings import ProjectSettings
from argus_server.storage.projections import microseconds
from argus_server.storage.queries import REMEMBERED_BYTES, Queries
from argus_server.storage.rebuild import Progress, outdated, rebuild
from argus_server.storage.remembered import Memories
from argus_server.storage.saved_views import SavedViews
from argus_server.storage.statements import chunks, insert_if_new, insert_tuples, rows_where

__all__ = ["SqlStore", "Store", "Stored", "open_store"]

logger = logging.getLogger(__name__)

_AFTER_A_REPEAT = 20
"""After an event that was there already, so many commits ask first which ones are."""


class Stored(msgspec.Struct, frozen=True, gc=False):
    """What became of an event.

    Attributes:
        seq: its number in its project; a repeat gets the number of the first.
        is_new: whether this call stored it.
    """

    seq: int
    is_new: bool


class Store(Protocol):
    """Where events are kept, and what they add up to.

    Any thread may call any method. Events may come in any order and any number of times: two stores
    that were given the same events answer alike, whatever the order, the repetitions and the
    division into calls were.
    """

    @property
    def queries(self) -> Queries:
        """What can be asked."""

    @property
    def credentials(self) -> Credentials:
        """Tokens, sign-in codes and sessions."""

    @property
    def settings(self) -> ProjectSettings:
        """What each project says of its metrics and names."""

    @property
    def saved_views(self) -> SavedViews:
        """The views that have a name."""

    def add_events(self, events: Sequence[Event]) -> list[Stored]:
        """Store the events that are new, all or none, and say for each what became of it.

        An event is new if its `event_id` is new to its project: a sender that missed our answer may
        repeat itself. When the call returns, the events are on disk and in every projection.

        Raises:
            StoreError: nothing was stored.
        """

    def close(self) -> None:
        """Let go of the database. Nothing is lost by not calling it."""


class SqlStore:
    """A `Store` in SQLite or, from the same statements, PostgreSQL."""

    def __init__(self, database: str, remembered_bytes: int = REMEMBERED_BYTES) -> None:
        engines = make_engines(database)
        self._engines = engines
        self._reader, self._writer = engines.reader, engines.writer
        self.place = describe(database)
        self.queries = Queries(self._reader, remembered_bytes=remembered_bytes)
        self.credentials = Credentials(engines.key_reader, engines.key_writer)
        self.settings = ProjectSettings(self._reader, self._writer)
        self.saved_views = SavedViews(self._reader, self._writer)
        self._memories = Memories()
        self._repeats = 0

    def migrate(self) -> None:
        """Bring the tables and the projections to this version of Argus; does nothing if they are."""
        migrate(self._writer)
        for name in outdated(self._writer):
            logger.warning("making the leaderboard of %s anew from its events, once for this version", name)
            rebuild(self._writer, name)

    def rebuild(self, project: str, progress: Progress = lambda *_: None) -> int:
        """Make the projections of a project anew from its events; return how many these are.

        Raises:
            UnknownProject: no event has named it.
            StoreError: everything is as it was.
        """
        try:
            return rebuild(self._writer, project, progress)
        except SQLAlchemyError as error:
            raise StoreError(f"the project {project!r} is as it was: {error}") from error

    @property
    def revision(self) -> str:
        """The migration at which the tables are."""
        with self._reader.begin() as connection:
            return str(revision(connection))

    def project_names(self) -> list[str]:
        """Return the names of all projects."""
        with self._reader.begin() as connection:
            return sorted(connection.scalars(select(schema.project.c.name)))

    def count_events(self, projects: Sequence[str] = ()) -> int:
        """See `log.count_events`."""
        return log.count_events(self._reader, projects)

    def export_events(self, projects: Sequence[str] = ()) -> Iterator[list[str]]:
        """See `log.export_events`."""
        return log.export_events(self._reader, projects)

    def backup(self, target: Path, progress: Callable[[int, int], None] = lambda *_: None) -> int:
        """See `log.backup`."""
        return log.backup(self._reader, target, progress)

    def forget(self, project: str, what: log.Retained, before_us: int, *, dry_run: bool = False) -> int:
        """Delete old events of a project, see `log.forget`, and make its projections anew of the rest."""
        count = log.forget(self._writer, project, what, before_us, dry_run=dry_run)
        if count and not dry_run:
            self.rebuild(project)
        return count

    def add_events(self, events: Sequence[Event]) -> list[Stored]:
        """Store the events that are new, all or none, and say for each what became of it."""
        try:
            if self._repeats:
                self._repeats -= 1
                return self._add(events, expect_repeats=True)
            try:
                return self._add(events, expect_repeats=False)
            except (
                _RepeatedError
            ):  # seldom: a sender has missed our answer. Often several events, or senders, in turn
                self._repeats = _AFTER_A_REPEAT
                return self._add(events, expect_repeats=True)
        except SQLAlchemyError as error:
            raise StoreError(f"{len(events)} events not stored: {error}") from error

    def _add(self, events: Sequence[Event], *, expect_repeats: bool) -> list[Stored]:
        by_project: dict[str, list[int]] = defaultdict(list)
        for position, event in enumerate(events):
            by_project[event.source.project].append(position)
        results: dict[int, Stored] = {}
        locked: list[LockedProject] = []
        with self._writer.begin() as connection:
            for name in sorted(by_project):  # one order for all writers: no deadlock
                positions = by_project[name]
                project = LockedProject(connection, name, self._memories)
                locked.append(project)
                some = [events[i] for i in positions]
                known = _known_events(connection, project.id, some) if expect_repeats else {}
                results.update(zip(positions, _add_to_project(connection, project, some, known), strict=True))
            versions = [project.version for project in locked]
        for project, version in zip(locked, versions, strict=True):
            self._memories.put(project.name, version, project.remembered)
        return [results[position] for position in range(len(events))]

    def close(self) -> None:
        """Close every connection."""
        self._engines.dispose()


def open_store(database: str, remembered_bytes: int = REMEMBERED_BYTES) -> SqlStore:
    """Return the store in this database, migrated to this version of Argus.

    Args:
        database: a path of an SQLite file, or a database URL.
        remembered_bytes: what this process remembers of boards may take so much memory.

    Raises:
        StoreError: the database cannot be opened.
    """
    try:
        store = SqlStore(database, remembered_bytes)
    except (SQLAlchemyError, OSError) as error:
        raise StoreError(f"cannot open the database {describe(database)}: {error}") from error
    try:
        store.migrate()
    except SQLAlchemyError as error:
        store.close()
        raise StoreError(f"cannot open the database {describe(database)}: {error}") from error
    return store


# --- one project, one transaction -------------------------------------------------------------


class _RepeatedError(Exception):
    """An event was there already that was thought to be new."""


def _add_to_project(
    connection: Connection, project: LockedProject, events: Sequence[Event], known: dict[str, int]
) -> list[Stored]:
    """Add the events that are not known, which is event id → number, and fold them.

    Raises:
        _RepeatedError: one of them is there already. The transaction has to be rolled back.
    """
    new: list[Event] = []
    results: list[Stored] = []
    rows: list[tuple[Any, ...]] = []
    received_us = now_us()
    for event in events:
        seq = known.get(event.event_id)
        if seq is not None:
            results.append(Stored(seq, False))
            continue
        known[event.event_id] = seq = project.next("last_seq")
        results.append(Stored(seq, True))
        new.append(event)
        rows.append(
            (
                project.id,
                seq,
                event.event_id,
                event.event_type,
                microseconds(event.timestamp),
                event.batch_id,
                event.job_id,
                received_us,
                encode_event(event).decode(),
            )
        )
    if new:
        insert = insert_if_new(connection.dialect.name, schema.event, "project_id", "event_id")
        if insert_tuples(connection, insert, _COLUMNS, rows) != len(rows):
            raise _RepeatedError
        fold_events(connection, project, new)
        project.save()
    return results


_COLUMNS = tuple(column.name for column in schema.event.c)


def _known_events(connection: Connection, project_id: int, events: Sequence[Event]) -> dict[str, int]:
    known: dict[str, int] = {}
    query = rows_where(schema.event, "event_id", "event_id", "seq")
    for ids in chunks(sorted({event.event_id for event in events})):
        rows = connection.execute(query, {"project_id": project_id, "values": ids})
        known.update((event_id, seq) for event_id, seq in rows)
    return known
