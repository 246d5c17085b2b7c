"""Bring events into the projections: load the rows they touch, fold, write the rows back.

What is derived from several jobs, their standing and the counts of facets, follows from the rows as
they are after the fold; so it too does not depend on the order in which events came.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import Connection, Executable, tuple_, update

from argus_core.events import Event
from argus_server.ranking.order import Standing, job_number, text_number
from argus_server.storage import schema
from argus_server.storage.dialect import upsert
from argus_server.storage.metric_rows import Counters, JobKey, count_keys, rank_jobs
from argus_server.storage.projections import BatchState, JobState, microseconds, names_job, untested_jobs
from argus_server.storage.statements import chunks, execute_many, rows_where, write_rows

__all__ = ["EVERY", "FACETS", "FOLD_VERSION", "LISTED", "fold_events"]

FOLD_VERSION = 2
"""Raised with every change of what the projections hold: opening a database then makes them anew."""
FACETS = {
    "model": "model",
    "dataset": "dataset",
    "seed": "seed",
    "host": "host",
    "user": "user",
    "batch": "batch_id",
}
"""Field of a facet → column of the job."""
EVERY = "all"
LISTED = "listed"


def fold_events(connection: Connection, project: Counters, events: Sequence[Event]) -> None:
    """Fold events that were never folded before into the rows they touch."""
    by_batch: dict[str, list[Event]] = defaultdict(list)
    by_job: dict[JobKey, list[Event]] = defaultdict(list)
    for event in events:
        by_batch[event.batch_id].append(event)
        if names_job(event):
            by_job[event.batch_id, event.job_id or ""].append(event)
        for job_id in untested_jobs(event):
            by_job[event.batch_id, job_id].append(event)
    _fold_batches(connection, project.id, by_batch)
    _fold_jobs(connection, project, by_job)
    _add_epochs(connection, project.id, by_job)


# --- batches ----------------------------------------------------------------------------------


def _fold_batches(connection: Connection, project_id: int, by_batch: Mapping[str, Sequence[Event]]) -> None:
    table = schema.batch
    states: dict[str, BatchState] = {}
    for ids in chunks(sorted(by_batch)):
        found = connection.execute(rows_where(table, "batch_id"), {"project_id": project_id, "values": ids})
        for row in found.mappings():
            states[row["batch_id"]] = BatchState.from_row(row)
    old: list[dict[str, Any]] = []
    new: list[dict[str, Any]] = []
    for batch_id, events in by_batch.items():
        rows = old if batch_id in states else new
        state = states.setdefault(batch_id, BatchState())
        for event in events:
            state.fold(event)
        rows.append({"project_id": project_id, "batch_id": batch_id, **state.row()})
    write_rows(connection, table, ("project_id", "batch_id"), old, new)


# --- jobs -------------------------------------------------------------------------------------


@dataclass
class _Changes:
    """What follows from the jobs that were folded."""

    old: list[dict[str, Any]] = field(default_factory=list)
    new: list[dict[str, Any]] = field(default_factory=list)
    ranked: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Rows whose place in `job_metric` has changed, by job number."""
    replicas: set[int] = field(default_factory=set)
    """Groups of repetitions in which another job may count now."""
    facets: Counter[tuple[str, str, str | None]] = field(default_factory=Counter)
    """(field, status, value) → how many jobs more."""


def _fold_jobs(connection: Connection, project: Counters, by_job: Mapping[JobKey, Sequence[Event]]) -> None:
    known = _load_jobs(connection, project.id, by_job)
    changes = _Changes()
    for key, events in by_job.items():
        before = known.get(key)
        state = JobState.from_row(before) if before is not None else JobState()
        for event in events:
            state.fold(event)
        row = {
            "project_id": project.id,
            "job_no": job_number(*key),
            "batch_id": key[0],
            "job_id": key[1],
            **state.row(),
        }
        (changes.new if before is None else changes.old).append(row)
        _note_changes(changes, before, row)
    write_rows(connection, schema.job, ("project_id", "job_no"), changes.old, changes.new)
    keys = count_keys(connection, project, by_job)
    rank_jobs(connection, project, list(changes.ranked.values()), keys)
    _settle(connection, project.id, changes.replicas)
    _count_facets(connection, project.id, changes.facets)


def _load_jobs(
    connection: Connection, project_id: int, keys: Iterable[JobKey]
) -> dict[JobKey, Mapping[Any, Any]]:
    table = schema.job
    numbers = sorted(job_number(*key) for key in keys)
    found: dict[JobKey, Mapping[Any, Any]] = {}
    for some in chunks(numbers):
        rows = connection.execute(rows_where(table, "job_no"), {"project_id": project_id, "values": some})
        for row in rows.mappings():
            found[row["batch_id"], row["job_id"]] = row
    return found


_ON_THE_BOARD = ("metrics", "dataset", "replica_no", "ended_us")
_COUNTED = ("status", *FACETS.values())


def _note_changes(changes: _Changes, before: Mapping[Any, Any] | None, row: dict[str, Any]) -> None:
    """Find out what else changes with this row, and give it its standing for now."""
    listed = row["standing"] != Standing.ABSENT
    was_listed = before is not None and before["standing"] != Standing.ABSENT
    if before is not None and listed and was_listed:
        row["standing"] = before["standing"]
    moved = before is None or any(row[name] != before[name] for name in _ON_THE_BOARD)
    if listed != was_listed or (listed and moved):
        changes.ranked[row["job_no"]] = row
        changes.replicas |= {row["replica_no"]} - {None}
        changes.replicas |= {before["replica_no"]} - {None} if before is not None else set()
        if row["replica_no"] is None and listed:
            row["standing"] = int(Standing.COUNTS)
    if before is None or listed != was_listed or any(row[name] != before[name] for name in _COUNTED):
        changes.facets.update(_counted(row))
        changes.facets.subtract(_counted(before) if before is not None else ())


def _counted(row: Mapping[Any, Any]) -> Iterator[tuple[str, str, str | None]]:
    """Yield every (field, status, value) under which a job is counted."""
    for status in (row["status"], *([LISTED] if row["standing"] != Standing.ABSENT else [])):
        yield EVERY, status, None
        for name, column in FACETS.items():
            yield name, status, row[column]


def _settle(connection: Connection, project_id: int, replicas: Iterable[int]) -> None:
    """Let the job that finished last count in each group of repetitions, and no other."""
    columns = ("replica_no", "ended_us", "batch_id", "job_id", "job_no", "standing")
    query = rows_where(schema.job, "replica_no", *columns)
    changed: dict[Standing, list[int]] = defaultdict(list)
    for some in chunks(sorted(replicas)):
        groups: dict[int, list[Any]] = defaultdict(list)
        for row in connection.execute(query, {"project_id": project_id, "values": some}):
            if row.standing != Standing.ABSENT:
                groups[row.replica_no].append(row)
        for group in groups.values():
            last = max(group, key=lambda row: (row.ended_us, row.batch_id, row.job_id))
            for row in group:
                standing = Standing.COUNTS if row is last else Standing.SUPERSEDED
                if row.standing != standing:
                    changed[standing].append(row.job_no)
    for standing, job_nos in changed.items():
        for some in chunks(sorted(job_nos)):
            for target in (schema.job, schema.job_metric):
                connection.execute(
                    update(target)
                    .where(target.c.project_id == project_id, target.c.job_no.in_(some))
                    .values(standing=int(standing))
                )


def _count_facets(
    connection: Connection, project_id: int, counts: Mapping[tuple[str, str, str | None], int]
) -> None:
    rows = [
        {
            "project_id": project_id,
            "field": name,
            "value_no": text_number(value),
            "status": status,
            "value": value,
            "n": n,
        }
        for (name, status, value), n in sorted(
            counts.items(), key=lambda item: (*item[0][:2], item[0][2] or "")
        )
        if n
    ]
    execute_many(connection, _upsert_facet(connection.dialect.name), rows)


@cache
def _upsert_facet(dialect: str) -> Executable:
    table = schema.facet
    insert = upsert(dialect, table)
    return insert.on_conflict_do_update(
        index_elements=["project_id", "field", "value_no", "status"],
        set_={"n": table.c.n + insert.excluded.n},
    )


# --- epochs -----------------------------------------------------------------------------------


def _add_epochs(connection: Connection, project_id: int, by_job: Mapping[JobKey, Sequence[Event]]) -> None:
    """Keep the last word on each epoch, and the moment of each start."""
    epochs: dict[tuple[int, int], dict[str, Any]] = {}
    attempts: set[tuple[int, int]] = set()
    for key, events in by_job.items():
        job_no = job_number(*key)
        for event in events:
            if event.event_type == "job_start":
                attempts.add((job_no, microseconds(event.timestamp)))
            elif event.event_type == "job_epoch":
                row = _epoch_row(project_id, job_no, event)
                place = job_no, row["epoch"]
                epochs[place] = max(
                    epochs.get(place, row), row, key=lambda row: (row["timestamp_us"], row["event_id"])
                )
    rows = [{"project_id": project_id, "job_no": no, "timestamp_us": at} for no, at in sorted(attempts)]
    execute_many(connection, _add_attempt(connection.dialect.name), rows)
    execute_many(connection, _upsert_epoch(connection.dialect.name), list(epochs.values()))


@cache
def _add_attempt(dialect: str) -> Executable:
    return upsert(dialect, schema.attempt).on_conflict_do_nothing()


def _epoch_row(project_id: int, job_no: int, event: Event) -> dict[str, Any]:
    return {
        "project_id": project_id,
        "job_no": job_no,
        "epoch": event.data["epoch"],
        "timestamp_us": microseconds(event.timestamp),
        "event_id": event.event_id,
        "data": msgspec.json.encode(event.data).decode(),
    }


@cache
def _upsert_epoch(dialect: str) -> Executable:
    table = schema.epoch
    insert = upsert(dialect, table)
    excluded = insert.excluded
    return insert.on_conflict_do_update(
        index_elements=["project_id", "job_no", "epoch"],
        set_={name: excluded[name] for name in ("timestamp_us", "event_id", "data")},
        where=tuple_(excluded.timestamp_us, excluded.event_id)
        > tuple_(table.c.timestamp_us, table.c.event_id),
    )
