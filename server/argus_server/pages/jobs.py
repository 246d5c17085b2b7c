"""The jobs of a project."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
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
from argus_server.pages.files import file_links
from argus_server.pages.frame import project_frame
from argus_server.pages.job_filters import MOST_VALUES, fields_for, link_facets
from argus_server.pages.render import Page, render
from argus_server.pages.visitors import shown_jobs
from argus_server.ranking.view import View
from argus_server.storage.job_lists import ORDERS, JobFilter, JobList
from argus_server.storage.jobs import STATUSES
from argus_server.threads import in_thread

__all__ = ["JOBS_ROUTES"]


def _wanted(view: View, page_rows: int | None) -> JobFilter:
    if unknown := [status for status in view.status if status not in STATUSES]:
        raise BadView(f"status={unknown[0]} is not a status; there are {', '.join(STATUSES)}")
    sort = view.sort or ORDERS[0]
    if sort not in ORDERS:
        raise BadView(f"sort={sort} is not an order of jobs; there are {', '.join(ORDERS)}")
    return JobFilter(
        status=view.status,
        model=view.model,
        dataset=view.dataset,
        batch=view.batch,
        seed=view.seed,
        host=view.host,
        user=view.user,
        text=view.q,
        sort=sort,
        page=view.page,
        page_rows=page_rows,
    )


def _job_list(request: AnyRequest, name: str, view: View, page_rows: int | None) -> JobList:
    return shown_jobs(request.user, name, queries_of(request).jobs(name, _wanted(view, page_rows)))


@get("/p/{project:str}/jobs", guards=READ)
@in_thread
def jobs_page(request: AnyRequest) -> Response[str]:
    """Show the jobs, latest first."""
    name, rows = name_in(request, "project"), request.app.state.settings.page_rows
    frame = project_frame(request, name, "jobs")
    view = asked_view(request)
    jobs = _job_list(request, name, view, rows)
    fields = fields_for(request.user, name)
    facets = queries_of(request).job_facets(name, _wanted(view, rows), fields, MOST_VALUES)
    context = {
        **frame,
        "asked": view,
        "filters": _filters(view),
        "facets": link_facets(view, name, facets),
        "orders": ORDERS,
        "jobs": jobs,
        "batch": queries_of(request).batch(name, view.batch[0]).progress
        if len(view.batch) == 1 and jobs.total
        else None,
        "pages": count_pages(view, jobs.total, rows),
        "exports": file_links("p", name, "jobs", query=view.query(page=1)),
    }
    return render(request, Page("jobs.html", context))


def _filters(view: View) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Return (parameter, value, the view without it) of each filter but those by status."""
    plain = replace(view, where=())
    return [(name, value, plain.without(name, value)) for name, value in plain.filters]


@get("/api/projects/{project:str}/jobs", guards=READ)
@in_thread
def jobs_page_json(request: AnyRequest) -> dict[str, Any]:
    """List one page of jobs."""
    name, view = name_in(request, "project"), asked_view(request)
    jobs = _job_list(request, name, view, request.app.state.settings.page_rows)
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


def _all_jobs(request: AnyRequest) -> JobList:
    return _job_list(request, name_in(request, "project"), asked_view(request), None)


@get("/p/{project:str}/jobs.csv", guards=READ)
@in_thread
def jobs_as_csv(request: AnyRequest) -> Response[Any]:
    """Return every job that passes the filters as CSV."""
    return _export(jobs_csv(_all_jobs(request).jobs), "text/csv")


@get("/p/{project:str}/jobs.json", guards=READ)
@in_thread
def jobs_as_json(request: AnyRequest) -> Response[Any]:
    """Return every job that passes the filters as JSON."""
    return _export(jobs_json(name_in(request, "project"), _all_jobs(request)), "application/json")


@get("/p/{project:str}/jobs.md", guards=READ)
@in_thread
def jobs_as_markdown(request: AnyRequest) -> Response[Any]:
    """Return every job that passes the filters as Markdown."""
    return _export(jobs_markdown(_all_jobs(request).jobs), "text/markdown")


JOBS_ROUTES = [jobs_page, jobs_page_json, jobs_as_csv, jobs_as_json, jobs_as_markdown]
