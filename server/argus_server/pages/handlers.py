"""The routes that show pages and their exports."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

from litestar import Request, Response, get
from litestar.response import Stream

from argus_core.conventions import CONVENTIONS
from argus_server.auth import require
from argus_server.errors import BadView
from argus_server.exports.leaderboard import (
    leaderboard_csv,
    leaderboard_json,
    leaderboard_markdown,
)
from argus_server.exports.text import iso_time
from argus_server.pages.board_rows import board_rows
from argus_server.pages.charts import loss_chart
from argus_server.pages.conditional import entity_tag, not_modified
from argus_server.pages.render import Page, render
from argus_server.pages.visitors import allowed_view, shown_job, shown_jobs
from argus_server.ranking.board import Board
from argus_server.ranking.leader import Leader, leader
from argus_server.ranking.rank import Ranking, rank
from argus_server.ranking.view import View
from argus_server.storage.credentials import Grant
from argus_server.storage.queries import STATUSES, JobFilter, JobList, Queries
from argus_server.threads import in_thread
from argus_server.urls import path_to, read_segment

__all__ = ["PAGE_ROUTES"]

logger = logging.getLogger(__name__)

AnyRequest = Request[Any, Grant, Any]
READ = [require("read", visitors=True)]
_LEADER_ROWS = 20_000
"""On larger boards nobody waits for the sentence about who leads."""


def _queries(request: AnyRequest) -> Queries:
    queries: Queries = request.app.state.store.queries
    return queries


def _name(request: AnyRequest, parameter: str) -> str:
    """Return a name from the path."""
    return read_segment(request.path_params[parameter])


# --- projects ---------------------------------------------------------------------------------


@get("/", guards=READ)
@in_thread
def projects_page(request: AnyRequest) -> Response[str]:
    """Show every project that the caller may see."""
    projects = [item for item in _queries(request).projects() if request.user.sees(item.name)]
    leaders = {item.name: _leader_or_none(_queries(request), item.name) for item in projects}
    context = {
        "projects": projects,
        "leaders": leaders,
        "public": request.app.state.store.credentials.public_projects(),
        "server_url": _server_url(request),
    }
    return render(request, Page("projects.html", context))


def _leader_or_none(queries: Queries, name: str) -> Leader | None:
    """Return who leads a project. A project that cannot be ranked does not take the others' page away."""
    try:
        with queries.board(name, View()) as board:
            return _leader(View(), board)
    except Exception:
        logger.exception("the project %r cannot be ranked", name)
        return None


def _leader(view: View, board: Board) -> Leader | None:
    """Return who leads, if it can be said while a page is made."""
    rows = sum(count for _, count in board.names("model"))
    return leader(view, board) if rows <= _LEADER_ROWS else None


@get("/api/projects", guards=READ)
@in_thread
def projects_json(request: AnyRequest) -> dict[str, Any]:
    """List every project that the caller may see."""
    return {
        "projects": [
            {
                "project": item.name,
                "jobs": item.jobs,
                "n_batches": item.n_batches,
                "last_event_at": iso_time(item.last_event_us) or None,
                "leaderboard": path_to("p", item.name, "leaderboard"),
            }
            for item in _queries(request).projects()
            if request.user.sees(item.name)
        ]
    }


# --- the leaderboard --------------------------------------------------------------------------


def _view(request: AnyRequest) -> View:
    view = View.parse(request.query_params.multi_items())
    return allowed_view(request.user, _name(request, "project"), view)


def _pages(view: View, total: int, page_rows: int) -> int:
    """Return how many pages there are.

    Raises:
        BadView: the view's page is not one of them.
    """
    pages = max(1, -(-total // page_rows))
    if view.page > pages:
        raise BadView(f"page={view.page} is not a page; the last one is {pages}")
    return pages


@get(["/p/{project:str}/leaderboard", "/p/{project:str}"], guards=READ)
@in_thread
def leaderboard_page(request: AnyRequest) -> Response[Any]:
    """Show the leaderboard."""
    name, view, rows = _name(request, "project"), _view(request), request.app.state.settings.page_rows
    version = _queries(request).version(name)
    job_counts = _queries(request).job_counts(name)
    tag = entity_tag(request, version, job_counts)
    if unchanged := not_modified(request, tag):
        return unchanged
    with _queries(request).board(name, view) as board:
        table = rank(view, board, page_rows=rows)
        leads = _leader(view, board)
    context = {
        "project": name,
        "current": "leaderboard",
        "table": table,
        "rows": board_rows(table, view),
        "asked": view,
        "pages": _pages(view, table.total, rows),
        "first_row": (view.page - 1) * rows,
        "leader": leads,
        "job_counts": job_counts,
        "server_url": _server_url(request),
        "exports": [
            (label, _export_path(name, view, ending))
            for label, ending in (("CSV", "csv"), ("JSON", "json"), ("Markdown", "md"))
        ],
    }
    return render(request, Page("leaderboard.html", context, headers={"ETag": tag}))


def _export_path(project: str, view: View, ending: str) -> str:
    return path_to("p", project, f"leaderboard.{ending}", query=view.query(page=1))


Export = Callable[[Ranking], Iterator[str] | Iterator[bytes]]


def _export(request: AnyRequest, write: Export, media_type: str) -> Response[Any]:
    """Return an export of the view, as it comes; the first piece is made before the answer begins."""
    name, view = _name(request, "project"), _view(request)
    tag = entity_tag(request, _queries(request).version(name))
    if unchanged := not_modified(request, tag):
        return unchanged
    queries = _queries(request)

    def pieces() -> Iterator[str | bytes]:
        with queries.board(name, view) as board:
            yield from write(Ranking(view, board))

    stream = pieces()
    first = next(stream, b"")
    return Stream(chain([first], stream), media_type=media_type, headers={"ETag": tag})


@get("/p/{project:str}/leaderboard.csv", guards=READ)
@in_thread
def leaderboard_as_csv(request: AnyRequest) -> Response[Any]:
    """Return every row of the view as CSV, raw values."""
    return _export(request, leaderboard_csv, "text/csv")


@get(
    ["/p/{project:str}/leaderboard.json", "/api/projects/{project:str}/leaderboard"],
    guards=READ,
)
@in_thread
def leaderboard_as_json(request: AnyRequest) -> Response[Any]:
    """Return every row of the view as JSON: raw values and what the page shows."""
    return _export(request, leaderboard_json, "application/json")


@get("/p/{project:str}/leaderboard.md", guards=READ)
@in_thread
def leaderboard_as_markdown(request: AnyRequest) -> Response[Any]:
    """Return every row of the view as a Markdown table."""
    return _export(request, leaderboard_markdown, "text/markdown")


# --- jobs -------------------------------------------------------------------------------------


def _job_list(request: AnyRequest, name: str, page_rows: int | None) -> tuple[View, JobList]:
    view = _view(request)
    if unknown := [status for status in view.status if status not in STATUSES]:
        raise BadView(f"status={unknown[0]} is not a status; there are {', '.join(STATUSES)}")
    wanted = JobFilter(view.status, view.model, view.dataset, view.batch, view.seed, view.page, page_rows)
    return view, shown_jobs(request.user, name, _queries(request).jobs(name, wanted))


@get("/p/{project:str}/jobs", guards=READ)
@in_thread
def jobs_page(request: AnyRequest) -> Response[str]:
    """Show the jobs, latest first."""
    name, rows = _name(request, "project"), request.app.state.settings.page_rows
    view, jobs = _job_list(request, name, rows)
    pages = _pages(view, jobs.total, rows)
    context = {
        "project": name,
        "current": "jobs",
        "asked": view,
        "jobs": jobs,
        "batch": _queries(request).batch(name, view.batch[0])
        if len(view.batch) == 1 and jobs.total
        else None,
        "pages": pages,
        "server_url": _server_url(request),
    }
    return render(request, Page("jobs.html", context))


@get("/api/projects/{project:str}/batches/{batch_id:str}", guards=READ)
@in_thread
def batch_json(request: AnyRequest) -> dict[str, Any]:
    """Say where a batch stands, and how long it will still take."""
    name, batch_id = _name(request, "project"), _name(request, "batch_id")
    progress = _queries(request).batch(name, batch_id)
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
    name = _name(request, "project")
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
    name = _name(request, "project")
    job = _queries(request).job(name, _name(request, "batch_id"), _name(request, "job_id"))
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


def _server_url(request: AnyRequest) -> str:
    return str(request.base_url).rstrip("/")


PAGE_ROUTES = [
    projects_page,
    projects_json,
    leaderboard_page,
    leaderboard_as_csv,
    leaderboard_as_json,
    leaderboard_as_markdown,
    jobs_page,
    jobs_json,
    batch_json,
    job_page,
]
