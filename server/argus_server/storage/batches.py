"""The batches of a project: where they stand, and when they will end."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import Connection, select

from argus_server.errors import UnknownBatch
from argus_server.progress import BatchProgress, batch_progress
from argus_server.storage import schema
from argus_server.storage.jobs import all_statuses, job_etas, jobs_and_batches, summary_columns

__all__ = ["progress_of"]


def progress_of(connection: Connection, project_id: int, batch_id: str, now: int) -> BatchProgress:
    """Return where a batch stands. See `Queries.batch`."""
    job, batch = schema.job.c, schema.batch.c
    found = connection.execute(
        select(batch.n_total_jobs).where(batch.project_id == project_id, batch.batch_id == batch_id)
    ).first()
    if found is None:
        raise UnknownBatch(f"no event has named a batch {batch_id!r}")
    query = select(job.job_no, *summary_columns(now)).select_from(jobs_and_batches())
    query = query.where(job.project_id == project_id, job.batch_id == batch_id)
    rows = connection.execute(query).mappings().all()
    etas = job_etas(connection, project_id, rows, now)
    counts = all_statuses(Counter(row["status"] for row in rows))
    ended_s = [row["elapsed_s"] for row in rows if row["status"] == "done" and row["elapsed_s"] is not None]
    running_s = [etas.get(row["job_no"]) for row in rows if row["status"] == "running"]
    return batch_progress(counts, found[0], ended_s, running_s)
