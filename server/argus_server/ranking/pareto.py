"""What each model is worth, and what it costs.

Costs are compared over the same datasets, as a small one costs little: over those on which every model that
has the cost has it. Where there are none, two models are compared over the datasets that both have, and the
mean that is shown is of a model's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from argus_core.conventions import CONVENTIONS, Direction
from argus_server.ranking.board import Board
from argus_server.ranking.format import Style, choose_style, choose_unit
from argus_server.ranking.metric import no_rank_note
from argus_server.ranking.models import ModelBoard, model_board
from argus_server.ranking.registry import NO_SETTINGS, Settings
from argus_server.ranking.scores import alone_note, choose_field, imputed_note
from argus_server.ranking.standing import rank_style, stand
from argus_server.ranking.statistics import Ties
from argus_server.ranking.statistics.comparisons import Floats
from argus_server.ranking.table import MetricKey
from argus_server.ranking.view import View, column_id

__all__ = ["Axis", "Pareto", "Point", "rank_pareto"]

_PLACES = {key: place for place, key in enumerate(CONVENTIONS)}
_FIRST_COSTS = ("Latency_P50", "Inference_Time_Per_Sample", "Total_Inference_Time")
"""What people ask about first, where it is measured."""


@dataclass(frozen=True, slots=True)
class Axis:
    """What one axis shows: `label` with its unit, and which way is better."""

    label: str
    unit: str
    direction: Direction
    style: Style

    def shown(self, value: float) -> str:
        """Return a raw value as it is shown."""
        return self.style.number(value)


@dataclass(frozen=True, slots=True)
class Point:
    """One model.

    Attributes:
        quality: its average rank; the value itself on a single dataset.
        cost: mean over the datasets on which all have it, else over those on which this one does.
        cost_datasets: how many these are.
        value: mean of the quality metric over the datasets, for reading.
        is_front: whether no other model is at least as good in both and better in one.
        beaten_by: a model that is, the best one by quality; empty on the front.
    """

    model: str
    quality: float
    cost: float
    value: float
    cost_datasets: int
    is_front: bool
    beaten_by: str


@dataclass(frozen=True, slots=True)
class Pareto:
    """Quality against cost.

    Attributes:
        points: best quality first.
        left_out: ranked models without this cost.
        costs: the metrics that the other axis could show.
        settings: those of the project: the names to show.
    """

    project: str
    view: View
    metric: str | None
    cost: str | None
    quality_axis: Axis | None
    cost_axis: Axis | None
    value_axis: Axis | None
    points: Sequence[Point]
    left_out: Sequence[str]
    costs: Sequence[MetricKey]
    datasets: int
    notes: Sequence[str]
    settings: Settings = NO_SETTINGS


def rank_pareto(view: View, board: Board) -> Pareto:
    """Return the ranked models of a view with what they cost."""
    return board.memo(repr(("pareto", view)), lambda: _rank_pareto(view, board))


def _rank_pareto(view: View, board: Board) -> Pareto:
    found = model_board(view, board)
    notes = list(found.notes)
    costs = _costs(board, found)
    ids = {column_id(key.key): key for key in board.keys}
    cost = ids.get(view.cost) or (costs[0] if costs else None)
    if view.cost and view.cost not in ids:
        notes.append(f"No job of this project has reported a metric {view.cost!r}.")
    nothing = Pareto(
        board.project,
        view,
        found.metric,
        cost.key if cost else None,
        None,
        None,
        None,
        (),
        (),
        costs,
        0,
        notes,
    )
    scores = found.scores
    if scores is None or cost is None:
        if cost is None:
            notes.append("No job of this project has reported a cost: latency, memory, time or size.")
        return nothing
    if cost.meaning.direction == "unknown":
        notes.append(no_rank_note(board.keys, cost.key, "there is no front"))
    field = choose_field(scores, view.missing)
    standing = stand(field, scores, with_interval=False)
    n = len(field.datasets)
    names = [scores.models[place] for place in field.models]
    datasets = [scores.datasets[place] for place in field.datasets]
    every = _costs_of(found, names, datasets, cost.key)
    prices = _comparable(every)
    said = _cost_note(prices, cost.label, n), alone_note(scores, field, view.missing), imputed_note(field)
    notes += filter(None, said)
    rows: list[_Row] = []
    left_out = []
    sign = -1 if scores.higher else 1
    for model in standing.order:
        own, here = prices[:, model], field.values[~np.isnan(field.values[:, model]), model]
        if np.isnan(own).all():
            left_out.append(names[model])
            continue
        value, average = sign * _mean(here), float(standing.average[model])
        rows.append(_Row(names[model], average if n > 1 else value, own, value))
    key = next(key for key in board.keys if key.key == scores.metric)
    value_axis = _axis(key, [row.value for row in rows])
    rank_axis = Axis(f"average rank in {key.label}", "", "lower", rank_style(standing))
    quality_axis = rank_axis if n > 1 else value_axis
    points = _points(rows, quality_axis.direction, cost.meaning.direction)
    return Pareto(
        board.project,
        view,
        scores.metric,
        cost.key,
        quality_axis,
        _axis(cost, [row.cost for row in rows]),
        value_axis,
        points,
        left_out,
        costs,
        n,
        notes,
        board.settings,
    )


@dataclass(frozen=True, slots=True)
class _Row:
    """A model with its costs by dataset, NaN where it has none; one at least."""

    model: str
    quality: float
    costs: Floats
    value: float

    @property
    def cost(self) -> float:
        return _mean(self.costs[~np.isnan(self.costs)])

    def point(self, *, is_front: bool, beaten_by: str) -> Point:
        count = int((~np.isnan(self.costs)).sum())
        return Point(self.model, self.quality, self.cost, self.value, count, is_front, beaten_by)


def _costs(board: Board, found: ModelBoard) -> list[MetricKey]:
    costs = [key for key in board.keys if key.meaning.role == "cost" and key.key != found.metric]

    def place(key: MetricKey) -> tuple[int, int, int, str]:
        first = _FIRST_COSTS.index(key.key) if key.key in _FIRST_COSTS else len(_FIRST_COSTS)
        return first, _PLACES.get(key.key, len(_PLACES)), -key.count, key.key

    return sorted(costs, key=place)


def _costs_of(found: ModelBoard, models: Sequence[str], datasets: Sequence[str], key: str) -> Floats:
    """Return the costs, datasets × models, NaN where there is none."""
    costs = np.full((len(datasets), len(models)), np.nan)
    for row, dataset in enumerate(datasets):
        for column, model in enumerate(models):
            entry = found.cells.get((model, dataset))
            measure = entry.measures.get(key) if entry is not None else None
            if measure is not None and measure.number is not None:
                costs[row, column] = measure.number
    return costs


def _comparable(costs: Floats) -> Floats:
    """Return the costs on the datasets where all models that have any have one; all if there is none."""
    has = ~np.isnan(costs)
    shared = has[:, has.any(axis=0)].all(axis=1)
    return costs[shared] if shared.any() else costs


def _cost_note(costs: Floats, label: str, n: int) -> str:
    """Say over which datasets the costs are compared, if not over all."""
    if not len(costs) or np.isnan(costs).all():
        return ""
    has = ~np.isnan(costs)
    if not has[:, has.any(axis=0)].all():
        return (
            f"No dataset has the {label} of all these models: a mean is over the datasets on which the model"
            " has it, and two models are compared over those that both have."
        )
    if len(costs) < n:
        return f"{label} is compared over the {len(costs)} of {n} datasets on which all these models have it."
    return ""


def _mean(numbers: Floats) -> float:
    """Return the mean of finite numbers, which is finite where their sum is not."""
    return float((numbers / len(numbers)).sum())


def _axis(key: MetricKey, numbers: Sequence[float]) -> Axis:
    unit, scale = choose_unit(key.meaning.unit, numbers)
    return Axis(key.label, unit, key.meaning.direction, choose_style(numbers, (), (), scale))


def _points(rows: Sequence[_Row], quality: Direction, cost: Direction) -> list[Point]:
    """Return the points, with who is on the front: nobody if it is not known what is better."""
    if "unknown" in (quality, cost):
        return [row.point(is_front=False, beaten_by="") for row in rows]
    signs = [1 if direction == "lower" else -1 for direction in (quality, cost)]
    points = []
    for own in rows:
        better = [other for other in rows if _beats(other, own, signs)]
        best = min(better, key=lambda row: (signs[0] * row.quality, signs[1] * row.cost), default=None)
        points.append(own.point(is_front=best is None, beaten_by="" if best is None else best.model))
    return points


def _beats(a: _Row, b: _Row, signs: Sequence[int]) -> bool:
    """Whether a dominates b, by the costs on the datasets that both have."""
    both = ~np.isnan(a.costs) & ~np.isnan(b.costs)
    if not both.any():
        return False
    ends = [(signs[0] * row.quality, signs[1] * _mean(row.costs[both])) for row in (a, b)]
    return _dominates(*ends)


def _dominates(a: tuple[float, float], b: tuple[float, float]) -> bool:
    """Whether a is at least as good in both and better in one; what rounding tells apart is as good."""
    slack = [Ties().relative * max(abs(x), abs(y)) for x, y in zip(a, b, strict=True)]
    no_worse = all(x <= y + room for x, y, room in zip(a, b, slack, strict=True))
    return no_worse and any(x < y - room for x, y, room in zip(a, b, slack, strict=True))
