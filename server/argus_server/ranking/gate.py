"""The gate: is a model worse than its baseline, by more than allowed, and by more than seeds explain?

The rule is that of a non-inferiority test with a margin (Piaggio et al. 2012, CONSORT extension), over
seeds, for the datasets as they are:

- On each dataset d = mean(model) − mean(baseline), turned so that more is worse, and divided by
  |mean(baseline)| where the margin is a share. Its standard error is that of Welch (1947), each model with
  a variance of its own; with `paired`, that of the differences between jobs of the same seed.
- The change is the mean of d over datasets. Its variance is the sum of theirs over N², its degrees of freedom
  are Satterthwaite's (1946), its interval is Student's with 2.5 % beyond either end; that of one dataset has
  2.5 % / N (Bonferroni). The intervals that are shown are the ones that decide.
- What is allowed on a dataset is the margin, or the metric's resolution where that is more, and the rounding
  of floating point; over all datasets it is the mean of what is allowed on each.
- **Regression**: the whole interval of the change, or that of one dataset, lies beyond what is allowed, which
  has a chance of 5 % where nothing is worse; or a job of the model diverged where the baseline did not.
- **Pass**: the interval of the change ends within what is allowed, and every dataset of the baseline was run.
- Else there is **not enough evidence**: a seed more, or a dataset, may decide.

Values may be as large or as small as floats are: only sums of squares of what is near 1 are formed.
"""

from __future__ import annotations

import math
import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import scipy  # `scipy.special` loads when it is first used, and takes 20 MB
from numpy.typing import NDArray

from argus_core.events import number_or_none
from argus_server.errors import BadView
from argus_server.ranking.board import Board, Order, Wanted, room_around
from argus_server.ranking.similar import nearest_name

__all__ = ["ALPHA", "Change", "Check", "DatasetChange", "Margin", "Sample", "check", "sample_of"]

Verdict = Literal["pass", "regression", "undecided"]
ALPHA = 0.05
_AT_ONCE = 1000
_MOST_SEEDS = 100
_MOST_NAMED = 5
_LARGEST = sys.float_info.max


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
    """What one model measured.

    Attributes:
        values: dataset → (seed, value) of each job that counts, NaN where it diverged.
        metric: what the values are of.
        others: dataset → the names of what those jobs sent that have no number under that name.
    """

    model: str
    values: Mapping[str, Sequence[tuple[str | None, float]]]
    metric: str = "the metric"
    others: Mapping[str, Collection[str]] = field(default_factory=dict)

    def absence(self, dataset: str) -> str:
        """Return why there is no value on a dataset."""
        if dataset not in self.others:
            return f"{self.model} was not run"
        return f"{self.model} was run without {self.metric}; {self.sent(self.others[dataset])}"

    def sent(self, names: Collection[str] | None = None) -> str:
        """Return what its jobs without the metric sent instead, what looks most like it first."""
        found = set().union(*self.others.values()) if names is None else set(names)
        if self.metric in found:
            return f"what it sent as {self.metric} is no number"
        near = []
        while (name := nearest_name(self.metric, found)) is not None:
            near.append(name)
            found.remove(name)
        listed = [*near, *sorted(found)]
        more = ", …" if len(listed) > _MOST_NAMED else ""
        return f"it sent {', '.join(listed[:_MOST_NAMED])}{more}" if listed else "it sent no metric"


@dataclass(frozen=True, slots=True)
class Change:
    """A change for the worse and its interval; as a share, or in the metric's raw unit. Better is negative.

    Attributes:
        freedom: degrees of freedom; infinite where nothing varies.
        level: how often such an interval has the true change within it.
    """

    mean: float
    low: float
    high: float
    freedom: float
    level: float


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
    """A difference of two means.

    Attributes:
        errors: the parts of its standard error, each with the n that it was estimated from.
        excess: how much more than the margin is allowed here.
    """

    mean: float
    errors: tuple[tuple[float, int], ...]
    excess: float = 0.0

    def interval(self, alpha: float) -> Change:
        """Return the interval with the share `alpha` beyond either end."""
        level, mean = 1 - 2 * alpha, self.mean + 0.0  # no change is +0, not −0
        error = _within(math.hypot(*(part for part, _ in self.errors)))
        if not error > 0:
            return Change(mean, mean, mean, math.inf, level)
        freedom = 1 / sum((part / error) ** 4 / (n - 1) for part, n in self.errors)
        half = float(scipy.special.stdtrit(freedom, 1 - alpha)) * error
        return Change(mean, _within(mean - half), _within(mean + half), freedom, level)

    def by(self, unit: float, *, excess: float) -> _Spread:
        """Return the same measured by a unit, with what more is allowed."""
        errors = tuple((_within(part / unit), n) for part, n in self.errors)
        return _Spread(_within(self.mean / unit), errors, excess)

    def with_seeds(self, count: int) -> _Spread:
        """Return the same as so many seeds of each would have it, if they spread as these do."""
        errors = tuple((part * math.sqrt(n / count), count) for part, n in self.errors)
        return _Spread(self.mean, errors, self.excess)


def sample_of(board: Board, model: str, metric: str, datasets: tuple[str, ...] = ()) -> Sample:
    """Return what a model measured on a board; what is superseded, or no number, does not count."""
    wanted = Wanted(model=(model,), dataset=datasets)
    order = Order("dataset", is_metric=False, descends=False)
    values: dict[str, list[tuple[str | None, float]]] = defaultdict(list)
    others: dict[str, set[str]] = defaultdict(set)
    skip = 0
    while True:
        items, _ = board.walk(order, wanted, after=None, skip=skip, limit=_AT_ONCE)
        for item in items:
            if item.superseded_by is not None:
                continue
            dataset, number = item.job.dataset or "", number_or_none(item.job.metrics.get(metric))
            if number is None:
                others[dataset].update(item.job.metrics)
            else:
                values[dataset].append((item.job.seed, number))
        if len(items) < _AT_ONCE:
            return Sample(model, values, metric, others)
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
    if baseline.model == model.model and baseline.values:  # two batches of one model
        baseline = replace(baseline, model="its baseline")
    return _Gate(margin, 1 if higher else -1, resolution, paired=paired).decide(model, baseline)


class _Gate:
    """One margin, and what it is measured in."""

    def __init__(self, margin: Margin, sign: int, resolution: float, *, paired: bool) -> None:
        self._margin, self._sign = margin, sign
        self._resolution, self._paired = resolution, paired

    def decide(self, model: Sample, baseline: Sample) -> Check:
        names = sorted(baseline.values)
        if not names:
            said = f"{baseline.model} has no result to compare with"
            if baseline.others:
                said += f": it was run without {baseline.metric}; {baseline.sent()}"
            return self._undecided(f"{said}.", None, [])
        spreads: dict[str, _Spread] = {}
        rows = [self._dataset(name, model, baseline, len(names), spreads) for name in names]
        all_spreads = list(spreads.values())
        change = _overall(all_spreads)
        lost = [row.dataset for row in rows if row.note == "diverged"]
        worse = [row.dataset for row in rows if row.verdict == "regression"]
        if lost:
            summary = f"{model.model} diverged on {_some(lost)}, where {baseline.model} did not."
            return Check("regression", summary, change, rows, paired=self._paired)
        allowed = self._allowed(all_spreads)
        if change is not None and change.low > allowed:
            said = f"{model.model} is worse than {baseline.model} by {self._shown(change)}"
            return Check("regression", f"{said}: more than seeds explain.", change, rows, paired=self._paired)
        if worse:
            said = f"{model.model} is worse than {baseline.model} on {_some(worse)}"
            summary = f"{said}: more than seeds explain."
            return Check("regression", summary, change, rows, paired=self._paired)
        gaps = [row for row in rows if row.change is None]
        if gaps or change is None:
            reasons = "; ".join(f"{_called(row.dataset)}: {row.note}" for row in gaps[:3])
            reasons += f"; and {len(gaps) - 3} more" if len(gaps) > 3 else ""
            return self._undecided(f"There is not enough to compare: {reasons}.", change, rows)
        if change.high <= allowed:
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

    def _allowed(self, spreads: Sequence[_Spread]) -> float:
        """Return how large the mean change of some datasets may be, in its unit."""
        count = len(spreads)
        return self._margin.amount + sum(item.excess / count for item in spreads)

    def _shown(self, change: Change) -> str:
        form = "+.2%" if self._margin.is_share else "+.4g"
        ends = f"{change.low:{form}} to {change.high:{form}}"
        return f"{change.mean:{form}} ({change.level * 100:.3g} % interval {ends})"

    def _dataset(
        self, name: str, model: Sample, baseline: Sample, count: int, spreads: dict[str, _Spread]
    ) -> DatasetChange:
        ours, theirs = model.values.get(name, ()), baseline.values[name]
        a, b = (np.array([value for _, value in some]) for some in (ours, theirs))
        means = [_mean(some) if len(some) and np.isfinite(some).all() else None for some in (a, b)]

        def row(verdict: Verdict, note: str = "", change: Change | None = None) -> DatasetChange:
            return DatasetChange(name, len(a), len(b), means[0], means[1], change, verdict, note)

        if not np.isfinite(b).all():
            return row("undecided", f"{baseline.model} diverged")
        if not len(a):
            return row("undecided", model.absence(name))
        if not np.isfinite(a).all():
            return row("regression", "diverged")
        spread = self._paired_spread(name, model, baseline) if self._paired else self._welch(a, b)
        if spread is None:
            return row("undecided", "one seed says nothing of the spread between seeds")
        unit, largest = self._unit(name, means[1] or 0.0), max(abs(mean or 0.0) for mean in means)
        beyond = max(0.0, self._resolution / unit - self._margin.amount)
        spread = spreads[name] = spread.by(unit, excess=_within(beyond + room_around(largest / unit)))
        own = spread.interval(ALPHA / 2 / count)
        allowed = self._allowed([spread])
        verdict: Verdict = "pass" if own.high <= allowed else "undecided"
        return row("regression" if own.low > allowed else verdict, change=own)

    def _unit(self, name: str, mean: float) -> float:
        """Return what a change is measured by on a dataset."""
        if not self._margin.is_share:
            return 1.0
        if not mean:
            raise BadView(
                f"max_regress={self._margin}: the baseline's mean is 0 on {_called(name)}; give an amount"
            )
        return abs(mean)

    def _welch(self, a: NDArray[np.float64], b: NDArray[np.float64]) -> _Spread | None:
        if len(a) < 2 or len(b) < 2:
            return None
        errors = tuple((_standard_error(some), len(some)) for some in (a, b))
        return _Spread(_within(self._sign * (_mean(b) - _mean(a))), errors)

    def _paired_spread(self, name: str, model: Sample, baseline: Sample) -> _Spread | None:
        first, second = (_by_seed(name, sample) for sample in (model, baseline))
        if first.keys() != second.keys():
            raise BadView(
                f"paired: the two have no equal seeds on {_called(name)}: "
                f"{model.model} has {_some(sorted(first))}, {baseline.model} {_some(sorted(second))}"
            )
        if len(first) < 2:
            return None
        differences = np.array(
            [_within(self._sign * (second[seed] - value)) for seed, value in first.items()]
        )
        return _Spread(_mean(differences), ((_standard_error(differences), len(differences)),))

    def _seeds_needed(self, spreads: Sequence[_Spread]) -> int | None:
        """Return how many seeds would decide if nothing else changed."""
        allowed = self._allowed(spreads)
        for n in range(2, _MOST_SEEDS + 1):
            change = _overall([item.with_seeds(n) for item in spreads])
            if change is not None and not change.low <= allowed < change.high:
                return n
        return None


def _by_seed(dataset: str, sample: Sample) -> dict[str, float]:
    """Return seed → value, or say why jobs of equal seeds cannot be paired."""
    seeds = Counter(seed for seed, _ in sample.values[dataset])
    several = [seed for seed, count in seeds.items() if seed is not None and count > 1]
    if None in seeds:
        raise BadView(f"paired: a job of {sample.model} has no seed on {_called(dataset)}")
    if several:
        said = f"{sample.model} has more than one job of seed {_some(sorted(several))}"
        raise BadView(f"paired: {said} on {_called(dataset)}")
    return {seed: value for seed, value in sample.values[dataset] if seed is not None}


def _overall(spreads: Sequence[_Spread]) -> Change | None:
    """Return the mean change over datasets, each of which is measured by itself; None of none."""
    if not spreads:
        return None
    count = len(spreads)
    mean = sum(item.mean / count for item in spreads)
    errors = tuple((part / count, n) for item in spreads for part, n in item.errors)
    return _Spread(mean, errors).interval(ALPHA / 2)


def _mean(values: NDArray[np.float64]) -> float:
    """Return the mean of finite values, also where their sum is larger than floats are."""
    size = _power_of_two(values)
    return float(np.mean(values / size)) * size


def _standard_error(values: NDArray[np.float64]) -> float:
    """Return the standard error of the mean, also where the squares are larger or smaller than floats are."""
    size = _power_of_two(values)
    return _within(float(np.std(values / size, ddof=1)) / math.sqrt(len(values)) * size)


def _power_of_two(values: NDArray[np.float64]) -> float:
    """Return a power of two near the largest size: dividing by it loses no digit."""
    largest = float(np.max(np.abs(values)))
    return math.ldexp(1.0, math.frexp(largest)[1] - 1) if largest else 1.0


def _within(number: float) -> float:
    """Return the number, or the largest float where arithmetic went beyond it."""
    return max(-_LARGEST, min(number, _LARGEST))


def _called(dataset: str) -> str:
    return dataset or "no dataset"


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(_called, names[:3])) + (", …" if len(names) > 3 else "")
