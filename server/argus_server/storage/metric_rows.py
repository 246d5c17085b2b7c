"""The names of a project's metrics, and the rows by which its jobs rank.

The project's settings say under which name, and as which number, a value ranks: its rows are written again
when they change.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from sqlalchemy import Connection

from argus_core.events import Event
from argus_server.ranking.order import Standing
from argus_server.ranking.registry import Settings
from argus_server.ranking.values import finite, flatten
from argus_server.storage import schema
from argus_server.storage.meanings import declared_meanings, later_meaning
from argus_server.storage.projections import Said
from argus_server.storage.remembered import JobKey, Remembered
from argus_server.storage.statements import (
    Change,
    chunks,
    execute_many,
    insert_into,
    insert_tuples,
    rows_where,
    write_rows,
)

__all__ = ["Counters", "count_keys", "rank_jobs"]


class Counters(Protocol):
    """The project whose events are folded.

    Attributes:
        id: its number.
        settings: what it says of its metrics.
        remembered: rows of it that need not be read.
    """

    id: int
    settings: Settings
    remembered: Remembered

    def next(self, counter: str) -> int:
        """Return the next number of a counter."""


def rank_jobs(
    connection: Connection,
    project: Counters,
    jobs: Sequence[Mapping[Any, Any]],
    known: Mapping[str, int] | None = None,
    unlisted: Collection[int] = (),
) -> None:
    """Replace the rows of `job_metric` of these jobs.

    Args:
        connection: in the transaction that holds the project's row.
        project: whose jobs they are.
        jobs: as rows of `job`.
        known: the numbers of some names.
        unlisted: the numbers of jobs that have no such rows.
    """
    table = schema.job_metric
    for job_nos in chunks(sorted({job["job_no"] for job in jobs}.difference(unlisted))):
        connection.execute(
            table.delete().where(table.c.project_id == project.id, table.c.job_no.in_(job_nos))
        )
    metrics = {
        job["job_no"]: project.settings.settle(
            flatten(msgspec.json.decode(job["metrics"] or "{}")), job["batch_id"]
        )
        for job in jobs
        if job["standing"] != Standing.ABSENT
    }
    ids = dict(known or {})
    ids |= _ids(connection, project, {key for values in metrics.values() for key in values} - ids.keys())
    rows = [
        (project.id, ids[key], job["job_no"], int(job["standing"]), job["dataset_no"], finite(value))
        for job in jobs
        for key, value in metrics.get(job["job_no"], {}).items()
    ]
    insert_tuples(connection, insert_into(table), _METRIC_COLUMNS, rows)


_METRIC_COLUMNS = ("project_id", "key_id", "job_no", "standing", "dataset_no", "value")


def _ids(connection: Connection, project: Counters, keys: Iterable[str]) -> dict[str, int]:
    """Return the numbers of these names; one that only settings have named gets its row here."""
    found: dict[str, int] = {}
    query = rows_where(schema.metric_key, "key", "key", "key_id")
    for some in chunks(sorted(keys)):
        rows = connection.execute(query, {"project_id": project.id, "values": some})
        found.update((key, key_id) for key, key_id in rows)
    new = []
    for key in sorted(set(keys) - found.keys()):
        found[key] = project.next("last_key_id")
        new.append({"project_id": project.id, "key_id": found[key], "key": key, **_NEVER_SENT})
    execute_many(connection, insert_into(schema.metric_key), new)
    return found


def count_keys(
    connection: Connection, project: Counters, by_job: Mapping[JobKey, Sequence[Said]]
) -> dict[str, int]:
    """Count the metric names of these events in `metric_key`; return the ids of those names."""
    seen: dict[str, dict[str, Any]] = {}
    for said in by_job.values():
        for clock, event in said:
            if event.event_type == "job_done":
                _count_metrics(seen, clock[0], event)
    if not seen:
        return {}
    remembered = project.remembered.keys
    known: dict[str, Mapping[Any, Any]] = {}
    for key in seen:
        if (found := remembered.get(key)) is not None:
            known[key] = found[0]
    for keys in chunks(sorted(seen.keys() - known.keys())):
        rows = connection.execute(
            rows_where(schema.metric_key, "key"), {"project_id": project.id, "values": keys}
        )
        known |= {row["key"]: row for row in rows.mappings()}
    changes: list[Change] = []
    for key in sorted(seen):
        before = known.get(key)
        row = {"project_id": project.id, "key": key, **seen[key]}
        if before is None:
            row["key_id"] = project.next("last_key_id")
        else:
            row = {**before, **_merge(before, row)}
        remembered.put(key, row, None)
        is_small = before is not None and before["declared"] == row["declared"]
        changes.append(Change(before, row, is_small))
    write_rows(connection, schema.metric_key, ("project_id", "key_id"), changes, _OFTEN)
    return {change.after["key"]: change.after["key_id"] for change in changes}


_OFTEN = ("count", "min", "max", "first_seen_us", "last_seen_us")
_NEVER_SENT = {
    "count": 0,
    "min": None,
    "max": None,
    "first_seen_us": 0,
    "last_seen_us": 0,
    "declared": None,
}
"""A name that is known only as what others are aliases of."""


def _count_metrics(seen: dict[str, dict[str, Any]], moment_us: int, event: Event) -> None:
    """Add what one `job_done` says to what was seen."""
    declared = declared_meanings(event)
    for key, value in flatten(event.data.get("metrics") or {}).items():
        number = finite(value)
        known = seen.get(key)
        if known is None:
            seen[key] = {
                "count": 1,
                "min": number,
                "max": number,
                "first_seen_us": moment_us,
                "last_seen_us": moment_us,
                "declared": declared.get(key),
            }
            continue
        known["count"] += 1
        if number is not None:
            known["min"] = number if known["min"] is None else min(known["min"], number)
            known["max"] = number if known["max"] is None else max(known["max"], number)
        known["first_seen_us"] = min(known["first_seen_us"], moment_us)
        known["last_seen_us"] = max(known["last_seen_us"], moment_us)
        if declared:
            known["declared"] = later_meaning(known["declared"], declared.get(key))


def _merge(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "count": a["count"] + b["count"],
        "min": min((x["min"] for x in (a, b) if x["min"] is not None), default=None),
        "max": max((x["max"] for x in (a, b) if x["max"] is not None), default=None),
        "first_seen_us": min(x["first_seen_us"] for x in (a, b) if x["count"]),
        "last_seen_us": max(a["last_seen_us"], b["last_seen_us"]),
        "declared": later_meaning(a["declared"], b["declared"]),
    }
