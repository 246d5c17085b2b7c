"""The metric doctor: what looks wrong in the values of a project, why, and a remedy that can be taken back.

A finding is made from the jobs as they rank now, so that what a remedy has mended is found no more. A remedy
is a setting, an alias or a correction: the events stay as they were sent.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from statistics import median
from typing import Literal

from msgspec import structs

from argus_core.conventions import CONVENTIONS, convention
from argus_core.events import number_or_none
from argus_server.ranking.board import Board
from argus_server.ranking.registry import Correction, MetricSetting, Settings
from argus_server.ranking.similar import are_close, plain_name
from argus_server.ranking.table import DoneJob, MetricKey
from argus_server.ranking.units import is_fraction, is_measured, nearest_factor
from argus_server.ranking.values import finite, raw_text

__all__ = [
    "IN_WORDS",
    "Evidence",
    "Finding",
    "Remedy",
    "examine",
    "names_alike",
    "remedies",
    "treat",
    "untreat",
]

Kind = Literal["alike", "unit", "scale", "impossible", "direction", "diverged"]
IN_WORDS: Mapping[Kind, str] = {
    "alike": "one metric, two names",
    "unit": "another unit",
    "scale": "mixed scales",
    "impossible": "impossible values",
    "direction": "two directions",
    "diverged": "many diverged",
}
_MOST_EVIDENCE = 3
_LEAST_IN_GROUP = 4
_GAP = 1.5
"""In powers of ten: how far apart two clusters of one metric are at least."""
_STORM_SHARE, _STORM_LEAST = 0.2, 3
_POSITIVE = frozenset(
    name for name, known in CONVENTIONS.items() if known.direction == "lower" and name != "loss"
) | {"accuracy"}
_BELOW_ONE = frozenset({"R2", "PCC"})


@dataclass(frozen=True, slots=True)
class Evidence:
    """One job that shows it, and what it sent as it counts now."""

    batch_id: str
    job_id: str
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Remedy:
    """A setting of one metric: another name of `alias_of`, or a correction of its values."""

    key: str
    alias_of: str = ""
    correction: Correction | None = None

    @property
    def text(self) -> str:
        """What it does, in words."""
        if self.alias_of:
            return f"Count {self.key} as {self.alias_of}"
        one = self.correction
        assert one is not None
        which = [f"over {one.over:.4g}"] if one.over is not None else []
        which += [f"under {one.under:.4g}"] if one.under is not None else []
        which += [f"of {', '.join(one.batches)}"] if one.batches else []
        values = f"Multiply the values of {self.key}" + (f" {' and '.join(which)}" if which else "")
        return f"{values} by {one.factor:.6g}"


@dataclass(frozen=True, slots=True)
class Finding:
    """What looks wrong.

    Attributes:
        kind: which check found it.
        keys: the metrics that it is about.
        fact: what is the case, with numbers.
        doubt: what would make it right as it is.
        evidence: some jobs of both sides.
        remedy: None where only people can help.
    """

    kind: Kind
    keys: tuple[str, ...]
    fact: str
    doubt: str
    evidence: tuple[Evidence, ...] = ()
    remedy: Remedy | None = None

    @property
    def id(self) -> str:
        """The same for the same finding, as long as its remedy is the same."""
        said = repr((self.kind, self.keys, self.remedy))
        return hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def examine(
    board: Board, declared: Mapping[str, Iterable[str]] | None = None, *, most_jobs: int | None = None
) -> list[Finding]:
    """Return everything that looks wrong, the names first.

    Args:
        board: the project.
        declared: metric → the directions that its jobs have declared, where they are known.
        most_jobs: look at about so many, evenly drawn from all models; None for all.
    """
    whole = board.everything()
    jobs = sorted(
        (item.job for item in whole.placed if item.superseded_by is None), key=lambda job: job.order
    )
    if most_jobs is not None:
        jobs = jobs[:: -(-len(jobs) // most_jobs) or 1]
    values = _by_key(jobs)
    found = names_alike(board.keys, values)
    for key in sorted(board.keys, key=lambda key: key.key):
        some = values.get(key.key, [])
        if key.setting.corrections or not some:
            continue
        found += [*_impossible(key, some), *_jumps(key, some)]
    return [*found, *_directions(board.keys, declared or {}), *_storms(jobs, board.keys)]


Value = tuple[DoneJob, float]


def _by_key(jobs: Sequence[DoneJob]) -> dict[str, list[Value]]:
    values: dict[str, list[Value]] = defaultdict(list)
    for job in jobs:
        for key, raw in job.metrics.items():
            if (number := finite(raw)) is not None:
                values[key].append((job, number))
    return values


def _evidence(key: str, values: Iterable[Value]) -> tuple[Evidence, ...]:
    some = list(values)[:_MOST_EVIDENCE]
    return tuple(Evidence(job.batch_id, job.job_id, key, raw_text(job.metrics[key])) for job, _ in some)


# --- names ------------------------------------------------------------------------------------


def names_alike(
    keys: Sequence[MetricKey], values: Mapping[str, Sequence[Value]] | None = None
) -> list[Finding]:
    """Return the pairs of names that seem to be one metric: case, separators, stage, or a slip of the hand.

    Args:
        keys: the names as they rank.
        values: what jobs sent under them: two names that one job sends with two values are two metrics.
    """
    found = []
    by_name = {key.key: key for key in keys}
    plain = {name: plain_name(name) for name in by_name}
    for a, b in combinations(sorted(by_name), 2):
        if a in CONVENTIONS and b in CONVENTIONS:
            continue
        if not _look_alike(plain[a], plain[b]) or (values is not None and _differ(a, b, values)):
            continue
        kept, other = sorted((a, b), key=lambda name: (name not in CONVENTIONS, -by_name[name].count, name))
        counts = f"{_times(by_name[kept].count)} and {_times(by_name[other].count)}"
        evidence = (
            ()
            if values is None
            else _evidence(kept, values.get(kept, ())) + _evidence(other, values.get(other, ()))
        )
        found.append(
            Finding(
                "alike",
                (kept, other),
                f"{kept} and {other} look like one metric; they were sent {counts}.",
                "If they are two metrics, leave them apart.",
                evidence,
                Remedy(other, alias_of=kept),
            )
        )
    return found


def _look_alike(a: str, b: str) -> bool:
    """Whether two plain names are one, or one letter apart; digits tell names apart (rouge1, rouge2)."""
    if a == b:
        return True
    return are_close(a, b) and [c for c in a if c.isdigit()] == [c for c in b if c.isdigit()]


def _differ(a: str, b: str, values: Mapping[str, Sequence[Value]]) -> bool:
    ours = {(job.batch_id, job.job_id): value for job, value in values.get(a, ())}
    theirs = {(job.batch_id, job.job_id): value for job, value in values.get(b, ())}
    return any(ours[job] != theirs[job] for job in ours.keys() & theirs.keys())


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


# --- values -----------------------------------------------------------------------------------


def _impossible(key: MetricKey, values: Sequence[Value]) -> Iterator[Finding]:
    base = key.key.partition("@")[0]
    known = base if base in CONVENTIONS else ""
    if known in _POSITIVE:
        negative = [item for item in values if item[1] < 0]
        if negative:
            yield Finding(
                "impossible",
                (key.key,),
                f"{key.key} is negative in {len(negative)} of {len(values)} jobs, and cannot be.",
                "A scorer may have turned the sign (neg_mean_squared_error).",
                _evidence(key.key, negative),
                _turned(key.key, negative, values),
            )
    above = [item for item in values if item[1] > 1]
    if known in _BELOW_ONE and above:
        fact = f"{key.key} is above 1 in {len(above)} of {len(values)} jobs, and cannot be."
        yield Finding("impossible", (key.key,), fact, "", _evidence(key.key, above))


def _turned(key: str, negative: Sequence[Value], values: Sequence[Value]) -> Remedy | None:
    """Return the correction that turns the sign, where whole batches have it wrong."""
    if len(negative) == len(values):
        return Remedy(key, correction=Correction(-1.0))
    batches = _own_batches(negative, values)
    return Remedy(key, correction=Correction(-1.0, batches=batches)) if batches else None


def _own_batches(some: Sequence[Value], values: Sequence[Value]) -> tuple[str, ...]:
    """Return the batches of some values, if all their values are among them; empty otherwise."""
    theirs = {job.batch_id for job, _ in some}
    inside = [value for value in values if value[0].batch_id in theirs]
    return tuple(sorted(theirs)) if len(inside) == len(some) else ()


def _jumps(key: MetricKey, values: Sequence[Value]) -> Iterator[Finding]:
    """Yield the finding that some values of a metric are in another unit than the rest, if they are."""
    low, high = _clusters(values, by_dataset=not is_fraction(key.key))
    if not low or not high:
        return
    unit = "" if is_fraction(key.key) else key.meaning.unit
    ratio = _ratio(low, high)
    if is_fraction(key.key):
        mixed = all(0 <= v <= 1 for _, v in low) and all(1 < v <= 100 for _, v in high)
        jump = (100.0, "percent") if mixed else None
    elif is_measured(unit):
        jump = nearest_factor(unit, ratio)
    else:
        batches = _own_batches(high, values) or _own_batches(low, values)
        jump = (1000.0, "thousandths") if batches and abs(math.log10(ratio / 1000)) < 0.3 else None
    if jump is None or jump[0] <= 1:
        return
    factor, word = jump
    off_is_high = len(high) <= len(low) or unit == "s"
    off = high if off_is_high else low
    edge = math.sqrt(max(abs(v) for _, v in low) * min(abs(v) for _, v in high))
    correction = Correction(1 / factor if off_is_high else factor)
    if batches := _own_batches(off, values):
        correction = structs.replace(correction, batches=batches)
    elif off_is_high:
        correction = structs.replace(correction, over=edge)
    else:
        correction = structs.replace(correction, under=edge)
    said = f"look like {word}" if word else f"look {factor:g} times too large"
    said = said if off_is_high else f"look {factor:g} times too small"
    others = low if off_is_high else high
    typical, usual = (median(v for _, v in some) for some in (off, others))
    yield Finding(
        "scale" if is_fraction(key.key) else "unit",
        (key.key,),
        f"{len(off)} of {len(values)} values of {key.key} {said}: typically {typical:.4g}, the others"
        f" {usual:.4g}.",
        "Another machine or dataset may really be so different.",
        _evidence(key.key, off) + _evidence(key.key, others),
        Remedy(key.key, correction=correction),
    )


def _ratio(low: Sequence[Value], high: Sequence[Value]) -> float:
    """Return how much larger the high values are, each model beside itself where it has values of both."""
    sizes: list[dict[str | None, list[float]]] = []
    for some in (low, high):
        by_model = defaultdict(list)
        for job, value in some:
            by_model[job.model].append(abs(value))
        sizes.append(by_model)
    small, large = sizes
    own = [median(large[model]) / median(small[model]) for model in small.keys() & large.keys()]
    return median(own) if own else median(abs(v) for _, v in high) / median(abs(v) for _, v in low)


def _clusters(values: Sequence[Value], *, by_dataset: bool) -> tuple[list[Value], list[Value]]:
    """Return the values on both sides of the widest gap between sizes, in each dataset that has enough.

    No gap is one where a side is as wide as the gap itself: then the metric simply has a wide range.
    """
    groups: dict[str, list[Value]] = defaultdict(list)
    for job, value in values:
        if value:
            groups[(job.dataset or "") if by_dataset else ""].append((job, value))
    if by_dataset and any(len(some) < _LEAST_IN_GROUP for some in groups.values()):
        groups = {"": [item for some in groups.values() for item in some]}
    low: list[Value] = []
    high: list[Value] = []
    for some in groups.values():
        below, above = _split(some)
        low += below
        high += above
    return (
        (low, high) if low and high and len(low) + len(high) == sum(map(len, groups.values())) else ([], [])
    )


def _split(values: Sequence[Value]) -> tuple[list[Value], list[Value]]:
    ordered = sorted(values, key=lambda item: abs(item[1]))
    sizes = [math.log10(abs(value)) for _, value in ordered]
    gaps = [after - before for before, after in pairwise(sizes)]
    if not gaps:
        return ordered, []
    widest = max(range(len(gaps)), key=gaps.__getitem__)
    spreads = sizes[widest] - sizes[0], sizes[-1] - sizes[widest + 1]
    if gaps[widest] < _GAP or max(spreads) >= gaps[widest]:
        return ordered, []
    return ordered[: widest + 1], ordered[widest + 1 :]


# --- directions and divergence ----------------------------------------------------------------


def _directions(keys: Sequence[MetricKey], declared: Mapping[str, Iterable[str]]) -> Iterator[Finding]:
    for key in sorted(keys, key=lambda key: key.key):
        said = {word for word in declared.get(key.key, ()) if word in ("lower", "higher")}
        if key.declared is not None and key.declared.direction != "unknown":
            said.add(key.declared.direction)
        known = convention(key.key).direction
        if known != "unknown":
            said.add(known)
        if len(said) > 1 and key.setting.direction is None:
            now = key.meaning.direction
            yield Finding(
                "direction",
                (key.key,),
                f"Lower and higher {key.key} have both been said to be better; what counts now is {now}.",
                "Set the direction in the project's settings: it wins over both.",
            )


def _storms(jobs: Sequence[DoneJob], keys: Sequence[MetricKey]) -> Iterator[Finding]:
    """Yield the batches in which many values of a metric are not finite."""
    counts: dict[tuple[str, str], list[DoneJob]] = defaultdict(list)
    totals: dict[tuple[str, str], int] = defaultdict(int)
    for job in jobs:
        for key, raw in job.metrics.items():
            number = number_or_none(raw)
            if number is not None:
                totals[key, job.batch_id] += 1
                if not math.isfinite(number):
                    counts[key, job.batch_id].append(job)
    names = {key.key for key in keys}
    for (key, batch_id), lost in sorted(counts.items(), key=lambda item: item[0]):
        total = totals[key, batch_id]
        if key in names and len(lost) >= _STORM_LEAST and len(lost) / total >= _STORM_SHARE:
            evidence = [Evidence(job.batch_id, job.job_id, key, raw_text(job.metrics[key])) for job in lost]
            yield Finding(
                "diverged",
                (key,),
                f"{key} is NaN or infinite in {len(lost)} of {total} jobs of the batch {batch_id}.",
                "They are shown and never ranked; look at their curves.",
                tuple(evidence[:_MOST_EVIDENCE]),
            )


# --- remedies ---------------------------------------------------------------------------------


def remedies(settings: Settings) -> list[Remedy]:
    """Return the remedies that are in force, whoever set them."""
    found = []
    for key, setting in sorted(settings.metrics.items()):
        found += [Remedy(key, alias_of=setting.alias_of)] if setting.alias_of else []
        found += [Remedy(key, correction=one) for one in setting.corrections]
    return found


def treat(settings: Settings, remedy: Remedy) -> Settings:
    """Return the settings with a remedy; other names of an alias follow it."""
    setting = settings.metric(remedy.key)
    if remedy.alias_of:
        changed = _with(settings, remedy.key, structs.replace(setting, alias_of=remedy.alias_of))
        for name, other in settings.metrics.items():
            if other.alias_of == remedy.key:
                changed = _with(changed, name, structs.replace(other, alias_of=remedy.alias_of))
        return changed
    assert remedy.correction is not None
    corrections = (*setting.corrections, remedy.correction)
    return _with(settings, remedy.key, structs.replace(setting, corrections=corrections))


def untreat(settings: Settings, remedy: Remedy) -> Settings:
    """Return the settings without a remedy."""
    setting = settings.metric(remedy.key)
    if remedy.alias_of:
        return _with(settings, remedy.key, structs.replace(setting, alias_of=""))
    rest = tuple(one for one in setting.corrections if one != remedy.correction)
    return _with(settings, remedy.key, structs.replace(setting, corrections=rest))


def _with(settings: Settings, key: str, setting: MetricSetting) -> Settings:
    metrics = {name: one for name, one in settings.metrics.items() if name != key}
    if setting != MetricSetting():
        metrics[key] = setting
    return structs.replace(settings, metrics=metrics)
