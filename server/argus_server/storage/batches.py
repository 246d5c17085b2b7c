"""The batches of a project: where they stand, when they will end, and why jobs of them failed."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, or_, select

from argus_server.errors import UnknownBatch
from argus_server.progress import BatchProgress, Range, batch_progress
from argus_server.ranking.order import text_number
from argus_server.storage import schema
from argus_server.storage.folding import LISTED
from argus_server.storage.jobs import SILENT_US, all_statuses, job_etas, jobs_and_batches, status_at
from argus_server.storage.statements import chunks, contains

__all__ = [
    "BATCH_STATUSES",
    "BatchFilter",
    "BatchList",
    "BatchSummary",
    "Failure",
    "batch_of",
    "failures_of",
    "list_batches",
]

BATCH_STATUSES = ("running", "stalled", "done", "failed")
"""`stalled`: nobody has ended it, none of its jobs runs, and nothing has been heard for 15 minutes."""
_ENDED_JOBS = 200
"""So many of its jobs say how long the jobs of a batch take."""
_EXAMPLES = 5
_MOST_FAILURES = 5000
_NUMBERS = re.compile(r"0x[0-9a-fA-F]+|\d+(?:[.,]\d+)*")


@dataclass(frozen=True, slots=True)
class BatchFilter:
    """Which batches to list. `text` is part of the name or the id; `page` counts from 1."""

    status: tuple[str, ...] = ()
    text: str = ""
    page: int = 1
    page_rows: int | None = 50


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """A batch and where it stands. Times are microseconds since 1970.

    Attributes:
        status: one of BATCH_STATUSES.
        reason: why it failed.
        elapsed_s: how long it took, or has been going on.
    """

    batch_id: str
    name: str | None
    experiment_type: str | None
    status: str
    reason: str | None
    host: str | None
    user: str | None
    commit: str | None
    command: str | None
    started_us: int | None
    ended_us: int | None
    first_event_us: int
    last_event_us: int
    elapsed_s: float | None
    progress: BatchProgress


@dataclass(frozen=True, slots=True)
class BatchList:
    """One page of batches, the newest first, and how many there are in each status."""

    batches: Sequence[BatchSummary]
    total: int
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Failure:
    """Jobs that failed alike: in the same words, numbers aside.

    Attributes:
        reason: the words of the latest of them; empty where nobody has said why.
        jobs: (batch_id, job_id) of the latest of them.
    """

    reason: str
    count: int
    jobs: Sequence[tuple[str, str]]


_SUMMARY = (
    "batch_id",
    "name",
    "experiment_type",
    "status",
    "reason",
    "host",
    "user",
    "commit",
    "command",
    "started_us",
    "ended_us",
    "first_event_us",
    "last_event_us",
)


def list_batches(connection: Connection, project_id: int, wanted: BatchFilter, now: int) -> BatchList:
    """Return one page of a project's batches. See `Queries.batches`."""
    batch = schema.batch.c
    status = _status_at(project_id, now)
    numbers = _matching(select(status, func.count()), project_id, wanted).group_by(status)
    counts: dict[str, int] = {row[0]: row[1] for row in connection.execute(numbers)}
    query = _matching(_columns(), project_id, wanted)
    if wanted.status:
        query = query.where(status.in_(wanted.status))
    query = query.order_by(batch.first_event_us.desc(), batch.batch_id)
    if wanted.page_rows is not None:
        query = query.limit(wanted.page_rows).offset((wanted.page - 1) * wanted.page_rows)
    rows = connection.execute(query).mappings().all()
    total = sum(count for name, count in counts.items() if not wanted.status or name in wanted.status)
    return BatchList(
        _summaries(connection, project_id, rows, now),
        total,
        {name: counts.get(name, 0) for name in BATCH_STATUSES},
    )


def batch_of(connection: Connection, project_id: int, batch_id: str, now: int) -> BatchSummary:
    """Return one batch. See `Queries.batch`."""
    batch = schema.batch.c
    query = _columns().where(batch.project_id == project_id, batch.batch_id == batch_id)
    rows = connection.execute(query).mappings().all()
    if not rows:
        raise UnknownBatch(f"no event has named a batch {batch_id!r}")
    return _summaries(connection, project_id, rows, now)[0]


def failures_of(connection: Connection, project_id: int, batch_id: str) -> list[Failure]:
    """Return why jobs of a batch failed, the most frequent first. See `Queries.failures`."""
    job = schema.job.c
    query = (
        select(job.reason, job.job_id)
        .where(job.project_id == project_id, job.batch_id == batch_id, job.status == "failed")
        .order_by(job.last_event_us.desc(), job.job_id)
        .limit(_MOST_FAILURES)
    )
    groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for reason, job_id in connection.execute(query):
        groups[alike(reason or "")].append((reason or "", job_id))
    failures = [
        Failure(found[0][0], len(found), [(batch_id, job_id) for _, job_id in found[:_EXAMPLES]])
        for found in groups.values()
    ]
    return sorted(failures, key=lambda failure: -failure.count)


def alike(reason: str) -> str:
    """Return what reasons have in common that differ in numbers only: sizes, addresses, indices."""
    return _NUMBERS.sub("#", reason)


def _status_at(project_id: int, now: int) -> ColumnElement[Any]:
    """Return a batch's status as people see it, as `_summaries` has it."""
    batch, job = schema.batch.c, schema.job.c
    at_work = (
        select(job.batch_id)
        .select_from(jobs_and_batches())
        .where(job.project_id == project_id, job.status == "running", status_at(now) == "running")
        .correlate(None)
    )
    is_silent = and_(batch.status == "running", now - batch.last_event_us > SILENT_US)
    return case((and_(is_silent, batch.batch_id.not_in(at_work)), "stalled"), else_=batch.status)


def _columns() -> Select[Any]:
    batch = schema.batch.c
    return select(*(batch[name] for name in _SUMMARY), batch.n_total_jobs, batch.total_elapsed_s)


def _matching(query: Select[Any], project_id: int, wanted: BatchFilter) -> Select[Any]:
    batch = schema.batch.c
    query = query.where(batch.project_id == project_id)
    if not wanted.text:
        return query
    return query.where(or_(contains(batch.name, wanted.text), contains(batch.batch_id, wanted.text)))


def _summaries(
    connection: Connection, project_id: int, rows: Sequence[Mapping[Any, Any]], now: int
) -> list[BatchSummary]:
    ids = [row["batch_id"] for row in rows]
    counts = _job_counts(connection, project_id, ids)
    running = _running_etas(connection, project_id, ids, now, counts)
    summaries = []
    for row in rows:
        batch_id, announced = row["batch_id"], row["n_total_jobs"]
        is_open = row["status"] == "running"
        etas = running.get(batch_id, [])
        some_left = bool(etas) or (announced or 0) > sum(counts[batch_id].values())
        ended_s = _ended_s(connection, project_id, batch_id) if is_open and some_left else []
        progress = batch_progress(all_statuses(counts[batch_id]), announced, ended_s, etas)
        fields = {name: row[name] for name in _SUMMARY}
        if row["status"] != "failed":
            fields["reason"] = None
        silent = now - row["last_event_us"] > SILENT_US
        if is_open and silent and not progress.counts["running"]:
            fields["status"] = "stalled"
            progress = replace(progress, eta_s=None)  # nobody is about to begin what is left
        summaries.append(BatchSummary(**fields, elapsed_s=_elapsed_s(row, now), progress=progress))
    return summaries


def _elapsed_s(row: Mapping[Any, Any], now: int) -> float | None:
    if row["status"] != "running" and row["total_elapsed_s"] is not None:
        return float(row["total_elapsed_s"])
    if row["started_us"] is None:
        return None
    end = row["ended_us"] if row["status"] != "running" and row["ended_us"] is not None else now
    return float(max(0.0, (end - row["started_us"]) / 1e6))


def _job_counts(connection: Connection, project_id: int, ids: Sequence[str]) -> dict[str, Counter[str]]:
    """Return the jobs of batches by status, as the fold has it; no job is looked at."""
    facet = schema.facet.c
    counts: dict[str, Counter[str]] = {batch_id: Counter() for batch_id in ids}
    for some in chunks(ids):
        query = select(facet.value, facet.status, facet.n).where(
            facet.project_id == project_id,
            facet.field == "batch",
            facet.value_no.in_([text_number(batch_id) for batch_id in some]),
            facet.status != LISTED,
            facet.n > 0,
        )
        for batch_id, status, count in connection.execute(query):
            if batch_id in counts:
                counts[batch_id][status] = count
    return counts


def _running_etas(
    connection: Connection,
    project_id: int,
    ids: Sequence[str],
    now: int,
    counts: Mapping[str, Counter[str]],
) -> dict[str, list[Range | None]]:
    """Return when the running jobs of batches will end; count those that only seem to run as they are."""
    job, status = schema.job.c, status_at(now)
    etas: dict[str, list[Range | None]] = defaultdict(list)
    for some in chunks([batch_id for batch_id in ids if counts[batch_id]["running"]]):
        query = (
            select(job.job_no, job.batch_id, status, job.epoch, job.epochs_total, job.started_us)
            .select_from(jobs_and_batches())
            .where(job.project_id == project_id, job.status == "running", job.batch_id.in_(some))
        )
        rows = connection.execute(query).mappings().all()
        found = job_etas(connection, project_id, rows, now)
        for row in rows:
            if row["status"] == "running":
                etas[row["batch_id"]].append(found.get(row["job_no"]))
            else:
                counts[row["batch_id"]]["running"] -= 1
                counts[row["batch_id"]][row["status"]] += 1
    return etas


def _ended_s(connection: Connection, project_id: int, batch_id: str) -> list[float]:
    """Return how long jobs of a batch took."""
    job = schema.job.c
    query = select(job.elapsed_s).where(
        job.project_id == project_id,
        job.batch_id == batch_id,
        job.status == "done",
        job.elapsed_s.is_not(None),
    )
    return [float(value) for value in connection.scalars(query.limit(_ENDED_JOBS))]
