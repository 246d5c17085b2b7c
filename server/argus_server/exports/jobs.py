"""The list of jobs as CSV, JSON and Markdown: every job that passes the filters, latest event first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec

from argus_server.exports.text import csv_lines, iso_time, markdown_lines, markdown_text
from argus_server.storage.job_lists import JobList
from argus_server.storage.jobs import JobSummary

__all__ = ["job_record", "jobs_csv", "jobs_json", "jobs_markdown"]

_ROWS_AT_ONCE = 1000
_COLUMNS = (
    "batch_id",
    "job_id",
    "status",
    "interrupted",
    "superseded",
    "model",
    "dataset",
    "seed",
    "epoch",
    "epochs_total",
    "elapsed_s",
    "eta_low_s",
    "eta_high_s",
    "reason",
    "fast_dev_run",
    "host",
    "user",
    "started_at",
    "ended_at",
    "last_event_at",
)
_SHOWN = ("status", "job_id", "model", "dataset", "seed", "epoch", "epochs_total", "elapsed_s", "reason")


def job_record(job: JobSummary) -> dict[str, Any]:
    """Return what a list says of a job. `epoch` counts from 0; moments are RFC 3339."""
    return {
        "batch_id": job.batch_id,
        "job_id": job.job_id,
        "status": job.status,
        "interrupted": job.interrupted,
        "superseded": job.superseded,
        "model": job.model,
        "dataset": job.dataset,
        "seed": job.seed,
        "epoch": job.epoch,
        "epochs_total": job.epochs_total,
        "elapsed_s": job.elapsed_s,
        "eta_s": job.eta_s,
        "reason": job.reason,
        "fast_dev_run": job.fast_dev_run,
        "host": job.host,
        "user": job.user,
        "started_at": iso_time(job.started_us) or None,
        "ended_at": iso_time(job.ended_us) or None,
        "last_event_at": iso_time(job.last_event_us),
    }


def _flat(job: JobSummary) -> dict[str, Any]:
    low, high = job.eta_s or (None, None)
    return {**job_record(job), "eta_low_s": low, "eta_high_s": high}


def jobs_csv(jobs: Iterable[JobSummary]) -> Iterator[str]:
    """Yield RFC 4180 text: raw values, empty where there are none."""
    yield csv_lines([_COLUMNS])
    for some in _batched(jobs):
        yield csv_lines([job[name] for name in _COLUMNS] for job in map(_flat, some))


def jobs_json(project: str, jobs: JobList) -> Iterator[bytes]:
    """Yield the list as JSON."""
    head = {"project": project, "total": jobs.total, "job_counts": jobs.counts}
    yield msgspec.json.encode(head)[:-1] + b',"jobs":['
    first = True
    for some in _batched(jobs.jobs):
        yield (b"" if first else b",") + b",".join(msgspec.json.encode(job_record(job)) for job in some)
        first = False
    yield b"]}"


def jobs_markdown(jobs: Iterable[JobSummary]) -> Iterator[str]:
    """Yield a Markdown table with the columns that people read."""
    yield markdown_lines([[name.replace("_", " ") for name in _SHOWN], [":--"] * len(_SHOWN)])
    for some in _batched(jobs):
        yield markdown_lines([_markdown(job[name]) for name in _SHOWN] for job in map(job_record, some))


def _markdown(value: Any) -> str:
    return "–" if value is None else markdown_text(str(value))


def _batched(jobs: Iterable[JobSummary]) -> Iterator[Sequence[JobSummary]]:
    rest = iter(jobs)
    while some := list(islice(rest, _ROWS_AT_ONCE)):
        yield some
