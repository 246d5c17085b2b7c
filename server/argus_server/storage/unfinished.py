"""The jobs that could still fill the gaps of a board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, select

from argus_server.ranking.gaps import Unfinished
from argus_server.storage import schema
from argus_server.storage.jobs import job_etas, jobs_and_batches, status_at

__all__ = ["UNFINISHED", "unfinished_cells"]

_MOST = 20_000
UNFINISHED = ("running", "failed")
"""What the fold calls all that is not done."""


def unfinished_cells(
    connection: Connection, project_id: int, batches: Sequence[str], now: int
) -> Mapping[tuple[str, str], Unfinished]:
    """Return (model, dataset) → the latest of its jobs that are not done; of the latest twenty thousand."""
    job = schema.job.c
    query = (
        select(
            job.job_no,
            job.batch_id,
            job.job_id,
            job.model,
            job.dataset,
            status_at(now),
            job.outcome,
            job.reason,
            job.started_us,
            job.epoch,
            job.epochs_total,
        )
        .select_from(jobs_and_batches())
        .where(job.project_id == project_id, job.status.in_(UNFINISHED), job.fast_dev_run.is_(False))
        .order_by(job.last_event_us.desc(), job.batch_id, job.job_id)
        .limit(_MOST)
    )
    if batches:
        query = query.where(job.batch_id.in_(batches))
    rows = connection.execute(query).mappings().all()
    latest = {}
    running = {(row["model"] or "", row["dataset"] or "") for row in rows if row["status"] == "running"}
    for row in reversed(rows):
        latest[row["model"] or "", row["dataset"] or ""] = row
    etas = job_etas(connection, project_id, list(latest.values()), now)
    return {
        cell: Unfinished(
            row["batch_id"],
            row["job_id"],
            row["status"],
            row["outcome"] == "interrupted",
            row["reason"] if row["status"] == "failed" else None,
            etas.get(row["job_no"]),
            another_runs=cell in running,
        )
        for cell, row in latest.items()
    }
