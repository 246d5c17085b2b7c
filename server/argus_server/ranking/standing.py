"""How the models of a field stand: order, intervals, tiers, and the tests behind them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from argus_server.ranking.scores import Field, Scores
from argus_server.ranking.statistics import (
    ALPHA,
    Friedman,
    SkillingsMack,
    Tiers,
    find_tiers,
    fractional_ranks,
    friedman,
    pairwise_average_ranks,
    pairwise_rank_intervals,
    rank_intervals,
    skillings_mack,
    smallest_n,
    win_loss,
    win_rates,
)
from argus_server.ranking.statistics.comparisons import Floats

__all__ = ["Standing", "stand"]

_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Standing:
    """The models of a field, by their places in it.

    Attributes:
        average: the average rank of each.
        interval: (low, high) of each average rank; None for fewer than eight datasets.
        win_rate: of each; NaN where there is nobody to win against.
        order: best first; models that rank alike stand by name.
        tiers: which of them can be told apart.
        overall: the test of whether the models differ at all; None for one dataset or one model.
        needed: from how many datasets on any outcome could separate one of them from the leader.
    """

    average: Floats
    interval: tuple[Floats, Floats] | None
    win_rate: Floats
    order: tuple[int, ...]
    tiers: Tiers
    overall: Friedman | SkillingsMack | None
    needed: int

    def place(self, model: int) -> int:
        """Return the place of a model, which those that rank alike share; one without a rank is last."""
        if math.isnan(self.average[model]):
            return 1 + sum(1 for other in self.order if not math.isnan(self.average[other]))
        return 1 + sum(1 for other in self.order if self.average[other] < self.average[model] - _SAME)

    @property
    def leaders(self) -> list[int]:
        """The models with the best average rank: usually one."""
        return [model for model in self.order if self.average[model] <= self.average[self.order[0]] + _SAME]

    @property
    def close(self) -> list[int]:
        """The models that do not lead, and that the data cannot tell from the leader; the best first."""
        leaders = self.leaders
        return [model for model in self.tiers.inseparable() if model not in leaders]


def stand(field: Field, scores: Scores, *, with_interval: bool = True) -> Standing:
    """Return how a field stands. Models without anyone to be compared with come last.

    One dataset has an order and no test: with a single value for each model there is nothing to test.
    """
    n, k = field.values.shape
    pairs = win_loss(field.placed, scores.ties)
    ranks = fractional_ranks(field.placed, scores.ties)
    gaps = field.has_gaps
    average = pairwise_average_ranks(pairs) if gaps and k > 1 else _means(ranks)
    last = np.where(np.isnan(average), math.inf, np.round(average, 9))
    order = tuple(sorted(range(k), key=lambda model: (last[model], model)))
    interval = None
    if with_interval and k > 1:
        interval = pairwise_rank_intervals(field.placed, scores.ties) if gaps else rank_intervals(ranks)
    overall: Friedman | SkillingsMack | None = None
    if n > 1 and k > 1:
        overall = skillings_mack(ranks) if gaps else friedman(ranks)
    differ = overall is not None and overall.p <= ALPHA
    tiers = find_tiers(field.values, order, differ=differ, ties=scores.ties)
    return Standing(average, interval, win_rates(pairs), order, tiers, overall, smallest_n(k - 1))


def _means(ranks: Floats) -> Floats:
    means: Floats = ranks.mean(axis=0) if len(ranks) else np.full(ranks.shape[1], np.nan)
    return means
