"""Why a job is on the leaderboard, or is not: for programs, and for the panel of the job's page."""

from __future__ import annotations

from typing import Any

from litestar import Response, get

from argus_server.errors import UnknownJob
from argus_server.pages.asking import READ, AnyRequest, asked_view, name_in, queries_of
from argus_server.pages.visitors import shown_job
from argus_server.ranking.view import View
from argus_server.ranking.why import Answer, JobFacts, Line, not_arrived, why
from argus_server.storage.queries import JobDetail
from argus_server.threads import in_thread
from argus_server.urls import path_to

__all__ = ["WHY_ROUTES", "why_panel"]


def why_panel(request: AnyRequest, job: JobDetail) -> dict[str, Any]:
    """Return what the template `why_panel.html` shows about a job, against the project's usual view."""
    name = name_in(request, "project")
    answer = _why(request, name, View(), job)
    return {"why": answer, "why_links": [_link(name, line) for line in answer.lines]}


def _why(request: AnyRequest, project: str, view: View, job: JobDetail) -> Answer:
    facts = _facts(shown_job(request.user, project, job))
    with queries_of(request).board(project, view) as board:
        return why(view, board, facts)


def _facts(job: JobDetail) -> JobFacts:
    summary = job.summary
    return JobFacts(
        batch_id=summary.batch_id,
        job_id=summary.job_id,
        status=summary.status,
        model=summary.model,
        dataset=summary.dataset,
        seed=summary.seed,
        metrics=job.metrics,
        epochs=len(job.epochs),
        epoch_names=frozenset(name for epoch in job.epochs for name in epoch.data),
        fast_dev_run=summary.fast_dev_run,
        interrupted=summary.interrupted,
        reason=summary.reason or "",
        framework=job.framework,
        on_validation=job.on_validation,
        host=summary.host,
        user=summary.user,
    )


def _link(project: str, line: Line) -> str:
    return path_to("p", project, *line.path, query=line.query) if line.path else ""


@get("/api/projects/{project:str}/jobs/{batch_id:str}/{job_id:str}/why", guards=READ)
@in_thread
def why_json(request: AnyRequest) -> Response[dict[str, Any]]:
    """Say why a job is on the leaderboard, or is not: a checklist against the view of the query."""
    return _answered(request, name_in(request, "batch_id"), name_in(request, "job_id"))


@get("/api/projects/{project:str}/why/{job_id:str}", guards=READ)
@in_thread
def why_by_name(request: AnyRequest) -> Response[dict[str, Any]]:
    """Say the same of the latest job with an id, for who does not know its batch."""
    wanted = name_in(request, "job_id")
    found = queries_of(request).latest_job(name_in(request, "project"), wanted)
    return _answered(request, found or "", wanted)


def _answered(request: AnyRequest, batch_id: str, job_id: str) -> Response[dict[str, Any]]:
    name, view, queries = name_in(request, "project"), asked_view(request), queries_of(request)
    try:
        answer = _why(request, name, view, queries.job(name, batch_id, job_id))
    except UnknownJob:
        answer = not_arrived(batch_id, job_id, queries.job_ids(name))
    content = {
        "project": name,
        "batch_id": batch_id,
        "job_id": job_id,
        "listed": answer.listed,
        "ranked": answer.ranked,
        "rank": answer.rank,
        "summary": answer.summary,
        "lines": [
            {
                "name": line.name,
                "verdict": line.verdict,
                "fact": line.fact,
                "fix": line.fix,
                "link": _link(name, line),
            }
            for line in answer.lines
        ],
    }
    arrived = answer.lines[0].verdict == "ok"
    return Response(
        content if arrived else {"status_code": 404, "error": answer.summary, **content},
        status_code=200 if arrived else 404,
        media_type="application/json",
    )


WHY_ROUTES = [why_json, why_by_name]
