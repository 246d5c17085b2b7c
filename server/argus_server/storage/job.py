"""One job as its page has it: its row, its epochs, what it logged, and the jobs beside which it stands."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, literal_column, or_, select

from argus_core.events import number_or_none
from argus_server.errors import UnknownJob
from argus_server.ranking.order import Standing, job_number, text_number
from argus_server.ranking.registry import Settings
from argus_server.ranking.values import flatten
from argus_server.storage import schema
from argus_server.storage.jobs import JobSummary, job_etas, jobs_and_batches, status_at, summary_of
from argus_server.storage.projections import visible_epochs
from argus_server.storage.statements import chunks, rows_where

__all__ = [
    "CellJob",
    "Epoch",
    "EventCount",
    "History",
    "JobDetail",
    "LogLine",
    "Peers",
    "Snapshot",
    "job_histories",
    "job_log",
    "job_of",
    "job_peers",
    "job_snapshots",
    "job_timeline",
]

_HEARTBEAT = "heartbeat"
_VERSION_OF_UUID = 15, 1
"""Where a UUID says its version: 7 rises with the time."""
_MOST_SEEDS = 200
_LOGS_AT_ONCE = 1000
_MOST_READ = 5000
"""Behind so many heartbeats nobody looks for lines, nor behind so many other hosts for one's load."""

_event, _job = schema.event.c, schema.job.c


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch, counted from 0; `data` as sent."""

    epoch: int
    timestamp_us: int
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class JobDetail:
    """Everything known about one job.

    Attributes:
        starts_us: the moments at which its attempts began.
        framework: whose callback has reported it; None for a loop of one's own.
        on_validation: whether its client says that the result is that of the validation set.
    """

    summary: JobSummary
    metrics: Mapping[str, Any]
    config: Any
    tags: Any
    resources: Any
    error: Any
    commit: str | None
    command: str | None
    starts_us: Sequence[int]
    epochs: Sequence[Epoch]
    framework: str | None = None
    on_validation: bool = False

    @property
    def attempts(self) -> int:
        """How often it was started; a job that only its epochs name was started too."""
        return max(1, len(self.starts_us))


@dataclass(frozen=True, slots=True)
class CellJob:
    """A job of the same model and dataset, with its metrics as they rank.

    `counts` says whether it is a part of the cell's mean, `epochs` how many its last attempt has come to.
    """

    batch_id: str
    job_id: str
    seed: str | None
    status: str
    counts: bool
    epochs: int
    metrics: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Peers:
    """Beside what a job stands: its cell by seed, and the models of its dataset.

    Attributes:
        cell: the jobs of the same model and dataset, the asked one among them.
        means: metric → model → mean over the jobs that count; None where one of them diverged.
    """

    cell: Sequence[CellJob] = ()
    means: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class History:
    """The epochs of one job among several. `start_us` is the moment of its first event."""

    status: str
    start_us: int
    epochs: Sequence[Epoch]


@dataclass(frozen=True, slots=True)
class EventCount:
    """How many events of a kind there are, and when the first and the last of them happened."""

    kind: str
    count: int
    first_us: int
    last_us: int


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a job's output."""

    timestamp_us: int
    level: str
    line: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The load of a host at a moment: name → number."""

    timestamp_us: int
    load: Mapping[str, float]


def job_of(connection: Connection, project_id: int, batch_id: str, job_id: str, now: int) -> JobDetail:
    """Return one job with its epochs. See `Queries.job`."""
    table = schema.job
    columns = [status_at(now) if column.name == "status" else column for column in table.c]
    query = select(*columns).select_from(jobs_and_batches())
    query = query.where(_job.project_id == project_id, _job.batch_id == batch_id, _job.job_id == job_id)
    row = connection.execute(query).mappings().first()
    if row is None:
        raise UnknownJob(f"no event has named a job {job_id!r} of the batch {batch_id!r}")
    starts = sorted(connection.scalars(_of_job(schema.attempt.c.timestamp_us, row)))
    epoch = schema.epoch.c
    epochs = connection.execute(_of_job((epoch.epoch, epoch.timestamp_us, epoch.data), row)).all()
    eta_s = job_etas(connection, project_id, [row], now).get(row["job_no"])
    framework = _last_said(connection, project_id, batch_id, job_id, "job_start").get("framework")
    result = _last_said(connection, project_id, batch_id, job_id, "job_done")
    return JobDetail(
        summary=summary_of(row, eta_s),
        metrics=flatten(_decode(row["metrics"]) or {}),
        config=_decode(row["config"]),
        tags=_decode(row["tags"]),
        resources=_decode(row["resources"]),
        error=_decode(row["error"]) if row["status"] == "failed" else None,
        commit=row["commit"],
        command=row["command"],
        starts_us=starts,
        epochs=[
            Epoch(number, at, msgspec.json.decode(data))
            for number, at, data in visible_epochs([tuple(item) for item in epochs], starts)
        ],
        framework=framework if isinstance(framework, str) else None,
        on_validation=result.get("final_on_validation") is True,
    )


def _last_said(
    connection: Connection, project_id: int, batch_id: str, job_id: str, event_type: str
) -> Mapping[str, Any]:
    """Return the data of the job's last event of a kind, {} if the log has none."""
    said = _said(project_id, batch_id, job_id)
    query = select(_event.payload).where(said, _event.event_type == event_type)
    payload = connection.scalar(query.order_by(_event.timestamp_us.desc(), _event.seq.desc()).limit(1))
    return _decode(payload)["data"] if payload is not None else {}


def _of_job(columns: Any, row: Mapping[Any, Any]) -> Select[Any]:
    columns = columns if isinstance(columns, tuple) else (columns,)
    table = columns[0].table
    return select(*columns).where(table.c.project_id == row["project_id"], table.c.job_no == row["job_no"])


def _decode(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)


# --- its peers --------------------------------------------------------------------------------


def job_peers(
    connection: Connection, project_id: int, settings: Settings, model: str | None, dataset: str | None
) -> Peers:
    """Return the jobs of a cell, and what the models of its dataset reached."""
    query = (
        select(_job.batch_id, _job.job_id, _job.seed, _job.status, _job.standing, _job.epoch, _job.metrics)
        .where(
            _job.project_id == project_id,
            _job.model_no == text_number(model),
            _job.dataset_no == text_number(dataset),
            _job.fast_dev_run.is_(False),
        )
        .order_by(_job.seed_place, _job.first_event_us, _job.job_no)
        .limit(_MOST_SEEDS)
    )
    cell = [
        CellJob(
            batch,
            job,
            seed,
            status,
            standing == Standing.COUNTS,
            0 if epoch is None else epoch + 1,
            settings.settle(flatten(_decode(metrics) or {}), batch),
        )
        for batch, job, seed, status, standing, epoch, metrics in connection.execute(query)
    ]
    return Peers(cell, _dataset_means(connection, project_id, settings, text_number(dataset)))


def _dataset_means(
    connection: Connection, project_id: int, settings: Settings, dataset_no: int
) -> dict[str, dict[str, float | None]]:
    """Return metric → model → mean on one dataset. A seed that diverged takes the mean with it.

    The values come from their index alone, and each job is looked at once: a join of the two looks at a job
    for each of its metrics, which took ten times as long on a dataset of four thousand jobs.
    """
    metric, key = schema.job_metric.c, schema.metric_key.c
    jobs = select(_job.job_no, _job.model).where(
        _job.project_id == project_id,
        _job.dataset_no == dataset_no,
        _job.standing == int(Standing.COUNTS),
    )
    models = {number: model or "" for number, model in connection.execute(jobs)}
    names = select(key.key_id, key.key).where(key.project_id == project_id)
    keys: dict[int, str] = {row.key_id: row.key for row in connection.execute(names)}
    query = select(metric.key_id, metric.job_no, metric.value).where(
        metric.project_id == project_id,
        metric.key_id.in_(keys),
        metric.dataset_no == dataset_no,
        metric.standing == int(Standing.COUNTS),
    )
    values: dict[tuple[int, str], list[float]] = defaultdict(list)
    odd: dict[int, list[int]] = defaultdict(list)
    for key_id, number, value in connection.execute(query).all():
        if value is None:
            odd[number].append(key_id)
        else:
            values[key_id, models[number]].append(value)
    found: dict[str, dict[str, float | None]] = defaultdict(dict)
    for (key_id, model), some in values.items():
        found[keys[key_id]][model] = _mean(some)
    for name, model in _diverged(connection, project_id, settings, odd, keys):
        found[name][model] = None
    return found


def _mean(values: Sequence[float]) -> float | None:
    """Return the mean of finite numbers; None where no float can hold their sum."""
    total = sum(values)
    return total / len(values) if math.isfinite(total) else None


def _diverged(
    connection: Connection,
    project_id: int,
    settings: Settings,
    odd: Mapping[int, Sequence[int]],
    keys: Mapping[int, str],
) -> Iterator[tuple[str, str]]:
    """Yield metric and model of the values that are numbers and not finite; text is none."""
    columns = ("job_no", "batch_id", "model", "metrics")
    for some in chunks(sorted(odd)):
        these = {"project_id": project_id, "values": some}
        for number, batch_id, model, text in connection.execute(
            rows_where(schema.job, "job_no", *columns), these
        ):
            settled = settings.settle(flatten(_decode(text) or {}), batch_id)
            for name in (keys[key_id] for key_id in odd[number]):
                if number_or_none(settled.get(name)) is not None:
                    yield name, model or ""


def job_histories(
    connection: Connection, project_id: int, keys: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], History]:
    """Return the epochs of several jobs; (batch_id, job_id) → what is known, unknown jobs left out."""
    numbers = {job_number(*key): key for key in keys}
    starts: dict[int, list[int]] = defaultdict(list)
    epochs: dict[int, list[tuple[int, int, Any]]] = defaultdict(list)
    these = {"project_id": project_id, "values": sorted(numbers)}
    for number, at in connection.execute(
        rows_where(schema.attempt, "job_no", "job_no", "timestamp_us"), these
    ):
        starts[number].append(at)
    said = rows_where(schema.epoch, "job_no", "job_no", "epoch", "timestamp_us", "data")
    for number, which, at, data in connection.execute(said, these):
        epochs[number].append((which, at, data))
    jobs = rows_where(schema.job, "job_no", "job_no", "status", "first_event_us")
    return {
        numbers[number]: History(
            status,
            start_us,
            [
                Epoch(which, at, msgspec.json.decode(data))
                for which, at, data in visible_epochs(epochs[number], starts[number])
            ],
        )
        for number, status, start_us in connection.execute(jobs, these)
    }


# --- what the event log says ------------------------------------------------------------------


def _said(project_id: int, batch_id: str, job_id: str | None) -> ColumnElement[bool]:
    """Return which events of a job, or of no job of its batch, are no epochs: an index has these.

    The kind stands there as a literal: a plan that must hold for any parameter cannot use the index.
    """
    return and_(
        _event.project_id == project_id,
        _event.batch_id == batch_id,
        _event.job_id == job_id if job_id is not None else _event.job_id.is_(None),
        _event.event_type != literal_column(f"'{schema.EPOCH}'"),
    )


def job_timeline(connection: Connection, project_id: int, batch_id: str, job_id: str) -> list[EventCount]:
    """Return what kinds of events the job has, in the order in which they began.

    Each epoch is counted once, however often it was reported.
    """
    moment, epoch = _event.timestamp_us, schema.epoch.c
    query = select(_event.event_type, func.count(), func.min(moment), func.max(moment))
    kinds = [
        EventCount(*row)
        for row in connection.execute(
            query.where(_said(project_id, batch_id, job_id)).group_by(_event.event_type)
        )
    ]
    at = epoch.timestamp_us
    count, first, last = connection.execute(
        select(func.count(), func.min(at), func.max(at)).where(
            epoch.project_id == project_id, epoch.job_no == job_number(batch_id, job_id)
        )
    ).one()
    if count:
        kinds.append(EventCount(schema.EPOCH, count, first, last))
    return sorted(kinds, key=lambda item: (item.first_us, item.last_us, item.kind))


def job_log(connection: Connection, project_id: int, batch_id: str, job_id: str, lines: int) -> list[LogLine]:
    """Return the last lines that the job has logged, in order; a heartbeat is none.

    Lines of one moment stand in the order in which they were written, which the ids of our client tell;
    those of others, whose ids are drawn, as they came.
    """
    written = case((func.substr(_event.event_id, *_VERSION_OF_UUID) == "7", _event.event_id), else_="")
    query = (
        select(_event.timestamp_us, _event.payload)
        .where(_said(project_id, batch_id, job_id), _event.event_type == "log_line")
        .order_by(_event.timestamp_us.desc(), written.desc(), _event.seq.desc())
    )
    found: list[LogLine] = []
    for start in range(0, _MOST_READ, _LOGS_AT_ONCE):
        rows = connection.execute(query.limit(_LOGS_AT_ONCE).offset(start)).all()
        for at, payload in rows:
            data = _decode(payload)["data"]
            line = data.get("line")
            if line != _HEARTBEAT and len(found) < lines:
                found.append(LogLine(at, str(data.get("level") or "info"), str(line)))
        if len(found) == lines or len(rows) < _LOGS_AT_ONCE:
            break
    return found[::-1]


def job_snapshots(connection: Connection, project_id: int, job: JobSummary, most: int) -> list[Snapshot]:
    """Return the last snapshots of the job's load, or of its batch's while it ran, in order."""
    query = (
        select(_event.timestamp_us, _event.payload)
        .where(
            or_(
                _said(project_id, job.batch_id, job.job_id),
                and_(
                    _said(project_id, job.batch_id, None),
                    _event.timestamp_us >= job.first_event_us,
                    _event.timestamp_us <= job.last_event_us,
                ),
            ),
            _event.event_type == "resource_snapshot",
        )
        .order_by(_event.timestamp_us.desc(), _event.seq.desc())
        .limit(_MOST_READ)
    )
    found: list[Snapshot] = []
    for at, payload in connection.execute(query):
        event = _decode(payload)
        load = {name: number_or_none(value) for name, value in flatten(event["data"]).items()}
        if job.host is None or event["source"].get("host") in (None, job.host):
            found.append(Snapshot(at, {name: value for name, value in load.items() if value is not None}))
        if len(found) == most:
            break
    return found[::-1]
