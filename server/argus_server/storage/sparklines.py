"""The validation loss of many jobs at once, thinned inside the database: a page shows two hundred of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, and_, func, or_, select

from argus_server.ranking.order import job_number
from argus_server.ranking.values import finite
from argus_server.storage import schema
from argus_server.storage.projections import visible_epochs
from argus_server.storage.statements import chunks

__all__ = ["JobKey", "Points", "val_losses"]

JobKey = tuple[str, str]
"""Batch and job."""
Points = Sequence[tuple[int, float]]
"""Epoch, counted from 0, and loss."""

_POINTS = 16
"""About so many epochs of a job are read: a sparkline is not wide enough for more."""

_job, _epoch, _attempt = schema.job.c, schema.epoch.c, schema.attempt.c


class _Losses(msgspec.Struct):
    val_loss: Any = None


_decode = msgspec.json.Decoder(_Losses).decode


def val_losses(connection: Connection, project_id: int, jobs: Sequence[JobKey]) -> dict[JobKey, Points]:
    """Return the finite validation losses of these jobs, of every so many epochs and of the last one.

    As on a job's own page, a later attempt replaces the epochs after its own first one.
    """
    by_number = {job_number(*job): job for job in jobs}
    starts = _starts(connection, project_id, sorted(by_number))
    found: dict[JobKey, Points] = {}
    for number, epochs in _epochs(connection, project_id, sorted(by_number), starts).items():
        seen = visible_epochs(epochs, starts.get(number, ()))
        losses = ((epoch, finite(_decode(data).val_loss)) for epoch, _, data in seen)
        points = [(epoch, loss) for epoch, loss in losses if loss is not None]
        if points:
            found[by_number[number]] = points
    return found


def _starts(connection: Connection, project_id: int, numbers: Sequence[int]) -> Mapping[int, Sequence[int]]:
    """Return when the attempts of those jobs began that were tried more than once."""
    starts: dict[int, list[int]] = defaultdict(list)
    for some in chunks(numbers):
        query = select(_attempt.job_no, _attempt.timestamp_us).where(
            _attempt.project_id == project_id, _attempt.job_no.in_(some)
        )
        for number, moment in connection.execute(query):
            starts[number].append(moment)
    return {number: moments for number, moments in starts.items() if len(moments) > 1}


def _epochs(
    connection: Connection, project_id: int, numbers: Sequence[int], retried: Mapping[int, Any]
) -> Mapping[int, list[tuple[int, int, Any]]]:
    """Return the epochs that are looked at, by job: all of those that were tried again."""
    found: dict[int, list[tuple[int, int, Any]]] = defaultdict(list)
    step = func.coalesce(_job.epoch, 0) // _POINTS + 1
    same = and_(_job.project_id == _epoch.project_id, _job.job_no == _epoch.job_no)
    for some in chunks(numbers):
        query = (
            select(_epoch.job_no, _epoch.epoch, _epoch.timestamp_us, _epoch.data)
            .select_from(schema.job.join(schema.epoch, same))
            .where(
                _job.project_id == project_id,
                _job.job_no.in_(some),
                or_(
                    _epoch.epoch % step == 0,
                    _epoch.epoch == _job.epoch,
                    _epoch.job_no.in_([number for number in some if number in retried]),
                ),
            )
        )
        for number, epoch, moment, data in connection.execute(query).all():
            found[number].append((epoch, moment, data))
    return found
