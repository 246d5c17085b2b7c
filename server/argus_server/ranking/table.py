"""The ranked table as data: what goes in, and what every rendering is made from."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from typing import Any, Literal

import msgspec

from argus_core.conventions import Convention, Direction, Role, convention
from argus_server.ranking.gaps import Gap
from argus_server.ranking.order import natural_seed
from argus_server.ranking.phrases import NO_VERDICT, Verdict
from argus_server.ranking.registry import NO_SETTINGS, UNSET, MetricSetting, Settings
from argus_server.ranking.separation import Separation
from argus_server.ranking.view import View
from argus_server.weighed import FLOAT, weight_of

__all__ = [
    "Cell",
    "Column",
    "DoneJob",
    "Flag",
    "FlagKind",
    "MetricKey",
    "RankedTable",
    "Row",
    "weight_of_jobs",
]


@dataclass(frozen=True, slots=True)
class DoneJob:
    """A job in status done, as the ranking sees it. `metrics` is flat and as sent."""

    batch_id: str
    job_id: str
    model: str | None
    dataset: str | None
    seed: str | None
    metrics: Mapping[str, Any]
    finished_us: int
    fast_dev_run: bool = False
    host: str | None = None
    user: str | None = None
    commit: str | None = None
    epochs_total: int | None = None
    train_epochs: int | None = None

    @property
    def order(self) -> tuple[str, ...]:
        """A place of its own among all jobs, whichever way they came."""
        seed = natural_seed(self.seed or "")
        return (self.model or "", self.dataset or "", seed, self.batch_id, self.job_id)


_NAMES = attrgetter("batch_id", "job_id", "model", "dataset", "seed", "host", "user", "commit")
_FLOATS = {float}
_JOB = 832
"""What a job takes beside its metrics and the letters of its names, with the place that it has on a board."""
_SHARED_KEYS, _SHARED_LENGTH = 256, 32
"""So many names of metrics, each so long, are made once by what decodes them, and not for each job."""


def weight_of_jobs(jobs: Iterable[DoneJob]) -> int:
    """Return what jobs take in memory, as `weight_of` finds it and many times as fast."""
    metrics: list[Mapping[str, Any]] = []
    total = 0
    for job in jobs:
        metrics.append(job.metrics)
        total += _JOB + sys.getsizeof(job.metrics) + sys.getsizeof("".join(filter(None, _NAMES(job))))
    if set(map(type, chain.from_iterable([some.values() for some in metrics]))) <= _FLOATS:
        total += FLOAT * sum(map(len, metrics))
    else:
        total += weight_of([list(some.values()) for some in metrics])
    names = set(chain.from_iterable(metrics))
    if len(names) > _SHARED_KEYS or max(map(len, names), default=0) > _SHARED_LENGTH:
        total += weight_of([list(some) for some in metrics])
    return total


@dataclass(frozen=True, slots=True)
class MetricKey:
    """A metric name that some job of the project has reported, in `count` events.

    `declared` is what a job said of it last, and wins over the built-in convention; `setting` is what the
    project says, and wins over both.
    """

    key: str
    count: int
    declared: Convention | None = None
    setting: MetricSetting = UNSET

    @property
    def meaning(self) -> Convention:
        """Unit, direction and role."""
        return self.setting.meaning(self.declared if self.declared is not None else convention(self.key))

    @property
    def label(self) -> str:
        """The header's text, without unit."""
        return self.setting.label or self.key


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        key: the metric's name, or `model`, `dataset`, `seed`, `n`, `job_id`, `val_curve`.
        id: as `key`, but unlike every other column's: what `sort=` and the CSV header say.
        label: the header's text, without unit.
        kind: `jobs` leads to the row's job or jobs, `curve` is the validation loss over epochs; neither
            has values.
        unit: the unit of the displayed numbers (`ms`); raw values are in `raw_unit` (`s`).
        scale: displayed = raw × scale.
    """

    key: str
    id: str
    label: str
    kind: Literal["identity", "metric", "statistic", "curve", "jobs"]
    unit: str = ""
    raw_unit: str = ""
    scale: float = 1.0
    direction: Direction = "unknown"
    role: Role = "info"

    @property
    def has_values(self) -> bool:
        """Whether the column has a value for each row."""
        return self.kind in ("identity", "metric")


class Cell(msgspec.Struct, frozen=True, gc=False):
    """One value of one row, or the mean of several. A struct: a page makes four thousand of them.

    Attributes:
        raw: the value as sent; for a mean, the mean. None if the job has no such metric.
        display: the text of the table, in the column's unit.
        number: the number that ranks; None if the value is only shown.
        std: standard deviation over the seeds (n − 1), None for fewer than two.
        n: how many numbers the mean is of; None for a single job's value.
        diverged: how many of them are NaN or infinite; then the mean is too, and never ranks.
        spread: the text beside the mean: `± 0.002`, `n=1` or `1 of 3 diverged`.
        mark: `best`, `second` or nothing, within the row's dataset.
        low, high: the ends of the 95 % interval, where there is one: of an average rank by a bootstrap over
            datasets, of a mean over seeds by Student's t.
        interval: the same of a mean over seeds, as it is shown.
        is_close: whether the data cannot tell the value from the best one: †.
        is_favoured: whether the signed ranks find its model better than the leader: §.
        is_imputed: whether part of it is filled in: ‡.
    """

    raw: Any = None
    display: str = ""
    number: float | None = None
    std: float | None = None
    n: int | None = None
    diverged: int = 0
    spread: str = ""
    mark: Literal["", "best", "second"] = ""
    low: float | None = None
    high: float | None = None
    interval: str = ""
    is_close: bool = False
    is_favoured: bool = False
    is_imputed: bool = False

    def memory_bytes(self) -> int:
        """Return what it takes in memory: see `weight_of`."""
        texts = sys.getsizeof(self.display) + sys.getsizeof(self.spread) + sys.getsizeof(self.interval)
        return _CELL + texts + (0 if type(self.raw) is float else weight_of(self.raw))

    @property
    def present(self) -> bool:
        """Whether the job reported this metric at all."""
        return self.raw is not None

    def beside(self, jobs: int) -> str:
        """Return the text beside the mean in a row of so many jobs, with n where not all have a value."""
        if self.n in (None, jobs) or not self.spread.startswith("± "):
            return self.spread
        return f"{self.spread}, n={self.n}"


FlagKind = Literal["single seed", "unequal seeds", "best of", "commits", "epochs"]


class Flag(msgspec.Struct, frozen=True):
    """Why a row is not quite like the others, see `ranking.fairness`; `text` says it of this row."""

    kind: FlagKind
    text: str


_CELL = sys.getsizeof(Cell()) + 5 * FLOAT


class Row(msgspec.Struct, frozen=True):
    """One job, one cell (model × dataset), or one model over all datasets.

    Attributes:
        rank: place among the rows of the same dataset, ties sharing it; None if it does not rank, or if
            more than a thousand rows are before it and the table is one page of many.
        superseded_by: the (batch_id, job_id) of the later job with the same model, dataset and seed.
        n: how many jobs the row stands for.
        curve_of: (batch_id, job_id) of the job whose curve stands for the row: the best of its seeds by
            the metric that ranks, else the last that finished; of a model its last one.
        tier: the places of the models that the data cannot tell apart: `1–2`; empty but for models.
        opens_tier: whether the row is separated from those above it.
        statistics: id → what is computed of a model over all datasets.
        separation: what the data say of a ranked model against the leader, of a cell against the best of its
            dataset; None of jobs, and where nothing ranks.
        is_baseline: whether skill is measured against this model.
        gaps: the datasets on which a model has no value, and why.
        flags: what makes a cell or a model not quite comparable to the others.
    """

    rank: int | None
    model: str | None
    dataset: str | None
    seed: str | None
    cells: Mapping[str, Cell]
    batch_id: str | None = None
    job_id: str | None = None
    finished_us: int | None = None
    superseded_by: tuple[str, str] | None = None
    n: int = 1
    curve_of: tuple[str, str] | None = None
    tier: str = ""
    opens_tier: bool = False
    statistics: Mapping[str, Cell] = {}
    separation: Separation | None = None
    is_baseline: bool = False
    gaps: Sequence[Gap] = ()
    flags: Sequence[Flag] = ()


@dataclass(frozen=True, slots=True)
class RankedTable:
    """What every rendering is made from: one page of rows, the columns of all.

    Attributes:
        ranked_by: key of the metric that `rank` and the default order come from; None without metrics.
        columns: those with values, as chosen; every row has their cells.
        layout: these, and where the curve and the jobs stand among them.
        offered: what `layout` can be made of, in the order that it has if nothing is chosen; then what is
            shown only if it is chosen.
        notes: sentences that a reader needs to read the table right.
        total: rows on all pages.
        next: the cursor behind the last row, empty on the last page and where pages are counted only.
        datasets, models: what can be filtered for, in the whole project.
        verdict: who leads, and who cannot be told from the leader; empty but for models.
        unranked: models without a place, and why; their average rank is provisional.
        settings: those of the project: the names to show.
    """

    project: str
    view: View
    columns: Sequence[Column]
    rows: Sequence[Row]
    total: int
    ranked_by: str | None
    notes: Sequence[str] = field(default_factory=tuple)
    next: str = ""
    models: Sequence[str] = field(default_factory=tuple)
    datasets: Sequence[str] = field(default_factory=tuple)
    layout: Sequence[Column] = field(default_factory=tuple)
    offered: Sequence[Column] = field(default_factory=tuple)
    verdict: Verdict = NO_VERDICT
    unranked: Sequence[Row] = ()
    settings: Settings = NO_SETTINGS

    @property
    def metric_columns(self) -> list[Column]:
        """The columns that are metrics, in order."""
        return [column for column in self.columns if column.kind == "metric"]

    def widths(self) -> dict[str, int]:
        """Return metric → over how many datasets the means of the models that are shown are, at most."""
        return {
            column.key: max(
                (row.cells[column.key].n or 0 for row in self.rows if column.key in row.cells), default=0
            )
            for column in self.metric_columns
        }

    @property
    def covered(self) -> int:
        """Over how many datasets the coverage of models is: the same for all of them; 0 but for models."""
        rows = (*self.rows, *self.unranked)
        return max(
            (row.statistics["datasets"].n or 0 for row in rows if "datasets" in row.statistics), default=0
        )

    @property
    def ranked_as(self) -> str:
        """What people call the metric that ranks; empty without one."""
        columns = (*self.offered, *self.columns)
        return next(
            (column.label for column in columns if column.key == self.ranked_by), self.ranked_by or ""
        )

    @property
    def sorted_column(self) -> Column | None:
        """The column by which the rows stand."""
        return next((column for column in self.columns if column.id == self.view.sort), None)
