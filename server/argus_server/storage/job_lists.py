"""Lists of jobs: which pass some filters, in what order, and what else could be filtered for.

What the counts of facets can answer is not counted again; models, datasets and batches have an index. Only
text that is searched for, and seeds, hosts and users beside other filters, make a look at every job.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, literal, or_, select, union_all

from argus_server.ranking.order import text_number
from argus_server.storage import schema
from argus_server.storage.folding import EVERY, FACETS, LISTED
from argus_server.storage.jobs import (
    JobSummary,
    all_statuses,
    job_etas,
    jobs_and_batches,
    status_at,
    summary_columns,
    summary_of,
)
from argus_server.storage.statements import contains

__all__ = ["ORDERS", "JobFacet", "JobFilter", "JobList", "job_facets", "list_jobs"]

ORDERS = ("latest", "oldest", "longest", "shortest")
_STORED = ("running", "done", "failed")
"""What the fold knows. What it calls running may be stalled or untested by now."""
_ENDED = {"done", "failed"}
_NUMBERED = {"model": "model_no", "dataset": "dataset_no"}
_TEXTS = ("model", "dataset", "job_id", "batch_id")


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs of a project to list. Empty filters keep all. `page` counts from 1.

    Attributes:
        text: part of the model's, dataset's, job's or batch's name.
        sort: one of ORDERS: by the latest event, the first one, or by how long they took or have taken.
    """

    status: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    dataset: tuple[str, ...] = ()
    batch: tuple[str, ...] = ()
    seed: tuple[str, ...] = ()
    host: tuple[str, ...] = ()
    user: tuple[str, ...] = ()
    text: str = ""
    sort: str = "latest"
    page: int = 1
    page_rows: int | None = 200

    @property
    def fields(self) -> list[str]:
        """The facets in which values are chosen."""
        return [name for name in FACETS if getattr(self, name)]


@dataclass(frozen=True, slots=True)
class JobList:
    """One page of jobs, and how many pass the other filters in each status."""

    jobs: Sequence[JobSummary]
    total: int
    counts: Mapping[str, int]
    models: Sequence[str]
    datasets: Sequence[str]


@dataclass(frozen=True, slots=True)
class JobFacet:
    """The most frequent values of a field, and how many values there are."""

    name: str
    counts: Mapping[str, int]
    total: int


def list_jobs(connection: Connection, project_id: int, wanted: JobFilter, now: int) -> JobList:
    """Return one page of a project's jobs. See `Queries.jobs`."""
    counts = _by_status(connection, project_id, wanted, now)
    total = sum(count for name, count in counts.items() if not wanted.status or name in wanted.status)
    query = select(schema.job.c.job_no, *summary_columns(now)).select_from(jobs_and_batches())
    if wanted.page_rows is not None and wanted.sort == "latest" and _is_walked(wanted):
        numbers = list(connection.scalars(_latest(project_id, wanted)))
        query = query.where(schema.job.c.project_id == project_id, schema.job.c.job_no.in_(numbers))
    else:
        query = query.where(*_conditions(project_id, wanted, now))
        if wanted.page_rows is not None:
            query = query.limit(wanted.page_rows).offset((wanted.page - 1) * wanted.page_rows)
    rows = connection.execute(query.order_by(*_order(wanted.sort, now))).mappings().all()
    etas = job_etas(connection, project_id, rows, now)
    jobs = [summary_of(row, etas.get(row["job_no"])) for row in rows]
    models, datasets = (
        sorted(value or "" for value in connection.scalars(_named(project_id, name)))
        for name in ("model", "dataset")
    )
    return JobList(jobs, total, all_statuses(counts), models, datasets)


def job_facets(
    connection: Connection, project_id: int, wanted: JobFilter, fields: Sequence[str], most: int, now: int
) -> list[JobFacet]:
    """Return what the jobs that pass the other filters have in each field. See `Queries.job_facets`."""
    facets: dict[str, Any] = {}
    together: list[str] = []
    for name in fields:
        others = replace(wanted, **{name: ()})  # type: ignore[arg-type]
        if not others.fields and not others.text and set(others.status) <= _ENDED:
            facets[name] = connection.execute(_counted(project_id, name, others.status, most)).all()
        elif others == wanted:
            together.append(name)
        else:
            facets[name] = connection.execute(_grouped(project_id, others, [name], most, now)).all()
    if together:
        rows = connection.execute(_grouped(project_id, wanted, together, most, now)).all()
        for name in together:
            facets[name] = [row for row in rows if row.name == name]
    return [
        JobFacet(
            name,
            {row.value or "": int(row.n) for row in facets[name]},
            int(facets[name][0].total) if facets[name] else 0,
        )
        for name in fields
    ]


# --- counting ---------------------------------------------------------------------------------


def _by_status(connection: Connection, project_id: int, wanted: JobFilter, now: int) -> Counter[str]:
    """Return how many jobs pass the filters, but that by status, in each status."""
    wanted = replace(wanted, status=())
    counts: Counter[str] = Counter()
    facet, job = schema.facet.c, schema.job.c
    if len(wanted.fields) <= 1 and not wanted.text:
        name = wanted.fields[0] if wanted.fields else EVERY
        query: Select[Any] = select(facet.status, func.sum(facet.n)).where(
            facet.project_id == project_id, facet.field == name, facet.status != LISTED
        )
        if wanted.fields:
            numbers = [text_number(value) for value in getattr(wanted, name)]
            query = query.where(facet.value_no.in_(numbers))
        query = query.group_by(facet.status)
    else:
        query = select(job.status, func.count()).where(*_conditions(project_id, wanted, now))
        query = query.group_by(job.status)
    for status, count in connection.execute(query):
        counts[status] = int(count)
    if counts.pop("running", 0):
        status = status_at(now)
        running = select(status, func.count()).select_from(jobs_and_batches())
        running = running.where(job.status == "running", *_conditions(project_id, wanted, now))
        for name, count in connection.execute(running.group_by(status)):
            counts[name] = count
    return counts


def _counted(project_id: int, name: str, statuses: Sequence[str], most: int) -> Select[Any]:
    """Return the SELECT of a field's values from their counts: no job is looked at."""
    facet, n = schema.facet.c, func.sum(schema.facet.c.n)
    query = select(
        literal(name).label("name"), facet.value, n.label("n"), func.count().over().label("total")
    ).where(
        facet.project_id == project_id,
        facet.field == name,
        facet.status.in_(statuses or _STORED),
        facet.n > 0,
    )
    return query.group_by(facet.value_no, facet.value).order_by(n.desc(), facet.value_no).limit(most)


def _grouped(project_id: int, wanted: JobFilter, names: Sequence[str], most: int, now: int) -> Any:
    """Return the SELECT of the values of the jobs that pass the filters, counted in one look at them."""
    job = schema.job.c
    columns = [job[FACETS[name]].label(name) for name in names]
    passing = select(*columns).select_from(jobs_and_batches())
    matched = passing.where(*_conditions(project_id, wanted, now)).cte()
    parts = []
    for name in names:
        value = func.coalesce(matched.c[name], "")
        part = (
            select(
                literal(name).label("name"),
                value.label("value"),
                func.count().label("n"),
                func.count().over().label("total"),
            )
            .group_by(value)
            .order_by(func.count().desc(), value)
            .limit(most)
            .subquery()
        )
        parts.append(select(part))
    return union_all(*parts)


def _named(project_id: int, name: str) -> Select[Any]:
    """Return the SELECT of the values that any job has, from their counts: no job is looked at."""
    facet = schema.facet.c
    return (
        select(facet.value).where(facet.project_id == project_id, facet.field == name, facet.n > 0).distinct()
    )


# --- filters ----------------------------------------------------------------------------------


def _conditions(project_id: int, wanted: JobFilter, now: int) -> list[ColumnElement[bool]]:
    """Return what a job must be like; statuses that are not stored need jobs joined with their batches."""
    job = schema.job.c
    found = [job.project_id == project_id]
    for name in wanted.fields:
        values = getattr(wanted, name)
        if name in _NUMBERED:
            found.append(job[_NUMBERED[name]].in_([text_number(value) for value in values]))
        elif name == "batch":
            found.append(job.batch_id.in_(values))
        else:
            found.append(func.coalesce(job[FACETS[name]], "").in_(values))
    if wanted.text:
        found.append(or_(*(contains(job[name], wanted.text) for name in _TEXTS)))
    if wanted.status:
        found.append(_has_status(wanted.status, now))
    return found


def _has_status(statuses: Sequence[str], now: int) -> ColumnElement[bool]:
    job = schema.job.c
    stored = [name for name in statuses if name in _ENDED]
    seeming = [name for name in statuses if name not in stored]
    if not seeming:
        return job.status.in_(stored)
    seems = status_at(now).in_(seeming)
    return and_(  # the first, which follows from the second, is what an index can answer
        job.status.in_([*stored, "running"]),
        or_(job.status.in_(stored), and_(job.status == "running", seems)) if stored else seems,
    )


# --- order ------------------------------------------------------------------------------------


def _order(sort: str, now: int) -> list[Any]:
    job = schema.job.c
    end = case((job.status == "running", now), else_=func.coalesce(job.ended_us, job.last_event_us))
    took = func.coalesce(job.elapsed_s, (end - job.started_us) / 1e6)
    first: dict[str, list[Any]] = {
        "latest": [job.last_event_us.desc()],
        "oldest": [job.first_event_us],
        "longest": [took.is_(None), took.desc()],
        "shortest": [took.is_(None), took],
    }
    return [*first[sort], job.batch_id, job.job_id]


def _is_walked(wanted: JobFilter) -> bool:
    """Whether an index has the jobs in order: all of them, or those that have ended so."""
    return not wanted.fields and not wanted.text and set(wanted.status) <= _ENDED


def _latest(project_id: int, wanted: JobFilter) -> Select[Any]:
    """Return the SELECT of the jobs on a page, the latest first; a page costs the pages before it."""
    job, rows = schema.job.c, wanted.page_rows or 0
    order = (job.last_event_us.desc(), job.batch_id, job.job_id)
    parts = [
        select(
            select(job.job_no, job.last_event_us, job.batch_id, job.job_id)
            .where(job.project_id == project_id, job.status == status)
            .order_by(*order)
            .limit(wanted.page * rows)
            .subquery()
        )
        for status in wanted.status or _STORED
    ]
    found = union_all(*parts).subquery().c
    return (
        select(found.job_no)
        .order_by(found.last_event_us.desc(), found.batch_id, found.job_id)
        .limit(rows)
        .offset((wanted.page - 1) * rows)
    )
