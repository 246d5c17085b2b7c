"""Who is better than whom on one dataset, and what that makes over all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "RELATIVE_TIE",
    "Floats",
    "Ties",
    "WinLoss",
    "average_ranks",
    "fractional_ranks",
    "pairwise_average_ranks",
    "skill",
    "win_loss",
    "win_rates",
]

Floats = NDArray[np.float64]

RELATIVE_TIE = 1e-9
_RATIO = 100.0
"""A ratio to the baseline counts for no more than this, and no less than its inverse."""
_PAIRS_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class Ties:
    """When two values are one: |a − b| ≤ resolution + relative · max(|a|, |b|).

    Attributes:
        resolution: differences up to this size mean nothing, in the unit of the scores.
        relative: what floating point may lose on the way.
    """

    resolution: float = 0.0
    relative: float = RELATIVE_TIE

    def slack(self, a: Floats, b: Floats) -> Floats:
        """Return how far apart two values may be and still tie."""
        size = np.maximum(np.abs(a), np.abs(b))
        slack: Floats = self.resolution + self.relative * np.where(np.isinf(size), 0.0, size)
        return slack


EXACT = Ties()


@dataclass(frozen=True, slots=True)
class WinLoss:
    """On how many datasets the model of a row beats the one of a column, ties it, or loses; models × models.

    Only datasets where both have a value count: what is missing is no loss.
    """

    wins: Floats
    ties: Floats

    @property
    def losses(self) -> Floats:
        """The wins of the others."""
        losses: Floats = self.wins.T
        return losses

    @property
    def compared(self) -> Floats:
        """On how many datasets both have a value."""
        compared: Floats = self.wins + self.ties + self.wins.T
        return compared


def outcomes(scores: Floats, ties: Ties = EXACT) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return (better, tied), each datasets × models × models; both false where a value is missing.

    Infinity is behind every number, and ties infinity.
    """
    return outcomes_between(scores[:, :, None], scores[:, None, :], ties)


def outcomes_between(a: Floats, b: Floats, ties: Ties = EXACT) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return (better, tied) of values a against values b, element by element; see `outcomes`."""
    with np.errstate(over="ignore", invalid="ignore"):
        difference, slack = a - b, ties.slack(a, b)
        return difference < -slack, (np.abs(difference) <= slack) | (a == b)


def fractional_ranks(scores: Floats, ties: Ties = EXACT) -> Floats:
    """Return the rank of each value within its dataset: 1 + how many are better + half of those that tie.

    For ties that are transitive these are the usual mid-ranks. Ties within a resolution need not be
    (a = b, b = c, a < c); this definition needs no order to break them, keeps the sum of the ranks, and
    makes average rank and win rate one thing: R = 1 + (k − 1)(1 − win rate). Missing values get NaN and
    take no rank from others.
    """
    ranks = np.full(scores.shape, np.nan)
    for some in _blocks(scores):
        better, tied = outcomes(scores[some], ties)
        half = (tied.sum(axis=2) - 1) / 2  # a value ties itself
        ranks[some] = 1 + better.sum(axis=1) + half
    ranks[np.isnan(scores)] = np.nan
    return ranks


def average_ranks(ranks: Floats) -> Floats:
    """Return the mean rank of each model over the datasets where it has one."""
    present = ~np.isnan(ranks)
    counts = present.sum(axis=0)
    means: Floats = np.where(present, ranks, 0.0).sum(axis=0) / np.where(counts > 0, counts, np.nan)
    return means


def win_loss(scores: Floats, ties: Ties = EXACT) -> WinLoss:
    """Return the wins and ties of every model against every other."""
    k = scores.shape[1]
    wins, tied_counts = np.zeros((k, k)), np.zeros((k, k))
    for some in _blocks(scores):
        better, tied = outcomes(scores[some], ties)
        wins += better.sum(axis=0)
        tied_counts += tied.sum(axis=0)
    np.fill_diagonal(tied_counts, 0)
    return WinLoss(wins, tied_counts)


def win_rates(pairs: WinLoss) -> Floats:
    """Return the mean over opponents of the share of datasets won, ties half.

    An opponent with whom no dataset is shared does not count; NaN where none is.
    """
    compared = pairs.compared
    met = compared > 0
    shares = np.where(met, (pairs.wins + pairs.ties / 2) / np.maximum(compared, 1), 0.0)
    opponents = met.sum(axis=1)
    return np.where(opponents > 0, shares.sum(axis=1) / np.maximum(opponents, 1), np.nan)


def pairwise_average_ranks(pairs: WinLoss) -> Floats:
    """Return the average ranks of models that share some datasets only: 1 + (k − 1)(1 − win rate).

    Where nothing is missing this is the average of the fractional ranks.
    """
    ranks: Floats = 1 + (len(pairs.wins) - 1) * (1 - win_rates(pairs))
    return ranks


def skill(scores: Floats, baseline: int) -> Floats | None:
    """Return by what share each model's error is below the baseline's: 1 − exp(mean ln clip(x / b)).

    The geometric mean over the datasets where the model has a value; a ratio counts within [0.01, 100]. See
    "fev-bench", Shchur et al. 2025 (skill score).

    Returns:
        None if a score is not positive (a ratio would mean nothing) or the baseline misses a dataset.
    """
    reference = scores[:, baseline]
    present = ~np.isnan(scores)
    if not len(scores) or np.isnan(reference).any() or not (scores[present] > 0).all():
        return None
    with np.errstate(over="ignore", under="ignore"):  # clipped
        ratios = np.clip(scores / reference[:, None], 1 / _RATIO, _RATIO)
    logs = np.where(present, np.log(np.where(present, ratios, 1.0)), 0.0)
    counts = present.sum(axis=0)
    return np.where(counts > 0, 1 - np.exp(logs.sum(axis=0) / np.maximum(counts, 1)), np.nan)


def _blocks(scores: Floats) -> list[slice]:
    """Return the datasets in parts whose comparisons fit into memory at once."""
    n, k = scores.shape
    size = max(1, _PAIRS_AT_ONCE // max(1, k * k))
    return [slice(start, start + size) for start in range(0, n, size)]
