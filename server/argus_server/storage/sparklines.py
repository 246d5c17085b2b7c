"""The validation loss of many jobs at once, thinned inside the database: a page shows two hundred of them."""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, and_, bindparam, func, or_, select

from argus_server.ranking.order import job_number
from argus_server.ranking.values import finite
from argus_server.storage import schema
from argus_server.storage.facts import JobKey, jobs_named
from argus_server.storage.projections import visible_epochs
from argus_server.storage.statements import among, chunks, fetch

__all__ = ["Curves", "Points"]

Points = tuple[tuple[int, float], ...]
"""Epoch, counted from 0, and loss."""

_POINTS = 16
"""About so many epochs of a job are read: a sparkline is not wide enough for more."""
_KEPT = 4000
"""So many curves are kept, 2 kB each at most."""

_job, _epoch, _attempt = schema.job.c, schema.epoch.c, schema.attempt.c


class _Losses(msgspec.Struct, gc=False):
    val_loss: Any = None


_decode = msgspec.json.Decoder(_Losses).decode


@dataclass
class _Kept:
    """The curves of one project that are true at one of its versions; empty ones too."""

    version: int
    curves: OrderedDict[JobKey, Points] = field(default_factory=OrderedDict)


class Curves:
    """The curves of jobs, those that were asked for lately from memory. Any thread."""

    def __init__(self) -> None:
        self._projects: OrderedDict[int, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def of(
        self, connection: Connection, project: Mapping[Any, Any], jobs: Sequence[JobKey]
    ) -> dict[JobKey, Points]:
        """Return the finite validation losses of these jobs, of every so many epochs and of the last one.

        As on a job's own page, a later attempt replaces the epochs after its own first one.

        Args:
            connection: whose transaction has read the row of the project.
            project: that row.
            jobs: those without a curve are left out.
        """
        project_id, version = project["id"], project["last_seq"]
        found = self._remembered(connection, project_id, version, jobs)
        missing = [job for job in jobs if job not in found]
        if missing:
            read = _val_losses(connection, project_id, missing)
            found |= {job: read.get(job, ()) for job in missing}
            self._keep(project_id, version, {job: found[job] for job in missing})
        return {job: points for job, points in found.items() if points}

    def _remembered(
        self, connection: Connection, project_id: int, version: int, jobs: Sequence[JobKey]
    ) -> dict[JobKey, Points]:
        """Return the curves that are known to be true at a version, those of jobs without one too."""
        with self._lock:
            kept = self._projects.get(project_id)
            last = kept.version if kept is not None else version
        changed = jobs_named(connection, project_id, last, version) if last < version else set()
        with self._lock:
            kept = self._projects.get(project_id)
            if kept is None or kept.version > version:
                return {}
            if kept.version < version:
                if changed is None or kept.version != last:
                    kept.curves.clear()
                for job in changed or ():
                    kept.curves.pop(job, None)
                kept.version = version
            self._projects.move_to_end(project_id)
            found = {job: kept.curves[job] for job in jobs if job in kept.curves}
            for job in found:
                kept.curves.move_to_end(job)
            return found

    def _keep(self, project_id: int, version: int, curves: Mapping[JobKey, Points]) -> None:
        with self._lock:
            kept = self._projects.setdefault(project_id, _Kept(version))
            if kept.version != version:  # somebody has seen a later one
                return
            kept.curves.update(curves)
            while sum(len(each.curves) for each in self._projects.values()) > _KEPT:
                oldest = next(iter(self._projects))
                if oldest == project_id:
                    kept.curves.popitem(last=False)
                else:
                    del self._projects[oldest]


def _val_losses(connection: Connection, project_id: int, jobs: Sequence[JobKey]) -> dict[JobKey, Points]:
    by_number = {job_number(*job): job for job in jobs}
    found: dict[JobKey, Points] = {}
    for numbers in chunks(sorted(by_number)):
        starts = _starts(connection, project_id, numbers)
        epochs: dict[int, list[tuple[int, int, Any]]] = defaultdict(list)
        asked = {"project": project_id}
        plain = [number for number in numbers if number not in starts]
        for number, epoch, moment, data in fetch(connection, _some_epochs(), asked, plain):
            epochs[number].append((epoch, moment, data))
        for number, epoch, moment, data in fetch(connection, _all_epochs(), asked, [*starts]):
            epochs[number].append((epoch, moment, data))
        for number, some in epochs.items():
            seen = _thinned(visible_epochs(some, starts[number])) if number in starts else some
            losses = [(epoch, _decode(data).val_loss) for epoch, _, data in seen]
            found[by_number[number]] = tuple(
                [(epoch, value) for epoch, loss in losses if (value := finite(loss)) is not None]
            )
    return found


def _thinned(epochs: Sequence[tuple[int, int, Any]]) -> Sequence[tuple[int, int, Any]]:
    """Return those of all epochs of a job, ascending, that `_some_epochs` reads of others."""
    last = epochs[-1][0] if epochs else 0
    step = last // _POINTS + 1
    return [item for item in epochs if item[0] % step == 0 or item[0] == last]


def _starts(connection: Connection, project_id: int, numbers: Sequence[int]) -> Mapping[int, Sequence[int]]:
    """Return when the attempts of those jobs began that were tried more than once."""
    starts: dict[int, list[int]] = defaultdict(list)
    for number, moment in fetch(connection, _attempts(), {"project": project_id}, numbers):
        starts[number].append(moment)
    return {number: moments for number, moments in starts.items() if len(moments) > 1}


@cache
def _attempts() -> Select[Any]:
    return select(_attempt.job_no, _attempt.timestamp_us).where(
        _attempt.project_id == bindparam("project"), among(_attempt.job_no)
    )


@cache
def _all_epochs() -> Select[Any]:
    """Return the SELECT of all epochs of jobs, for those of which another attempt may have replaced some."""
    return (
        select(_epoch.job_no, _epoch.epoch, _epoch.timestamp_us, _epoch.data)
        .where(_epoch.project_id == bindparam("project"), among(_epoch.job_no))
        .order_by(_epoch.job_no, _epoch.epoch)
    )


@cache
def _some_epochs() -> Select[Any]:
    """Return the SELECT of about so many epochs of each job as are looked at."""
    step = func.coalesce(_job.epoch, 0) // _POINTS + 1
    same = and_(_job.project_id == _epoch.project_id, _job.job_no == _epoch.job_no)
    return (
        select(_epoch.job_no, _epoch.epoch, _epoch.timestamp_us, _epoch.data)
        .select_from(schema.job.join(schema.epoch, same))
        .where(
            _job.project_id == bindparam("project"),
            among(_job.job_no),
            or_(_epoch.epoch % step == 0, _epoch.epoch == _job.epoch),
        )
        .order_by(_epoch.job_no, _epoch.epoch)
    )
