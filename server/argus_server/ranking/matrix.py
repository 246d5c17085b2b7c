"""Models × datasets in one metric: what the leaderboard says with `group=cell`, laid out as a grid.

The cells are those of the leaderboard, so numbers, decimals and marks agree with it. What is added: why a
cell has no number, how far each number is behind the best of its dataset, and average ranks.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from argus_server.ranking.aggregate import comparable
from argus_server.ranking.board import Board
from argus_server.ranking.models import rank_models
from argus_server.ranking.rank import Ranking
from argus_server.ranking.registry import NO_SETTINGS, Settings
from argus_server.ranking.separation import Separation
from argus_server.ranking.statistics.comparisons import Floats, Ties, fractional_ranks
from argus_server.ranking.table import Cell, Column, Row
from argus_server.ranking.view import Missing, View

__all__ = [
    "STEPS",
    "CellKind",
    "CellState",
    "Coverage",
    "MatrixCell",
    "MatrixTable",
    "matrix",
]

CellKind = Literal[
    "value",
    "diverged",
    "text",
    "running",
    "stalled",
    "failed",
    "interrupted",
    "untested",
    "no metric",
    "hidden",
    "never",
]
"""What is in a cell; behind `value`, why there is no number: the first that holds.

`diverged`: NaN or infinite. `text`: jobs report something else than a number. `no metric`: jobs are done
without it. `hidden`: filters take all its jobs away. `never`: there is no job.
"""
STEPS = 10
"""How many shades there are."""
_OUTLIER = 3.0
_POLICIES: Mapping[Missing, str] = {
    "complete": "those of the models that have every dataset",
    "shared": "over the datasets that all models have",
    "pairwise": "of each two models over the datasets that both have",
    "impute:worst": "over all datasets, a missing value being behind the worst one",
}
"""What average ranks are of, by what becomes of missing values."""
Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class CellState:
    """What the jobs of one cell (model × dataset) are doing that have no result.

    Attributes:
        jobs: how many there are in each status; those that are done are not among them.
        interrupted: how many of the failed ones somebody stopped.
        progress: which share of their epochs those that run have behind them, 0 to 1, if that is known.
        reason: in what words the latest of them failed.
    """

    model: str
    dataset: str
    jobs: Mapping[str, int] = field(default_factory=dict)
    interrupted: int = 0
    progress: float | None = None
    reason: str = ""

    @property
    def kind(self) -> CellKind:
        """What the cell shows if nothing is done in it."""
        failed = self.jobs.get("failed", 0)
        found: list[tuple[CellKind, int]] = [
            ("running", self.jobs.get("running", 0)),
            ("stalled", self.jobs.get("stalled", 0)),
            ("failed", failed - self.interrupted),
            ("interrupted", self.interrupted),
            ("untested", self.jobs.get("untested", 0)),
        ]
        return next((kind for kind, count in found if count > 0), "never")


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """One model on one dataset.

    Attributes:
        kind: whether there is a number, and why not.
        cell: as the leaderboard of cells has it.
        content: the number that the view asks for: the value, n, the rank, or the difference; None for none.
        display: the same as it is shown.
        rank: place within the dataset, ties sharing their mean.
        gap: how far the value is behind the best of its dataset, as a share of that.
        step: 0 for the best value of a dataset to 9 for the worst ones; None where nothing is compared.
        delta: how far the value is from the baseline's on this dataset, as a share of that.
        jobs: how many jobs the value stands for.
        separation: what the seeds say of the value against the best of its dataset.
        shows_value: whether `display` is the value of the cell, and nothing else that reads like it.
    """

    kind: CellKind
    cell: Cell
    state: CellState
    content: float | None = None
    display: str = ""
    rank: float | None = None
    gap: float | None = None
    step: int | None = None
    delta: float | None = None
    jobs: int = 0
    separation: Separation | None = None
    shows_value: bool = False

    @property
    def spread(self) -> str:
        """What stands beside the number."""
        return self.cell.spread if self.shows_value else ""

    @property
    def marks(self) -> str:
        """What stands behind the number: † if the seeds do not tell it from the best of the dataset."""
        return "†" if self.cell.is_close and self.shows_value else ""


@dataclass(frozen=True, slots=True)
class Coverage:
    """A metric that can be chosen, and in how many cells of the grid it has a number."""

    id: str
    label: str
    cells: int
    total: int


@dataclass(frozen=True)
class MatrixTable:
    """What every rendering of a matrix is made from.

    Attributes:
        column: the metric; None if no job has reported any.
        models, datasets: the names, in order.
        cells: (model, dataset) → what is there, for all of them.
        average_ranks: of the models that are ranked, over the datasets that are shown, as with `group=model`.
        provisional_ranks: of the others: beside the ranked ones, on the datasets that they have.
        rank_texts: the average ranks as they are shown; `provisional_texts` likewise.
        baseline: the model that differences are measured against; empty for the best of each dataset.
        settings: those of the project: its own baseline, and the names to show.
        all_models, all_datasets: what can be filtered for.
        notes: sentences that a reader needs to read the table right.
        is_tested: whether values are held against the best of their datasets by a test.
    """

    project: str
    view: View
    column: Column | None
    models: Sequence[str]
    datasets: Sequence[str]
    cells: Mapping[Name, MatrixCell]
    average_ranks: Mapping[str, float]
    provisional_ranks: Mapping[str, float]
    coverage: Sequence[Coverage]
    baseline: str = ""
    settings: Settings = NO_SETTINGS
    notes: Sequence[str] = ()
    all_models: Sequence[str] = ()
    all_datasets: Sequence[str] = ()
    is_tested: bool = False
    rank_texts: Mapping[str, str] = field(default_factory=dict)
    provisional_texts: Mapping[str, str] = field(default_factory=dict)

    @property
    def fields(self) -> tuple[str, str]:
        """What the names in the first column are, and those in the header: `model` or `dataset`."""
        return ("dataset", "model") if self.view.transpose else ("model", "dataset")

    @property
    def rows(self) -> Sequence[str]:
        """The names in the first column."""
        return self.datasets if self.view.transpose else self.models

    @property
    def columns(self) -> Sequence[str]:
        """The names in the header."""
        return self.models if self.view.transpose else self.datasets

    def at(self, row: str, column: str) -> MatrixCell:
        """Return the cell where a row and a column meet."""
        return self.cells[(column, row) if self.view.transpose else (row, column)]

    def rank_text(self, model: str) -> str:
        """Return the average rank of a model as it is shown, a provisional one in brackets; or nothing."""
        if model in self.rank_texts:
            return self.rank_texts[model]
        provisional = self.provisional_texts.get(model, "")
        return f"({provisional})" if provisional else ""

    def count(self, *kinds: CellKind) -> int:
        """Return how many cells are of these kinds."""
        return sum(cell.kind in kinds for cell in self.cells.values())


def matrix(view: View, board: Board, states: Iterable[CellState] = ()) -> MatrixTable:
    """Return the matrix that a view asks for.

    Filters by model, dataset or text hide rows and columns; best, second best and shade are those of the
    whole board. Average ranks are over the datasets that are shown.

    Args:
        view: what is asked for; `cell` says what a cell shows.
        board: the jobs that compete.
        states: the cells with jobs that have no result, each once.
    """
    return _Matrix(view, board, states).table()


class _Matrix:
    def __init__(self, view: View, board: Board, states: Iterable[CellState]) -> None:
        self._view = view
        self._board = board
        self._asked = replace(
            view,
            group="cell",
            seeds="best" if view.cell == "best" else view.seeds,
            model=(),
            dataset=(),
            q="",
            sort="",
            order="",
            then=(),
            col=(),
            page=1,
            after="",
        )
        self._ranking = Ranking(self._asked, board)
        if self._asked.seeds == "best" and self._ranking.view.seeds != "best":  # nobody knows which is
            cell, seeds = (view.cell if view.cell != "best" else "mean"), self._ranking.view.seeds
            self._view = replace(view, cell=cell, seeds=seeds)
        table = self._ranking.whole()
        self._found: dict[Name, Row] = {(row.model or "", row.dataset or ""): row for row in table.rows}
        self._states = {(state.model, state.dataset): state for state in states}
        self._done = {(job.model or "", job.dataset or "") for job in board.everything().jobs}
        names = self._found.keys() | self._states.keys() | self._done
        self._all_models = sorted({model for model, _ in names})
        self._all_datasets = sorted({dataset for _, dataset in names})
        self._models = [name for name in self._all_models if self._takes(name, view.model)]
        self._datasets = [name for name in self._all_datasets if not view.dataset or name in view.dataset]
        self._metric = self._ranking.metric
        self._column = next(
            (column for column in self._ranking.metric_columns if column.key == self._metric), None
        )
        self._higher = self._ranking.ranks_higher
        self._values = self._values_by_dataset()
        self._baseline = view.baseline or board.settings.baseline or ""

    def _takes(self, model: str, wanted: Collection[str]) -> bool:
        return (not wanted or model in wanted) and self._view.q.lower() in model.lower()

    def _values_by_dataset(self) -> dict[str, dict[str, float]]:
        """Return dataset → model → value, of all that have one and can be compared."""
        values: dict[str, dict[str, float]] = defaultdict(dict)
        named = comparable(self._found)
        if self._metric is not None:
            for (model, dataset), row in self._found.items():
                if (model, dataset) not in named:
                    continue
                number = row.cells[self._metric].number
                if number is not None:
                    values[dataset][model] = number
        return values

    # --- the table ------------------------------------------------------------------------------

    def table(self) -> MatrixTable:
        ranks = self._ranks()
        ranked, others = self._average_ranks()
        averages, provisional = (
            {model: cell.number for model, cell in some.items() if cell.number is not None}
            for some in (ranked, others)
        )
        cells: dict[Name, MatrixCell] = {}
        for dataset in self._datasets:
            compared = _Compared(self._values[dataset], self._higher, self._baseline)
            for model in self._models:
                beside = compared if model in self._values[dataset] else _ALONE
                cells[model, dataset] = self._cell(model, dataset, beside, ranks.get((model, dataset)))
        return MatrixTable(
            project=self._board.project,
            view=self._view,
            column=self._column,
            models=self._in_order(averages, provisional),
            datasets=self._datasets,
            cells=cells,
            average_ranks=averages,
            provisional_ranks=provisional,
            coverage=self._coverage(),
            baseline=self._baseline,
            settings=self._board.settings,
            notes=self._notes(averages, provisional),
            all_models=self._all_models,
            all_datasets=self._all_datasets,
            is_tested=self._shows_values and self._ranking.is_tested,
            rank_texts={model: cell.display for model, cell in ranked.items()},
            provisional_texts={model: cell.display for model, cell in others.items()},
        )

    def _cell(self, model: str, dataset: str, compared: _Compared, rank: float | None) -> MatrixCell:
        row = self._found.get((model, dataset))
        state = self._states.get((model, dataset), CellState(model, dataset))
        cell = row.cells[self._metric] if row is not None and self._metric is not None else Cell()
        value = cell.number
        if value is None:
            return MatrixCell(
                self._why_not(model, dataset, cell, state), cell, state, jobs=row.n if row else 0
            )
        delta = compared.delta(value)
        content, display = self._content(cell, rank, delta)
        return MatrixCell(
            kind="value",
            cell=cell,
            state=state,
            content=content,
            display=display,
            rank=rank,
            gap=compared.gap(value),
            step=compared.step(value),
            delta=delta,
            jobs=row.n if row else 0,
            separation=row.separation if row else None,
            shows_value=self._shows_values,
        )

    def _why_not(self, model: str, dataset: str, cell: Cell, state: CellState) -> CellKind:
        """Return why there is no number: what goes on counts for more than what is over."""
        if cell.raw is not None:
            return "diverged" if cell.diverged else "text"
        if state.kind in ("running", "stalled"):
            return state.kind
        if (model, dataset) in self._found:
            return "no metric"
        if (model, dataset) in self._done:
            return "hidden"
        return state.kind

    @property
    def _shows_values(self) -> bool:
        return self._view.cell in ("mean", "best")

    def _content(self, cell: Cell, rank: float | None, delta: float | None) -> tuple[float | None, str]:
        what = self._view.cell
        if what == "n":
            return cell.n, str(cell.n)
        if what == "rank":
            return rank, "" if rank is None else f"{rank:g}"
        if what == "delta":
            return delta, "" if delta is None else percent(delta)
        return cell.number, cell.display

    # --- ranks ----------------------------------------------------------------------------------

    def _scores(self, models: Sequence[str], datasets: Sequence[str]) -> Floats:
        """Return datasets × models, less is better; NaN where there is no number."""
        sign = -1.0 if self._higher else 1.0
        return np.array(
            [[sign * self._values[dataset].get(model, math.nan) for model in models] for dataset in datasets]
        ).reshape(len(datasets), len(models))

    def _ties(self) -> Ties:
        return Ties(self._board.settings.resolution(self._metric)) if self._metric is not None else Ties()

    def _ranks(self) -> dict[Name, float]:
        """Return the rank of each value within its dataset, among all models."""
        if self._higher is None:
            return {}
        ranks = fractional_ranks(self._scores(self._all_models, self._datasets), self._ties())
        return {
            (model, dataset): float(rank)
            for dataset, row in zip(self._datasets, ranks, strict=True)
            for model, rank in zip(self._all_models, row, strict=True)
            if not math.isnan(rank)
        }

    def _average_ranks(self) -> tuple[dict[str, Cell], dict[str, Cell]]:
        """Return the average ranks of the models that are ranked, and the provisional ones of the others."""
        table = rank_models(replace(self._asked, group="model", dataset=self._view.dataset), self._board)
        found: list[dict[str, Cell]] = []
        for rows in (table.rows, table.unranked):
            cells = {row.model or "": row.statistics.get("average_rank") for row in rows}
            found.append({model: cell for model, cell in cells.items() if cell and cell.present})
        return found[0], found[1]

    def _in_order(self, averages: Mapping[str, float], provisional: Mapping[str, float]) -> list[str]:
        """Return the models as the view orders them: those with a rank, then with a provisional one."""
        if self._view.rows == "name":
            return self._models

        def place(model: str) -> tuple[float, float, str]:
            return averages.get(model, math.inf), provisional.get(model, math.inf), model

        return sorted(self._models, key=place)

    # --- what else ------------------------------------------------------------------------------

    def _coverage(self) -> list[Coverage]:
        shown = [
            row
            for (model, dataset), row in self._found.items()
            if model in set(self._models) and dataset in set(self._datasets)
        ]
        total = len(self._models) * len(self._datasets)
        return [
            Coverage(
                column.id,
                column.label,
                sum(row.cells[column.key].number is not None for row in shown),
                total,
            )
            for column in self._ranking.metric_columns
        ]

    def _notes(self, averages: Mapping[str, float], provisional: Collection[str]) -> list[str]:
        notes = [
            note
            for note in self._ranking.notes
            if "different datasets" not in note and (self._shows_values or not note.startswith("†"))
        ]
        measured = [values for dataset in self._datasets if (values := self._values[dataset])]
        if averages and any(model not in values for values in measured for model in self._models):
            others = any(model in provisional for model in self._models)
            notes.append(
                f"Average ranks are {_POLICIES[self._view.missing]}"
                f"{'; (those of the others) are provisional' if others else ''}."
            )
        if self._view.cell == "delta" and self._baseline and self._baseline not in self._all_models:
            notes.append(f"There is no model {self._baseline!r} to compare with.")
        if self._view.cell == "delta" and not self._baseline:
            notes.append("No baseline is chosen: differences are to the best of each dataset.")
        return notes


class _Compared:
    """The values of one dataset beside each other."""

    def __init__(self, values: Mapping[str, float], higher: bool | None, baseline: str) -> None:
        self._best: float | None = None
        self._reach = 0.0
        self._reference: float | None = None
        if higher is not None and len(values) > 1:
            self._best = (max if higher else min)(values.values())
            self._reach = _reach([abs(value - self._best) for value in values.values()])
        self._reference = values.get(baseline) if baseline else self._best

    def gap(self, value: float) -> float | None:
        """Return how far a value is behind the best one, as a share of that; None where it means nothing."""
        return None if self._best is None else _share(abs(value - self._best), self._best)

    def step(self, value: float) -> int | None:
        """Return the shade of a value."""
        if self._best is None:
            return None
        if not self._reach:
            return 0
        return min(STEPS - 1, math.ceil((STEPS - 1) * min(1.0, abs(value - self._best) / self._reach)))

    def delta(self, value: float) -> float | None:
        """Return how far a value is from the reference, as a share of that."""
        return None if self._reference is None else _share(value - self._reference, self._reference)


_ALONE = _Compared({}, None, "")


def _share(difference: float, whole: float) -> float | None:
    if not math.isfinite(difference) or whole == 0:
        return 0.0 if difference == 0 else None
    share = difference / abs(whole)
    return share if math.isfinite(share) else None


def _reach(gaps: Sequence[float]) -> float:
    """Return the gap from which on the shade is the darkest: the largest that is no outlier.

    Without that, one run that went astray would leave all others in one shade. The fence is the outer one
    of Tukey (1977): the upper quartile and three times the distance of the quartiles.
    """
    finite = sorted(gap for gap in gaps if math.isfinite(gap))
    if not finite:
        return 0.0
    low, high = np.quantile(finite, [0.25, 0.75]).tolist()
    fence = high + _OUTLIER * (high - low)
    return max((gap for gap in finite if gap <= fence), default=finite[-1]) or finite[-1]


def percent(share: float) -> str:
    """Return a signed share in percent: `+3.1 %`, `−12 %`."""
    size = abs(share) * 100
    text = f"{size:.1f}" if size < 99.95 else f"{size:,.0f}" if size < 1e7 else f"{size:.1e}"
    sign = "" if not text.strip("0.") else "+" if share > 0 else "−"
    return f"{sign}{text} %"
