"""One job as CSV, JSON and Markdown: its metrics, its curves, and all that is known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from argus_core.events import number_or_none
from argus_server.exports.jobs import job_record
from argus_server.exports.text import csv_lines, iso_time, markdown_lines, markdown_text
from argus_server.ranking.position import MetricRow, Place
from argus_server.ranking.values import flatten
from argus_server.storage.job import CellJob, Epoch, EventCount, JobDetail, LogLine, Snapshot

__all__ = ["JobReport", "epochs_csv", "epochs_markdown", "job_csv", "job_json", "job_markdown"]

_METRIC_COLUMNS = (
    "metric",
    "unit",
    "direction",
    "role",
    "value",
    "sent_as",
    "sent",
    "mean",
    "std",
    "n",
    "place_among_seeds",
    "seeds",
    "place_among_models",
    "models",
)
_ARROWS = {"lower": " ↓", "higher": " ↑", "unknown": ""}


@dataclass(frozen=True, slots=True)
class JobReport:
    """What the page of a job shows, as far as the caller may see it."""

    project: str
    job: JobDetail
    metrics: Sequence[MetricRow]
    cell: Sequence[CellJob]
    settings: Mapping[str, str]
    timeline: Sequence[EventCount]
    log: Sequence[LogLine]
    load: Sequence[Snapshot]


# --- metrics ----------------------------------------------------------------------------------


def _metric(row: MetricRow) -> dict[str, Any]:
    seeds, models = row.among_seeds or Place(0, 0), row.among_models or Place(0, 0)
    return {
        "metric": row.key,
        "unit": row.raw_unit,
        "direction": row.direction,
        "role": row.role,
        "value": row.raw,
        "sent_as": row.sent_as or None,
        "sent": row.sent,
        "mean": row.cell.raw,
        "std": row.cell.std,
        "n": row.cell.n,
        "place_among_seeds": seeds.place or None,
        "seeds": seeds.of or None,
        "place_among_models": models.place or None,
        "models": models.of or None,
    }


def job_csv(report: JobReport) -> str:
    """Return the metrics of a job as RFC 4180 text: raw values at round-trip precision."""
    rows = ([row[name] for name in _METRIC_COLUMNS] for row in map(_metric, report.metrics))
    return csv_lines([_METRIC_COLUMNS, *rows])


def job_json(report: JobReport) -> dict[str, Any]:
    """Return all that is known of a job but its curves, which `epochs.json` has."""
    job = report.job
    return {
        "project": report.project,
        **job_record(job.summary),
        "attempts_started_at": [iso_time(moment) for moment in job.starts_us],
        "metrics": [_metric(row) for row in report.metrics],
        "config": job.config,
        "tags": job.tags,
        "resources": job.resources,
        "error": job.error,
        "commit": job.commit,
        "command": job.command,
        "cell": [
            {
                "batch_id": item.batch_id,
                "job_id": item.job_id,
                "seed": item.seed,
                "status": item.status,
                "counts": item.counts,
            }
            for item in report.cell
        ],
        "events": [
            {
                "kind": item.kind,
                "count": item.count,
                "first_at": iso_time(item.first_us),
                "last_at": iso_time(item.last_us),
            }
            for item in report.timeline
        ],
        "log": [
            {"at": iso_time(item.timestamp_us), "level": item.level, "line": item.line} for item in report.log
        ],
        "load": [{"at": iso_time(item.timestamp_us), **item.load} for item in report.load],
    }


def job_markdown(report: JobReport) -> str:
    """Return the metrics and the hyperparameters of a job as Markdown tables, as the page shows them."""
    s = report.job.summary
    known = [("model", s.model), ("dataset", s.dataset), ("seed", s.seed), ("status", s.status)]
    known += [("commit", report.job.commit)]
    parts = [
        f"# {markdown_text(s.job_id)}\n",
        ", ".join(f"{k} {markdown_text(v)}" for k, v in known if v) + "\n",
    ]
    lines = [
        [
            markdown_text(row.label)
            + (f" ({markdown_text(row.unit)})" if row.unit else "")
            + _ARROWS[row.direction],
            markdown_text(row.display),
            markdown_text(f"{row.mean} {row.spread}".strip()) or "–",
            _place(row.among_seeds),
            _place(row.among_models),
        ]
        for row in report.metrics
    ]
    if lines:
        header = ["Metric", "Value", "Mean ± std", "Among seeds", "Among models"]
        parts.append(markdown_lines([header, [":--", *["--:"] * 4], *lines]))
    if report.settings:
        rows = [[markdown_text(name), markdown_text(value)] for name, value in report.settings.items()]
        parts.append(markdown_lines([["Hyperparameter", "Value"], [":--", ":--"], *rows]))
    return "\n".join(parts)


def _place(place: Place | None) -> str:
    if place is None:
        return "–"
    return (
        f"all {place.of} tied"
        if place.all_tied
        else f"{place.place} of {place.of}" + ", tied" * (place.tied > 1)
    )


# --- curves -----------------------------------------------------------------------------------


def epochs_csv(epochs: Sequence[Epoch], names: Sequence[str]) -> str:
    """Return the epochs of a job as RFC 4180 text, with a column for each metric."""
    return csv_lines([["epoch", "timestamp", *names], *_epoch_rows(epochs, names)])


def epochs_markdown(epochs: Sequence[Epoch], names: Sequence[str]) -> str:
    """Return the epochs of a job as a Markdown table."""
    header = ["epoch", "timestamp", *map(markdown_text, names)]
    rows = [
        ["" if value is None else markdown_text(str(value)) for value in row]
        for row in _epoch_rows(epochs, names)
    ]
    return markdown_lines([header, ["--:", ":--", *["--:"] * len(names)], *rows])


def _epoch_rows(epochs: Sequence[Epoch], names: Sequence[str]) -> list[list[Any]]:
    rows = []
    for item in epochs:
        data = flatten(item.data)
        values = [data.get(name) if number_or_none(data.get(name)) is not None else None for name in names]
        rows.append([item.epoch, iso_time(item.timestamp_us), *values])
    return rows
