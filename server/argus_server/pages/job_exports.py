"""One job, and its curves, in files."""

from __future__ import annotations

from typing import Any

from litestar import Response, get

from argus_server.exports.job import (
    JobReport,
    epochs_csv,
    epochs_markdown,
    job_csv,
    job_json,
    job_markdown,
)
from argus_server.pages.asking import READ, AnyRequest, name_in, queries_of
from argus_server.pages.curves import curve_names, epochs_json
from argus_server.pages.job import asked_job, job_metrics
from argus_server.ranking.configuration import settings_table
from argus_server.threads import in_thread

__all__ = ["JOB_EXPORT_ROUTES"]

_JOB = "/p/{project:str}/jobs/{batch_id:str}/{job_id:str}"
_LOG_LINES = 5000
_SNAPSHOTS = 5000


def _report(request: AnyRequest) -> JobReport:
    name, queries, job = name_in(request, "project"), queries_of(request), asked_job(request)
    s = job.summary
    is_member = request.user.allows("read", name)
    peers = queries.peers(name, s.model, s.dataset)
    return JobReport(
        name,
        job,
        job_metrics(request, job, peers),
        peers.cell,
        settings_table(job.config),
        queries.timeline(name, s.batch_id, s.job_id),
        queries.log(name, s.batch_id, s.job_id, _LOG_LINES) if is_member else [],
        queries.snapshots(name, s, _SNAPSHOTS),
    )


@get(f"{_JOB}/job.csv", guards=READ)
@in_thread
def job_as_csv(request: AnyRequest) -> Response[str]:
    """Return the metrics of a job as CSV, raw values."""
    return Response(job_csv(_report(request)), media_type="text/csv")


@get(f"{_JOB}/job.json", guards=READ)
@in_thread
def job_as_json(request: AnyRequest) -> dict[str, Any]:
    """Return all that is known of a job but its curves."""
    return job_json(_report(request))


@get(f"{_JOB}/job.md", guards=READ)
@in_thread
def job_as_markdown(request: AnyRequest) -> Response[str]:
    """Return metrics and hyperparameters of a job as Markdown."""
    return Response(job_markdown(_report(request)), media_type="text/markdown")


@get(f"{_JOB}/epochs.csv", guards=READ)
@in_thread
def epochs_as_csv(request: AnyRequest) -> Response[str]:
    """Return what a job reported at each epoch as CSV."""
    epochs = asked_job(request).epochs
    return Response(epochs_csv(epochs, curve_names(epochs)), media_type="text/csv")


@get(f"{_JOB}/epochs.json", guards=READ)
@in_thread
def epochs_as_json(request: AnyRequest) -> dict[str, Any]:
    """Return what a job reported at each epoch as JSON."""
    return epochs_json(name_in(request, "project"), asked_job(request))


@get(f"{_JOB}/epochs.md", guards=READ)
@in_thread
def epochs_as_markdown(request: AnyRequest) -> Response[str]:
    """Return what a job reported at each epoch as Markdown."""
    epochs = asked_job(request).epochs
    return Response(epochs_markdown(epochs, curve_names(epochs)), media_type="text/markdown")


JOB_EXPORT_ROUTES = [
    job_as_csv,
    job_as_json,
    job_as_markdown,
    epochs_as_csv,
    epochs_as_json,
    epochs_as_markdown,
]
