"""The jobs of a project."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from litestar import Response, get
from litestar.response import Stream

from argus_server.errors import BadView
from argus_server.exports.jobs import job_record, jobs_csv, jobs_json, jobs_markdown
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
from argus_server.urls import path_to

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
        "exports": [
            (label, path_to("p", name, f"jobs.{ending}", query=view.query(page=1)))
            for label, ending in (("CSV", "csv"), ("JSON", "json"), ("Markdown", "md"))
        ],
    }
    return render(request, Page("jobs.html", context))


@get("/api/projects/{project:str}/jobs", guards=READ)
@in_thread
def jobs_page_json(request: AnyRequest) -> dict[str, Any]:
    """List one page of jobs, latest first."""
    name = name_in(request, "project")
    view, jobs = _job_list(request, name, request.app.state.settings.page_rows)
    return {
        "project": name,
        "page": view.page,
        "total": jobs.total,
        "job_counts": jobs.counts,
        "jobs": [job_record(job) for job in jobs.jobs],
    }


def _export(pieces: Iterator[Any], media_type: str) -> Response[Any]:
    """Return an export as it comes; the first piece is made before the answer begins."""
    first = next(pieces, b"")
    return Stream(chain([first], pieces), media_type=media_type)


@get("/p/{project:str}/jobs.csv", guards=READ)
@in_thread
def jobs_as_csv(request: AnyRequest) -> Response[Any]:
    """Return every job that passes the filters as CSV."""
    _, jobs = _job_list(request, name_in(request, "project"), None)
    return _export(jobs_csv(jobs.jobs), "text/csv")


@get("/p/{project:str}/jobs.json", guards=READ)
@in_thread
def jobs_as_json(request: AnyRequest) -> Response[Any]:
    """Return every job that passes the filters as JSON."""
    name = name_in(request, "project")
    _, jobs = _job_list(request, name, None)
    return _export(jobs_json(name, jobs), "application/json")


@get("/p/{project:str}/jobs.md", guards=READ)
@in_thread
def jobs_as_markdown(request: AnyRequest) -> Response[Any]:
    """Return every job that passes the filters as Markdown."""
    _, jobs = _job_list(request, name_in(request, "project"), None)
    return _export(jobs_markdown(jobs.jobs), "text/markdown")


JOBS_ROUTES = [jobs_page, jobs_page_json, jobs_as_csv, jobs_as_json, jobs_as_markdown]
