"""What several jobs are together."""

from __future__ import annotations

import math
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import msgspec
import numpy as np

from argus_core.events import number_or_none
from argus_core.words import plural
from argus_server.ranking.board import MemoryBoard, Placed, Wanted
from argus_server.ranking.table import DoneJob
from argus_server.ranking.values import finite
from argus_server.ranking.view import Seeds, View
from argus_server.weighed import FLOAT

__all__ = [
    "Entry",
    "Measure",
    "Together",
    "cell_board",
    "cell_entries",
    "choice_note",
    "chosen_cells",
    "comparable",
    "measure",
    "settled_seeds",
    "unnamed_notes",
]


class Measure(msgspec.Struct, frozen=True, gc=False):
    """One metric of one entry, before anything is written out. See `table.Cell`.

    Attributes:
        choice: which of the `n` values it is, where it is not their mean: `median`, `best`, `last`.
    """

    raw: Any = None
    number: float | None = None
    std: float | None = None
    n: int | None = None
    diverged: int = 0
    choice: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """The jobs of one cell (model × dataset), and what they measured together."""

    jobs: Sequence[DoneJob]
    measures: dict[str, Measure] = field(default_factory=dict)

    @property
    def first(self) -> DoneJob:
        """The job that names the entry's model and dataset."""
        return self.jobs[0]

    def memory_bytes(self) -> int:
        """Return what it takes in memory beside its jobs: see `weight_of`."""
        measured = sys.getsizeof(self.measures) + _MEASURE * len(self.measures)
        return _ENTRY + sys.getsizeof(self.jobs) + measured


_ENTRY = 200
_MEASURE = sys.getsizeof(Measure()) + 2 * FLOAT


@dataclass(frozen=True, slots=True)
class Together:
    """How the jobs of one cell become one number, by the view's `seeds`.

    The best and the last are jobs, and all their values go together: the best one is the one with the
    best value of the metric that ranks.
    """

    how: Seeds = "mean"
    metric: str | None = None
    higher: bool = False

    def measure(self, jobs: Sequence[DoneJob], key: str) -> Measure | None:
        """Return what `measures` has of one metric: nothing where the job that is chosen lacks it."""
        chosen = self._chosen(jobs)
        if chosen is not None and key not in chosen.metrics:
            return None
        raws = [job.metrics[key] for job in jobs if key in job.metrics]
        if chosen is not None:
            return self._of_one(chosen.metrics[key], raws)
        return measure(raws, _median if self.how == "median" else None) if raws else None

    def measures(self, jobs: Sequence[DoneJob]) -> dict[str, Measure]:
        """Return what some jobs measured together."""
        chosen = self._chosen(jobs)
        values: dict[str, list[Any]] = {}
        for job in jobs:
            for key, raw in job.metrics.items():
                values.setdefault(key, []).append(raw)
        if chosen is not None:
            return {key: self._of_one(chosen.metrics[key], values[key]) for key in chosen.metrics}
        middle = _median if self.how == "median" else None
        return {key: measure(raws, middle) for key, raws in values.items()}

    def _chosen(self, jobs: Sequence[DoneJob]) -> DoneJob | None:
        if self.how == "last":
            return max(jobs, key=lambda job: (job.finished_us, job.batch_id, job.job_id))
        if self.how != "best" or self.metric is None:
            return None
        sign = -1 if self.higher else 1
        found = [
            (sign * number, place)
            for place, job in enumerate(jobs)
            if (number := finite(job.metrics.get(self.metric))) is not None
        ]
        return jobs[min(found)[1]] if found else jobs[0]

    def _of_one(self, raw: Any, raws: Sequence[Any]) -> Measure:
        numbers = [number for one in raws if (number := number_or_none(one)) is not None]
        diverged = sum(not math.isfinite(number) for number in numbers)
        return Measure(raw, finite(raw), None, len(numbers), diverged, self.how if len(raws) > 1 else "")


MEANS = Together()
_FLOATS = {float}


def cell_board(board: MemoryBoard, view: View, together: Together = MEANS) -> MemoryBoard:
    """Return a board whose rows are the cells (model × dataset) of the jobs that count on another."""
    cells = MemoryBoard(board.project, board.keys, [], board.settings)
    entries = {
        (entry.first.model or "", entry.first.dataset or ""): entry
        for entry in chosen_cells(board, view, together)
    }
    named = comparable(entries)
    cells.placed = [_placed(entry, competes=cell in named) for cell, entry in entries.items()]
    cells.jobs = [item.job for item in cells.placed]
    return cells


def comparable(cells: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return the cells (model, dataset) that can be compared: what nobody has named is nothing to compare.

    Jobs without a model are no model, and jobs without a dataset count where no job at all names one, as
    those of a project with a single dataset.
    """
    has_names = any(dataset for _, dataset in cells)
    return {(model, dataset) for model, dataset in cells if model and (dataset or not has_names)}


def unnamed_notes(cells: Mapping[tuple[str, str], Entry]) -> list[str]:
    """Say how many jobs are compared with nothing, as they do not say what they are."""
    named = comparable(cells)
    left = {cell: len(entry.jobs) for cell, entry in cells.items() if cell not in named}
    models = sum(count for (model, _), count in left.items() if not model)
    counts = (("model", models), ("dataset", sum(left.values()) - models))
    return [
        f"{plural(count, 'job')} {'names' if count == 1 else 'name'} no {what}, and"
        f" {'is' if count == 1 else 'are'} compared with nothing."
        for what, count in counts
        if count
    ]


def settled_seeds(seeds: Seeds, metric: str | None, *, higher: bool | None) -> tuple[Seeds, str]:
    """Return how seeds become one number, and what to say of it if that is not what was asked for.

    There is no best of them where nobody knows which way is better.
    """
    if seeds != "best" or higher is not None:
        return seeds, ""
    what = f"Whether less or more {metric} is better is not known" if metric is not None else "Nothing ranks"
    return "mean", f"{what}: values are means over seeds, not the best of them."


def choice_note(view: View) -> str:
    """Say which jobs the means are of, where a view has not all of them: this does change who wins."""
    chosen = [(name, value) for name in ("seed", "host", "user") for value in getattr(view, name)]
    said = [f"{name} {value}" for name, value in chosen] + [str(condition) for condition in view.where]
    return f"Values are those of the jobs with {', '.join(said)} alone." if said else ""


def chosen_cells(board: MemoryBoard, view: View, together: Together = MEANS) -> list[Entry]:
    """Return the cells of the jobs that count on a board.

    Seeds, hosts, users and conditions choose the jobs that a mean is of; what else the view filters
    for hides cells.
    """
    chosen = Wanted(seed=view.seed, host=view.host, user=view.user, conditions=view.where)
    jobs = [item.job for item in board.placed if item.superseded_by is None]
    if not chosen.is_everything:
        jobs = [job for job in jobs if chosen.takes(job)]
    return cell_entries(jobs, together)


def _placed(entry: Entry, *, competes: bool) -> Placed:
    """Return a cell as a row: its means stand where a job has its metrics."""
    job = replace(
        entry.first,
        seed=None,
        metrics={key: measure.raw for key, measure in entry.measures.items()},
        finished_us=max(job.finished_us for job in entry.jobs),
    )
    return Placed(job, entry=entry, competes=competes)


def cell_entries(jobs: Iterable[DoneJob], together: Together = MEANS) -> list[Entry]:
    """Return one entry for each (model, dataset) of these jobs; each names its metrics in one order."""
    cells: dict[tuple[str, str], list[DoneJob]] = defaultdict(list)
    for job in sorted(jobs, key=lambda job: job.order):
        cells[job.model or "", job.dataset or ""].append(job)
    groups = list(cells.values())
    if together.how != "mean":
        return [Entry(jobs=group, measures=together.measures(group)) for group in groups]
    return [
        Entry(jobs=group, measures=measures)
        for group, measures in zip(groups, _means_of(groups), strict=True)
    ]


def _means_of(groups: Sequence[Sequence[DoneJob]]) -> list[dict[str, Measure]]:
    """Return the means of groups of jobs, a metric at a time.

    The same as `measure` of each, and many times as fast: where all jobs of a group have a finite number,
    which is nearly everywhere, arrays do the arithmetic.
    """
    found: list[dict[str, Measure]] = [{} for _ in groups]
    if not groups:
        return found
    metrics = [job.metrics for group in groups for job in group]
    sizes = np.array([len(group) for group in groups])
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    for key in dict.fromkeys(chain.from_iterable(metrics)):
        raws = [of_job.get(key) for of_job in metrics]
        if set(map(type, raws)) == _FLOATS:
            numbers = np.array(raws)
        else:
            numbers = np.array([raw if type(raw) is float else np.nan for raw in raws])
        with np.errstate(over="ignore", invalid="ignore"):
            means = np.add.reduceat(numbers, starts) / sizes
            apart = numbers - np.repeat(means, sizes)
            squares = np.add.reduceat(apart * apart, starts)
            stds = np.sqrt(squares / np.maximum(sizes - 1, 1))
        usual = np.isfinite(means) & np.isfinite(stds)
        rows = zip(
            found, usual.tolist(), means.tolist(), stds.tolist(), sizes.tolist(), starts.tolist(), strict=True
        )
        for measures, is_usual, mean, std, size, start in rows:
            if is_usual:
                measures[key] = Measure(mean, mean, std if size > 1 else None, size)
                continue
            some = [raw for raw in raws[start : start + size] if raw is not None]
            if some:
                measures[key] = measure(some)
    return found


def measure(raws: Sequence[Any], middle: Callable[[Sequence[float]], float] | None = None) -> Measure:
    """Return one metric over jobs: their mean and standard deviation, or their `middle` instead.

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
    if middle is not None:
        value = middle(numbers)
        return Measure(value, value, None, len(numbers), choice="median" if len(numbers) > 1 else "")
    mean = _mean(numbers)
    return Measure(mean, mean, _std(numbers, mean), len(numbers))


def _limit(diverged: Sequence[float]) -> str:
    """Return what a mean with these numbers among its own comes to, as it travels."""
    if all(number == math.inf for number in diverged):
        return "Infinity"
    return "-Infinity" if all(number == -math.inf for number in diverged) else "NaN"


def _median(numbers: Sequence[float]) -> float:
    low, high = statistics.median_low(numbers), statistics.median_high(numbers)
    return low + (high - low) / 2 if math.isfinite(high - low) else low / 2 + high / 2


def _mean(numbers: Sequence[float]) -> float:
    """Return the mean of finite numbers, which is finite where their sum is not."""
    try:
        return math.fsum(numbers) / len(numbers)
    except OverflowError:
        return statistics.mean(numbers)


def _std(numbers: Sequence[float], mean: float) -> float | None:
    """Return the standard deviation (n − 1); None for fewer than two, or if no float can hold it.

    Distances from the mean are squared, never the numbers: their squares would drown the difference.
    """
    if len(numbers) < 2:
        return None
    try:
        return finite(math.sqrt(math.fsum((number - mean) ** 2 for number in numbers) / (len(numbers) - 1)))
    except OverflowError:
        return None
