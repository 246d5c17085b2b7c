"""The jobs of a project as lists have them: which, in what status, and when each will end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
)

from argus_server.progress import RECENT_EPOCHS, Range, job_eta_s
from argus_server.ranking.order import Standing
from argus_server.storage import schema
from argus_server.storage.folding import EVERY, LISTED
from argus_server.storage.statements import chunks, fetch

__all__ = [
    "SILENT_US",
    "STATUSES",
    "JobSummary",
    "all_statuses",
    "count_jobs",
    "job_etas",
    "jobs_and_batches",
    "status_at",
    "summary_columns",
    "summary_of",
]

STATUSES = ("running", "stalled", "untested", "done", "failed")
"""What a job can be.

`stalled`: it was silent for 15 minutes, and for five times as long as its epochs usually take; its next event
makes it run again. `untested`: no result came, and who reported it has ended its batch after its last event;
where several processes share a batch, each ends it for its own jobs.
"""
SILENT_US = 15 * 60 * 1_000_000
_SILENT_EPOCHS = 5


@dataclass(frozen=True, slots=True)
class JobSummary:
    """A job in a list. `epoch` counts from 0; `reason` is why it failed, in the sender's words `outcome`.

    `superseded`: it is done, and a later job of the same model, dataset and seed counts instead.
    """

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
    superseded: bool = False

    @property
    def interrupted(self) -> bool:
        """Whether somebody stopped the job: it is counted under `failed`, and nothing was wrong with it."""
        return self.outcome == "interrupted"

    @property
    def epochs_done(self) -> int | None:
        """How many epochs of the current attempt are behind it."""
        return self.epoch + 1 if self.epoch is not None else None


def job_etas(
    connection: Connection, project_id: int, rows: Sequence[Mapping[Any, Any]], now: int
) -> dict[int, Range]:
    """Return how long the running ones among these jobs will still take, as far as it can be told."""
    running = {row["job_no"]: row for row in rows if row["status"] == "running" and row["epochs_total"]}
    table, job = schema.epoch.c, schema.job
    ends: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for some in chunks(sorted(running)):
        query = (
            select(table.job_no, table.epoch, table.timestamp_us)
            .join(job, and_(job.c.project_id == table.project_id, job.c.job_no == table.job_no))
            .where(table.project_id == project_id, table.job_no.in_(some))
            .where(table.epoch.between(job.c.epoch - RECENT_EPOCHS, job.c.epoch))
        )
        for job_no, epoch, at in connection.execute(query.order_by(table.job_no, table.epoch)):
            ends[job_no].append((epoch, at))
    etas = {}
    for job_no, row in running.items():
        started_us, epochs = row["started_us"], ends[job_no]
        if (row["epoch"] or 0) > RECENT_EPOCHS:  # what came before them is not at hand
            epochs = [(number, at) for number, at in epochs if started_us is None or at >= started_us]
            started_us = None
        eta_s = job_eta_s(started_us, epochs, row["epochs_total"], now)
        if eta_s is not None:
            etas[job_no] = eta_s
    return etas


def count_jobs(connection: Connection, project_id: int, now: int) -> dict[str, int]:
    """Count the jobs by status. Only those that run are looked at: what became of them depends on others."""
    values = {"project": project_id}
    counts: dict[str, int] = dict(fetch(connection, _counted(), values))
    counts.pop("running", None)
    return all_statuses(counts | dict(fetch(connection, _counted_running(), {**values, "now": now})))


@cache
def _counted() -> Select[Any]:
    """Return the SELECT of how many jobs there are by status, as the fold has it."""
    facet = schema.facet.c
    return select(facet.status, facet.n).where(
        facet.project_id == bindparam("project"), facet.field == EVERY, facet.status != LISTED
    )


@cache
def _counted_running() -> Select[Any]:
    """Return the SELECT of what has become of the jobs that run, as the fold has it."""
    status = status_at(bindparam("now", type_=BigInteger))
    columns: list[Any] = [status, func.count()]
    here = schema.job.c.project_id == bindparam("project"), schema.job.c.status == "running"
    return select(*columns).select_from(jobs_and_batches()).where(*here).group_by(status)


def jobs_and_batches() -> FromClause:
    """Return what `status_at` is asked of: every job, with its batch."""
    job, batch = schema.job.c, schema.batch.c
    same = and_(batch.project_id == job.project_id, batch.batch_id == job.batch_id)
    return schema.job.outerjoin(schema.batch, same)


def status_at(now: int | ColumnElement[int]) -> ColumnElement[str]:
    """Return a job's status as people see it: what the fold calls running may be over, or silent.

    A batch that ends at the moment of the job's last event ends after it: so the clocks have it.
    """
    job, batch = schema.job.c, schema.batch.c
    is_over = and_(
        job.status == "running",
        or_(job.untested_us >= job.last_event_us, batch.over_us >= job.last_event_us),
    )
    silent_us = now - job.last_event_us
    is_silent = and_(
        job.status == "running",
        silent_us > SILENT_US,
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


_SUMMARY = tuple(name for name in JobSummary.__dataclass_fields__ if name not in ("eta_s", "superseded"))


def summary_columns(now: int) -> list[Any]:
    """Return what `summary_of` is made from, but the estimate."""
    columns = [status_at(now) if name == "status" else schema.job.c[name] for name in _SUMMARY]
    return [*columns, schema.job.c.standing]


def summary_of(row: Mapping[Any, Any], eta_s: Range | None) -> JobSummary:
    """Return a job as lists have it."""
    fields = {name: row[name] for name in _SUMMARY}
    if row["status"] != "failed":
        fields["reason"] = fields["outcome"] = None  # an earlier attempt's
    return JobSummary(**fields, eta_s=eta_s, superseded=row["standing"] == Standing.SUPERSEDED)


def all_statuses(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the counts with a zero for each status that nothing is in."""
    return {status: counts.get(status, 0) for status in STATUSES}
