"""What was worked out about the boards of projects, for as long as it is true.

A version of a project is the number of its latest event. Most events, an epoch or a line of a log, change
no board: what is known of one outlives them. A result changes the board, and little of what decides how its
columns look.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, func, literal_column, select

from argus_server.ranking.order import job_number
from argus_server.storage import schema
from argus_server.storage.statements import chunks
from argus_server.weighed import WeighedCache

__all__ = ["ALL_JOBS", "CONTESTS", "SAMPLE", "Facts", "FactsCache", "JobKey", "jobs_named"]

JobKey = tuple[str, str]
"""Batch and job."""

ALL_JOBS = 2**63
"""Larger than the number of any job."""
SAMPLE = "sample"
"""The name of the sample of a board, and the number of the job up to which a result may change it."""
CONTESTS = "contests"
"""The name of the directions of metrics, and of dataset → key → the best values. See `Board.contests`."""
_PROJECTS_REMEMBERED = 10_000
_MOST_EVENTS = 5000
"""After more events it costs more to read what they were about than to work everything out anew."""
_MOST_RESULTS = 50

_event, _job = schema.event.c, schema.job.c


@dataclass(eq=False)
class Facts:
    """What was worked out about a board, by name, as far as it is remembered.

    Attributes:
        first, last: from which to which version of the project the board has been this one.
        answers: where they are kept: with those about other boards, or alone where a later board is known.
    """

    first: int
    last: int
    answers: WeighedCache

    def recall(self, name: str) -> Any:
        """Return what is remembered by this name.

        Raises:
            KeyError: nothing is, or no longer.
        """
        return self.answers.recall(self, name)

    def keep(self, name: str, answer: Any) -> None:
        """Remember an answer, which nobody changes any more."""
        answers = self.answers
        answers.keep(self, name, answer)
        if self.answers is not answers:  # a later board became known meanwhile
            answers.forget(self)

    def after(self, version: int, news: _News, answers: WeighedCache) -> Facts:
        """Return what is still true at a later version, kept among these answers."""
        found = Facts(version, version, answers)
        with suppress(KeyError):
            sample, until = self.recall(SAMPLE)
            if min(news.numbers) > until:
                found.keep(SAMPLE, (sample, until))
        if news.datasets is not None:
            with suppress(KeyError):
                directions, known = self.recall(CONTESTS)
                kept = {name: of_it for name, of_it in known.items() if name not in news.datasets}
                found.keep(CONTESTS, (directions, kept))
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
    """The facts of projects, each as of the latest version that was asked about. Any thread.

    Args:
        most_bytes: what all of them may take in memory. What was not asked for longest is forgotten first.
    """

    def __init__(self, most_bytes: int) -> None:
        self._facts: OrderedDict[int, Facts] = OrderedDict()
        self._lock = threading.Lock()
        self._most_bytes = most_bytes
        self.answers = WeighedCache(most_bytes)

    def of(self, connection: Connection, project_id: int, version: int) -> Facts:
        """Return what is known of a project's board at this version, that of the connection's transaction."""
        with self._lock:
            known = self._facts.get(project_id)
        facts = known
        if facts is None or version < facts.first:
            facts = Facts(version, version, self.answers)
        elif version > facts.last:
            facts = _later(connection, project_id, facts, version, self.answers)
        return self._latest(project_id, facts, version)

    def _latest(self, project_id: int, facts: Facts, version: int) -> Facts:
        """Remember these facts unless somebody has seen a later board; return what to go by."""
        with self._lock:
            current = self._facts.get(project_id)
            if current is not None and current.first <= version <= current.last:
                if facts is not current:
                    self._let_go(facts)
                facts = current
            elif current is None or version > current.last:
                if current is not facts and current is not None:
                    self._let_go(current)
                facts.last, facts.answers = version, self.answers
                self._facts[project_id] = facts
            else:
                self._let_go(facts)
                return facts  # a reader of an older moment, to which these belong
            self._facts.move_to_end(project_id)
            if len(self._facts) > _PROJECTS_REMEMBERED:
                self._let_go(self._facts.popitem(last=False)[1])
        return facts

    def _let_go(self, facts: Facts) -> None:
        """Forget facts; who still reads their board goes on by itself, and what it keeps goes with it."""
        if facts.answers is self.answers:
            facts.answers = WeighedCache(self._most_bytes)
            self.answers.forget(facts)


def _later(
    connection: Connection, project_id: int, facts: Facts, version: int, answers: WeighedCache
) -> Facts:
    """Return the same facts if the board is still the same, else what is left of them."""
    last = facts.last
    named = jobs_named(connection, project_id, last, version)
    if named is None:
        return Facts(version, version, answers)
    news = _news(connection, project_id, named, last)
    return facts.after(version, news, answers) if news.numbers else facts


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
