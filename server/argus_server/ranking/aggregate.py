"""Which jobs count, and what several of them are together."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from argus_core.events import number_or_none
from argus_server.ranking.table import DoneJob
from argus_server.ranking.values import finite
from argus_server.ranking.view import View

__all__ = ["Entry", "Measure", "cell_entries", "job_entries", "keep", "superseded"]


@dataclass(frozen=True, slots=True)
class Measure:
    """One metric of one entry, before anything is written out. See `table.Cell`."""

    raw: Any = None
    number: float | None = None
    std: float | None = None
    n: int | None = None
    diverged: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A row before it is ranked: one job, or the jobs of one cell."""

    jobs: Sequence[DoneJob]
    measures: dict[str, Measure] = field(default_factory=dict)
    superseded_by: tuple[str, str] | None = None

    @property
    def first(self) -> DoneJob:
        """The job that names the entry's model and dataset."""
        return self.jobs[0]


def superseded(jobs: Iterable[DoneJob]) -> dict[tuple[str, str], tuple[str, str]]:
    """Return which of these jobs is replaced by which: same model, dataset and seed, finished later.

    What nobody has said is not the same: jobs without a model, dataset or seed replace nothing. Only
    `jobs` themselves replace each other: in a view of one batch, a later job of another batch does not
    count, and so takes no row away. No other filter can part two jobs of one model, dataset and seed.
    """
    groups: dict[tuple[str | None, ...], list[DoneJob]] = defaultdict(list)
    for job in jobs:
        if None not in (job.model, job.dataset, job.seed):
            groups[job.model, job.dataset, job.seed].append(job)
    replaced = {}
    for group in groups.values():
        last = max(group, key=lambda job: (job.finished_us, job.batch_id, job.job_id))
        for job in group:
            if job is not last:
                replaced[job.batch_id, job.job_id] = last.batch_id, last.job_id
    return replaced


def keep(jobs: Iterable[DoneJob], view: View) -> list[DoneJob]:
    """Return the jobs that pass the view's filters."""
    return [
        job
        for job in jobs
        if (not view.model or (job.model or "") in view.model)
        and (not view.dataset or (job.dataset or "") in view.dataset)
        and (not view.batch or job.batch_id in view.batch)
        and (not view.seed or (job.seed or "") in view.seed)
    ]


def job_entries(jobs: Iterable[DoneJob], replaced: dict[tuple[str, str], tuple[str, str]]) -> list[Entry]:
    """Return one entry for each job."""
    return [
        Entry(
            jobs=(job,),
            measures={key: Measure(raw, finite(raw)) for key, raw in job.metrics.items()},
            superseded_by=replaced.get((job.batch_id, job.job_id)),
        )
        for job in jobs
    ]


def cell_entries(jobs: Iterable[DoneJob], replaced: dict[tuple[str, str], tuple[str, str]]) -> list[Entry]:
    """Return one entry for each (model, dataset), of the jobs that count."""
    cells: dict[tuple[str, str], list[DoneJob]] = defaultdict(list)
    for job in sorted(jobs, key=lambda job: job.order):
        if (job.batch_id, job.job_id) not in replaced:
            cells[job.model or "", job.dataset or ""].append(job)
    return [Entry(jobs=group, measures=_measures(group)) for group in cells.values()]


def _measures(jobs: Sequence[DoneJob]) -> dict[str, Measure]:
    values: dict[str, list[Any]] = defaultdict(list)
    for job in jobs:
        for key, raw in job.metrics.items():
            values[key].append(raw)
    return {key: _measure(raws) for key, raws in values.items()}


def _measure(raws: Sequence[Any]) -> Measure:
    """Return mean and standard deviation of one metric over jobs.

    One diverged job makes the whole cell diverged: a mean over the seeds that went well would
    rank a model by its luck. What is no number ("n/a") is left out, as if it had not been sent; where
    there is nothing else, text that all jobs agree on is shown, other text is not.
    """
    numbers = [number for raw in raws if (number := number_or_none(raw)) is not None]
    if not numbers:
        same = all(raw == raws[0] for raw in raws)
        return Measure(raws[0] if same else "(several)", None, None, 0)
    if diverged := [number for number in numbers if not math.isfinite(number)]:
        return Measure(_limit(diverged), None, None, len(numbers), len(diverged))
    mean = _mean(numbers)
    return Measure(mean, mean, _std(numbers), len(numbers))


def _limit(diverged: Sequence[float]) -> str:
    """Return what a mean with these numbers among its own comes to, as it travels."""
    if all(number == math.inf for number in diverged):
        return "Infinity"
    return "-Infinity" if all(number == -math.inf for number in diverged) else "NaN"


def _mean(numbers: Sequence[float]) -> float:
    """Return the mean of finite numbers, which is finite where their sum is not."""
    with np.errstate(over="ignore"):
        mean = float(np.mean(numbers))
    return mean if math.isfinite(mean) else statistics.mean(numbers)


def _std(numbers: Sequence[float]) -> float | None:
    """Return the standard deviation (n − 1); None for fewer than two, or if no float can hold it."""
    if len(numbers) < 2:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        return finite(float(np.std(numbers, ddof=1)))
