"""What each model is worth, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from argus_core.conventions import CONVENTIONS, Direction
from argus_server.ranking.board import Board
from argus_server.ranking.format import Style, choose_style, choose_unit
from argus_server.ranking.models import ModelBoard, model_board
from argus_server.ranking.scores import choose_field
from argus_server.ranking.standing import stand
from argus_server.ranking.statistics import Ties
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
        cost: mean over the datasets.
        value: mean of the quality metric over the datasets, for reading.
        is_front: whether no other model is at least as good in both and better in one.
        beaten_by: a model that is, the best one by quality; empty on the front.
    """

    model: str
    quality: float
    cost: float
    value: float
    is_front: bool
    beaten_by: str


@dataclass(frozen=True, slots=True)
class Pareto:
    """Quality against cost.

    Attributes:
        points: best quality first.
        left_out: ranked models without this cost.
        costs: the metrics that the other axis could show.
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
        notes.append(f"Whether less or more {cost.label} is better is not known: there is no front.")
    field = choose_field(scores, view.missing)
    standing = stand(field, scores, with_interval=False)
    n = len(field.datasets)
    names = [scores.models[place] for place in field.models]
    datasets = [scores.datasets[place] for place in field.datasets]
    rows, left_out = [], []
    for model in standing.order:
        name = names[model]
        price = _mean_cost(found, name, datasets, cost.key)
        average = float(standing.average[model])
        here = [float(number) for number in field.values[:, model] if not math.isnan(number)]
        if price is None or math.isnan(average) or not here:
            left_out.append(name)
            continue
        sign = -1 if scores.higher else 1
        value = sign * sum(number / len(here) for number in here)
        rows.append((name, average if n > 1 else value, price, value))
    key = next(key for key in board.keys if key.key == scores.metric)
    value_axis = _axis(key, [row[3] for row in rows])
    rank_axis = Axis(f"average rank in {key.label}", "", "lower", Style(1.0, 2))
    quality_axis = rank_axis if n > 1 else value_axis
    points = _points(rows, quality_axis.direction, cost.meaning.direction)
    return Pareto(
        board.project,
        view,
        scores.metric,
        cost.key,
        quality_axis,
        _axis(cost, [row[2] for row in rows]),
        value_axis,
        points,
        left_out,
        costs,
        n,
        notes,
    )


def _costs(board: Board, found: ModelBoard) -> list[MetricKey]:
    costs = [key for key in board.keys if key.meaning.role == "cost" and key.key != found.metric]

    def place(key: MetricKey) -> tuple[int, int, int, str]:
        first = _FIRST_COSTS.index(key.key) if key.key in _FIRST_COSTS else len(_FIRST_COSTS)
        return first, _PLACES.get(key.key, len(_PLACES)), -key.count, key.key

    return sorted(costs, key=place)


def _mean_cost(found: ModelBoard, model: str, datasets: Sequence[str], key: str) -> float | None:
    numbers = []
    for dataset in datasets:
        entry = found.cells.get((model, dataset))
        measure = entry.measures.get(key) if entry is not None else None
        if measure is not None and measure.number is not None:
            numbers.append(measure.number)
    return sum(number / len(numbers) for number in numbers) if numbers else None


def _axis(key: MetricKey, numbers: Sequence[float]) -> Axis:
    unit, scale = choose_unit(key.meaning.unit, numbers)
    return Axis(key.label, unit, key.meaning.direction, choose_style(numbers, (), (), scale))


def _points(
    rows: Sequence[tuple[str, float, float, float]], quality: Direction, cost: Direction
) -> list[Point]:
    """Return the points, with who is on the front: nobody if it is not known what is better."""
    if "unknown" in (quality, cost):
        return [Point(*row, is_front=False, beaten_by="") for row in rows]
    signs = [1 if direction == "lower" else -1 for direction in (quality, cost)]
    placed = [(signs[0] * row[1], signs[1] * row[2]) for row in rows]
    points = []
    for own, row in zip(placed, rows, strict=True):
        better = [place for place, other in enumerate(placed) if _dominates(other, own)]
        best = min(better, key=lambda place: placed[place]) if better else None
        points.append(Point(*row, is_front=best is None, beaten_by="" if best is None else rows[best][0]))
    return points


def _dominates(a: tuple[float, float], b: tuple[float, float]) -> bool:
    """Whether a is at least as good in both and better in one; what rounding tells apart is as good."""
    slack = [Ties().relative * max(abs(x), abs(y)) for x, y in zip(a, b, strict=True)]
    no_worse = all(x <= y + room for x, y, room in zip(a, b, slack, strict=True))
    return no_worse and any(x < y - room for x, y, room in zip(a, b, slack, strict=True))
