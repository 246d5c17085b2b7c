"""What can be asked of the store. Every answer is plain data; every query is read-only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Select, bindparam, func, select

from argus_server.errors import UnknownProject
from argus_server.progress import Range
from argus_server.ranking.board import Board, MemoryBoard
from argus_server.ranking.matrix import CellState
from argus_server.ranking.registry import Settings
from argus_server.ranking.table import DoneJob, MetricKey
from argus_server.ranking.view import View
from argus_server.settings import Limits
from argus_server.storage import schema
from argus_server.storage.batches import (
    BatchFilter,
    BatchList,
    BatchSummary,
    Failure,
    batch_of,
    failures_of,
    list_batches,
)
from argus_server.storage.board import IndexedBoard, done_jobs, read_keys
from argus_server.storage.cells import cell_states
from argus_server.storage.clock import now_us
from argus_server.storage.dialect import transaction
from argus_server.storage.facts import FactsCache, JobKey
from argus_server.storage.job import (
    Epoch,
    EventCount,
    History,
    JobDetail,
    LogLine,
    Peers,
    Snapshot,
    job_histories,
    job_log,
    job_of,
    job_peers,
    job_snapshots,
    job_timeline,
)
from argus_server.storage.job_lists import JobFacet, JobFilter, JobList, job_facets, list_jobs
from argus_server.storage.jobs import STATUSES, JobSummary, count_jobs
from argus_server.storage.pulse import Pulse, pulse_of
from argus_server.storage.sparklines import Curves, Points
from argus_server.storage.statements import execute
from argus_server.storage.unfinished import unfinished_cells

__all__ = [
    "REMEMBERED_BYTES",
    "STATUSES",
    "Epoch",
    "JobDetail",
    "JobFilter",
    "JobList",
    "JobSummary",
    "LeaderboardData",
    "ProjectSummary",
    "Queries",
]

REMEMBERED_BYTES = Limits().remembered_bytes
_BATCH_JOBS = 5000
"""Batches with more jobs are ranked as a part of their project: the places are those of all jobs."""
_RECENT_JOBS = 1000


@dataclass(frozen=True, slots=True)
class ProjectSummary:
    """A project in the list. `jobs` counts by status; times are microseconds since 1970.

    `next_finish_s` is as in a `Pulse`.
    """

    name: str
    jobs: Mapping[str, int]
    n_batches: int
    last_event_us: int | None
    next_finish_s: Range | None = None


@dataclass(frozen=True, slots=True)
class LeaderboardData:
    """What `rank` needs of a project."""

    project: str
    settings: Settings
    jobs: Sequence[DoneJob]
    keys: Sequence[MetricKey]


class Queries:
    """The questions. Any thread may ask; each answer is one consistent moment of the database.

    Args:
        engine: the database.
        clock: returns the microseconds since 1970.
        remembered_bytes: what is remembered of boards may take so much memory.

    Raises:
        StoreBusy: every connection for reading is in use, and stays so.
        StoreError: the database does not answer.
    """

    def __init__(
        self, engine: Engine, clock: Callable[[], int] = now_us, remembered_bytes: int = REMEMBERED_BYTES
    ) -> None:
        self._engine = engine
        self.clock = clock
        self._facts = FactsCache(remembered_bytes)
        self._curves = Curves()

    @property
    def remembered_bytes(self) -> int:
        """What is remembered of boards takes so much memory."""
        return self._facts.answers.weight

    def check(self) -> None:
        """Raise if the database does not answer."""
        with transaction(self._engine) as connection:
            connection.execute(select(1))

    def projects(self) -> list[ProjectSummary]:
        """Return every project, the one with the latest event first."""
        table, batch = schema.project.c, schema.batch.c
        with transaction(self._engine) as connection:
            activity = select(batch.project_id, func.count(), func.max(batch.last_event_us)).group_by(
                batch.project_id
            )
            batches = {row[0]: (row[1], row[2]) for row in connection.execute(activity)}
            rows = connection.execute(select(table.id, table.name, table.last_seq)).mappings().all()
            pulses = {row["id"]: pulse_of(connection, row, self.clock()) for row in rows}
        summaries = [
            ProjectSummary(
                row["name"],
                pulses[row["id"]].counts,
                *batches.get(row["id"], (0, None)),
                pulses[row["id"]].next_finish_s,
            )
            for row in rows
        ]
        return sorted(summaries, key=lambda item: (-(item.last_event_us or 0), item.name))

    def leaderboard(self, project: str) -> LeaderboardData:
        """Return the done jobs of a project and the union of all metric names.

        Raises:
            UnknownProject: no event has named it.
        """
        with transaction(self._engine) as connection:
            found = _project(connection, project)
            board = IndexedBoard(connection, found, self._facts, self.clock())
            jobs = done_jobs(connection, found["id"], board.settings)
            return LeaderboardData(project, board.settings, jobs, board.keys)

    @contextmanager
    def board(self, project: str, view: View) -> Iterator[Board]:
        """Yield the board that a view is of: one moment of the database, as long as it is open.

        That of a few batches is a board of its own, held in memory; so is one of many, if its cells or its
        models are asked for.

        Raises:
            UnknownProject: no event has named it.
        """
        with transaction(self._engine) as connection:
            found = _project(connection, project)
            board = IndexedBoard(connection, found, self._facts, self.clock())
            if view.batch and (view.group != "job" or _few(connection, found["id"], view.batch)):
                jobs = done_jobs(connection, found["id"], board.settings, view.batch)
                others = partial(unfinished_cells, connection, found["id"], view.batch, self.clock())
                yield MemoryBoard(project, board.keys, jobs, board.settings, view.batch, others)
            else:
                yield board

    def cell_states(self, project: str, batches: Sequence[str] = ()) -> list[CellState]:
        """Return the cells of a project, or of some of its batches, that have jobs without a result.

        Raises:
            UnknownProject: no event has named it.
        """
        with transaction(self._engine) as connection:
            return cell_states(connection, _project(connection, project)["id"], batches, self.clock())

    def version(self, project: str) -> tuple[int, str | None]:
        """Return what changes whenever a leaderboard of the project may look different.

        Raises:
            UnknownProject: no event has named it.
        """
        with transaction(self._engine) as connection:
            row = _project(connection, project)
        return row["last_seq"], row["settings"]

    def pulse(self, project: str) -> Pulse:
        """Return how the project is doing, in few numbers.

        Raises:
            UnknownProject: no event has named it.
        """
        with transaction(self._engine) as connection:
            return pulse_of(connection, _project(connection, project), self.clock())

    def job_counts(self, project: str) -> dict[str, int]:
        """Return how many jobs of the project there are in each status.

        Raises:
            UnknownProject: no event has named it.
        """
        with transaction(self._engine) as connection:
            return count_jobs(connection, _project(connection, project)["id"], self.clock())

    def jobs(self, project: str, wanted: JobFilter) -> JobList:
        """Return one page of the project's jobs, and how many pass the other filters in each status.

        Raises:
            UnknownProject: no event has named it.
        """
        with transaction(self._engine) as connection:
            return list_jobs(connection, _project(connection, project)["id"], wanted, self.clock())

    def job_facets(self, project: str, wanted: JobFilter, fields: Sequence[str], most: int) -> list[JobFacet]:
        """Return the values that the jobs have in each of these fields, and how many jobs each.

        Counted are the jobs that pass all filters but those in the field itself; `most` values of each field.

        Raises:
            UnknownProject: no event has named it.
        """
        with transaction(self._engine) as connection:
            project_id = _project(connection, project)["id"]
            return job_facets(connection, project_id, wanted, fields, most, self.clock())

    def batches(self, project: str, wanted: BatchFilter) -> BatchList:
        """Return one page of the project's batches, the newest first.

        Raises:
            UnknownProject: no event has named it.
        """
        with transaction(self._engine) as connection:
            return list_batches(connection, _project(connection, project)["id"], wanted, self.clock())

    def batch(self, project: str, batch_id: str) -> BatchSummary:
        """Return a batch: where it stands, and how long it will still take.

        Raises:
            UnknownProject: no event has named the project.
            UnknownBatch: no event has named the batch.
        """
        with transaction(self._engine) as connection:
            return batch_of(connection, _project(connection, project)["id"], batch_id, self.clock())

    def failures(self, project: str, batch_id: str) -> list[Failure]:
        """Return why jobs of a batch failed, the most frequent reason first.

        Raises:
            UnknownProject: no event has named the project.
        """
        with transaction(self._engine) as connection:
            return failures_of(connection, _project(connection, project)["id"], batch_id)

    def job(self, project: str, batch_id: str, job_id: str) -> JobDetail:
        """Return one job with its epochs.

        Raises:
            UnknownProject: no event has named the project.
            UnknownJob: no event has named the job.
        """
        with transaction(self._engine) as connection:
            project_id = _project(connection, project)["id"]
            return job_of(connection, project_id, batch_id, job_id, self.clock())

    def peers(self, project: str, model: str | None, dataset: str | None) -> Peers:
        """Return the jobs of a cell, and what the models of its dataset reached.

        Raises:
            UnknownProject: no event has named the project.
        """
        with transaction(self._engine) as connection:
            found = _project(connection, project)
            return job_peers(connection, found["id"], Settings.decode(found["settings"]), model, dataset)

    def histories(self, project: str, keys: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], History]:
        """Return the epochs of several jobs, by (batch_id, job_id); unknown jobs are left out.

        Raises:
            UnknownProject: no event has named the project.
        """
        with transaction(self._engine) as connection:
            return job_histories(connection, _project(connection, project)["id"], keys)

    def timeline(self, project: str, batch_id: str, job_id: str) -> list[EventCount]:
        """Return what kinds of events a job has, in the order in which they began.

        Raises:
            UnknownProject: no event has named the project.
        """
        with transaction(self._engine) as connection:
            return job_timeline(connection, _project(connection, project)["id"], batch_id, job_id)

    def log(self, project: str, batch_id: str, job_id: str, lines: int) -> list[LogLine]:
        """Return the last lines that a job has logged, in order.

        Raises:
            UnknownProject: no event has named the project.
        """
        with transaction(self._engine) as connection:
            return job_log(connection, _project(connection, project)["id"], batch_id, job_id, lines)

    def snapshots(self, project: str, job: JobSummary, most: int) -> list[Snapshot]:
        """Return the last snapshots of the load while a job ran, in order.

        Raises:
            UnknownProject: no event has named the project.
        """
        with transaction(self._engine) as connection:
            return job_snapshots(connection, _project(connection, project)["id"], job, most)

    def val_losses(self, project: str, jobs: Sequence[JobKey]) -> dict[JobKey, Points]:
        """Return the validation losses of these jobs, thinned to what a sparkline can show.

        Raises:
            UnknownProject: no event has named it.
        """
        with transaction(self._engine) as connection:
            return self._curves.of(connection, _project(connection, project), jobs)

    def latest_job(self, project: str, job_id: str) -> str | None:
        """Return the batch of the latest job with this id; None if no event has named one.

        Raises:
            UnknownProject: no event has named the project.
        """
        table = schema.job.c
        with transaction(self._engine) as connection:
            query = select(table.batch_id).where(
                table.project_id == _project(connection, project)["id"], table.job_id == job_id
            )
            latest = query.order_by(table.last_event_us.desc(), table.batch_id).limit(1)
            found: str | None = connection.scalar(latest)
        return found

    def ranked_by(self, project: str) -> tuple[Settings, Sequence[MetricKey]]:
        """Return the settings of a project and its metrics, from which follows what its jobs rank by.

        Raises:
            UnknownProject: no event has named it.
        """
        with transaction(self._engine) as connection:
            found = _project(connection, project)
            settings = Settings.decode(found["settings"])
            return settings, read_keys(connection, found["id"], settings)[1]

    def declared_directions(self, project: str) -> dict[str, set[str]]:
        """Return metric → every direction that the latest thousand results with declarations say of it.

        Raises:
            UnknownProject: no event has named the project.
        """
        table = schema.event.c
        with transaction(self._engine) as connection:
            query = (
                select(table.payload)
                .where(
                    table.project_id == _project(connection, project)["id"],
                    table.event_type == "job_done",
                    table.payload.contains('"metric_conventions"'),
                )
                .order_by(table.seq.desc())
                .limit(_RECENT_JOBS)
            )
            payloads = list(connection.scalars(query))
        found: dict[str, set[str]] = {}
        for payload in payloads:
            for key, meaning in declared_meanings(msgspec.json.decode(payload)).items():
                found.setdefault(key, set()).add(meaning)
        return found

    def job_ids(self, project: str) -> list[str]:
        """Return the ids of the latest thousand jobs.

        Raises:
            UnknownProject: no event has named the project.
        """
        table = schema.job.c
        with transaction(self._engine) as connection:
            query = select(table.job_id).where(table.project_id == _project(connection, project)["id"])
            return list(connection.scalars(query.order_by(table.last_event_us.desc()).limit(_RECENT_JOBS)))


def declared_meanings(event: Mapping[str, Any]) -> dict[str, str]:
    """Return the directions that one result declares, by metric."""
    said = (event.get("data") or {}).get("metric_conventions")
    items = said.items() if isinstance(said, dict) else ()
    return {
        key: meaning["direction"]
        for key, meaning in items
        if isinstance(meaning, dict) and isinstance(meaning.get("direction"), str)
    }


def _few(connection: Connection, project_id: int, batches: Sequence[str]) -> bool:
    """Whether the jobs of these batches are few enough to rank in memory."""
    table = schema.job.c
    some = select(table.job_no).where(table.project_id == project_id, table.batch_id.in_(batches))
    count = select(func.count()).select_from(some.limit(_BATCH_JOBS + 1).subquery())
    return (connection.scalar(count) or 0) <= _BATCH_JOBS


def _project(connection: Connection, name: str) -> Mapping[Any, Any]:
    rows = execute(connection, _project_row(), {"name": name})
    if not rows:
        raise UnknownProject(name, sorted(connection.scalars(select(schema.project.c.name))))
    return rows[0]


@cache
def _project_row() -> Select[Any]:
    return select(schema.project).where(schema.project.c.name == bindparam("name"))
