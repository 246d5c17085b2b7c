"""What can still happen: the best and the worst final rank of each model, whatever the missing cells bring.

The average rank is bounded exactly: in each dataset a model is at its best if every value that is still to
come is behind it and its own in front, and datasets do not depend on each other. The final place is
exact where the ways in which the missing values can fall are few enough to go through (they are inserted into
the order of each dataset, ties included); where they are many, it is bounded by pairs: a model is ahead of
another for sure if it is in every case, which is exact for the two of them. To decide whether a model can
still win on average rank is NP-hard in general (Chakraborty and Kolaitis 2021, partial chains under Borda).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from argus_server.ranking.statistics.comparisons import Floats, Ties, fractional_ranks, outcomes

__all__ = ["Bounds", "Step", "find_bounds", "next_steps"]

_MOST_WAYS = 5_000
_MOST_TRIED = 200
"""Of more missing cells it is not tried out what each would leave open, only what is open with it."""
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
    missing = np.isnan(scores)
    best, worst = _extremes(scores, ties)
    ways = _all_ways(scores, ties)
    if ways is not None:
        totals = np.array(ways, dtype=np.int64)
        ahead = np.zeros((len(totals), k), dtype=np.int64)
        for other in range(k):
            ahead += totals[:, other : other + 1] < totals
        low, high = ahead.min(axis=0), ahead.max(axis=0)
    else:
        least, most = _pair_ranges(scores, ties, missing)
        own = np.eye(k, dtype=bool)
        low = ((least.sum(axis=0) > 0) & ~own).sum(axis=1)
        high = ((most.sum(axis=0) > 0) & ~own).sum(axis=1)
    return Bounds(
        best.sum(axis=0) / (2 * n),
        worst.sum(axis=0) / (2 * n),
        tuple(int(count) + 1 for count in low),
        tuple(int(count) + 1 for count in high),
        ways is not None,
    )


def next_steps(scores: Floats, ties: Ties, bounds: Bounds, leader: int) -> list[Step]:
    """Return the missing cells of models that can lead by how much they may decide it, the most first.

    A cell counts for the pairs of the leader and each other model that can still lead: by how much narrower
    the differences of their average ranks become once it is known, in the case that narrows them least.
    """
    rivals = [model for model in bounds.can_lead if model != leader]
    if not rivals:
        return []
    missing = np.isnan(scores)
    widths = _widths(scores, ties, leader, rivals)
    cells = [
        (dataset, model) for dataset, model in np.argwhere(missing).tolist() if model in (leader, *rivals)
    ]
    steps = []
    for dataset, model in cells:
        row, left = scores[dataset], 0
        if len(cells) <= _MOST_TRIED:
            for value in _places_between(row[~np.isnan(row)]):
                filled = row.copy()
                filled[model] = value
                left = max(left, int(_widths(filled[None, :], ties, leader, rivals)[0]))
        steps.append(Step(model, dataset, (int(widths[dataset]) - left) / (2 * len(scores))))
    return sorted(steps, key=lambda step: (-step.swing, step.dataset, step.model))


def _widths(scores: Floats, ties: Ties, leader: int, rivals: Sequence[int]) -> Doubled:
    """Return by dataset how far apart the ends of the leader's differences to its rivals are, summed."""
    least, most = _pair_ranges(scores, ties, np.isnan(scores))
    widths: Doubled = (most - least)[:, leader, rivals].sum(axis=1)
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
    better, tied = outcomes(scores, ties)
    known = 2 + 2 * better.sum(axis=1) + tied.sum(axis=2) - 1
    gaps = np.isnan(scores).sum(axis=1, keepdims=True)
    return known.astype(np.int64), np.broadcast_to(gaps, scores.shape).astype(np.int64)


def _extremes(scores: Floats, ties: Ties) -> tuple[Doubled, Doubled]:
    """Return the lowest and the highest doubled rank of each model on each dataset."""
    known, gaps = _standing(scores, ties)
    missing, k = np.isnan(scores), scores.shape[1]
    return np.where(missing, 2, known), np.where(missing, 2 * k, known + 2 * gaps)


def _pair_ranges(scores: Floats, ties: Ties, missing: NDArray[np.bool_]) -> tuple[Doubled, Doubled]:
    """Return, by dataset, the least and the greatest doubled rank of a row's model minus a column's."""
    known, gaps = _standing(scores, ties)
    k = scores.shape[1]
    a, b = known[:, :, None], known[:, None, :]
    a_out, b_out = missing[:, :, None], missing[:, None, :]
    others = gaps[:, :, None] - a_out - b_out
    better, tied = outcomes(scores, ties)
    behind = ~better & ~tied & ~a_out & ~b_out
    least = np.where(better, a - b - 2 * others, a - b)
    most = np.where(behind, a - b + 2 * others, a - b)
    only_a, only_b, both = a_out & ~b_out, ~a_out & b_out, a_out & b_out
    least = np.where(only_a, 2 - (b + 2 * (others + 1)), least)
    most = np.where(only_a, 2 * k - b, most)
    least = np.where(only_b, a - 2 * k, least)
    most = np.where(only_b, a + 2 * (others + 1) - 2, most)
    least, most = np.where(both, 2 - 2 * k, least), np.where(both, 2 * k - 2, most)
    own = np.arange(k)
    least[:, own, own] = most[:, own, own] = 0
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
