"""What can still happen: the best and the worst final rank of each model, whatever the missing cells bring.

The average rank is bounded exactly: in each dataset a model is at its best if every value that is still to
come is behind it and its own in front, and datasets do not depend on each other. The final place is
exact where the ways in which the missing values can fall are few enough to go through (they are inserted into
the order of each dataset, ties included); where they are many, it is bounded by pairs: a model is ahead of
another for sure if it is in every case, which is exact for the two of them; of very many models, by the ends
of their average ranks. To decide whether a model can
still win on average rank is NP-hard in general (Chakraborty and Kolaitis 2021, partial chains under Borda).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from argus_server.ranking.statistics.comparisons import Floats, Ties, fractional_ranks, outcomes_between

__all__ = ["Bounds", "Step", "find_bounds", "next_steps"]

_MOST_WAYS = 5_000
_MOST_TRIED = 200
_MOST_WORK = 200 * 60**3
"""Of more missing cells, or of more models, it is not tried out what each would leave open, only what is open
with it."""
_MOST_PAIRED = 60
"""Of more models each is compared by the ends of its average rank alone."""
_MOST_OF_A_DATASET = 2_000
_FEW_MODELS = 6
Doubled = NDArray[np.int64]
"""Ranks times two, which are whole numbers: a tie is worth a half."""
Ways = list[tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between what the final result of each model lies, by their places in the scores.

    Attributes:
        average_low, average_high: of the average rank; both are reached.
        place_low, place_high: of the place; both are reached if `is_exact`, else none is beyond them.
    """

    average_low: Floats
    average_high: Floats
    place_low: tuple[int, ...]
    place_high: tuple[int, ...]
    is_exact: bool

    @property
    def can_lead(self) -> list[int]:
        """The models that may end in the first place."""
        return [model for model, place in enumerate(self.place_low) if place == 1]


@dataclass(frozen=True, slots=True)
class Step:
    """A missing cell, and by how much of the average rank it may move who leads against who may lead.

    Attributes:
        model, dataset: places in the scores.
        swing: the largest change of the difference of their average ranks, summed over those pairs.
    """

    model: int
    dataset: int
    swing: float


def find_bounds(scores: Floats, ties: Ties) -> Bounds:
    """Return the bounds of every model.

    Args:
        scores: datasets × models, lower is better, NaN where a value is still to come.
        ties: when two values are one.
    """
    n, k = scores.shape
    best, worst = (ends.sum(axis=0) for ends in _extremes(scores, ties))
    ways = _all_ways(scores, ties) if k <= _MOST_PAIRED else None
    if ways is not None:
        totals = np.array(ways, dtype=np.int64)
        ahead = np.zeros((len(totals), k), dtype=np.int64)
        for other in range(k):
            ahead += totals[:, other : other + 1] < totals
        low, high = ahead.min(axis=0), ahead.max(axis=0)
    elif k <= _MOST_PAIRED:
        least, most = _pair_ranges(scores, ties, np.arange(k), np.arange(k))
        own = np.eye(k, dtype=bool)
        low = ((least.sum(axis=0) > 0) & ~own).sum(axis=1)
        high = ((most.sum(axis=0) > 0) & ~own).sum(axis=1)
    else:
        low = np.searchsorted(np.sort(worst), best, side="left")  # who is ahead at its worst is for sure
        high = np.searchsorted(np.sort(best), worst, side="left") - (best < worst)
    return Bounds(
        best / (2 * n),
        worst / (2 * n),
        tuple(int(count) + 1 for count in low),
        tuple(int(count) + 1 for count in high),
        ways is not None,
    )


def next_steps(scores: Floats, ties: Ties, bounds: Bounds, leader: int) -> list[Step]:
    """Return the missing cells by how much they may decide who is first, the most first.

    A cell counts for the pairs of the leader and each other model that can still lead: by how much narrower
    the differences of their average ranks become once it is known, in the case that narrows them least. Of
    a model that cannot lead, a cell is listed if it narrows them all the same.

    Where too much is open to try out each value, a cell of a model that can lead counts by how much is
    open on its dataset, and the cells of others are listed only if there are no such ones. Of more than sixty
    models that can lead those count that have the lowest average ranks in reach.
    """
    n, k = scores.shape
    rivals = [model for model in bounds.can_lead if model != leader]
    rivals = sorted(rivals, key=lambda model: (bounds.average_low[model], bounds.average_high[model], model))
    rivals = rivals[: _MOST_PAIRED - 1]
    if not rivals:
        return []
    widths = _widths(scores, ties, leader, rivals)
    cells: list[tuple[int, int]] = [(row, model) for row, model in np.argwhere(np.isnan(scores)).tolist()]
    contenders = {leader, *rivals}
    steps = []
    if len(cells) <= _MOST_TRIED and len(cells) * k**3 <= _MOST_WORK:
        for dataset, model in cells:
            swing = int(widths[dataset]) - _left_open(scores[dataset], ties, model, leader, rivals)
            if swing > 0 or model in contenders:
                steps.append(Step(model, dataset, swing / (2 * n)))
    else:
        some = [cell for cell in cells if cell[1] in contenders] or cells
        steps = [Step(model, dataset, int(widths[dataset]) / (2 * n)) for dataset, model in some]
    return sorted(steps, key=lambda step: (-step.swing, step.dataset, step.model))


def _left_open(row: Floats, ties: Ties, model: int, leader: int, rivals: Sequence[int]) -> int:
    """Return how far apart the ends of the leader's differences on a dataset are with one value more."""
    values = _places_between(row[~np.isnan(row)])
    filled = np.repeat(row[None, :], len(values), axis=0)
    filled[:, model] = values
    return int(_widths(filled, ties, leader, rivals).max())


def _widths(scores: Floats, ties: Ties, leader: int, rivals: Sequence[int]) -> Doubled:
    """Return by dataset how far apart the ends of the leader's differences to its rivals are, summed."""
    least, most = _pair_ranges(scores, ties, np.array([leader]), np.array(rivals))
    widths: Doubled = (most - least).sum(axis=(1, 2))
    return widths


def _places_between(known: Floats) -> list[float]:
    """Return a value for each place that a new one can take among the known ones: between, before, after."""
    ordered = np.unique(known)
    if not len(ordered):
        return [0.0]
    step = max(1.0, float(np.abs(ordered).max()))
    between = ((ordered[1:] + ordered[:-1]) / 2).tolist()
    return [float(ordered[0]) - step, *between, *ordered.tolist(), float(ordered[-1]) + step]


# --- what each dataset allows -----------------------------------------------------------------


def _standing(scores: Floats, ties: Ties) -> tuple[Doubled, Doubled]:
    """Return doubled ranks among the known values, and how many values are still to come beside each."""
    known = np.nan_to_num(2 * fractional_ranks(scores, ties))
    gaps = np.isnan(scores).sum(axis=1, keepdims=True)
    return known.astype(np.int64), np.broadcast_to(gaps, scores.shape).astype(np.int64)


def _extremes(scores: Floats, ties: Ties) -> tuple[Doubled, Doubled]:
    """Return the lowest and the highest doubled rank of each model on each dataset."""
    known, gaps = _standing(scores, ties)
    missing, k = np.isnan(scores), scores.shape[1]
    return np.where(missing, 2, known), np.where(missing, 2 * k, known + 2 * gaps)


def _pair_ranges(
    scores: Floats, ties: Ties, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> tuple[Doubled, Doubled]:
    """Return, by dataset, the least and the greatest doubled rank of a row's model minus a column's.

    Args:
        scores: datasets × models.
        ties: when two values are one.
        rows: models.
        columns: whom they are compared with.
    """
    known, gaps = _standing(scores, ties)
    missing, k = np.isnan(scores), scores.shape[1]
    a, b = known[:, rows, None], known[:, None, columns]
    a_out, b_out = missing[:, rows, None], missing[:, None, columns]
    others = gaps[:, rows, None] - a_out - b_out
    better, tied = outcomes_between(scores[:, rows, None], scores[:, None, columns], ties)
    behind = ~better & ~tied & ~a_out & ~b_out
    least = np.where(better, a - b - 2 * others, a - b)
    most = np.where(behind, a - b + 2 * others, a - b)
    only_a, only_b, both = a_out & ~b_out, ~a_out & b_out, a_out & b_out
    least = np.where(only_a, 2 - (b + 2 * (others + 1)), least)
    most = np.where(only_a, 2 * k - b, most)
    least = np.where(only_b, a - 2 * k, least)
    most = np.where(only_b, a + 2 * (others + 1) - 2, most)
    least, most = np.where(both, 2 - 2 * k, least), np.where(both, 2 * k - 2, most)
    own = rows[:, None] == columns[None, :]
    least[:, own] = most[:, own] = 0
    return least, most


# --- going through all ways -------------------------------------------------------------------


def _all_ways(scores: Floats, ties: Ties) -> Ways | None:
    """Return every vector of summed doubled ranks that can come out; None if these are too many.

    Nor can they be listed with a resolution: a new value may tie with several groups at once.
    """
    if ties.resolution > 0 and np.isnan(scores).any():
        return None
    gaps = np.isnan(scores).sum(axis=1)
    places = 2 * (scores.shape[1] - gaps) + 1
    if scores.shape[1] > _FEW_MODELS and float((gaps * np.log(places)).sum()) > math.log(_MOST_WAYS):
        return None  # sums of few models coincide, those of many do not
    ranks = fractional_ranks(scores, ties)
    totals: set[tuple[int, ...]] = {tuple([0] * scores.shape[1])}
    for row, known in zip(scores, ranks, strict=True):
        some = _ways_of(row, known)
        if some is None or len(totals) * len(some) > _MOST_WAYS * 10:
            return None
        totals = {tuple(map(sum, zip(total, way, strict=True))) for total in totals for way in some}
        if len(totals) > _MOST_WAYS:
            return None
    return list(totals)


def _ways_of(row: Floats, known: Floats) -> Ways | None:
    """Return the doubled ranks of one dataset in every order that its missing values allow."""
    present = np.flatnonzero(~np.isnan(row))
    groups: list[list[int]] = []
    for model in present[np.argsort(known[present], kind="stable")].tolist():
        if groups and known[groups[-1][0]] == known[model]:
            groups[-1].append(model)
        else:
            groups.append([model])
    if not np.isnan(row).any():
        return [tuple(int(rank) for rank in 2 * known)]
    if any(2 * known[model] != rank for model, rank in _ranks_in(groups)):
        return None  # ties within a resolution that are no groups
    orders = [groups]
    for model in np.flatnonzero(np.isnan(row)).tolist():
        orders = [order for before in orders for order in _inserted(before, model)]
        if len(orders) > _MOST_OF_A_DATASET:
            return None
    found = {tuple(rank for _, rank in sorted(_ranks_in(order))) for order in orders}
    return list(found)


def _inserted(groups: Sequence[list[int]], model: int) -> Iterator[list[list[int]]]:
    for place in range(len(groups) + 1):
        yield [*groups[:place], [model], *groups[place:]]
    for place, group in enumerate(groups):
        yield [*groups[:place], [*group, model], *groups[place + 1 :]]


def _ranks_in(groups: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Return (model, doubled rank) of each model in an order with ties."""
    found, before = [], 0
    for group in groups:
        found += [(model, 2 * before + len(group) + 1) for model in group]
        before += len(group)
    return found
