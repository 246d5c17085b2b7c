"""The projects of a server as CSV, JSON and Markdown, as the home page lists them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from argus_server.exports.text import csv_lines, iso_time, markdown_lines, markdown_text
from argus_server.ranking.leader import Leader
from argus_server.storage.queries import ProjectSummary
from argus_server.urls import path_to

__all__ = ["Listed", "listed_record", "project_record", "projects_csv", "projects_markdown"]

_FIRST = ("project", "is_public", "leaders", "metric", "wins", "datasets", "value")
_LAST = ("n_batches", "next_finish_low_s", "next_finish_high_s", "last_event_at")


@dataclass(frozen=True, slots=True)
class Listed:
    """A project in the list, and who leads it, if that can be said."""

    summary: ProjectSummary
    leader: Leader | None
    is_public: bool


def project_record(project: ProjectSummary) -> dict[str, Any]:
    """Return a project as JSON has it."""
    return {
        "project": project.name,
        "jobs": project.jobs,
        "n_batches": project.n_batches,
        "last_event_at": iso_time(project.last_event_us) or None,
        "leaderboard": path_to("p", project.name, "leaderboard"),
    }


def listed_record(item: Listed) -> dict[str, Any]:
    """Return the same with who leads; `leader` is null where nothing can be compared."""
    led = item.leader
    return {
        **project_record(item.summary),
        "is_public": item.is_public,
        "next_finish_s": item.summary.next_finish_s,
        "leader": None
        if led is None
        else {
            "models": led.models,
            "metric": led.metric,
            "wins": led.wins,
            "datasets": led.datasets,
            "value": led.value or None,
        },
    }


def projects_csv(projects: Sequence[Listed]) -> str:
    """Return RFC 4180 text."""
    rows = [_row(item) for item in projects]
    return csv_lines([rows[0] if rows else ["project"], *(row.values() for row in rows)])


def _row(item: Listed) -> dict[str, Any]:
    record = listed_record(item)
    low, high = record["next_finish_s"] or (None, None)
    flat = {**record, **(record["leader"] or {}), "next_finish_low_s": low, "next_finish_high_s": high}
    flat["leaders"] = ", ".join(flat.get("models", ()))
    names = (*_FIRST, *record["jobs"], *_LAST)
    return {name: {**flat, **record["jobs"]}.get(name) for name in names}


def projects_markdown(projects: Sequence[Listed]) -> str:
    """Return a Markdown table."""
    lines = [["Project", "Leader", "Best by", "On", "Running", "Done", "Failed", "Batches", "Last event"]]
    lines.append([":--", ":--", ":--", "--:", "--:", "--:", "--:", "--:", ":--"])
    for item in projects:
        led, jobs = item.leader, item.summary.jobs
        leaders, metric, on = "", "", ""
        if led is not None:
            leaders, metric, on = ", ".join(led.models), led.label, f"{led.wins} of {led.datasets} datasets"
        texts = [markdown_text(text) for text in (item.summary.name, leaders, metric)]
        counts = [str(jobs[name]) for name in ("running", "done", "failed")]
        numbers = [on, *counts, str(item.summary.n_batches)]
        lines.append([*texts, *numbers, iso_time(item.summary.last_event_us)])
    return markdown_lines(lines)
