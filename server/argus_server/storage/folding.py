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

from msgspec.json import encode
from sqlalchemy import Connection, Executable, tuple_, update

from argus_core.events import Event
from argus_server.ranking.order import Standing, job_number, text_number
from argus_server.storage import schema
from argus_server.storage.dialect import upsert
from argus_server.storage.metric_rows import Counters, count_keys, rank_jobs
from argus_server.storage.projections import (
    BatchState,
    JobState,
    Said,
    clock_of,
    names_job,
    untested_jobs,
)
from argus_server.storage.remembered import JobKey
from argus_server.storage.statements import (
    Change,
    chunks,
    execute_many,
    insert_if_new,
    insert_tuples,
    rows_where,
    write_rows,
)

__all__ = ["EVERY", "FACETS", "FOLD_VERSION", "LISTED", "fold_events"]

FOLD_VERSION = 3
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
    by_batch: dict[str, list[Said]] = defaultdict(list)
    by_job: dict[JobKey, list[Said]] = defaultdict(list)
    for event in events:
        said = clock_of(event), event
        by_batch[event.batch_id].append(said)
        if names_job(event):
            by_job[event.batch_id, event.job_id or ""].append(said)
        for job_id in untested_jobs(event):
            by_job[event.batch_id, job_id].append(said)
    _fold_batches(connection, project, by_batch)
    _fold_jobs(connection, project, by_job)
    _add_epochs(connection, project.id, by_job)


# --- batches ----------------------------------------------------------------------------------


def _fold_batches(connection: Connection, project: Counters, by_batch: Mapping[str, Sequence[Said]]) -> None:
    table, remembered = schema.batch, project.remembered.batches
    known = {batch_id: remembered.get(batch_id) for batch_id in by_batch}
    for ids in chunks(sorted(batch_id for batch_id, item in known.items() if item is None)):
        rows = connection.execute(rows_where(table, "batch_id"), {"project_id": project.id, "values": ids})
        for found in rows.mappings():
            known[found["batch_id"]] = dict(found), BatchState.from_row(found)
    changes: list[Change] = []
    for batch_id, said in by_batch.items():
        before, state = known[batch_id] or (None, BatchState())
        is_small = state.fold(said) and before is not None
        if before is not None and is_small:
            row = {**before, **state.progress()}
        else:
            row = {"project_id": project.id, "batch_id": batch_id, **state.row()}
        changes.append(Change(before, row, is_small))
        remembered.put(batch_id, row, state, is_small=is_small)
    write_rows(connection, table, ("project_id", "batch_id"), changes, ("last_event_us", "clocks"))


# --- jobs -------------------------------------------------------------------------------------


@dataclass
class _Changes:
    """What follows from the jobs that were folded."""

    rows: list[Change] = field(default_factory=list)
    ranked: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Rows whose place in `job_metric` has changed, by job number."""
    unlisted: set[int] = field(default_factory=set)
    """Those of them that had no place."""
    replicas: set[int] = field(default_factory=set)
    """Groups of repetitions in which another job may count now."""
    facets: Counter[tuple[str, str, str | None]] = field(default_factory=Counter)
    """(field, status, value) → how many jobs more."""


def _fold_jobs(connection: Connection, project: Counters, by_job: Mapping[JobKey, Sequence[Said]]) -> None:
    remembered = project.remembered.jobs
    known = _load_jobs(connection, project, by_job)
    changes = _Changes()
    for key, said in by_job.items():
        before, state = known[key] or (None, JobState())
        if state.fold(said) and before is not None:
            row = {**before, **state.progress()}
            changes.rows.append(Change(before, row, is_small=True))
            if row["status"] == "running":
                remembered.put(key, row, state, is_small=True)
            continue
        row = {
            "project_id": project.id,
            "job_no": before["job_no"] if before is not None else job_number(*key),
            "batch_id": key[0],
            "job_id": key[1],
            **state.row(),
        }
        changes.rows.append(Change(before, row))
        _note_changes(changes, before, row)
        if row["status"] == "running":
            remembered.put(key, row, state)
        else:  # its standing may change with other jobs
            remembered.forget(key)
    write_rows(connection, schema.job, ("project_id", "job_no"), changes.rows, _OFTEN)
    keys = count_keys(connection, project, by_job)
    rank_jobs(connection, project, list(changes.ranked.values()), keys, changes.unlisted)
    _settle(connection, project.id, changes.replicas)
    _count_facets(connection, project.id, changes.facets)


def _load_jobs(
    connection: Connection, project: Counters, keys: Iterable[JobKey]
) -> dict[JobKey, tuple[Mapping[Any, Any], JobState] | None]:
    table = schema.job
    found = {key: project.remembered.jobs.get(key) for key in keys}
    numbers = sorted(job_number(*key) for key, known in found.items() if known is None)
    for some in chunks(numbers):
        rows = connection.execute(rows_where(table, "job_no"), {"project_id": project.id, "values": some})
        for row in rows.mappings():
            found[row["batch_id"], row["job_id"]] = dict(row), JobState.from_row(row)
    return found


_OFTEN = ("epoch", "last_event_us", "clocks")
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
        if not was_listed:
            changes.unlisted.add(row["job_no"])
        changes.replicas |= {row["replica_no"]} - {None}
        changes.replicas |= {before["replica_no"]} - {None} if before is not None else set()
        if row["replica_no"] is None and listed:
            row["standing"] = int(Standing.COUNTS)
    if before is None or listed != was_listed or any(row[name] != before[name] for name in _COUNTED):
        changes.facets.update(_counted(row))
        changes.facets.subtract(_counted(before) if before is not None else ())


def _counted(row: Mapping[Any, Any]) -> Iterator[tuple[str, str, str | None]]:
    """Yield every (field, status, value) under which a job is counted; no text is no value."""
    for status in (row["status"], *([LISTED] if row["standing"] != Standing.ABSENT else [])):
        yield EVERY, status, None
        for name, column in FACETS.items():
            yield name, status, row[column] or None


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


_EPOCH_COLUMNS = ("project_id", "job_no", "epoch", "timestamp_us", "event_id", "data")
_ATTEMPT_COLUMNS = ("project_id", "job_no", "timestamp_us")


def _add_epochs(connection: Connection, project_id: int, by_job: Mapping[JobKey, Sequence[Said]]) -> None:
    """Keep the last word on each epoch, and the moment of each start."""
    epochs: dict[tuple[int, int], Said] = {}
    attempts: set[tuple[int, int, int]] = set()
    for key, some in by_job.items():
        job_no = job_number(*key)
        for said in some:
            clock, event = said
            if event.event_type == "job_epoch":
                place = job_no, clock[2]
                epochs[place] = max(epochs.get(place, said), said, key=_lateness)
            elif event.event_type == "job_start":
                attempts.add((project_id, job_no, clock[0]))
    dialect = connection.dialect.name
    insert_tuples(connection, insert_if_new(dialect, schema.attempt), _ATTEMPT_COLUMNS, sorted(attempts))
    rows = [
        (project_id, job_no, epoch, clock[0], clock[3], encode(event.data).decode())
        for (job_no, epoch), (clock, event) in epochs.items()
    ]
    insert_tuples(connection, _upsert_epoch(dialect), _EPOCH_COLUMNS, rows)


def _lateness(said: Said) -> tuple[int, str]:
    return said[0][0], said[0][3]


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
