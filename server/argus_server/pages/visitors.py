"""What visitors of a public project see of its jobs: the results, not where they come from.

Hosts, users, command lines and the words in which programs fail name machines, people and folders. They
stay with those who have a token. Metrics, losses and configurations are what a public project is for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from msgspec.structs import replace as replace_struct

from argus_server.ranking.gaps import Gap
from argus_server.ranking.matrix import CellState
from argus_server.ranking.table import RankedTable
from argus_server.ranking.view import View
from argus_server.storage.batches import BatchSummary
from argus_server.storage.credentials import Grant
from argus_server.storage.job import JobDetail
from argus_server.storage.job_lists import JobList
from argus_server.storage.jobs import JobSummary

__all__ = [
    "allowed_view",
    "shown_batch",
    "shown_job",
    "shown_jobs",
    "shown_states",
    "shown_table",
]


def allowed_view(grant: Grant, project: str, view: View) -> View:
    """Return the view without filters that would tell what is not shown, by the rows that are left."""
    return view if grant.allows("read", project) else replace(view, host=(), user=())


def shown_batch(grant: Grant, project: str, batch: BatchSummary) -> BatchSummary:
    """Return the batch as this caller may see it."""
    if grant.allows("read", project):
        return batch
    return replace(batch, host=None, user=None, command=None, reason=None)


def shown_job(grant: Grant, project: str, job: JobDetail) -> JobDetail:
    """Return the job as this caller may see it."""
    if grant.allows("read", project):
        return job
    return replace(job, summary=_without_source(job.summary), command=None, error=None, resources=None)


def shown_table(grant: Grant, project: str, table: RankedTable) -> RankedTable:
    """Return the table without the words in which jobs have failed, for those who may not see them."""
    if grant.allows("read", project):
        return table
    rows = [replace_struct(row, gaps=[_without_words(gap) for gap in row.gaps]) for row in table.unranked]
    return replace(table, unranked=rows)


def _without_words(gap: Gap) -> Gap:
    return replace_struct(gap, detail="") if gap.kind in ("failed", "interrupted") else gap


def shown_jobs(grant: Grant, project: str, jobs: JobList) -> JobList:
    """Return the list as this caller may see it."""
    if grant.allows("read", project):
        return jobs
    return replace(jobs, jobs=[_without_source(job) for job in jobs.jobs])


def shown_states(grant: Grant, project: str, states: Sequence[CellState]) -> Sequence[CellState]:
    """Return what goes on in cells as this caller may see it."""
    if grant.allows("read", project):
        return states
    return [replace(state, reason="") for state in states]


def _without_source(job: JobSummary) -> JobSummary:
    return replace(job, host=None, user=None, reason=None)
