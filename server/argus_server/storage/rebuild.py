"""Make the projections anew from the event log: the log is the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
from sqlalchemy import Connection, Engine, delete, func, select, update

from argus_core.events import Event
from argus_server.errors import UnknownProject
from argus_server.ranking.registry import Settings
from argus_server.storage import schema
from argus_server.storage.folding import FOLD_VERSION, fold_events
from argus_server.storage.remembered import Remembered

__all__ = ["outdated", "rebuild"]

_CHUNK_EVENTS = 2000
_PROJECTIONS = (
    schema.job_metric,
    schema.facet,
    schema.epoch,
    schema.attempt,
    schema.job,
    schema.batch,
    schema.metric_key,
)

_decoder = msgspec.json.Decoder(Event)

Progress = Callable[[str, int, int], None]
"""Told the project, the events folded, and the events there are."""


def outdated(engine: Engine) -> list[str]:
    """Return the projects whose projections an older version of Argus has made."""
    table = schema.project.c
    with engine.begin() as connection:
        return sorted(connection.scalars(select(table.name).where(table.projected_by < FOLD_VERSION)))


def rebuild(engine: Engine, name: str, progress: Progress = lambda *_: None) -> int:
    """Make the projections of one project anew, and return how many events they are made of.

    One transaction: until it ends readers see the old ones, and writers of this project wait. The project
    gets a new version, so that open pages and caches ask again.

    Raises:
        UnknownProject: no event has named it.
    """
    with engine.begin() as connection:
        table = schema.project
        query = select(table.c.id, table.c.settings).where(table.c.name == name).with_for_update()
        found = connection.execute(query).first()
        if found is None:
            raise UnknownProject(name)
        project_id = found.id
        for projection in _PROJECTIONS:
            connection.execute(delete(projection).where(projection.c.project_id == project_id))
        total = _count_events(connection, project_id)
        counters = _Counters(project_id, Settings.decode(found.settings))
        done = 0
        for events in _log(connection, project_id):
            fold_events(connection, counters, events)
            done += len(events)
            progress(name, done, total)
        connection.execute(
            update(table)
            .where(table.c.id == project_id)
            .values(
                projected_by=FOLD_VERSION,
                last_key_id=counters.last_key_id,
                last_seq=table.c.last_seq + 1,  # what was remembered of this project is no longer true
            )
        )
    return total


class _Counters:
    """The numbers of a project, from the first."""

    def __init__(self, project_id: int, settings: Settings) -> None:
        self.id = project_id
        self.settings = settings
        self.remembered = Remembered()
        self.last_key_id = 0

    def next(self, counter: str) -> int:
        """Return the next number of a counter."""
        assert counter == "last_key_id"
        self.last_key_id += 1
        return self.last_key_id


def _count_events(connection: Connection, project_id: int) -> int:
    query = select(func.count()).where(schema.event.c.project_id == project_id)
    return int(connection.scalar(query) or 0)


def _log(connection: Connection, project_id: int) -> Iterator[list[Event]]:
    """Yield the events of a project in the order of their commit, some at a time."""
    table, last = schema.event.c, 0
    while True:
        query = (
            select(table.seq, table.payload)
            .where(table.project_id == project_id, table.seq > last)
            .order_by(table.seq)
            .limit(_CHUNK_EVENTS)
        )
        rows = connection.execute(query).all()
        if not rows:
            return
        last = rows[-1].seq
        yield [_decoder.decode(row.payload) for row in rows]
