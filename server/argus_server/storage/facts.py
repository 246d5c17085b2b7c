"""What was worked out about the boards of projects, for as long as it is true.

A version of a project is the number of its latest event. Most events, an epoch or a line of a log, change
no board: what is known of one outlives them. A result changes the board, and little of what decides how its
columns look.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, and_, func, literal_column, select

from argus_server.ranking.board import Contest
from argus_server.ranking.order import job_number
from argus_server.storage import schema
from argus_server.storage.statements import chunks

__all__ = ["ALL_JOBS", "Facts", "FactsCache", "JobKey", "jobs_named"]

JobKey = tuple[str, str]
"""Batch and job."""

ALL_JOBS = 2**63
"""Larger than the number of any job."""
_PROJECTS_REMEMBERED = 256
_MOST_EVENTS = 5000
"""After more events it costs more to read what they were about than to work everything out anew."""
_MOST_RESULTS = 50

_event, _job = schema.event.c, schema.job.c


@dataclass
class Facts:
    """What was worked out about a board.

    Attributes:
        first, last: from which to which version of the project the board has been this one.
        sample: see `Board.sample`.
        sampled: results of jobs with larger numbers leave the sample as it is.
        contests: dataset → key → its best values, of the datasets that were asked for.
        directions: of which keys, see `Board.contests`.
        memo: see `Board.memo`.
    """

    first: int
    last: int
    sample: Mapping[str, Sequence[float]] | None = None
    sampled: int = ALL_JOBS
    contests: dict[str, Mapping[str, Contest]] = field(default_factory=dict)
    directions: Mapping[str, bool] | None = None
    memo: dict[str, Any] = field(default_factory=dict)

    def after(self, version: int, news: _News) -> Facts:
        """Return what is still true at a later version."""
        found = Facts(version, version)
        if min(news.numbers) > self.sampled:
            found.sample, found.sampled = self.sample, self.sampled
        if news.datasets is not None:
            kept = {name: known for name, known in list(self.contests.items()) if name not in news.datasets}
            found.contests, found.directions = kept, self.directions
        return found


@dataclass(frozen=True, slots=True)
class _News:
    """What events have done to a board.

    Attributes:
        numbers: of the jobs with a result, of now or of before, that they are about.
        datasets: where values may have come, gone or changed; None for everywhere.
    """

    numbers: Collection[int]
    datasets: Collection[str] | None


class FactsCache:
    """The facts of some projects, each as of the version that was asked about last. Any thread."""

    def __init__(self) -> None:
        self._facts: OrderedDict[int, Facts] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, connection: Connection, project_id: int, version: int) -> Facts:
        """Return what is known of a project's board at this version, that of the connection's transaction."""
        with self._lock:
            known = self._facts.get(project_id)
        facts = known
        if facts is None or version < facts.first:
            facts = Facts(version, version)
        elif version > facts.last:
            facts = _later(connection, project_id, facts, version)
        with self._lock:
            facts.last = max(facts.last, version)
            self._facts[project_id] = facts
            self._facts.move_to_end(project_id)
            if len(self._facts) > _PROJECTS_REMEMBERED:
                self._facts.popitem(last=False)
        return facts


def _later(connection: Connection, project_id: int, facts: Facts, version: int) -> Facts:
    """Return the same facts if the board is still the same, else what is left of them."""
    last = facts.last
    named = jobs_named(connection, project_id, last, version)
    if named is None:
        return Facts(version, version)
    news = _news(connection, project_id, named, last)
    return facts.after(version, news) if news.numbers else facts


def jobs_named(connection: Connection, project_id: int, after: int, until: int) -> set[JobKey] | None:
    """Return the jobs that the events behind one version, up to another, are about.

    None if they are too many to look at, or not all that has happened: a version without an event is a change
    of the settings, or projections that were made anew.
    """
    if not 0 <= until - after <= _MOST_EVENTS:
        return None
    query = (
        select(_event.batch_id, _event.job_id, func.count())
        .where(_event.project_id == project_id, _event.seq > after, _event.seq <= until)
        .group_by(_event.batch_id, _event.job_id)
    )
    rows = connection.execute(query).all()
    if sum(count for _, _, count in rows) != until - after:
        return None
    return {(batch_id, job_id) for batch_id, job_id, _ in rows if job_id}


def _news(connection: Connection, project_id: int, named: Collection[JobKey], last: int) -> _News:
    """Return what the events behind version `last` have done to the board. They name these jobs.

    A job that has never sent a result is not on the board, and never was.
    """
    found: dict[JobKey, tuple[int, str]] = {}
    for numbers in chunks(sorted(job_number(*key) for key in named)):
        query = select(_job.batch_id, _job.job_id, _job.job_no, _job.dataset).where(
            _job.project_id == project_id, _job.job_no.in_(numbers), _job.metrics.is_not(None)
        )
        for batch_id, job_id, number, dataset in connection.execute(query):
            found[batch_id, job_id] = number, dataset or ""
    numbers = [number for number, _ in found.values()]
    if len(found) > _MOST_RESULTS or any(_was_done(connection, project_id, key, last) for key in found):
        return _News(numbers, None)  # it may have been elsewhere before
    return _News(numbers, {dataset for _, dataset in found.values()})


def _was_done(connection: Connection, project_id: int, job: JobKey, version: int) -> bool:
    """Whether a job had sent a result by then."""
    here = and_(
        _event.project_id == project_id,
        _event.batch_id == job[0],
        _event.job_id == job[1],
        _event.event_type == "job_done",
        _event.event_type != literal_column(f"'{schema.EPOCH}'"),  # so that the index without epochs fits
    )
    # Asked for a version as well, SQLite would walk all events before it.
    return any(seq <= version for seq in connection.scalars(select(_event.seq).where(here)))
