"""One job: its page, and the data of its curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from litestar import Response, get

from argus_server.errors import BadView
from argus_server.pages.asking import READ, AnyRequest, name_in, queries_of
from argus_server.pages.curves import CurveView, Series, curve_names, epochs_json, figures, series_of
from argus_server.pages.frame import project_frame
from argus_server.pages.render import Page, render
from argus_server.pages.visitors import shown_job
from argus_server.pages.why import why_panel
from argus_server.ranking.compare import MOST_SIDES
from argus_server.ranking.configuration import settings_table
from argus_server.ranking.metric import shown_units
from argus_server.ranking.position import Beside, MetricRow, metric_rows
from argus_server.ranking.view import View
from argus_server.storage.job import CellJob, JobDetail, Peers, Snapshot
from argus_server.threads import in_thread
from argus_server.urls import job_key, path_to

__all__ = ["JOB_ROUTES", "asked_job", "job_metrics"]

LOG_LINES = 200
_SNAPSHOTS = 200
_GREY_SEEDS = 12
_GREY_EPOCHS = 20_000
"""So many other seeds are drawn behind a job's curves, with so many epochs together: more would be a grey
area, and reading them would take longer than the rest of the page."""


def asked_job(request: AnyRequest) -> JobDetail:
    """Return the job in the path, as this caller may see it."""
    name = name_in(request, "project")
    job = queries_of(request).job(name, name_in(request, "batch_id"), name_in(request, "job_id"))
    return shown_job(request.user, name, job)


def job_metrics(request: AnyRequest, job: JobDetail, peers: Peers) -> list[MetricRow]:
    """Return the metrics of a job, and where they stand in its cell and on its dataset."""
    s = job.summary
    name = name_in(request, "project")
    with queries_of(request).board(name, View()) as board:
        keys, settings, units = board.keys, board.settings, shown_units(board)
    counts = s.status == "done" and any(
        item.counts and (item.batch_id, item.job_id) == (s.batch_id, s.job_id) for item in peers.cell
    )
    beside = Beside([item.metrics for item in peers.cell if item.counts], counts, s.model or "", peers.means)
    return metric_rows(job.metrics, s.batch_id, keys, settings, beside, units)


@get("/p/{project:str}/jobs/{batch_id:str}/{job_id:str}", guards=READ)
@in_thread
def job_page(request: AnyRequest) -> Response[str]:
    """Show one job."""
    name, queries = name_in(request, "project"), queries_of(request)
    frame = project_frame(request, name, "jobs")
    job = asked_job(request)
    s = job.summary
    peers = queries.peers(name, s.model, s.dataset)
    view = CurveView.parse(request.query_params)
    own = series_of(name, job, 1, s.job_id)
    others = _other_seeds(request, name, job, peers.cell)
    names = curve_names(job.epochs)
    is_member = request.user.allows("read", name)
    context = {
        **frame,
        "job": job,
        "metrics": job_metrics(request, job, peers),
        "cell": peers.cell,
        "compare_seeds": _to_compare(s.batch_id, s.job_id, peers.cell),
        "curve_view": view,
        "curve_names": names,
        "figures": figures(view, names, [own], others) if names else [],
        "series": [own, *others],
        "settings": settings_table(job.config),
        "tags": settings_table(job.tags),
        "resources": settings_table(job.resources) if is_member else {},
        "timeline": queries.timeline(name, s.batch_id, s.job_id),
        "log": queries.log(name, s.batch_id, s.job_id, LOG_LINES) if is_member else [],
        "load": _load(queries.snapshots(name, s, _SNAPSHOTS)),
        "is_member": is_member,
        **why_panel(request, job),
    }
    return render(request, Page("job.html", context))


def _to_compare(batch_id: str, job_id: str, cell: Sequence[CellJob]) -> list[tuple[str, str]]:
    """Return the query that compares a job with others of its cell, as many as fit side by side."""
    others = [
        (item.batch_id, item.job_id)
        for item in cell
        if (item.counts or item.status == "running") and (item.batch_id, item.job_id) != (batch_id, job_id)
    ]
    return [("job", job_key(*key)) for key in [(batch_id, job_id), *others][:MOST_SIDES]]


def _other_seeds(request: AnyRequest, project: str, job: JobDetail, cell: Sequence[CellJob]) -> list[Series]:
    """Return the other jobs of the cell that have not failed, as grey lines."""
    here = (job.summary.batch_id, job.summary.job_id)
    found: list[tuple[str, str]] = []
    left = _GREY_EPOCHS
    for item in cell:
        key = (item.batch_id, item.job_id)
        if key != here and (item.counts or item.status == "running") and item.epochs <= left:
            found.append(key)
            left -= item.epochs
    found = found[:_GREY_SEEDS]
    seeds = {(item.batch_id, item.job_id): item.seed for item in cell}
    histories = queries_of(request).histories(project, found) if found else {}
    return [
        Series(
            f"seed {seeds[key]}" if seeds[key] else key[1],
            path_to("api", "projects", project, "jobs", *key, "epochs"),
            0,
            history.start_us,
            history.epochs,
            history.status == "running",
        )
        for key, history in histories.items()
    ]


@dataclass(frozen=True, slots=True)
class Load:
    """One quantity of the load of a host over the snapshots of it."""

    name: str
    count: int
    least: float
    mean: float
    most: float
    last: float


def _load(snapshots: Sequence[Snapshot]) -> list[Load]:
    values: dict[str, list[float]] = {}
    for snapshot in snapshots:
        for name, value in snapshot.load.items():
            if math.isfinite(value):
                values.setdefault(name, []).append(value)
    return [
        Load(name, len(some), min(some), sum(some) / len(some), max(some), some[-1])
        for name, some in sorted(values.items())
    ]


@get("/api/projects/{project:str}/jobs/{batch_id:str}/{job_id:str}/epochs", guards=READ)
@in_thread
def job_epochs(request: AnyRequest) -> dict[str, Any]:
    """Return what a job reported at each epoch; `?first=N` leaves out the epochs before N."""
    text = request.query_params.get("first") or "0"
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise BadView(f"first={text} is not an epoch; they are counted from 0")
    return epochs_json(name_in(request, "project"), asked_job(request), int(text))


JOB_ROUTES = [job_page, job_epochs]
