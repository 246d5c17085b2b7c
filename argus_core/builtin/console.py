"""Says on standard error how far the jobs are, one line an event; on with `ARGUS_PROGRESS=1`.

Lines rather than bars: they read the same in a terminal, in a notebook and in a cluster's log file.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from argus_core.events import Event, number_or_none
from argus_core.hookspecs import hookimpl

__all__ = ["ConsoleProgress", "argus_event"]


class ConsoleProgress:
    """Writes the lines, and keeps what it needs to know of the jobs that run."""

    def __init__(self) -> None:
        self._jobs: dict[str, tuple[float, int | None]] = {}

    def line(self, event: Event) -> str | None:
        """Return what there is to say about an event, None for nothing."""
        data, job = event.data, event.job_id or event.batch_id
        if event.event_type == "job_start":
            total = data.get("epochs_total")
            self._jobs[job] = (time.monotonic(), total if isinstance(total, int) else None)
            named = [str(data[key]) for key in ("model", "dataset", "seed") if data.get(key) is not None]
            return f"{job} starts: {' · '.join(named)}" if named else f"{job} starts"
        if event.event_type == "job_epoch":
            return f"{job} {self._epoch(job, data)}  {_numbers(data, skip=('epoch',))}".rstrip()
        if event.event_type in ("job_done", "job_failed"):
            self._jobs.pop(job, None)
            if event.event_type == "job_done":
                return f"{job} done: {_numbers(data.get('metrics', {}), most=6)}"
            return f"{job} {data.get('status', 'failed')}: {data.get('reason')}"
        if event.event_type == "batch_done":
            return f"batch {job} ended: {data.get('n_done', 0)} done, {data.get('n_failed', 0)} failed"
        return None

    def _epoch(self, job: str, data: Mapping[str, Any]) -> str:
        started_s, total = self._jobs.get(job, (time.monotonic(), None))
        ended = data["epoch"] + 1
        if total is None:
            return f"epoch {ended}"
        left_s = (time.monotonic() - started_s) / ended * max(0, total - ended)
        return f"epoch {ended}/{total}, {left_s:.0f} s left"


_progress = ConsoleProgress()


@hookimpl
def argus_event(event: Event) -> None:
    """Write a line about the event, if there is something to say."""
    line = _progress.line(event)
    if line is not None:
        sys.stderr.write(f"argus: {line}\n")


def _numbers(metrics: Mapping[str, Any], *, skip: tuple[str, ...] = (), most: int = 5) -> str:
    shown = [
        f"{name} {number:.4g}"
        for name, value in metrics.items()
        if name not in skip and (number := number_or_none(value)) is not None
    ]
    return "  ".join(shown[:most])
