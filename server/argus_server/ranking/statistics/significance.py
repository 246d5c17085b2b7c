"""Tests of whether models differ, and corrections for asking often."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy  # `scipy.special` loads when it is first used, and takes 20 MB

from argus_server.ranking.statistics.comparisons import EXACT, Floats, Ties
from argus_server.weighed import WeighedCache

__all__ = [
    "Friedman",
    "SkillingsMack",
    "Wilcoxon",
    "critical_difference",
    "friedman",
    "holm",
    "nemenyi_p",
    "skillings_mack",
    "smallest_n",
    "wilcoxon",
]

_MOST_EXACT = 200
"""Up to this many differences the distribution is counted out; beyond, the normal one is as good."""
_ROUNDING = 16 * np.finfo(np.float64).eps
_COUNTED = WeighedCache(8 * 1024 * 1024)
"""The distributions that were counted out last; one of two hundred differences takes 80 kB, with ties 160."""


# --- do all models do the same? ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Friedman:
    """Friedman's χ² (k − 1 degrees of freedom) and Iman and Davenport's F with its p."""

    chi2: float
    f: float
    p: float
    n: int
    k: int


def friedman(ranks: Floats, *, tie_corrected: bool = True) -> Friedman:
    """Test whether all models rank alike, from their complete ranks (datasets × models).

    The variance is that of the ranks themselves, which corrects for ties of every kind (Conover 1999, §5.8);
    F is Iman and Davenport's (1980), less conservative than χ² (Demšar 2006, §3.2.2). Where all datasets
    agree F is infinite and p that of the permutations: each further dataset agrees with the first by one in
    k!/∏t! orders, t the sizes of its ties.
    """
    n, k = ranks.shape
    if n < 2 or k < 2:
        return Friedman(0.0, 0.0, 1.0, n, k)
    middle = (k + 1) / 2
    between = float(((ranks.mean(axis=0) - middle) ** 2).sum()) * n
    usual = k * (k + 1) / 12
    spread = float(((ranks - middle) ** 2).sum()) / (n * (k - 1)) if tie_corrected else usual
    if spread <= 0:
        return Friedman(0.0, 0.0, 1.0, n, k)
    chi2 = between / spread
    room = n * (k - 1) - chi2
    if room <= _ROUNDING * n * (k - 1):
        return Friedman(chi2, math.inf, math.exp(_log_chance_to_agree(ranks)), n, k)
    f = (n - 1) * chi2 / room
    return Friedman(chi2, f, float(scipy.special.fdtrc(k - 1, (k - 1) * (n - 1), f)), n, k)


def _log_chance_to_agree(ranks: Floats) -> float:
    chance = 0.0
    for row in ranks[1:]:
        _, sizes = np.unique(row, return_counts=True)
        chance += sum(math.lgamma(size + 1) for size in sizes) - math.lgamma(len(row) + 1)
    return chance


@dataclass(frozen=True, slots=True)
class SkillingsMack:
    """Skillings and Mack's statistic and its p by χ²."""

    statistic: float
    freedom: int
    p: float


def skillings_mack(ranks: Floats, *, tie_corrected: bool = True) -> SkillingsMack:
    """Test whether all models rank alike where some ranks are missing (NaN).

    Skillings and Mack, Technometrics 23 (1981) 171–177; with the covariance of the ranks as they
    are, which corrects for ties. Where nothing is missing it is Friedman's χ².
    """
    _, k = ranks.shape
    sums, covariance = np.zeros(k), np.zeros((k, k))
    for row in ranks:
        here = np.flatnonzero(~np.isnan(row))
        size = len(here)
        if size < 2:
            continue
        distance = row[here] - (size + 1) / 2
        sums[here] += math.sqrt(12 / (size + 1)) * distance
        usual = float(size)
        spread = 12 / (size + 1) * float((distance**2).sum()) / (size - 1) if tie_corrected else usual
        covariance[np.ix_(here, here)] += spread * (np.eye(size) - 1 / size)
    freedom = int(np.linalg.matrix_rank(covariance, hermitian=True)) if k else 0
    if not freedom:
        return SkillingsMack(0.0, 0, 1.0)
    statistic = float(sums @ np.linalg.pinv(covariance, hermitian=True) @ sums)
    return SkillingsMack(statistic, freedom, float(scipy.special.chdtrc(freedom, statistic)))


# --- do two models do the same? ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wilcoxon:
    """Wilcoxon's signed-rank test of a against b.

    Attributes:
        plus: sum of the ranks of the datasets where a is larger, and half of those where they tie.
        minus: where b is larger, likewise.
        p: two-sided.
        n: on how many datasets they differ.
        z: what the normal approximation would make of it.
        is_exact: whether p is counted out.
    """

    plus: float
    minus: float
    p: float
    n: int
    z: float
    is_exact: bool

    @property
    def way(self) -> int:
        """Return 1 where a tends to be larger, −1 where b does, 0 where the ranks are in balance."""
        return (self.plus > self.minus) - (self.plus < self.minus)


def wilcoxon(a: Floats, b: Floats, ties: Ties = EXACT) -> Wilcoxon:
    """Test whether paired scores differ; pairs with a missing value are left out.

    Ties between a and b are ranked with the rest and their ranks halved between the sides (Demšar 2006,
    §3.1.3). p is that of all 2ⁿ signs of the n differences that are none, for the very ranks that
    there are: exact with ties too. Ties hold their places in it, so it is Pratt's (1959).
    """
    here = ~(np.isnan(a) | np.isnan(b))
    a, b = a[here], b[here]
    with np.errstate(over="ignore"):
        difference = np.clip(a - b, -np.finfo(np.float64).max, np.finfo(np.float64).max)
    difference[np.abs(difference) <= ties.slack(a, b)] = 0.0
    doubled = _doubled_ranks(np.abs(difference), _ROUNDING * np.maximum(np.abs(a), np.abs(b)))
    sign = np.sign(difference)
    zeros = int(doubled[sign == 0].sum())
    above, below = int(doubled[sign > 0].sum()), int(doubled[sign < 0].sum())
    plus, minus = (above + zeros / 2) / 2, (below + zeros / 2) / 2
    moved = tuple(sorted(int(rank) for rank in doubled[sign != 0]))
    if not moved:
        return Wilcoxon(plus, minus, 1.0, 0, 0.0, is_exact=True)
    spread = math.sqrt(sum(rank * rank for rank in moved)) / 4  # of sum(±rank/2)/2
    z = (min(plus, minus) - (plus + minus) / 2) / spread
    if len(moved) > _MOST_EXACT:
        return Wilcoxon(plus, minus, float(2 * scipy.special.ndtr(-abs(z))), len(moved), z, is_exact=False)
    return Wilcoxon(plus, minus, _tail(moved, min(above, below)), len(moved), z, is_exact=True)


def _doubled_ranks(sizes: Floats, noise: Floats) -> Floats:
    """Return twice the mid-ranks of absolute differences, which are integers; rounding makes no order.

    `noise` is what rounding leaves of each: 0.768 − 0.763 and 0.967 − 0.962 are one size.
    """
    apart = sizes[:, None] - sizes[None, :]
    slack = np.maximum(noise[:, None], noise[None, :])
    none = sizes == 0
    tied = (np.abs(apart) <= slack) & (none[:, None] == none[None, :])
    above = (apart > 0) & ~tied
    doubled: Floats = 1 + 2 * above.sum(axis=1) + tied.sum(axis=1)
    return doubled


def _below(ranks: tuple[int, ...]) -> Floats:
    """Return the probability of each sum of those ranks whose sign is plus, and of all that are less."""
    with suppress(KeyError):
        found: Floats = _COUNTED.recall(ranks, "")
        return found
    found = _count_below(ranks)
    _COUNTED.keep(ranks, "", found)
    return found


def _count_below(ranks: tuple[int, ...]) -> Floats:
    """Count out the sums up to the middle: the others are as likely as those that they leave."""
    half = sum(ranks) // 2
    chances = np.zeros(half + 1)
    chances[0] = 1.0
    reached = 0
    for rank in ranks:
        moved = 0.5 * chances[: min(reached, half - rank) + 1]
        chances[: reached + 1] *= 0.5
        chances[rank : rank + len(moved)] += moved
        reached = min(reached + rank, half)
    return np.cumsum(chances)


def _tail(doubled: tuple[int, ...], least: int) -> float:
    """Return the two-sided p of the lesser sum: the distribution is symmetric.

    Where nothing ties all doubled ranks are even, and those of one distribution with half as many steps.
    """
    step = math.gcd(*doubled)
    return min(1.0, 2 * float(_below(tuple([rank // step for rank in doubled]))[least // step]))


def holm(p_values: Sequence[float] | Floats, *, of: int | None = None) -> Floats:
    """Return p-values adjusted for their number by Holm's step-down method (1979).

    Args:
        p_values: of the comparisons.
        of: how many there are, if not all of them are given. Each step is then at least as long as it would
            be with the others, wherever theirs are: what is rejected is rejected with all of them too.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    steps = ((len(p) if of is None else of) - np.arange(len(p))) * p[order]
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps)) if len(p) else steps
    return adjusted


# --- Nemenyi ------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _studentized(k: int, alpha: float) -> float:
    """Return the upper quantile of the range of k standard normal numbers."""
    return float(scipy.optimize.brentq(lambda q: _range_above(q, k) - alpha, 1e-6, 60, xtol=1e-12))


def _range_above(q: float, k: int) -> float:
    """Return how likely the range of k standard normal numbers is above q.

    SciPy's `studentized_range` has it too, and takes seconds for thirty models. The integrand is smooth and
    vanishes at both ends, where the trapezoidal rule is as exact as floats are.
    """
    z = np.linspace(-10 - q, 10, 4001)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    inside = density * (scipy.special.ndtr(z + q) - scipy.special.ndtr(z)) ** (k - 1)
    return 1 - k * float(inside.sum()) * float(z[1] - z[0])


def critical_difference(k: int, n: int, alpha: float = 0.05) -> float:
    """Return how far apart two average ranks of k models over n datasets must be: Nemenyi's CD.

    The quantile of the studentised range is divided by √2 (Demšar 2006, §3.2.2).
    """
    return _studentized(k, alpha) / math.sqrt(2) * math.sqrt(k * (k + 1) / (6 * n))


def nemenyi_p(distance: float, k: int, n: int) -> float:
    """Return the p of two average ranks that far apart, among all pairs of k models over n datasets."""
    q = abs(distance) / math.sqrt(k * (k + 1) / (6 * n)) * math.sqrt(2)
    return min(1.0, max(0.0, _range_above(q, k)))


# --- what no outcome can show -------------------------------------------------------------------


def smallest_n(comparisons: int, alpha: float = 0.05) -> int:
    """Return from how many datasets on the exact Wilcoxon test can reject the first of so many comparisons.

    With n differences no p is below 2/2ⁿ, and Holm asks for alpha/comparisons: with fewer datasets no
    outcome whatever is significant.
    """
    return math.ceil(math.log2(2 * comparisons / alpha)) if comparisons > 0 else 1
