"""The jobs of a project."""

from __future__ import annotations

from typing import Any

from litestar import Response, get

from argus_server.errors import BadView
from argus_server.exports.text import iso_time
from argus_server.pages.asking import (
    READ,
    AnyRequest,
    asked_view,
    count_pages,
    name_in,
    queries_of,
)
from argus_server.pages.frame import project_frame
from argus_server.pages.render import Page, render
from argus_server.pages.visitors import shown_jobs
from argus_server.ranking.view import View
from argus_server.storage.queries import STATUSES, JobFilter, JobList
from argus_server.threads import in_thread

__all__ = ["JOBS_ROUTES"]


def _job_list(request: AnyRequest, name: str, page_rows: int | None) -> tuple[View, JobList]:
    view = asked_view(request)
    if unknown := [status for status in view.status if status not in STATUSES]:
        raise BadView(f"status={unknown[0]} is not a status; there are {', '.join(STATUSES)}")
    wanted = JobFilter(view.status, view.model, view.dataset, view.batch, view.seed, view.page, page_rows)
    return view, shown_jobs(request.user, name, queries_of(request).jobs(name, wanted))


@get("/p/{project:str}/jobs", guards=READ)
@in_thread
def jobs_page(request: AnyRequest) -> Response[str]:
    """Show the jobs, latest first."""
    name, rows = name_in(request, "project"), request.app.state.settings.page_rows
    frame = project_frame(request, name, "jobs")
    view, jobs = _job_list(request, name, rows)
    pages = count_pages(view, jobs.total, rows)
    context = {
        **frame,
        "asked": view,
        "jobs": jobs,
        "batch": queries_of(request).batch(name, view.batch[0]).progress
        if len(view.batch) == 1 and jobs.total
        else None,
        "pages": pages,
    }
    return render(request, Page("jobs.html", context))


@get("/api/projects/{project:str}/jobs", guards=READ)
@in_thread
def jobs_json(request: AnyRequest) -> dict[str, Any]:
    """List one page of jobs, latest first."""
    name = name_in(request, "project")
    view, jobs = _job_list(request, name, request.app.state.settings.page_rows)
    return {
        "project": name,
        "page": view.page,
        "total": jobs.total,
        "job_counts": jobs.counts,
        "jobs": [
            {
                "batch_id": job.batch_id,
                "job_id": job.job_id,
                "status": job.status,
                "interrupted": job.interrupted,
                "model": job.model,
                "dataset": job.dataset,
                "seed": job.seed,
                "epoch": job.epoch,
                "epochs_total": job.epochs_total,
                "elapsed_s": job.elapsed_s,
                "eta_s": job.eta_s,
                "reason": job.reason,
                "fast_dev_run": job.fast_dev_run,
                "started_at": iso_time(job.started_us) or None,
                "ended_at": iso_time(job.ended_us) or None,
                "last_event_at": iso_time(job.last_event_us),
            }
            for job in jobs.jobs
        ],
    }


JOBS_ROUTES = [jobs_page, jobs_json]
