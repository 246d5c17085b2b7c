"""How sure a number is: intervals over seeds and over datasets."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import scipy  # `scipy.special` loads when it is first used, and takes 20 MB

from argus_server.ranking.statistics.comparisons import EXACT, Floats, Ties, outcomes
from argus_server.weighed import WeighedCache

__all__ = [
    "BOOTSTRAPS",
    "LEAST_DATASETS",
    "pairwise_rank_intervals",
    "rank_intervals",
    "t_half_width",
]

LEAST_DATASETS = 8
"""A bootstrap over fewer datasets promises more than it knows."""
BOOTSTRAPS = 1000
_SEED = 20060104
_SHARES_AT_ONCE = 2_000_000
_DRAWN = WeighedCache(8 * 1024 * 1024)
"""The draws for the numbers of datasets that were asked for last: 2 kB for each dataset."""


@lru_cache(maxsize=4096)
def _t_quantile(freedom: int, confidence: float) -> float:
    return float(scipy.special.stdtrit(freedom, (1 + confidence) / 2))


def t_half_width(std: float | None, n: int, confidence: float = 0.95) -> float | None:
    """Return half the width of Student's interval for the mean of n numbers; None for fewer than two."""
    if std is None or n < 2:
        return None
    return _t_quantile(n - 1, confidence) * std / math.sqrt(n)


def _draws(n: int) -> Floats:
    """Return how often each of n datasets is drawn, in each of the bootstraps: always the same draws."""
    try:
        drawn = _DRAWN.recall(n, "")
    except KeyError:
        drawn = np.random.default_rng(_SEED).multinomial(n, np.full(n, 1 / n), size=BOOTSTRAPS)
        drawn = drawn.astype(np.uint16)
        _DRAWN.keep(n, "", drawn)
    counts: Floats = drawn.astype(float)
    return counts


def rank_intervals(ranks: Floats, confidence: float = 0.95) -> tuple[Floats, Floats] | None:
    """Return the ends of the percentile bootstrap interval of each average rank, over datasets.

    The draws are fixed, so the same rows in the same order give the same bounds: the caller puts the
    datasets into an order of their own first.

    Returns:
        None for fewer than eight datasets.
    """
    n = len(ranks)
    if n < LEAST_DATASETS:
        return None
    return _ends(_draws(n) @ ranks / n, confidence)


def pairwise_rank_intervals(
    scores: Floats, ties: Ties = EXACT, confidence: float = 0.95
) -> tuple[Floats, Floats] | None:
    """Return the intervals of `pairwise_average_ranks`, likewise.

    A model that shares no dataset with another in a draw has no rank in it, and one with fewer than eight
    datasets of its own has no interval: NaN.
    """
    n, k = scores.shape
    if n < LEAST_DATASETS:
        return None
    better, tied = outcomes(scores, ties)
    own = np.arange(k)
    tied[:, own, own] = False
    points = (better + tied / 2).reshape(n, -1)
    met = (better | tied | better.transpose(0, 2, 1)).astype(float).reshape(n, -1)
    counts = _draws(n)
    drawn = np.full((BOOTSTRAPS, k), np.nan)
    step = max(1, _SHARES_AT_ONCE // (k * k))
    for start in range(0, BOOTSTRAPS, step):
        some = counts[start : start + step]
        compared = some @ met
        shares = np.where(compared > 0, (some @ points) / np.maximum(compared, 1), 0.0)
        opponents = (compared > 0).reshape(-1, k, k).sum(axis=2)
        sums = shares.reshape(-1, k, k).sum(axis=2)
        rates = np.where(opponents > 0, sums / np.maximum(opponents, 1), np.nan)
        drawn[start : start + step] = 1 + (k - 1) * (1 - rates)
    drawn[:, (~np.isnan(scores)).sum(axis=0) < LEAST_DATASETS] = np.nan
    return _ends(drawn, confidence)


def _ends(drawn: Floats, confidence: float) -> tuple[Floats, Floats]:
    tail = (1 - confidence) / 2
    low, high = np.full(drawn.shape[1], np.nan), np.full(drawn.shape[1], np.nan)
    gaps = np.isnan(drawn)
    whole, some = ~gaps.any(axis=0), gaps.any(axis=0) & ~gaps.all(axis=0)
    for columns, quantile in ((whole, np.quantile), (some, np.nanquantile)):
        if columns.any():
            low[columns], high[columns] = quantile(drawn[:, columns], [tail, 1 - tail], axis=0)
    return low, high
