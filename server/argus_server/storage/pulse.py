"""How a project is doing, in the few numbers that stand on each of its pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from argus_server.progress import Range
from argus_server.storage import schema
from argus_server.storage.jobs import count_jobs, job_etas, jobs_and_batches, status_at

__all__ = ["Pulse", "pulse_of"]

_RUNNING_JOBS = 100
"""Of so many that run, those heard of last, the one that ends first is looked for."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """How a project is doing.

    Attributes:
        version: the number of its latest event; a page that is made afterwards shows this or more.
        counts: jobs by status.
        next_finish_s: between how many and how many seconds it takes until the next job ends, if any
            runs and that can be told.
    """

    version: int
    counts: Mapping[str, int]
    next_finish_s: Range | None

    @property
    def total(self) -> int:
        """How many jobs there are."""
        return sum(self.counts.values())


def pulse_of(connection: Connection, project: Mapping[Any, Any], now: int) -> Pulse:
    """Return how a project is doing. See `Queries.pulse`."""
    counts = count_jobs(connection, project["id"], now)
    etas = _running_etas(connection, project["id"], now) if counts["running"] else []
    return Pulse(project["last_seq"], counts, min(etas, key=sum, default=None))


def _running_etas(connection: Connection, project_id: int, now: int) -> list[Range]:
    job = schema.job.c
    columns = (job.job_no, status_at(now), job.epoch, job.epochs_total, job.started_us)
    query = (
        select(*columns)
        .select_from(jobs_and_batches())
        .where(job.project_id == project_id, job.status == "running", job.epochs_total.is_not(None))
        .order_by(job.last_event_us.desc())
        .limit(_RUNNING_JOBS)
    )
    rows = connection.execute(query).mappings().all()
    return list(job_etas(connection, project_id, rows, now).values())
