"""How the models of a field stand: order, intervals, tiers, and the tests behind them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np

from argus_server.ranking.format import Style
from argus_server.ranking.scores import Field, Scores
from argus_server.ranking.separation import Separation
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

__all__ = ["LEAST_IN_COMMON", "TWO_DECIMALS", "Standing", "rank_style", "stand"]

_DIGITS = 9
"""Average ranks that agree to so many decimals are one."""
TWO_DECIMALS = Style(1.0, 2)
"""How average ranks are written where there is nothing to tell apart."""
_MOST_DECIMALS = 6
LEAST_IN_COMMON = smallest_n(1)
"""Over fewer datasets no outcome whatever tells two models apart."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The models of a field, by their places in it.

    Attributes:
        average: the average rank of each.
        interval: (low, high) of each average rank; None for fewer than eight datasets.
        win_rate: of each; NaN where there is nobody to win against.
        places: the models that share a place, best first; such models stand by name.
        tiers: which of them can be told apart.
        overall: the test of whether the models differ at all; None for one dataset or one model.
        needed: from how many datasets on any outcome could separate one of them from the leader. It is the
            same for every outcome, and so also where several share the first place.
        datasets: how many there are.
        in_common: with each model, how many of them the leader has a value on; of several the fewest.
    """

    average: Floats
    interval: tuple[Floats, Floats] | None
    win_rate: Floats
    places: tuple[tuple[int, ...], ...]
    tiers: Tiers
    overall: Friedman | SkillingsMack | None
    needed: int
    datasets: int
    in_common: tuple[int, ...]

    @property
    def order(self) -> tuple[int, ...]:
        """The models, best first."""
        return tuple(model for place in self.places for model in place)

    @property
    def ranks(self) -> dict[int, int]:
        """Model → its place, which those that rank alike share."""
        found: dict[int, int] = {}
        for place in self.places:
            found |= dict.fromkeys(place, len(found) + 1)
        return found

    @property
    def leaders(self) -> list[int]:
        """The models with the best average rank: usually one."""
        return list(self.places[0]) if self.places else []

    @property
    def close(self) -> list[int]:
        """The models that were held against the leader and cannot be told from it; the best first."""
        return self.of_result("not separable")

    @property
    def favoured(self) -> list[int]:
        """The models that the signed ranks find better than the leader, the best average rank first."""
        return self.of_result("reversed")

    def of_result(self, result: str) -> list[int]:
        """Return the models of which `separation` says this."""
        return [model for model in self.order if self.separation(model).result == result]

    @property
    def why_untested(self) -> str:
        """Why no model at all is held against the leader; empty where some are."""
        k, n = len(self.average), self.datasets
        if k < 2 or n < 1:
            return "there is nothing to compare it with"
        if n == 1:
            return "one dataset says nothing about others"
        if n < self.needed:
            return (
                f"with {n} datasets no outcome could separate one of {k} models from the leader:"
                f" {self.needed} are needed"
            )
        return ""

    def separation(self, model: int) -> Separation:
        """Return what the data say of a model against the leader."""
        if why := self.why_untested:
            return Separation("untested", None, why)
        if model in self.places[0]:
            return Separation("leads")
        if self.in_common[model] < LEAST_IN_COMMON:
            common = self.in_common[model]
            return Separation(
                "untested",
                None,
                f"it has {common} datasets in common with the best, and {LEAST_IN_COMMON} are needed",
            )
        against = self.tiers.leader.get(model)
        if against is None:
            return Separation("not separable", None, "the models as a whole cannot be told apart")
        if against.result == "alike":
            return Separation("not separable", against.p)
        return Separation("separable" if against.separated else "reversed", against.p)


def stand(field: Field, scores: Scores, *, with_interval: bool = True) -> Standing:
    """Return how a field stands.

    One dataset has an order and no test: with a single value for each model there is nothing to test.
    """
    n, k = field.values.shape
    pairs = win_loss(field.placed, scores.ties)
    ranks = fractional_ranks(field.placed, scores.ties)
    gaps = field.has_gaps
    average = pairwise_average_ranks(pairs) if gaps and k > 1 else _means(ranks)
    places = _places(average)
    interval = None
    if with_interval and k > 1:
        interval = pairwise_rank_intervals(field.placed, scores.ties) if gaps else rank_intervals(ranks)
    overall: Friedman | SkillingsMack | None = None
    if n > 1 and k > 1:
        overall = skillings_mack(ranks) if gaps else friedman(ranks)
    differ = overall is not None and overall.p <= ALPHA
    needed = smallest_n(max(1, k - 1))
    tiers = find_tiers(field.values, places, differ=differ and n >= needed, ties=scores.ties)
    return Standing(
        average,
        interval,
        win_rates(pairs),
        places,
        tiers,
        overall,
        needed,
        n,
        _in_common(field.values, tiers.first),
    )


def _means(ranks: Floats) -> Floats:
    means: Floats = ranks.mean(axis=0) if ranks.size else np.full(ranks.shape[1], np.nan)
    return means


def _places(average: Floats) -> tuple[tuple[int, ...], ...]:
    """Return the models that share a place, best first."""
    level = np.round(average, _DIGITS).tolist()
    order = sorted(range(len(level)), key=lambda model: (level[model], model))
    return tuple(tuple(some) for _, some in groupby(order, key=lambda model: level[model]))


def _in_common(values: Floats, first: tuple[int, ...]) -> tuple[int, ...]:
    present = ~np.isnan(values)
    if not first:
        return ()
    shared = (present[:, list(first), None] & present[:, None, :]).sum(axis=0)
    return tuple(shared.min(axis=0).tolist())


def rank_style(standing: Standing) -> Style:
    """Return how average ranks are written: with two decimals, or so many that the first two read apart."""
    best = [float(standing.average[place[0]]) for place in standing.places[:2]]
    decimals = 2
    while (
        len(best) > 1 and decimals < _MOST_DECIMALS and f"{best[0]:.{decimals}f}" == f"{best[1]:.{decimals}f}"
    ):
        decimals += 1
    return Style(1.0, decimals)
