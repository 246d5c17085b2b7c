"""The gate: is a model worse than its baseline, by more than allowed, and by more than seeds explain?

The rule is that of a non-inferiority test with a margin (Piaggio et al. 2012, CONSORT extension), over
seeds, for the datasets as they are:

- On each dataset d = mean(model) − mean(baseline), turned so that more is worse, and divided by
  |mean(baseline)| where the margin is a share. Its standard error is that of Welch (1947), each model with
  a variance of its own; with `paired`, that of the differences between jobs of the same seed.
- The change is the mean of d over datasets. Its variance is the sum of theirs over N², its degrees of freedom
  are Satterthwaite's (1946), its interval is Student's with 5 % beyond either end.
- **Regression**: the whole interval lies beyond the margin; or that of one dataset does, with 5 % / N
  (Bonferroni); or a job of the model diverged where the baseline did not.
- **Pass**: the whole interval lies within the margin, and every dataset of the baseline was run.
- Else there is **not enough evidence**: a seed more, or a dataset, may decide.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from argus_core.events import number_or_none
from argus_server.errors import BadView
from argus_server.ranking.board import Board, Order, Wanted

__all__ = ["ALPHA", "Change", "Check", "DatasetChange", "Margin", "Sample", "check", "sample_of"]

Verdict = Literal["pass", "regression", "undecided"]
ALPHA = 0.05
_AT_ONCE = 1000
_MOST_SEEDS = 100


@dataclass(frozen=True, slots=True)
class Margin:
    """How much worse is still allowed: a share of the baseline's mean, or an amount of the metric."""

    amount: float
    is_share: bool

    @classmethod
    def parse(cls, text: str) -> Margin:
        """Read `1%`, a share, or `0.002`, an amount in the metric's raw unit.

        Raises:
            BadView: it is neither.
        """
        number = text.strip().removesuffix("%")
        try:
            amount = float(number)
        except ValueError:
            amount = math.nan
        if not 0 <= amount < math.inf:
            raise BadView(f"max_regress={text} is no margin; write 1% or 0.002")
        is_share = number != text.strip()
        return cls(amount / 100 if is_share else amount, is_share)

    def __str__(self) -> str:
        return f"{self.amount * 100:g}%" if self.is_share else f"{self.amount:g}"


@dataclass(frozen=True, slots=True)
class Sample:
    """What one model measured: dataset → (seed, value) of each job that counts, NaN where it diverged."""

    model: str
    values: Mapping[str, Sequence[tuple[str | None, float]]]


@dataclass(frozen=True, slots=True)
class Change:
    """A change for the worse and its interval; as a share, or in the metric's raw unit. Better is negative.

    Attributes:
        freedom: degrees of freedom; infinite where nothing varies.
    """

    mean: float
    low: float
    high: float
    freedom: float


@dataclass(frozen=True, slots=True)
class DatasetChange:
    """One dataset. `change` is None where there is no interval, and `note` says why."""

    dataset: str
    n_model: int
    n_baseline: int
    mean_model: float | None
    mean_baseline: float | None
    change: Change | None
    verdict: Verdict
    note: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """The decision, with everything that led to it.

    Attributes:
        change: over all datasets that both have; None without an interval.
        seeds_needed: how many seeds of each model on each dataset would decide, if means and spreads stay
            as they are; None if no number up to a hundred would, or none is needed.
    """

    verdict: Verdict
    summary: str
    change: Change | None
    datasets: Sequence[DatasetChange]
    seeds_needed: int | None = None
    paired: bool = False


@dataclass(frozen=True, slots=True)
class _Spread:
    """The difference of two means, its squared standard error in parts, and each part's n."""

    mean: float
    parts: tuple[tuple[float, int], ...] = field(default_factory=tuple)

    def interval(self, alpha: float) -> Change:
        variance = sum(part for part, _ in self.parts)
        if not variance > 0:
            return Change(self.mean, self.mean, self.mean, math.inf)
        below = sum(part**2 / (n - 1) for part, n in self.parts)
        freedom = variance**2 / below if below > 0 else math.inf
        half = float(special.stdtrit(freedom, 1 - alpha)) * math.sqrt(variance)
        return Change(self.mean, self.mean - half, self.mean + half, freedom)


def sample_of(board: Board, model: str, metric: str, datasets: tuple[str, ...] = ()) -> Sample:
    """Return what a model measured on a board; what is superseded, or no number, does not count."""
    wanted = Wanted(model=(model,), dataset=datasets)
    order = Order("dataset", is_metric=False, descends=False)
    values: dict[str, list[tuple[str | None, float]]] = defaultdict(list)
    skip = 0
    while True:
        items, _ = board.walk(order, wanted, after=None, skip=skip, limit=_AT_ONCE)
        for item in items:
            number = number_or_none(item.job.metrics.get(metric))
            if item.superseded_by is None and number is not None:
                values[item.job.dataset or ""].append((item.job.seed, number))
        if len(items) < _AT_ONCE:
            return Sample(model, values)
        skip += _AT_ONCE


def check(
    model: Sample,
    baseline: Sample,
    margin: Margin,
    *,
    higher: bool,
    resolution: float = 0.0,
    paired: bool = False,
) -> Check:
    """Return whether the model passes; the module says by which rule.

    Args:
        model: the one in question.
        baseline: what it is compared with.
        margin: how much worse is allowed.
        higher: whether more is better.
        resolution: differences up to this size mean nothing, in the raw unit.
        paired: compare the jobs of equal seeds; for seeds that fix the split of the data.

    Raises:
        BadView: a share of a mean of zero is asked for, or the seeds cannot be paired.
    """
    return _Gate(margin, 1 if higher else -1, resolution, paired=paired).decide(model, baseline)


class _Gate:
    """One margin, and what it is measured in."""

    def __init__(self, margin: Margin, sign: int, resolution: float, *, paired: bool) -> None:
        self._margin, self._sign = margin, sign
        self._resolution, self._paired = resolution, paired

    def decide(self, model: Sample, baseline: Sample) -> Check:
        names = sorted(baseline.values)
        if not names:
            return self._undecided(f"{baseline.model} has no result to compare with.", None, [])
        spreads: dict[str, _Spread] = {}
        rows = [self._dataset(name, model, baseline, len(names), spreads) for name in names]
        all_spreads = list(spreads.values())
        change = self._overall(all_spreads, ALPHA)
        lost = [row.dataset for row in rows if row.note == "diverged"]
        worse = [row.dataset for row in rows if row.verdict == "regression"]
        if lost:
            summary = f"{model.model} diverged on {_some(lost)}, where {baseline.model} did not."
            return Check("regression", summary, change, rows, paired=self._paired)
        if change is not None and self._is_beyond(all_spreads):
            said = f"{model.model} is worse than {baseline.model} by {self._shown(change)}"
            return Check("regression", f"{said}: more than seeds explain.", change, rows, paired=self._paired)
        if worse:
            said = f"{model.model} is worse than {baseline.model} on {_some(worse)}"
            summary = f"{said}: more than seeds explain."
            return Check("regression", summary, change, rows, paired=self._paired)
        gaps = [row for row in rows if row.change is None]
        if gaps or change is None:
            reasons = "; ".join(f"{row.dataset or 'no dataset'}: {row.note}" for row in gaps[:3])
            return self._undecided(f"There is not enough to compare: {reasons}.", change, rows)
        if change.high <= self._allowed:
            said = f"{model.model} is not worse than {baseline.model} by more than {self._margin}"
            return Check("pass", f"{said}: {self._shown(change)}.", change, rows, paired=self._paired)
        needed = self._seeds_needed(all_spreads)
        more = f" About {needed} seeds of each would decide." if needed is not None else ""
        summary = (
            f"Seeds vary too much to tell a change of {self._margin}: it is {self._shown(change)}.{more}"
        )
        return self._undecided(summary, change, rows, needed)

    def _undecided(
        self,
        summary: str,
        change: Change | None,
        rows: Sequence[DatasetChange],
        needed: int | None = None,
    ) -> Check:
        return Check("undecided", summary, change, rows, needed, self._paired)

    @property
    def _allowed(self) -> float:
        """Return the margin over all datasets, in the unit of the change."""
        return self._margin.amount if self._margin.is_share else max(self._margin.amount, self._resolution)

    def _shown(self, change: Change) -> str:
        if self._margin.is_share:
            return f"{change.mean:+.2%} ({change.low:+.2%} to {change.high:+.2%})"
        return f"{change.mean:+.4g} ({change.low:+.4g} to {change.high:+.4g})"

    def _dataset(
        self, name: str, model: Sample, baseline: Sample, count: int, spreads: dict[str, _Spread]
    ) -> DatasetChange:
        ours, theirs = model.values.get(name, ()), baseline.values[name]
        a, b = (np.array([value for _, value in some]) for some in (ours, theirs))
        means = [float(np.mean(some)) if len(some) and np.isfinite(some).all() else None for some in (a, b)]

        def row(verdict: Verdict, note: str = "", change: Change | None = None) -> DatasetChange:
            return DatasetChange(name, len(a), len(b), means[0], means[1], change, verdict, note)

        if not np.isfinite(b).all():
            return row("undecided", f"{baseline.model} diverged")
        if not len(a):
            return row("undecided", f"{model.model} was not run")
        if not np.isfinite(a).all():
            return row("regression", "diverged")
        spread = self._paired_spread(name, ours, theirs) if self._paired else self._welch(a, b)
        if spread is None:
            return row("undecided", "one seed says nothing of the spread between seeds")
        scale = self._scale(name, means[1] or 0.0)
        spread = _Spread(spread.mean / scale, tuple((part / scale**2, n) for part, n in spread.parts))
        spreads[name] = spread
        own = spread.interval(ALPHA / 2 / count)
        allowed = max(self._margin.amount, self._resolution / scale)
        verdict: Verdict = "pass" if own.high <= allowed else "undecided"
        return row("regression" if own.low > allowed else verdict, change=own)

    def _scale(self, name: str, mean: float) -> float:
        if not self._margin.is_share:
            return 1.0
        if not mean:
            raise BadView(f"max_regress={self._margin}: the baseline's mean is 0 on {name}; give an amount")
        return abs(mean)

    def _welch(self, a: NDArray[np.float64], b: NDArray[np.float64]) -> _Spread | None:
        if len(a) < 2 or len(b) < 2:
            return None
        parts = tuple((float(np.var(some, ddof=1)) / len(some), len(some)) for some in (a, b))
        return _Spread(self._sign * float(np.mean(b) - np.mean(a)), parts)

    def _paired_spread(
        self, name: str, ours: Sequence[tuple[str | None, float]], theirs: Sequence[tuple[str | None, float]]
    ) -> _Spread | None:
        first, second = dict(ours), dict(theirs)
        if None in first or first.keys() != second.keys() or len(first) != len(ours):
            raise BadView(f"paired: the two have no equal seeds on {name}")
        if len(first) < 2:
            return None
        differences = np.array([self._sign * (second[seed] - value) for seed, value in first.items()])
        part = float(np.var(differences, ddof=1)) / len(differences)
        return _Spread(float(np.mean(differences)), ((part, len(differences)),))

    def _overall(self, spreads: Sequence[_Spread], alpha: float) -> Change | None:
        return _mean_spread(spreads).interval(alpha) if spreads else None

    def _is_beyond(self, spreads: Sequence[_Spread]) -> bool:
        change = self._overall(spreads, ALPHA / 2)
        return change is not None and change.low > self._allowed

    def _seeds_needed(self, spreads: Sequence[_Spread]) -> int | None:
        """Return how many seeds would decide if nothing else changed."""
        for n in range(2, _MOST_SEEDS + 1):
            scaled = [
                _Spread(item.mean, tuple((part * own / n, n) for part, own in item.parts)) for item in spreads
            ]
            change = self._overall(scaled, ALPHA)
            if change is not None and (change.high <= self._allowed or self._is_beyond(scaled)):
                return n
        return None


def _mean_spread(spreads: Sequence[_Spread]) -> _Spread:
    """Return the mean over datasets, each of which is measured by itself."""
    count = len(spreads)
    mean = sum(item.mean for item in spreads) / count
    return _Spread(mean, tuple((part / count**2, n) for item in spreads for part, n in item.parts))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
