"""What can be asked of the store. Every answer is plain data; every query is read-only."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Engine, FromClause, Select, and_, case, func, select

from argus_server.errors import UnknownBatch, UnknownJob, UnknownProject
from argus_server.progress import BatchProgress, Range, batch_progress, job_eta_s
from argus_server.ranking.board import Board, MemoryBoard
from argus_server.ranking.table import DoneJob, MetricKey
from argus_server.ranking.values import flatten
from argus_server.ranking.view import View
from argus_server.storage import schema
from argus_server.storage.board import FactsCache, IndexedBoard, done_jobs
from argus_server.storage.clock import now_us
from argus_server.storage.dialect import transaction
from argus_server.storage.folding import EVERY, LISTED, chunks
from argus_server.storage.projections import visible_epochs

__all__ = [
    "Epoch",
    "JobDetail",
    "JobFilter",
    "JobList",
    "JobSummary",
    "LeaderboardData",
    "ProjectSummary",
    "Queries",
]

_BATCH_JOBS = 5000
"""Batches with more jobs are ranked as a part of their project: the places are those of all jobs."""
STATUSES = ("running", "stalled", "untested", "done", "failed")
"""What a job can be.

`stalled`: it was silent for 15 minutes, and for five times as long as its epochs usually take; its next event
makes it run again. `untested`: its batch has ended after its last event, and no result came.
"""
_SILENT_US = 15 * 60 * 1_000_000
_SILENT_EPOCHS = 5


@dataclass(frozen=True, slots=True)
class ProjectSummary:
    """A project in the list. `jobs` counts by status; times are microseconds since 1970."""

    name: str
    jobs: Mapping[str, int]
    n_batches: int
    last_event_us: int | None


@dataclass(frozen=True, slots=True)
class LeaderboardData:
    """What `rank` needs of a project."""

    project: str
    primary: str | None
    jobs: Sequence[DoneJob]
    keys: Sequence[MetricKey]


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs of a project to list. Empty filters keep all. `page` counts from 1."""

    status: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    dataset: tuple[str, ...] = ()
    batch: tuple[str, ...] = ()
    seed: tuple[str, ...] = ()
    page: int = 1
    page_rows: int | None = 200


@dataclass(frozen=True, slots=True)
class JobSummary:
    """A job in a list. `epoch` counts from 0; `reason` is why it failed, in the sender's words `outcome`."""

    batch_id: str
    job_id: str
    status: str
    model: str | None
    dataset: str | None
    seed: str | None
    epoch: int | None
    epochs_total: int | None
    train_epochs: int | None
    elapsed_s: float | None
    reason: str | None
    outcome: str | None
    fast_dev_run: bool
    host: str | None
    user: str | None
    started_us: int | None
    ended_us: int | None
    first_event_us: int
    last_event_us: int
    eta_s: Range | None = None
    """Between how many and how many seconds it will still take, if it runs and that can be told."""

    @property
    def interrupted(self) -> bool:
        """Whether somebody stopped the job: it is counted under `failed`, and nothing was wrong with it."""
        return self.outcome == "interrupted"

    @property
    def epochs_done(self) -> int | None:
        """How many epochs of the current attempt are behind it."""
        return self.epoch + 1 if self.epoch is not None else None


@dataclass(frozen=True, slots=True)
class JobList:
    """One page of jobs, latest event first, and how many there are in each status."""

    jobs: Sequence[JobSummary]
    total: int
    counts: Mapping[str, int]
    models: Sequence[str]
    datasets: Sequence[str]


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch, counted from 0; `data` as sent."""

    epoch: int
    timestamp_us: int
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class JobDetail:
    """Everything known about one job."""

    summary: JobSummary
    metrics: Mapping[str, Any]
    config: Any
    tags: Any
    resources: Any
    error: Any
    commit: str | None
    command: str | None
    attempts: int
    epochs: Sequence[Epoch]


class Queries:
    """The questions. Any thread may ask; each answer is one consistent moment of the database.

    Raises:
        StoreBusy: every connection for reading is in use, and stays so.
    """

    def __init__(self, engine: Engine, clock: Callable[[], int] = now_us) -> None:
        self._engine = engine
        self.clock = clock
        self._facts = FactsCache()

    def check(self) -> None:
        """Raise if the database does not answer."""
        with transaction(self._engine) as connection:
            connection.execute(select(1))

    def projects(self) -> list[ProjectSummary]:
        """Return every project, the one with the latest event first."""
        table, batch = schema.project.c, schema.batch.c
        with transaction(self._engine) as connection:
            activity = select(batch.project_id, func.count(), func.max(batch.last_event_us)).group_by(
                batch.project_id
            )
            batches = {row[0]: (row[1], row[2]) for row in connection.execute(activity)}
            names = connection.execute(select(table.id, table.name)).all()
            counts = {project_id: _counts(connection, project_id, self.clock()) for project_id, _ in names}
        summaries = [
            ProjectSummary(name, counts[project_id], *batches.get(project_id, (0, None)))
            for project_id, name in names
        ]
        return sorted(summaries, key=lambda item: (-(item.last_event_us or 0), item.name))

    def leaderboard(self, project: str) -> LeaderboardData:
        """Return the done jobs of a project and the union of all metric names.

        Raises:
            UnknownProject: no event has named it.
        """
        with transaction(self._engine) as connection:
            found = _project(connection, project)
            board = IndexedBoard(connection, found, self._facts)
            return LeaderboardData(project, board.primary, done_jobs(connection, found["id"]), board.keys)

    @contextmanager
    def board(self, project: str, view: View) -> Iterator[Board]:
        """Yield the board that a view is of: one moment of the database, as long as it is open.

        That of a few batches is a board of its own, held in memory; so is one whose cells are asked for.

        Raises:
            UnknownProject: no event has named it.
        """
        with transaction(self._engine) as connection:
            found = _project(connection, project)
            board = IndexedBoard(connection, found, self._facts)
            if view.group == "cell" or (view.batch and _few(connection, found["id"], view.batch)):
                jobs = done_jobs(connection, found["id"], view.batch)
                yield MemoryBoard(project, board.keys, jobs, board.primary, view.batch)
            else:
                yield board

    def version(self, project: str) -> tuple[int, str | None]:
        """Return what changes whenever a leaderboard of the project may look different.

        Raises:
            UnknownProject: no event has named it.
        """
        with transaction(self._engine) as connection:
            row = _project(connection, project)
        return row["last_seq"], row["primary_metric"]

    def job_counts(self, project: str) -> dict[str, int]:
        """Return how many jobs of the project there are in each status.

        Raises:
            UnknownProject: no event has named it.
        """
        with transaction(self._engine) as connection:
            return _counts(connection, _project(connection, project)["id"], self.clock())

    def jobs(self, project: str, wanted: JobFilter) -> JobList:
        """Return one page of the project's jobs, and how many pass the other filters in each status.

        Raises:
            UnknownProject: no event has named it.
        """
        now = self.clock()
        table, status = schema.job.c, _status(now)
        with transaction(self._engine) as connection:
            project_id = _project(connection, project)["id"]
            numbers: Any = select(status, func.count())
            by_status = _filtered(numbers, project_id, wanted).group_by(status)
            counts = {row[0]: row[1] for row in connection.execute(by_status)}
            total = (
                sum(counts.get(name, 0) for name in wanted.status) if wanted.status else sum(counts.values())
            )
            query = _filtered(select(table.job_no, *_summary_columns(now)), project_id, wanted)
            if wanted.status:
                query = query.where(status.in_(wanted.status))
            query = query.order_by(table.last_event_us.desc(), table.batch_id, table.job_id)
            if wanted.page_rows is not None:
                query = query.limit(wanted.page_rows).offset((wanted.page - 1) * wanted.page_rows)
            rows = connection.execute(query).mappings().all()
            etas = _etas(connection, project_id, rows, now)
            jobs = [_summary(row, etas.get(row["job_no"])) for row in rows]
            models, datasets = (
                sorted(value or "" for value in connection.scalars(_named(project_id, name)))
                for name in ("model", "dataset")
            )
        return JobList(jobs, total, _all_statuses(counts), models, datasets)

    def batch(self, project: str, batch_id: str) -> BatchProgress:
        """Return where a batch stands, and how long it will still take.

        Raises:
            UnknownProject: no event has named the project.
            UnknownBatch: no event has named the batch.
        """
        now, job, batch = self.clock(), schema.job.c, schema.batch.c
        with transaction(self._engine) as connection:
            project_id = _project(connection, project)["id"]
            found = connection.execute(
                select(batch.n_total_jobs).where(batch.project_id == project_id, batch.batch_id == batch_id)
            ).first()
            if found is None:
                raise UnknownBatch(f"no event has named a batch {batch_id!r}")
            query = select(job.job_no, *_summary_columns(now)).select_from(_jobs_and_batches())
            query = query.where(job.project_id == project_id, job.batch_id == batch_id)
            rows = connection.execute(query).mappings().all()
            etas = _etas(connection, project_id, rows, now)
        counts = _all_statuses(Counter(row["status"] for row in rows))
        ended_s = [
            row["elapsed_s"] for row in rows if row["status"] == "done" and row["elapsed_s"] is not None
        ]
        running_s = [etas.get(row["job_no"]) for row in rows if row["status"] == "running"]
        return batch_progress(counts, found[0], ended_s, running_s)

    def job(self, project: str, batch_id: str, job_id: str) -> JobDetail:
        """Return one job with its epochs.

        Raises:
            UnknownProject: no event has named the project.
            UnknownJob: no event has named the job.
        """
        table, now = schema.job, self.clock()
        columns = [_status(now) if column.name == "status" else column for column in table.c]
        with transaction(self._engine) as connection:
            project_id = _project(connection, project)["id"]
            query = select(*columns).select_from(_jobs_and_batches())
            query = query.where(
                table.c.project_id == project_id, table.c.batch_id == batch_id, table.c.job_id == job_id
            )
            row = connection.execute(query).mappings().first()
            if row is None:
                raise UnknownJob(f"no event has named a job {job_id!r} of the batch {batch_id!r}")
            starts = list(connection.scalars(_of_job(schema.attempt.c.timestamp_us, row)))
            epoch = schema.epoch.c
            epochs = connection.execute(_of_job((epoch.epoch, epoch.timestamp_us, epoch.data), row)).all()
            eta_s = _etas(connection, project_id, [row], now).get(row["job_no"])
        return JobDetail(
            summary=_summary(row, eta_s),
            metrics=flatten(_decode(row["metrics"]) or {}),
            config=_decode(row["config"]),
            tags=_decode(row["tags"]),
            resources=_decode(row["resources"]),
            error=_decode(row["error"]) if row["status"] == "failed" else None,
            commit=row["commit"],
            command=row["command"],
            attempts=max(1, len(starts)),
            epochs=[
                Epoch(number, at, msgspec.json.decode(data))
                for number, at, data in visible_epochs([tuple(item) for item in epochs], starts)
            ],
        )


def _etas(
    connection: Connection, project_id: int, rows: Sequence[Mapping[Any, Any]], now: int
) -> dict[int, Range]:
    """Return how long the running ones among these jobs will still take, as far as it can be told."""
    running = {row["job_no"]: row for row in rows if row["status"] == "running" and row["epochs_total"]}
    table = schema.epoch.c
    ends: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for some in chunks(sorted(running)):
        query = select(table.job_no, table.epoch, table.timestamp_us).where(
            table.project_id == project_id, table.job_no.in_(some)
        )
        for job_no, epoch, at in connection.execute(query.order_by(table.job_no, table.epoch)):
            ends[job_no].append((epoch, at))
    etas = {}
    for job_no, row in running.items():
        eta_s = job_eta_s(row["started_us"], ends[job_no], row["epochs_total"], now)
        if eta_s is not None:
            etas[job_no] = eta_s
    return etas


def _counts(connection: Connection, project_id: int, now: int) -> dict[str, int]:
    """Count the jobs by status. Only those that run are looked at: what became of them depends on others."""
    facet = schema.facet.c
    counted = select(facet.status, facet.n).where(
        facet.project_id == project_id, facet.field == EVERY, facet.status != LISTED
    )
    counts: dict[str, int] = {row.status: row.n for row in connection.execute(counted)}
    status = _status(now)
    running = (
        select(status, func.count())
        .select_from(_jobs_and_batches())
        .where(schema.job.c.project_id == project_id, schema.job.c.status == "running")
        .group_by(status)
    )
    counts.pop("running", None)
    return _all_statuses(counts | {row[0]: row[1] for row in connection.execute(running)})


def _few(connection: Connection, project_id: int, batches: Sequence[str]) -> bool:
    """Whether the jobs of these batches are few enough to rank in memory."""
    table = schema.job.c
    some = select(table.job_no).where(table.project_id == project_id, table.batch_id.in_(batches))
    count = select(func.count()).select_from(some.limit(_BATCH_JOBS + 1).subquery())
    return (connection.scalar(count) or 0) <= _BATCH_JOBS


def _project(connection: Connection, name: str) -> Mapping[Any, Any]:
    query = select(schema.project).where(schema.project.c.name == name)
    row = connection.execute(query).mappings().first()
    if row is None:
        raise UnknownProject(name, sorted(connection.scalars(select(schema.project.c.name))))
    return row


def _jobs_and_batches() -> FromClause:
    job, batch = schema.job.c, schema.batch.c
    same = and_(batch.project_id == job.project_id, batch.batch_id == job.batch_id)
    return schema.job.outerjoin(schema.batch, same)


def _status(now: int) -> ColumnElement[str]:
    """Return a job's status as people see it: what the fold calls running may be over, or silent.

    A batch that ends at the moment of the job's last event ends after it: so the clocks have it.
    """
    job, batch = schema.job.c, schema.batch.c
    is_over = and_(
        job.status == "running",
        batch.status.in_(("done", "failed")),
        batch.ended_us >= job.last_event_us,
    )
    silent_us = now - job.last_event_us
    is_silent = and_(
        job.status == "running",
        silent_us > _SILENT_US,
        silent_us > _SILENT_EPOCHS * func.coalesce(_usual_epoch_us(), 0),
    )
    return case((is_over, "untested"), (is_silent, "stalled"), else_=job.status).label("status")


def _usual_epoch_us() -> Any:
    """Return how long the epochs of a job's current attempt took on average; NULL before the second one."""
    job, epoch = schema.job.c, schema.epoch.c
    spans = func.count() - 1
    return (
        select((func.max(epoch.timestamp_us) - func.min(epoch.timestamp_us)) / func.nullif(spans, 0))
        .where(
            epoch.project_id == job.project_id,
            epoch.job_no == job.job_no,
            epoch.timestamp_us >= func.coalesce(job.started_us, 0),
        )
        .correlate(schema.job)
        .scalar_subquery()
    )


def _filtered(query: Select[Any], project_id: int, wanted: JobFilter) -> Select[Any]:
    table = schema.job.c
    query = query.select_from(_jobs_and_batches()).where(table.project_id == project_id)
    for column, values in (
        (table.model, wanted.model),
        (table.dataset, wanted.dataset),
        (table.batch_id, wanted.batch),
        (table.seed, wanted.seed),
    ):
        if values:
            query = query.where(func.coalesce(column, "").in_(values))
    return query


def _named(project_id: int, name: str) -> Select[Any]:
    """Return the SELECT of the values that any job has, from their counts: no job is looked at."""
    facet = schema.facet.c
    return (
        select(facet.value).where(facet.project_id == project_id, facet.field == name, facet.n > 0).distinct()
    )


def _of_job(columns: Any, row: Mapping[Any, Any]) -> Select[Any]:
    columns = columns if isinstance(columns, tuple) else (columns,)
    table = columns[0].table
    return select(*columns).where(table.c.project_id == row["project_id"], table.c.job_no == row["job_no"])


_SUMMARY = tuple(name for name in JobSummary.__dataclass_fields__ if name != "eta_s")


def _summary_columns(now: int) -> list[Any]:
    return [_status(now) if name == "status" else schema.job.c[name] for name in _SUMMARY]


def _summary(row: Mapping[Any, Any], eta_s: Range | None) -> JobSummary:
    fields = {name: row[name] for name in _SUMMARY}
    if row["status"] != "failed":
        fields["reason"] = fields["outcome"] = None  # an earlier attempt's
    return JobSummary(**fields, eta_s=eta_s)


def _all_statuses(counts: Mapping[str, int]) -> dict[str, int]:
    return {status: counts.get(status, 0) for status in STATUSES}


def _decode(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)
