"""What goes on in the cells (model × dataset) of a project beside the jobs that are done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Float, Select, case, cast, func, select

from argus_server.ranking.matrix import CellState
from argus_server.storage import schema
from argus_server.storage.jobs import jobs_and_batches, status_at
from argus_server.storage.unfinished import UNFINISHED

__all__ = ["cell_states"]


def cell_states(connection: Connection, project_id: int, batches: Sequence[str], now: int) -> list[CellState]:
    """Return the cells that have jobs without a result. See `Queries.cell_states`."""
    job = schema.job.c
    status = status_at(now)
    passed, all_epochs = cast(func.coalesce(job.epoch, -1), Float) + 1, cast(job.epochs_total, Float)
    share = case((passed < all_epochs, passed / all_epochs), (all_epochs > 0, 1.0))
    columns = (
        func.coalesce(job.model, ""),
        func.coalesce(job.dataset, ""),
        status,
        func.count(),
        func.sum(case((job.outcome == "interrupted", 1), else_=0)),
        func.avg(share),
    )
    query = _unfinished(select(*columns), project_id, batches).group_by(*columns[:3])
    jobs: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    interrupted: dict[tuple[str, str], int] = {}
    progress: dict[tuple[str, str], float | None] = {}
    for model, dataset, name, count, stopped, done in connection.execute(query):
        jobs[model, dataset][name] = count
        if name == "failed":
            interrupted[model, dataset] = int(stopped)
        elif name == "running" or (model, dataset) not in progress:
            progress[model, dataset] = None if done is None else float(done)
    reasons = _reasons(connection, project_id, batches)
    return [
        CellState(*cell, counts, interrupted.get(cell, 0), progress.get(cell), reasons.get(cell, ""))
        for cell, counts in sorted(jobs.items())
    ]


def _reasons(connection: Connection, project_id: int, batches: Sequence[str]) -> dict[tuple[str, str], str]:
    """Return (model, dataset) → the words in which the latest of its failed jobs failed."""
    job = schema.job.c
    model, dataset = (
        func.coalesce(job.model, "").label("model"),
        func.coalesce(job.dataset, "").label("dataset"),
    )
    latest = func.row_number().over(
        partition_by=(model, dataset), order_by=(job.last_event_us.desc(), job.job_no)
    )
    query = select(model, dataset, job.reason, latest.label("place")).where(job.status == "failed")
    ranked = _unfinished(query, project_id, batches).subquery()
    first = select(ranked.c.model, ranked.c.dataset, ranked.c.reason).where(ranked.c.place == 1)
    return {(row[0], row[1]): row[2] or "" for row in connection.execute(first)}


def _unfinished(query: Select[Any], project_id: int, batches: Sequence[str]) -> Select[Any]:
    job = schema.job.c
    query = query.select_from(jobs_and_batches()).where(
        job.project_id == project_id, job.status.in_(UNFINISHED), job.fast_dev_run.is_(False)
    )
    return query.where(job.batch_id.in_(batches)) if batches else query
