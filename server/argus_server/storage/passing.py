"""Which jobs of a board pass its filters, as the database is asked for it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    Float,
    FromClause,
    Select,
    SelectBase,
    bindparam,
    exists,
    false,
    intersect,
    literal,
    or_,
    select,
)

from argus_server.ranking.board import Wanted
from argus_server.ranking.order import Standing, text_number
from argus_server.ranking.view import Condition
from argus_server.storage import schema
from argus_server.storage.folding import EVERY, FACETS
from argus_server.storage.statements import contains

__all__ = ["Filters"]

_MANY = 10
"""A filter passes many jobs if one of this many does: then metrics are looked up by value, not job by job."""
_MOST_NAMES = 20_000
"""Of so many names the numbers fit into a statement."""

_SIGNS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}

_job, _metric = schema.job.c, schema.job_metric.c


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters of one project's board.

    Attributes:
        project_id: the project.
        key_ids: number of each metric's name.
        names: see `Board.names`.
    """

    project_id: int
    key_ids: Mapping[str, int]
    names: Callable[[str], Sequence[tuple[str, int]]]

    def total(self, wanted: Wanted) -> int | None:
        """Return how many jobs pass, if counts that are kept say so: without a filter, or with one facet."""
        if wanted.is_everything:
            return sum(count for _, count in self.names(EVERY))
        chosen = [name for name in FACETS if getattr(wanted, name)]
        if len(chosen) != 1 or wanted != Wanted(**{chosen[0]: getattr(wanted, chosen[0])}):
            return None
        return self._chosen(wanted, chosen[0])

    def passing(self, wanted: Wanted) -> SelectBase:
        """Return the SELECT of the numbers of all jobs that pass.

        Other than metrics, `ix_job_filter` answers everything. Each bound on a metric is a stretch of an
        index by value: where many jobs pass all else, reading these stretches and taking what they share
        is a tenth to a thousandth of the work of looking up the metrics of one job after the other.
        """
        if not wanted.conditions or not self._pass_many(wanted):
            return self.listed(select(_job.job_no), wanted)
        parts: list[Select[Any]] = [self._within(bound, wanted.dataset) for bound in wanted.conditions]
        if self.needs_job(wanted):
            parts.append(self.listed(select(_job.job_no), replace(wanted, conditions=())))
        return parts[0] if len(parts) == 1 else intersect(*parts)

    def listed(self, query: Select[Any], wanted: Wanted, table: FromClause = schema.job) -> Select[Any]:
        """Return a SELECT from `table`, which has the jobs, of those on the board that pass."""
        return query.select_from(table).where(
            _job.project_id == self.project_id,
            _job.standing != int(Standing.ABSENT),
            *self.columns(wanted),
            *self.bounds(wanted, _job),
        )

    def needs_job(self, wanted: Wanted) -> bool:
        """Whether some filter is about more than what the rows of metrics say: their values and datasets."""
        return replace(wanted, conditions=(), dataset=()) != Wanted()

    def bounds(self, wanted: Wanted, row: Any) -> list[Any]:
        """Return which metrics a job must have, whose number the columns of `row` say, for it to pass."""
        return [self._holds(condition, row) for condition in wanted.conditions]

    def columns(self, wanted: Wanted) -> list[Any]:
        """Return what the row of a job must be, for the job to pass all filters but those by metrics."""
        conditions: list[Any] = []
        for name in FACETS:
            values = getattr(wanted, name)
            if values and name == "batch":
                conditions.append(_job.batch_id.in_(values))
            elif values:
                conditions.append(_job[f"{name}_no"].in_([text_number(value) for value in values]))
        if wanted.text:
            conditions.append(self._named(wanted.text))
        return conditions

    def _chosen(self, wanted: Wanted, field: str) -> int:
        values = getattr(wanted, field)
        return sum(count for value, count in self.names(field) if value in values)

    def _pass_many(self, wanted: Wanted) -> bool:
        """Whether many jobs may pass the filters other than metrics."""
        chosen = [self._chosen(wanted, name) for name in FACETS if getattr(wanted, name)]
        return not chosen or min(chosen) * _MANY > sum(count for _, count in self.names(EVERY))

    def _named(self, text: str) -> Any:
        """Return whether a job has a name with this text in it; nothing can be looked for behind a NUL."""
        if "\0" in text:
            return false()
        ways = [contains(_job.job_id, text), contains(_job.batch_id, text)]
        for field in ("model", "dataset"):
            found = [name for name, _ in self.names(field) if text.lower() in name.lower()]
            if len(found) > _MOST_NAMES:
                ways.append(contains(_job[field], text))
            elif found:
                numbers = [text_number(name) for name in found]
                # part of the text: there are more of them than a statement may have parameters
                ways.append(_job[f"{field}_no"].in_(bindparam(None, numbers, literal_execute=True)))
        return or_(*ways)

    def _within(self, condition: Condition, datasets: Sequence[str]) -> Select[Any]:
        """Return the SELECT of the jobs with a metric within a bound, on some datasets or on all."""
        query = select(_metric.job_no).where(
            _metric.project_id == self.project_id,
            _metric.key_id == self.key_ids.get(condition.key, -1),
            _metric.standing.in_([int(Standing.COUNTS), int(Standing.SUPERSEDED)]),
            _compared(_metric.value, condition),
        )
        if datasets:
            query = query.where(_metric.dataset_no.in_([text_number(name) for name in datasets]))
        return query

    def _holds(self, condition: Condition, row: Any) -> Any:
        """Return whether a job has a metric within a bound."""
        other = schema.job_metric.alias().c
        return exists().where(
            other.project_id == row.project_id,
            other.job_no == row.job_no,
            other.key_id == self.key_ids.get(condition.key, -1),
            _compared(other.value, condition),
        )


def _compared(value: Any, condition: Condition) -> Any:
    return _SIGNS[condition.sign](value, literal(condition.bound, Float))
