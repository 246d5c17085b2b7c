"""Some jobs side by side: the page and its exports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar import Response, get

from argus_server.errors import BadView
from argus_server.exports.compare import compare_csv, compare_json, compare_markdown
from argus_server.pages.asking import READ, AnyRequest, name_in, queries_of
from argus_server.pages.curves import CurveView, curve_names, figures, series_of
from argus_server.pages.files import file_links
from argus_server.pages.filters import duration
from argus_server.pages.frame import project_frame
from argus_server.pages.render import Page, render
from argus_server.pages.visitors import shown_job, shown_jobs
from argus_server.ranking.compare import MOST_SIDES, Comparison, Side, compare
from argus_server.ranking.configuration import settings_table
from argus_server.ranking.metric import shown_units
from argus_server.ranking.view import View
from argus_server.storage.job import JobDetail
from argus_server.storage.queries import JobFilter
from argus_server.threads import in_thread
from argus_server.urls import job_key, path_to, read_job_key

__all__ = ["COMPARE_ROUTES"]

_CANDIDATES = 40
Keys = list[tuple[str, str]]


def _asked_keys(request: AnyRequest) -> Keys:
    """Return the jobs that the query names, each once."""
    found: dict[tuple[str, str], None] = {}
    for text in request.query_params.getall("job", []):
        if text:
            key = read_job_key(text)
            if key is None:
                raise BadView(f"job={text} is not a job; write BATCH/JOB, with both percent-encoded")
            found[key] = None
    return list(found)


def _asked_jobs(request: AnyRequest, keys: Keys) -> list[JobDetail]:
    if not 2 <= len(keys) <= MOST_SIDES:
        raise BadView(f"{len(keys)} jobs are named by job=; 2 to {MOST_SIDES} can be compared")
    name, queries = name_in(request, "project"), queries_of(request)
    return [shown_job(request.user, name, queries.job(name, *key)) for key in keys]


def _comparison(request: AnyRequest, jobs: Sequence[JobDetail]) -> Comparison:
    name = name_in(request, "project")
    is_member = request.user.allows("read", name)
    with queries_of(request).board(name, View()) as board:
        keys, settings, units = board.keys, board.settings, shown_units(board)
    return compare([_side(job, is_member=is_member) for job in jobs], keys, settings, units)


def _side(job: JobDetail, *, is_member: bool) -> Side:
    s = job.summary
    facts = {
        "status": "interrupted" if s.interrupted else s.status,
        "model": s.model or "",
        "dataset": s.dataset or "",
        "seed": s.seed or "",
        "batch": s.batch_id,
        "epochs": str(s.epochs_done or s.train_epochs or len(job.epochs)),
        "attempts": str(job.attempts),
        "took": duration(s.elapsed_s),
    }
    source = {"commit": job.commit or ""}
    if is_member:
        source |= {"command": job.command or "", "host": s.host or "", "user": s.user or ""}
    return Side(
        s.batch_id,
        s.job_id,
        s.model,
        s.dataset,
        s.seed,
        s.status == "done" and not s.fast_dev_run,
        job.metrics if s.status == "done" else {},
        settings_table(job.config),
        facts,
        source,
    )


@get("/p/{project:str}/compare", guards=READ)
@in_thread
def compare_page(request: AnyRequest) -> Response[str]:
    """Show jobs side by side; without two of them, how to choose some."""
    name, keys = name_in(request, "project"), _asked_keys(request)
    frame = project_frame(request, name, "compare")
    if not 2 <= len(keys) <= MOST_SIDES:
        return _choice(request, frame, keys)
    jobs = _asked_jobs(request, keys)
    comparison = _comparison(request, jobs)
    everything = request.query_params.get("all", "") not in ("", "0")
    view = CurveView.parse(request.query_params)
    series = [
        series_of(name, job, slot, label)
        for slot, (job, label) in enumerate(zip(jobs, comparison.labels, strict=True), 1)
    ]
    names = curve_names(epoch for job in jobs for epoch in job.epochs)
    pairs = [("job", job_key(*key)) for key in keys]
    own = [*pairs, *([("all", "1")] if everything else [])]
    context = {
        **frame,
        "comparison": comparison,
        "everything": everything,
        "curve_view": view,
        "curve_names": names,
        "series": series,
        "figures": figures(view, names, series) if names else [],
        "hidden": own,
        "here_all": path_to("p", name, "compare", query=[*pairs, ("all", "1"), *view.query()]),
        "here_differing": path_to("p", name, "compare", query=[*pairs, *view.query()]),
        "without": [
            path_to("p", name, "compare", query=[pair for pair in own if pair != gone]) for gone in pairs
        ],
        "exports": file_links("p", name, "compare", query=pairs),
    }
    return render(request, Page("compare.html", context))


def _choice(request: AnyRequest, frame: dict[str, Any], keys: Keys) -> Response[str]:
    """Show jobs to choose from: those that are named, and others on the same dataset."""
    name, queries = frame["project"], queries_of(request)
    chosen = [shown_job(request.user, name, queries.job(name, *key)).summary for key in keys]
    datasets = tuple({job.dataset or "": None for job in chosen})
    listed = queries.jobs(name, JobFilter(dataset=datasets, page_rows=_CANDIDATES))
    candidates = [
        job for job in shown_jobs(request.user, name, listed).jobs if (job.batch_id, job.job_id) not in keys
    ]
    context = {
        **frame,
        "chosen": chosen,
        "candidates": candidates,
        "datasets": datasets,
        "most": MOST_SIDES,
    }
    return render(request, Page("compare_choice.html", context, 200 if len(keys) < 2 else 400))


@get("/p/{project:str}/compare.csv", guards=READ)
@in_thread
def compare_as_csv(request: AnyRequest) -> Response[str]:
    """Return every row of a comparison as CSV, raw values."""
    return Response(compare_csv(_exported(request)), media_type="text/csv")


@get("/p/{project:str}/compare.json", guards=READ)
@in_thread
def compare_as_json(request: AnyRequest) -> dict[str, Any]:
    """Return every row of a comparison as JSON."""
    return compare_json(name_in(request, "project"), _exported(request))


@get("/p/{project:str}/compare.md", guards=READ)
@in_thread
def compare_as_markdown(request: AnyRequest) -> Response[str]:
    """Return every row of a comparison as Markdown."""
    return Response(compare_markdown(_exported(request)), media_type="text/markdown")


def _exported(request: AnyRequest) -> Comparison:
    return _comparison(request, _asked_jobs(request, _asked_keys(request)))


COMPARE_ROUTES = [compare_page, compare_as_csv, compare_as_json, compare_as_markdown]
