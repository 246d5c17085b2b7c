"""The jobs of a project, one of them, and the progress of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar import Response, get

from argus_core.conventions import CONVENTIONS
from argus_server.errors import BadView
from argus_server.exports.text import iso_time
from argus_server.pages.asking import (
    READ,
    AnyRequest,
    asked_view,
    count_pages,
    name_in,
    queries_of,
    server_url,
)
from argus_server.pages.charts import loss_chart
from argus_server.pages.render import Page, render
from argus_server.pages.visitors import shown_job, shown_jobs
from argus_server.ranking.view import View
from argus_server.storage.queries import STATUSES, JobFilter, JobList
from argus_server.threads import in_thread

__all__ = ["JOB_ROUTES"]


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
    view, jobs = _job_list(request, name, rows)
    pages = count_pages(view, jobs.total, rows)
    context = {
        "project": name,
        "current": "jobs",
        "asked": view,
        "jobs": jobs,
        "batch": queries_of(request).batch(name, view.batch[0])
        if len(view.batch) == 1 and jobs.total
        else None,
        "pages": pages,
        "server_url": server_url(request),
    }
    return render(request, Page("jobs.html", context))


@get("/api/projects/{project:str}/batches/{batch_id:str}", guards=READ)
@in_thread
def batch_json(request: AnyRequest) -> dict[str, Any]:
    """Say where a batch stands, and how long it will still take."""
    name, batch_id = name_in(request, "project"), name_in(request, "batch_id")
    progress = queries_of(request).batch(name, batch_id)
    return {
        "project": name,
        "batch_id": batch_id,
        "job_counts": progress.counts,
        "total": progress.total,
        "queued": progress.queued,
        "eta_s": progress.eta_s,
    }


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


@get("/p/{project:str}/jobs/{batch_id:str}/{job_id:str}", guards=READ)
@in_thread
def job_page(request: AnyRequest) -> Response[str]:
    """Show one job."""
    name = name_in(request, "project")
    job = queries_of(request).job(name, name_in(request, "batch_id"), name_in(request, "job_id"))
    job = shown_job(request.user, name, job)
    context = {
        "project": name,
        "current": "jobs",
        "job": job,
        "chart": loss_chart(job.epochs),
        "metrics": _in_order(job.metrics),
        "conventions": CONVENTIONS,
    }
    return render(request, Page("job.html", context))


def _in_order(metrics: Mapping[str, Any]) -> list[tuple[str, Any]]:
    places = {key: place for place, key in enumerate(CONVENTIONS)}
    return sorted(metrics.items(), key=lambda item: (places.get(item[0], len(places)), item[0]))


JOB_ROUTES = [jobs_page, jobs_json, batch_json, job_page]
