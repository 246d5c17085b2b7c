"""The event log as a whole: out of a database, into another, copied, and cut at its old end."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from sqlalchemy import ColumnElement, Engine, and_, delete, func, or_, select

from argus_server.errors import StoreError, UnknownProject
from argus_server.storage import schema
from argus_server.storage.dialect import transaction

__all__ = ["Retained", "backup", "count_events", "export_events", "forget"]

_CHUNK_EVENTS = 2000
_PAGES_AT_ONCE = 2000
_event = schema.event.c

Retained = Literal["logs", "curves", "jobs"]
"""What may be forgotten: log lines and load, epochs of jobs that have ended, or whole jobs."""

_LOGS = ("log_line", "resource_snapshot", "env_snapshot")


def count_events(engine: Engine, projects: Sequence[str] = ()) -> int:
    """Return how many events there are, of these projects or of all.

    Raises:
        UnknownProject: no event has named one of them.
    """
    with transaction(engine) as connection:
        names = list(connection.scalars(select(schema.project.c.name)))
        if unknown := [name for name in projects if name not in names]:
            raise UnknownProject(unknown[0], names)
        query = select(func.count()).select_from(schema.event.join(schema.project))
        if projects:
            query = query.where(schema.project.c.name.in_(projects))
        return int(connection.scalar(query) or 0)


def export_events(engine: Engine, projects: Sequence[str] = ()) -> Iterator[list[str]]:
    """Yield every event as the JSON in which it was stored, project by project, as they were committed.

    One moment of the database; some events at a time in memory.
    """
    with transaction(engine) as connection:
        table = schema.project.c
        query = select(table.id, table.name).order_by(table.name)
        for project_id, _ in connection.execute(
            query.where(table.name.in_(projects)) if projects else query
        ).all():
            last = 0
            while True:
                rows = connection.execute(
                    select(_event.seq, _event.payload)
                    .where(_event.project_id == project_id, _event.seq > last)
                    .order_by(_event.seq)
                    .limit(_CHUNK_EVENTS)
                ).all()
                if not rows:
                    break
                last = rows[-1].seq
                yield [row.payload for row in rows]


def backup(engine: Engine, target: Path, progress: Callable[[int, int], None] = lambda *_: None) -> int:
    """Copy an SQLite database while it is in use, open the copy and check it; return its events.

    The copy appears under its name only when it is complete and sound.

    Args:
        engine: of the database.
        target: a file that is not there yet.
        progress: told the pages that are left and the pages there are.

    Raises:
        StoreError: it is another kind of database, the file is there, or the copy is not sound.
    """
    if engine.dialect.name != "sqlite":
        raise StoreError("this is for SQLite files; use pg_dump, or `argus export`")
    if target.exists():
        raise StoreError(f"{target} is there already")
    part = target.with_name(target.name + ".part")
    try:
        with contextlib.closing(engine.raw_connection()) as source, _opened(part) as copy:
            driver = source.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            driver.backup(
                copy, pages=_PAGES_AT_ONCE, sleep=0.01, progress=lambda _, left, total: progress(left, total)
            )
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, without the log beside it
            count = _checked(copy)
        _to_disk(part)
        part.rename(target)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"no backup was made: {error}") from error
    finally:
        part.unlink(missing_ok=True)
    return count


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        yield connection


def _checked(copy: sqlite3.Connection) -> int:
    found = copy.execute("PRAGMA integrity_check").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError(f"the copy is not sound: {found}")
    return int(copy.execute("SELECT count(*) FROM event").fetchone()[0])


def _to_disk(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


# --- forgetting -------------------------------------------------------------------------------


def forget(engine: Engine, project: str, what: Retained, before_us: int, *, dry_run: bool = False) -> int:
    """Delete old events of a project from the log, and return how many. The projections are not touched.

    Args:
        engine: of the database, for writing.
        project: its name.
        what: `logs` are log lines and load; `curves` are also the epochs of jobs that have ended; `jobs`
            are all events of the jobs that have ended, and of batches that are empty then.
        before_us: only what is older: events, for `jobs` the last one of the job.
        dry_run: count and keep.

    Raises:
        UnknownProject: no event has named it.
    """
    table = schema.project.c
    with transaction(engine) as connection:
        project_id = connection.scalar(select(table.id).where(table.name == project).with_for_update())
        if project_id is None:
            raise UnknownProject(project)
        old = and_(_event.project_id == project_id, _forgettable(project_id, what, before_us))
        if dry_run:
            return int(connection.scalar(select(func.count()).select_from(schema.event).where(old)) or 0)
        return connection.execute(delete(schema.event).where(old)).rowcount


def _forgettable(project_id: int, what: Retained, before_us: int) -> ColumnElement[bool]:
    old_logs = and_(_event.event_type.in_(_LOGS), _event.timestamp_us < before_us)
    job, batch = schema.job.c, schema.batch.c
    ended = (
        select(job.job_no)
        .where(
            job.project_id == project_id,
            job.batch_id == _event.batch_id,
            job.job_id == _event.job_id,
            job.status != "running",
            job.last_event_us < before_us,
        )
        .correlate(schema.event)
        .exists()
    )
    if what == "logs":
        return old_logs
    if what == "curves":
        return or_(old_logs, and_(_event.event_type == "job_epoch", ended))
    alive = (
        select(job.job_no)
        .where(
            job.project_id == project_id,
            job.batch_id == _event.batch_id,
            or_(job.status == "running", job.last_event_us >= before_us),
        )
        .correlate(schema.event)
        .exists()
    )
    quiet = (
        select(batch.batch_id)
        .where(
            batch.project_id == project_id,
            batch.batch_id == _event.batch_id,
            batch.last_event_us < before_us,
        )
        .correlate(schema.event)
        .exists()
    )
    return or_(old_logs, ended, and_(quiet, ~alive))
