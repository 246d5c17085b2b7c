"""The store: a contract in words, and its implementation in SQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from sqlalchemy import Connection, Table, bindparam, select, tuple_, update
from sqlalchemy.exc import SQLAlchemyError

from argus_core.events import Event, encode_event
from argus_server.errors import StoreError
from argus_server.ranking.values import finite, flatten
from argus_server.storage import schema
from argus_server.storage.clock import now_us
from argus_server.storage.credentials import Credentials
from argus_server.storage.dialect import describe, make_engines, upsert
from argus_server.storage.meanings import declared_meanings, later_meaning
from argus_server.storage.migrate import migrate
from argus_server.storage.projections import BatchState, JobState, microseconds, names_job
from argus_server.storage.queries import Queries

__all__ = ["SqlStore", "Store", "Stored", "open_store"]

_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Stored:
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

    def __init__(self, database: str) -> None:
        engines = make_engines(database)
        self._engines = engines
        self._reader, self._writer = engines.reader, engines.writer
        self.place = describe(database)
        self.queries = Queries(self._reader)
        self.credentials = Credentials(engines.key_reader, engines.key_writer)

    def migrate(self) -> None:
        """Bring the tables to this version of Argus; does nothing if they are."""
        migrate(self._writer)

    def add_events(self, events: Sequence[Event]) -> list[Stored]:
        """Store the events that are new, all or none, and say for each what became of it."""
        by_project: dict[str, list[int]] = defaultdict(list)
        for position, event in enumerate(events):
            by_project[event.source.project].append(position)
        results: dict[int, Stored] = {}
        try:
            with self._writer.begin() as connection:
                for name in sorted(by_project):  # one order for all writers: no deadlock
                    positions = by_project[name]
                    stored = _add_to_project(connection, name, [events[i] for i in positions])
                    results.update(zip(positions, stored, strict=True))
        except SQLAlchemyError as error:
            raise StoreError(f"{len(events)} events not stored: {error}") from error
        return [results[position] for position in range(len(events))]

    def close(self) -> None:
        """Close every connection."""
        self._engines.dispose()


def open_store(database: str) -> SqlStore:
    """Return the store in this database, migrated to this version of Argus.

    Raises:
        StoreError: the database cannot be opened.
    """
    try:
        store = SqlStore(database)
    except (SQLAlchemyError, OSError) as error:
        raise StoreError(f"cannot open the database {describe(database)}: {error}") from error
    try:
        store.migrate()
    except SQLAlchemyError as error:
        store.close()
        raise StoreError(f"cannot open the database {describe(database)}: {error}") from error
    return store


# --- one project, one transaction -------------------------------------------------------------


class _Project:
    """The project's row while its events are added: it deals out the numbers."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        row = self._lock(name) or self._create(name)
        self.id: int = row["id"]
        self._counters = {name: row[name] for name in ("last_seq", "last_job_no", "last_key_id")}

    def _lock(self, name: str) -> Mapping[Any, Any] | None:
        query = select(schema.project).where(schema.project.c.name == name).with_for_update()
        return self._connection.execute(query).mappings().first()

    def _create(self, name: str) -> Mapping[Any, Any]:
        insert = upsert(self._connection, schema.project).values(name=name, created_us=now_us())
        self._connection.execute(insert.on_conflict_do_nothing())
        row = self._lock(name)
        if row is None:  # cannot be: we have just made it
            raise StoreError(f"the project {name!r} vanished")
        return row

    def next(self, counter: str) -> int:
        self._counters[counter] += 1
        return int(self._counters[counter])

    def save(self) -> None:
        self._connection.execute(
            update(schema.project).where(schema.project.c.id == self.id).values(**self._counters)
        )


def _add_to_project(connection: Connection, name: str, events: Sequence[Event]) -> list[Stored]:
    project = _Project(connection, name)
    known = _known_events(connection, project.id, events)
    new: list[Event] = []
    results: list[Stored] = []
    rows: list[dict[str, Any]] = []
    received_us = now_us()
    for event in events:
        seq = known.get(event.event_id)
        results.append(Stored(seq or project.next("last_seq"), is_new=seq is None))
        if seq is None:
            known[event.event_id] = results[-1].seq
            new.append(event)
            rows.append(_event_row(project.id, results[-1].seq, event, received_us))
    if new:
        connection.execute(schema.event.insert(), rows)
        _project_events(connection, project, new)
        project.save()
    return results


def _known_events(connection: Connection, project_id: int, events: Sequence[Event]) -> dict[str, int]:
    table = schema.event.c
    known: dict[str, int] = {}
    for ids in _chunks(sorted({event.event_id for event in events})):
        query = select(table.event_id, table.seq).where(
            table.project_id == project_id, table.event_id.in_(ids)
        )
        known.update((row.event_id, row.seq) for row in connection.execute(query))
    return known


def _event_row(project_id: int, seq: int, event: Event, received_us: int) -> dict[str, Any]:
    return {
        "project_id": project_id,
        "seq": seq,
        "event_id": event.event_id,
        "event_type": event.event_type,
        "timestamp_us": microseconds(event.timestamp),
        "batch_id": event.batch_id,
        "job_id": event.job_id,
        "received_us": received_us,
        "payload": encode_event(event).decode(),
    }


# --- projections ------------------------------------------------------------------------------

JobKey = tuple[str, str]


def _project_events(connection: Connection, project: _Project, events: Sequence[Event]) -> None:
    """Fold events that were never folded before into the rows they touch."""
    by_batch: dict[str, list[Event]] = defaultdict(list)
    by_job: dict[JobKey, list[Event]] = defaultdict(list)
    for event in events:
        by_batch[event.batch_id].append(event)
        if names_job(event):
            by_job[event.batch_id, event.job_id or ""].append(event)
    _fold_batches(connection, project, by_batch)
    job_nos = _fold_jobs(connection, project, by_job)
    _add_epochs(connection, project, by_job, job_nos)


def _fold_batches(connection: Connection, project: _Project, by_batch: Mapping[str, Sequence[Event]]) -> None:
    table = schema.batch
    states: dict[str, BatchState] = {}
    for ids in _chunks(sorted(by_batch)):
        query = select(table).where(table.c.project_id == project.id, table.c.batch_id.in_(ids))
        for row in connection.execute(query).mappings():
            states[row["batch_id"]] = BatchState.from_row(row)
    old: list[dict[str, Any]] = []
    new: list[dict[str, Any]] = []
    for batch_id, events in by_batch.items():
        rows = old if batch_id in states else new
        state = states.setdefault(batch_id, BatchState())
        for event in events:
            state.fold(event)
        rows.append({"project_id": project.id, "batch_id": batch_id, **state.row()})
    _write(connection, table, ("project_id", "batch_id"), old, new)


def _fold_jobs(
    connection: Connection, project: _Project, by_job: Mapping[JobKey, Sequence[Event]]
) -> dict[JobKey, int]:
    """Return the job numbers of the jobs that were touched."""
    states, job_nos = _load_jobs(connection, project.id, by_job)
    old: list[dict[str, Any]] = []
    new: list[dict[str, Any]] = []
    ranked: dict[int, str | None] = {}
    for key, events in by_job.items():
        rows = old if key in states else new
        state = states.setdefault(key, JobState())
        before = state.ranked_metrics if key in job_nos else None
        for event in events:
            state.fold(event)
        job_no = job_nos.setdefault(key, 0) or project.next("last_job_no")
        job_nos[key] = job_no
        rows.append(
            {
                "project_id": project.id,
                "job_no": job_no,
                "batch_id": key[0],
                "job_id": key[1],
                **state.row(),
            }
        )
        if state.ranked_metrics != before:
            ranked[job_no] = state.ranked_metrics
    _write(connection, schema.job, ("project_id", "job_no"), old, new)
    keys = _count_keys(connection, project, by_job)
    _rank_jobs(connection, project.id, ranked, keys)
    return job_nos


def _load_jobs(
    connection: Connection, project_id: int, keys: Iterable[JobKey]
) -> tuple[dict[JobKey, JobState], dict[JobKey, int]]:
    table = schema.job
    states: dict[JobKey, JobState] = {}
    job_nos: dict[JobKey, int] = {}
    for some in _chunks(sorted(keys)):
        query = select(table).where(
            table.c.project_id == project_id, tuple_(table.c.batch_id, table.c.job_id).in_(some)
        )
        for row in connection.execute(query).mappings():
            key = row["batch_id"], row["job_id"]
            states[key], job_nos[key] = JobState.from_row(row), row["job_no"]
    return states, job_nos


def _rank_jobs(
    connection: Connection, project_id: int, ranked: Mapping[int, str | None], keys: Mapping[str, int]
) -> None:
    """Replace the rows of `job_metric` for jobs whose ranked metrics have changed."""
    table = schema.job_metric
    for job_nos in _chunks(sorted(ranked)):
        connection.execute(
            table.delete().where(table.c.project_id == project_id, table.c.job_no.in_(job_nos))
        )
    missing = {key for text in ranked.values() for key in _metrics(text)} - keys.keys()
    known = {**keys, **_key_ids(connection, project_id, missing)}
    rows = [
        {"project_id": project_id, "key_id": known[key], "job_no": job_no, "value": number}
        for job_no, text in ranked.items()
        for key, value in _metrics(text).items()
        if (number := finite(value)) is not None
    ]
    if rows:
        connection.execute(table.insert(), rows)


def _metrics(text: str | None) -> dict[str, Any]:
    return flatten(msgspec.json.decode(text)) if text else {}


def _key_ids(connection: Connection, project_id: int, keys: Iterable[str]) -> dict[str, int]:
    table = schema.metric_key.c
    found: dict[str, int] = {}
    for some in _chunks(sorted(keys)):
        query = select(table.key, table.key_id).where(table.project_id == project_id, table.key.in_(some))
        found.update((row.key, row.key_id) for row in connection.execute(query))
    return found


def _count_keys(
    connection: Connection, project: _Project, by_job: Mapping[JobKey, Sequence[Event]]
) -> dict[str, int]:
    """Count the metric names of these events in `metric_key`; return the ids of those names."""
    seen: dict[str, dict[str, Any]] = {}
    for events in by_job.values():
        for event in events:
            if event.event_type == "job_done":
                declared = declared_meanings(event)
                for key, value in flatten(event.data.get("metrics") or {}).items():
                    _count(seen, key, finite(value), microseconds(event.timestamp), declared.get(key))
    table = schema.metric_key
    ids: dict[str, int] = {}
    old, new = [], []
    for keys in _chunks(sorted(seen)):
        query = select(table).where(table.c.project_id == project.id, table.c.key.in_(keys))
        for row in connection.execute(query).mappings():
            ids[row["key"]] = row["key_id"]
            old.append({**row, **_merge(dict(row), seen[row["key"]])})
    for key in sorted(seen.keys() - ids.keys()):
        ids[key] = project.next("last_key_id")
        new.append({"project_id": project.id, "key_id": ids[key], "key": key, **seen[key]})
    _write(connection, table, ("project_id", "key_id"), old, new)
    return ids


def _count(
    seen: dict[str, dict[str, Any]], key: str, number: float | None, moment_us: int, declared: str | None
) -> None:
    one = {
        "count": 1,
        "min": number,
        "max": number,
        "first_seen_us": moment_us,
        "last_seen_us": moment_us,
        "declared": declared,
    }
    seen[key] = _merge(seen[key], one) if key in seen else one


def _merge(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "count": a["count"] + b["count"],
        "min": min((x["min"] for x in (a, b) if x["min"] is not None), default=None),
        "max": max((x["max"] for x in (a, b) if x["max"] is not None), default=None),
        "first_seen_us": min(a["first_seen_us"], b["first_seen_us"]),
        "last_seen_us": max(a["last_seen_us"], b["last_seen_us"]),
        "declared": later_meaning(a["declared"], b["declared"]),
    }


def _add_epochs(
    connection: Connection,
    project: _Project,
    by_job: Mapping[JobKey, Sequence[Event]],
    job_nos: Mapping[JobKey, int],
) -> None:
    """Keep the last word on each epoch, and the moment of each start."""
    epochs: dict[tuple[int, int], dict[str, Any]] = {}
    attempts: set[tuple[int, int]] = set()
    for key, events in by_job.items():
        for event in events:
            if event.event_type == "job_start":
                attempts.add((job_nos[key], microseconds(event.timestamp)))
            elif event.event_type == "job_epoch":
                row = _epoch_row(project.id, job_nos[key], event)
                place = row["job_no"], row["epoch"]
                epochs[place] = max(
                    epochs.get(place, row), row, key=lambda row: (row["timestamp_us"], row["event_id"])
                )
    if attempts:
        rows = [{"project_id": project.id, "job_no": no, "timestamp_us": at} for no, at in sorted(attempts)]
        connection.execute(upsert(connection, schema.attempt).on_conflict_do_nothing(), rows)
    if epochs:
        connection.execute(_upsert_epoch(connection), list(epochs.values()))


def _epoch_row(project_id: int, job_no: int, event: Event) -> dict[str, Any]:
    return {
        "project_id": project_id,
        "job_no": job_no,
        "epoch": event.data["epoch"],
        "timestamp_us": microseconds(event.timestamp),
        "event_id": event.event_id,
        "data": msgspec.json.encode(event.data).decode(),
    }


def _upsert_epoch(connection: Connection) -> Any:
    table = schema.epoch
    insert = upsert(connection, table)
    excluded = insert.excluded
    return insert.on_conflict_do_update(
        index_elements=["project_id", "job_no", "epoch"],
        set_={name: excluded[name] for name in ("timestamp_us", "event_id", "data")},
        where=tuple_(excluded.timestamp_us, excluded.event_id)
        > tuple_(table.c.timestamp_us, table.c.event_id),
    )


def _write(
    connection: Connection,
    table: Table,
    keys: Sequence[str],
    old: Sequence[Mapping[str, Any]],
    new: Sequence[Mapping[str, Any]],
) -> None:
    """Update the old rows and insert the new ones; every row names the same columns."""
    if new:
        connection.execute(table.insert(), new)
    if old:
        columns = [name for name in old[0] if name not in keys]
        statement = (
            update(table)
            .where(*(table.c[key] == bindparam(f"key_{key}") for key in keys))
            .values({name: bindparam(f"set_{name}") for name in columns})
        )
        connection.execute(
            statement,
            [
                {f"key_{k}": row[k] for k in keys} | {f"set_{name}": row[name] for name in columns}
                for row in old
            ],
        )


def _chunks(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    """Cut a list into pieces that fit a statement's parameters."""
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))
