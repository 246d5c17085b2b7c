"""Bring events into the projections: load the rows they touch, fold, write the rows back.

What is derived from several jobs, their standing and the counts of facets, follows from the rows as
they are after the fold; so it too does not depend on the order in which events came.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

import msgspec
from sqlalchemy import Connection, Executable, Table, tuple_, update

from argus_core.events import Event
from argus_server.ranking.order import Standing, job_number, text_number
from argus_server.ranking.values import finite, flatten
from argus_server.storage import schema
from argus_server.storage.dialect import upsert
from argus_server.storage.meanings import declared_meanings, later_meaning
from argus_server.storage.projections import BatchState, JobState, microseconds, names_job
from argus_server.storage.statements import execute_many, insert_into, rows_where, update_by

__all__ = ["FACETS", "FOLD_VERSION", "Counters", "chunks", "fold_events"]

FOLD_VERSION = 1
"""Raised with every change of what the projections hold: opening a database then makes them anew."""
FACETS = ("model", "dataset", "seed", "host", "user")
EVERY = "all"
LISTED = "listed"
_CHUNK = 500

JobKey = tuple[str, str]


class Counters(Protocol):
    """The project whose events are folded: its number, and the numbers it deals out."""

    id: int

    def next(self, counter: str) -> int:
        """Return the next number of a counter."""


def fold_events(connection: Connection, project: Counters, events: Sequence[Event]) -> None:
    """Fold events that were never folded before into the rows they touch."""
    by_batch: dict[str, list[Event]] = defaultdict(list)
    by_job: dict[JobKey, list[Event]] = defaultdict(list)
    for event in events:
        by_batch[event.batch_id].append(event)
        if names_job(event):
            by_job[event.batch_id, event.job_id or ""].append(event)
    _fold_batches(connection, project.id, by_batch)
    _fold_jobs(connection, project, by_job)
    _add_epochs(connection, project.id, by_job)


def chunks(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    """Cut a list into pieces that fit a statement's parameters."""
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))


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
    _write(connection, table, ("project_id", "batch_id"), old, new)


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
    _write(connection, schema.job, ("project_id", "job_no"), changes.old, changes.new)
    keys = _count_keys(connection, project, by_job)
    _rank_jobs(connection, project.id, changes.ranked, keys)
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
_COUNTED = ("status", *FACETS)


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
        for name in FACETS:
            yield name, status, row[name]


def _rank_jobs(
    connection: Connection, project_id: int, ranked: Mapping[int, Mapping[str, Any]], keys: Mapping[str, int]
) -> None:
    """Replace the rows of `job_metric` of these jobs."""
    table = schema.job_metric
    for job_nos in chunks(sorted(ranked)):
        connection.execute(
            table.delete().where(table.c.project_id == project_id, table.c.job_no.in_(job_nos))
        )
    metrics = {
        job_no: flatten(msgspec.json.decode(row["metrics"] or "{}"))
        for job_no, row in ranked.items()
        if row["standing"] != Standing.ABSENT
    }
    missing = {key for values in metrics.values() for key in values} - keys.keys()
    known = {**keys, **_key_ids(connection, project_id, missing)}
    rows = [
        {
            "project_id": project_id,
            "key_id": known[key],
            "job_no": job_no,
            "standing": int(ranked[job_no]["standing"]),
            "dataset_no": ranked[job_no]["dataset_no"],
            "value": finite(value),
        }
        for job_no, values in metrics.items()
        for key, value in values.items()
    ]
    execute_many(connection, insert_into(table), rows)


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


# --- metric names -----------------------------------------------------------------------------


def _key_ids(connection: Connection, project_id: int, keys: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    query = rows_where(schema.metric_key, "key", "key", "key_id")
    for some in chunks(sorted(keys)):
        rows = connection.execute(query, {"project_id": project_id, "values": some})
        found.update((key, key_id) for key, key_id in rows)
    return found


def _count_keys(
    connection: Connection, project: Counters, by_job: Mapping[JobKey, Sequence[Event]]
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
    for keys in chunks(sorted(seen)):
        rows = connection.execute(rows_where(table, "key"), {"project_id": project.id, "values": keys})
        for row in rows.mappings():
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


def _write(
    connection: Connection,
    table: Table,
    keys: tuple[str, ...],
    old: Sequence[Mapping[str, Any]],
    new: Sequence[Mapping[str, Any]],
) -> None:
    """Update the old rows and insert the new ones; every row names every column."""
    execute_many(connection, insert_into(table), new)
    rows = [
        {f"{'key' if name in keys else 'set'}_{name}": value for name, value in row.items()} for row in old
    ]
    execute_many(connection, update_by(table, keys), rows)
