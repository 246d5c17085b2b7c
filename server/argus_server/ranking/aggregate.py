"""What several jobs are together."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from argus_core.events import number_or_none
from argus_server.ranking.board import MemoryBoard, Placed, Wanted
from argus_server.ranking.table import DoneJob
from argus_server.ranking.values import finite
from argus_server.ranking.view import View

__all__ = ["Entry", "Measure", "cell_board", "cell_entries"]


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
    """The jobs of one cell (model × dataset), and what they measured together."""

    jobs: Sequence[DoneJob]
    measures: dict[str, Measure] = field(default_factory=dict)

    @property
    def first(self) -> DoneJob:
        """The job that names the entry's model and dataset."""
        return self.jobs[0]


def cell_board(board: MemoryBoard, view: View) -> MemoryBoard:
    """Return a board whose rows are the cells (model × dataset) of the jobs that count on another.

    Seeds, hosts, users and conditions choose the jobs that a mean is of; what else the view filters
    for hides cells.
    """
    chosen = Wanted(seed=view.seed, host=view.host, user=view.user, conditions=view.where)
    jobs = [item.job for item in board.placed if item.superseded_by is None and chosen.takes(item.job)]
    cells = MemoryBoard(board.project, board.keys, [], board.settings)
    cells.placed = [_placed(entry) for entry in cell_entries(jobs)]
    cells.jobs = [item.job for item in cells.placed]
    return cells


def _placed(entry: Entry) -> Placed:
    """Return a cell as a row: its means stand where a job has its metrics."""
    job = replace(
        entry.first,
        seed=None,
        metrics={key: measure.raw for key, measure in entry.measures.items()},
        finished_us=max(job.finished_us for job in entry.jobs),
    )
    return Placed(job, entry=entry)


def cell_entries(jobs: Iterable[DoneJob]) -> list[Entry]:
    """Return one entry for each (model, dataset) of these jobs."""
    cells: dict[tuple[str, str], list[DoneJob]] = defaultdict(list)
    for job in sorted(jobs, key=lambda job: job.order):
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
