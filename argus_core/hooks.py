"""Report from a custom loop without passing a `Reporter` around.

::

    from argus_core import hooks

    hooks.batch_start("sweep", project="my-paper", n_total=2)
    hooks.job_start("j1", model="patchtst", dataset="etth1", seed=0)
    hooks.job_epoch(0, train_loss=0.5, val_loss=0.6)
    hooks.job_done({"MSE": 0.38})
    hooks.batch_done()

There is one current batch in a process, and one current job in a thread (or asyncio task): what a
thread starts is its own. A call that lacks its predecessor does what was meant: `job_start` opens a
batch, a call without a job is logged, once, and does nothing. Nothing here raises or waits, and
what was not closed is closed at exit, as `Reporter` does it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Literal

from argus_core.guard import never_raise
from argus_core.reporter import Job, Reporter

__all__ = [
    "batch_done",
    "batch_failed",
    "batch_start",
    "current_job",
    "current_reporter",
    "job_done",
    "job_epoch",
    "job_failed",
    "job_start",
    "log_line",
    "resource_snapshot",
]

logger = logging.getLogger(__name__)

_lock = threading.RLock()
_reporter: Reporter | None = None
_job: ContextVar[Job | None] = ContextVar("argus_job", default=None)


def current_reporter() -> Reporter | None:
    """Return the batch that is open in this process."""
    return _reporter


def current_job() -> Job | None:
    """Return the job that this thread or task has started last."""
    return _job.get()


@never_raise
def batch_start(name: str = "run", **options: Any) -> None:
    """Open a batch; one that is still open is closed first.

    Args:
        name: what people call it.
        **options: those of `Reporter`: `project`, `n_total`, `batch_id`, `url`, `token` and so on.
    """
    global _reporter
    batch_done()
    reporter = Reporter(name, **options)
    reporter.start()
    with _lock:
        _reporter = reporter


@never_raise
def batch_done() -> None:
    """Close the batch, and send what is left within its `flush_timeout_s`."""
    _close(None)


@never_raise
def batch_failed(error: BaseException) -> None:
    """Close the batch, and the jobs that still run, as failed with the reason."""
    _close(error)


def _close(error: BaseException | None) -> None:
    global _reporter
    with _lock:
        reporter, _reporter = _reporter, None
    _job.set(None)
    if reporter is not None:
        reporter.close(error)


@never_raise
def job_start(job_id: str | None = None, **facts: Any) -> None:
    """Announce a job, the current one of this thread from now on.

    Args:
        job_id: unique in the batch; default: a new one.
        **facts: those of `Reporter.job`: `model`, `dataset`, `seed`, `epochs_total`, `config`, `tags`, …
    """
    with _lock:
        if _reporter is None:
            batch_start()
        reporter = _reporter
    if reporter is not None:
        _job.set(reporter.job(job_id, **facts))


@never_raise
def job_epoch(epoch: int, **metrics: Any) -> None:
    """Report one epoch, counted from 0, of the current job; see `Job.epoch`."""
    if job := _needed("job_epoch"):
        job.epoch(epoch, **metrics)


@never_raise
def job_done(metrics: Mapping[str, Any], **extra: Any) -> None:
    """Report the metrics of the test stage of the current job: its row; see `Job.done`."""
    if job := _needed("job_done"):
        job.done(metrics, **extra)


@never_raise
def job_failed(
    error: BaseException | None = None,
    *,
    reason: str | None = None,
    status: Literal["failed", "interrupted"] | None = None,
) -> None:
    """Report that the current job ended without a result; see `Job.failed`."""
    if job := _needed("job_failed"):
        job.failed(error, reason=reason, status=status)


@never_raise
def log_line(line: str, level: str = "info") -> None:
    """Report one line of output of the current job."""
    if job := _needed("log_line"):
        job.log(line, level)


@never_raise
def resource_snapshot(**measurements: float) -> None:
    """Report the load of this host; see `Reporter.resource_snapshot`."""
    if _reporter is None:
        batch_start()
    if _reporter is not None:
        _reporter.resource_snapshot(**measurements)


_warned: set[str] = set()


def _needed(caller: str) -> Job | None:
    job = _job.get()
    if job is None and caller not in _warned:
        _warned.add(caller)
        logger.warning(
            "argus: hooks.%s does nothing, this thread has no job: call hooks.job_start first", caller
        )
    return job
