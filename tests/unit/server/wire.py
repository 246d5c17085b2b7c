"""Events as a client would send them, for tests: plain dicts, and `Event`s made of them."""

from __future__ import annotations

import itertools
import uuid
from typing import Any

from argus_core.events import Event, decode_event

_numbers = itertools.count()
START = 1_767_225_600  # 2026-01-01
NOW_US = (START + 600) * 1_000_000
"""What the clock of a store under test shows: little time has passed since the events."""


def body(
    kind: str, job: str | None = None, *, at: int = 0, batch: str = "b", project: str = "p", **data: Any
) -> dict:
    """Return one envelope; `at` is in seconds after the beginning of 2026."""
    return {
        "event_id": str(uuid.uuid5(uuid.NAMESPACE_OID, str(next(_numbers)))),
        "schema_version": "1.1",
        "event_type": kind,
        "timestamp": f"2026-01-01T{at // 3600:02}:{at // 60 % 60:02}:{at % 60:02}Z",
        "batch_id": batch,
        "job_id": job,
        "source": {"project": project},
        "data": data,
    }


def event(kind: str, job: str | None = None, **more: Any) -> Event:
    return decode_event(body(kind, job, **more))


def start(
    job: str, model: Any = "m", dataset: Any = "d", seed: Any = 0, *, at: int = 0, **more: Any
) -> Event:
    return event("job_start", job, at=at, model=model, dataset=dataset, seed=seed, **more)


def epoch(job: str, number: int, *, at: int = 1, **more: Any) -> Event:
    return event("job_epoch", job, at=at, epoch=number, **more)


def done(job: str, *, at: int = 9, batch: str = "b", project: str = "p", **metrics: Any) -> Event:
    return event("job_done", job, at=at, batch=batch, project=project, metrics=metrics, elapsed_s=1.5)


def failed(job: str, reason: str = "ValueError: boom", *, at: int = 9, **more: Any) -> Event:
    return event("job_failed", job, at=at, reason=reason, **more)


def job(
    name: str, model: Any = "m", dataset: Any = "d", seed: Any = 0, *, at: int = 0, **metrics: Any
) -> list[Event]:
    """Return a job from its start to its end."""
    return [start(name, model, dataset, seed, at=at), done(name, at=at + 9, **metrics)]
