"""What each project says of its metrics and names, as `ranking.registry.Settings`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, RowMapping, select, update
from sqlalchemy.exc import SQLAlchemyError

from argus_server.errors import StoreError, UnknownProject
from argus_server.ranking.registry import MetricSetting, Settings
from argus_server.storage import schema
from argus_server.storage.dialect import transaction
from argus_server.storage.locked import LockedProject
from argus_server.storage.metric_rows import rank_jobs
from argus_server.storage.statements import chunks

__all__ = ["ProjectSettings", "RegisteredMetric"]


@dataclass(frozen=True, slots=True)
class RegisteredMetric:
    """A metric name that jobs have sent, in `count` results; `min` and `max` of its finite values as sent."""

    key: str
    count: int
    min: float | None
    max: float | None
    first_seen_us: int
    last_seen_us: int
    declared: str | None


class ProjectSettings:
    """The settings of all projects. Any thread."""

    def __init__(self, reader: Engine, writer: Engine) -> None:
        self._reader, self._writer = reader, writer

    def read(self, project: str) -> Settings:
        """Return the settings of a project.

        Raises:
            UnknownProject: no event has named it.
        """
        with transaction(self._reader) as connection:
            return Settings.decode(_row(connection, project)["settings"])

    def registry(self, project: str) -> list[RegisteredMetric]:
        """Return every metric name that a job of the project has sent, aliases too, by name.

        Raises:
            UnknownProject: no event has named it.
        """
        table = schema.metric_key.c
        columns = (getattr(table, name) for name in RegisteredMetric.__dataclass_fields__)
        with transaction(self._reader) as connection:
            project_id = _row(connection, project)["id"]
            query = select(*columns).where(table.project_id == project_id, table.count > 0)
            return sorted(
                (RegisteredMetric(*row) for row in connection.execute(query)), key=lambda item: item.key
            )

    def change(self, project: str, change: Callable[[Settings], Settings]) -> Settings:
        """Replace the settings of a project by what `change` makes of them, and return that.

        Nobody else writes to the project meanwhile. Where a value ranks under another name, or as another
        number, than before, its job is ranked anew; the events stay as they were sent. The project gets a
        new version, so that open pages ask again.

        Raises:
            UnknownProject: no event has named it.
            BadSettings: the new settings contradict themselves; nothing has changed.
            StoreError: nothing has changed.
        """
        try:
            with self._writer.begin() as connection:
                _row(connection, project)  # a project that nobody has named is not made here
                locked = LockedProject(connection, project)
                before, after = locked.settings, change(locked.settings)
                after.check()
                if after == before:
                    return after
                locked.settings = after
                _rank_again(connection, locked, _changed(before, after))
                locked.next("last_seq")
                table = schema.project
                connection.execute(
                    update(table).where(table.c.id == locked.id).values(settings=after.encode())
                )
                locked.save()
        except SQLAlchemyError as error:
            raise StoreError(f"the settings of {project!r} are as they were: {error}") from error
        return after


def _row(connection: Connection, project: str) -> RowMapping:
    table = schema.project.c
    row = connection.execute(select(table.id, table.settings).where(table.name == project)).mappings().first()
    if row is None:
        raise UnknownProject(project, sorted(connection.scalars(select(table.name))))
    return row


def _changed(before: Settings, after: Settings) -> set[str]:
    """Return the names under which values that rank differently now were, or may have been, filed."""
    names: set[str] = set()
    for key in before.metrics.keys() | after.metrics.keys():
        old, new = before.metric(key), after.metric(key)
        if _filing(old) != _filing(new):
            names |= {key, before.canonical(key)}
    return names


def _filing(setting: MetricSetting) -> tuple[object, ...]:
    return setting.alias_of, setting.corrections


def _rank_again(connection: Connection, project: LockedProject, names: set[str]) -> None:
    """Write the metric rows anew of every job that has a value under one of these names."""
    job, metric, key = schema.job.c, schema.job_metric.c, schema.metric_key.c
    ids = list(connection.scalars(select(key.key_id).where(key.project_id == project.id, key.key.in_(names))))
    query = select(metric.job_no).where(metric.project_id == project.id, metric.key_id.in_(ids)).distinct()
    numbers: Sequence[int] = sorted(connection.scalars(query))
    columns = (job.job_no, job.batch_id, job.standing, job.dataset_no, job.metrics)
    for some in chunks(numbers):
        rows = connection.execute(select(*columns).where(job.project_id == project.id, job.job_no.in_(some)))
        rank_jobs(connection, project, rows.mappings().all())
