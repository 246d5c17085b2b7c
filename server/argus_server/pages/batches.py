"""The batches of a project, and one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from litestar import Response, get

from argus_server.errors import BadView
from argus_server.exports.batches import batch_record, batches_csv, batches_markdown
from argus_server.pages.asking import READ, AnyRequest, asked_view, count_pages, name_in, queries_of
from argus_server.pages.files import file_links
from argus_server.pages.frame import project_frame
from argus_server.pages.matrix import matrix_of
from argus_server.pages.matrix_cells import matrix_head, matrix_rows
from argus_server.pages.render import Page, render
from argus_server.pages.strips import MOST_BLOCKS, block_strip
from argus_server.pages.visitors import shown_batch, shown_jobs
from argus_server.ranking.view import View
from argus_server.storage.batches import BATCH_STATUSES, BatchFilter, BatchList, BatchSummary
from argus_server.storage.job_lists import JobFilter, JobList
from argus_server.threads import in_thread
from argus_server.urls import path_to

__all__ = ["BATCH_ROUTES"]

_PAGE_ROWS = 50
_JOB_ROWS = 50
_MODELS, _DATASETS = 30, 15
"""How much of its matrix stands on the page of a batch."""


def _batch_list(request: AnyRequest, name: str, page_rows: int | None) -> tuple[View, BatchList]:
    view = asked_view(request)
    if unknown := [status for status in view.status if status not in BATCH_STATUSES]:
        raise BadView(
            f"status={unknown[0]} is not a status of a batch; there are {', '.join(BATCH_STATUSES)}"
        )
    found = queries_of(request).batches(name, BatchFilter(view.status, view.q, view.page, page_rows))
    batches = [shown_batch(request.user, name, batch) for batch in found.batches]
    return view, replace(found, batches=batches)


@get("/p/{project:str}/batches", guards=READ)
@in_thread
def batches_page(request: AnyRequest) -> Response[str]:
    """Show the batches, the newest first."""
    name = name_in(request, "project")
    rows = min(_PAGE_ROWS, request.app.state.settings.page_rows)
    frame = project_frame(request, name, "batches")
    view, batches = _batch_list(request, name, rows)
    context = {
        **frame,
        "asked": view,
        "batches": batches,
        "pages": count_pages(view, batches.total, rows),
        "exports": file_links("p", name, "batches", query=view.query(page=1)),
    }
    return render(request, Page("batches.html", context))


@get("/p/{project:str}/batches/{batch_id:str}", guards=READ)
@in_thread
def batch_page(request: AnyRequest) -> Response[str]:
    """Show one batch."""
    name, batch_id = name_in(request, "project"), name_in(request, "batch_id")
    frame = project_frame(request, name, "batches")
    queries = queries_of(request)
    batch = shown_batch(request.user, name, queries.batch(name, batch_id))
    known = sum(batch.progress.counts.values())
    wanted = JobFilter(batch=(batch_id,), page_rows=MOST_BLOCKS if known <= MOST_BLOCKS else _JOB_ROWS)
    jobs = shown_jobs(request.user, name, queries.jobs(name, wanted))
    view = View(batch=(batch_id,))
    table = matrix_of(request, name, view)
    columns = table.columns[:_DATASETS]
    may_read = request.user.allows("read", name)
    context = {
        **frame,
        "batch": batch,
        "blocks": _blocks(name, jobs, batch) if 0 < known <= MOST_BLOCKS else None,
        "jobs": jobs.jobs[:_JOB_ROWS],
        "more_jobs": max(0, known - _JOB_ROWS),
        "failures": queries.failures(name, batch_id) if may_read else [],
        "table": table,
        "head": matrix_head(table, columns),
        "rows": matrix_rows(table, table.rows[:_MODELS], columns),
        "is_whole": len(table.rows) <= _MODELS and len(table.columns) <= _DATASETS,
        "of_batch": view.query(),
    }
    return render(request, Page("batch.html", context))


def _blocks(name: str, jobs: JobList, batch: BatchSummary) -> Any:
    ordered = sorted(jobs.jobs, key=lambda job: (job.started_us or job.first_event_us, job.job_id))
    return block_strip(
        ((job.status, job.job_id, path_to("p", name, "jobs", job.batch_id, job.job_id)) for job in ordered),
        batch.progress.queued,
    )


def _export(
    request: AnyRequest, write: Callable[[Sequence[BatchSummary]], str], media_type: str
) -> Response[str]:
    _, found = _batch_list(request, name_in(request, "project"), None)
    return Response(write(found.batches), media_type=media_type)


@get("/p/{project:str}/batches.csv", guards=READ)
@in_thread
def batches_as_csv(request: AnyRequest) -> Response[str]:
    """Return every batch as CSV."""
    return _export(request, batches_csv, "text/csv")


@get("/p/{project:str}/batches.md", guards=READ)
@in_thread
def batches_as_markdown(request: AnyRequest) -> Response[str]:
    """Return every batch as a Markdown table."""
    return _export(request, batches_markdown, "text/markdown")


@get("/p/{project:str}/batches.json", guards=READ)
@in_thread
def batches_as_json(request: AnyRequest) -> dict[str, Any]:
    """Return every batch."""
    return _as_json(request, None)


@get("/api/projects/{project:str}/batches", guards=READ)
@in_thread
def batches_json(request: AnyRequest) -> dict[str, Any]:
    """List one page of batches, the newest first."""
    return _as_json(request, request.app.state.settings.page_rows)


def _as_json(request: AnyRequest, page_rows: int | None) -> dict[str, Any]:
    name = name_in(request, "project")
    view, found = _batch_list(request, name, page_rows)
    return {
        "project": name,
        "page": view.page,
        "total": found.total,
        "batch_counts": found.counts,
        "batches": [batch_record(batch) for batch in found.batches],
    }


@get("/api/projects/{project:str}/batches/{batch_id:str}", guards=READ)
@in_thread
def batch_json(request: AnyRequest) -> dict[str, Any]:
    """Say where a batch stands, and how long it will still take."""
    name, batch_id = name_in(request, "project"), name_in(request, "batch_id")
    batch = shown_batch(request.user, name, queries_of(request).batch(name, batch_id))
    return {"project": name, **batch_record(batch)}


BATCH_ROUTES = [
    batches_page,
    batches_as_csv,
    batches_as_json,
    batches_as_markdown,
    batches_json,
    batch_page,
    batch_json,
]
