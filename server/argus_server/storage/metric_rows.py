"""The names of a project's metrics, and the rows by which its jobs rank.

The project's settings say under which name, and as which number, a value ranks: its rows are written again
when they change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from sqlalchemy import Connection

from argus_core.events import Event
from argus_server.ranking.order import Standing
from argus_server.ranking.registry import Settings
from argus_server.ranking.values import finite, flatten
from argus_server.storage import schema
from argus_server.storage.meanings import declared_meanings, later_meaning
from argus_server.storage.projections import microseconds
from argus_server.storage.statements import chunks, execute_many, insert_into, rows_where, write_rows

__all__ = ["Counters", "JobKey", "count_keys", "rank_jobs"]

JobKey = tuple[str, str]


class Counters(Protocol):
    """The project whose events are folded: its number, its settings, and the numbers it deals out."""

    id: int
    settings: Settings

    def next(self, counter: str) -> int:
        """Return the next number of a counter."""


def rank_jobs(
    connection: Connection,
    project: Counters,
    jobs: Sequence[Mapping[Any, Any]],
    known: Mapping[str, int] | None = None,
) -> None:
    """Replace the rows of `job_metric` of these jobs.

    Args:
        connection: in the transaction that holds the project's row.
        project: whose jobs they are.
        jobs: as rows of `job`.
        known: the numbers of some names.
    """
    table = schema.job_metric
    for job_nos in chunks(sorted(job["job_no"] for job in jobs)):
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
        {
            "project_id": project.id,
            "key_id": ids[key],
            "job_no": job["job_no"],
            "standing": int(job["standing"]),
            "dataset_no": job["dataset_no"],
            "value": finite(value),
        }
        for job in jobs
        for key, value in metrics.get(job["job_no"], {}).items()
    ]
    execute_many(connection, insert_into(table), rows)


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
    connection: Connection, project: Counters, by_job: Mapping[JobKey, Sequence[Event]]
) -> dict[str, int]:
    """Count the metric names of these events in `metric_key`; return the ids of those names."""
    seen: dict[str, dict[str, Any]] = {}
    for events in by_job.values():
        for event in events:
            if event.event_type == "job_done":
                declared = declared_meanings(event)
                for key, value in flatten(event.data.get("metrics") or {}).items():
                    _count(seen, key, finite(value), microseconds(event.timestamp), declared.get(key))
    table = schema.metric_key
    ids: dict[str, int] = {}
    old, new = [], []
    for keys in chunks(sorted(seen)):
        rows = connection.execute(rows_where(table, "key"), {"project_id": project.id, "values": keys})
        for row in rows.mappings():
            ids[row["key"]] = row["key_id"]
            old.append({**row, **_merge(dict(row), seen[row["key"]])})
    for key in sorted(seen.keys() - ids.keys()):
        ids[key] = project.next("last_key_id")
        new.append({"project_id": project.id, "key_id": ids[key], "key": key, **seen[key]})
    write_rows(connection, table, ("project_id", "key_id"), old, new)
    return ids


_NEVER_SENT = {
    "count": 0,
    "min": None,
    "max": None,
    "first_seen_us": 0,
    "last_seen_us": 0,
    "declared": None,
}
"""A name that is known only as what others are aliases of."""


def _count(
    seen: dict[str, dict[str, Any]], key: str, number: float | None, moment_us: int, declared: str | None
) -> None:
    one = {
        "count": 1,
        "min": number,
        "max": number,
        "first_seen_us": moment_us,
        "last_seen_us": moment_us,
        "declared": declared,
    }
    seen[key] = _merge(seen[key], one) if key in seen else one


def _merge(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "count": a["count"] + b["count"],
        "min": min((x["min"] for x in (a, b) if x["min"] is not None), default=None),
        "max": max((x["max"] for x in (a, b) if x["max"] is not None), default=None),
        "first_seen_us": min(x["first_seen_us"] for x in (a, b) if x["count"]),
        "last_seen_us": max(a["last_seen_us"], b["last_seen_us"]),
        "declared": later_meaning(a["declared"], b["declared"]),
    }
