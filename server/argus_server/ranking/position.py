"""Where the metrics of one job stand: in their cell (model × dataset), and among a dataset's models."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from argus_core.conventions import CONVENTIONS, Direction, Role
from argus_server.ranking.aggregate import Measure, measure
from argus_server.ranking.board import tied
from argus_server.ranking.format import Style, choose_style, choose_unit
from argus_server.ranking.metric import NO_UNITS, Units
from argus_server.ranking.registry import Settings
from argus_server.ranking.table import MetricKey
from argus_server.ranking.values import finite

__all__ = ["Beside", "MetricRow", "Place", "metric_order", "metric_rows", "place_among"]

_ROLES = {"quality": 0, "cost": 1, "info": 2, "hidden": 3}
_NOTHING = Measure()
_PLACES = {key: place for place, key in enumerate(CONVENTIONS)}


@dataclass(frozen=True, slots=True)
class Place:
    """A place among `of`, counted from 1, that `tied` of them share."""

    place: int
    of: int
    tied: int = 1

    @property
    def all_tied(self) -> bool:
        """Whether nobody is better than anybody."""
        return self.tied == self.of


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric of one job.

    Attributes:
        raw: the value that ranks, in `raw_unit`; `sent` is the value as sent, if that is another one.
        sent_as: the name it was sent by, if that is another one.
        display: the text of the value, in `unit`.
        mean, spread: of its cell, as text; empty if no job of the cell counts.
        cell: the mean itself, and how many jobs it is of.
        among_seeds: place among the jobs of its cell; None without a direction, or outside the cell.
        among_models: place of the cell's mean among those of the other models on this dataset.
    """

    key: str
    label: str
    unit: str
    raw_unit: str
    direction: Direction
    role: Role
    raw: Any
    display: str
    sent: Any = None
    sent_as: str = ""
    mean: str = ""
    spread: str = ""
    cell: Measure = _NOTHING
    among_seeds: Place | None = None
    among_models: Place | None = None


def metric_order(key: MetricKey) -> tuple[int, int, str]:
    """Return where a metric stands in a list of all: quality, cost, info, each as people know them."""
    return _ROLES[key.meaning.role], _PLACES.get(key.key, len(_PLACES)), key.key


def place_among(value: float, values: Sequence[float], *, higher: bool, resolution: float) -> Place:
    """Return where one of the values stands among all of them."""
    better = sum(
        (other > value if higher else other < value) and not tied(other, value, resolution)
        for other in values
    )
    return Place(better + 1, len(values), sum(tied(other, value, resolution) for other in values))


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands beside a job.

    Attributes:
        cell: the metrics of the jobs that count in its cell, as they rank.
        counts: whether the job is one of them.
        model: its model.
        means: metric → model → mean on the job's dataset, None where a seed diverged.
    """

    cell: Sequence[Mapping[str, Any]] = ()
    counts: bool = False
    model: str = ""
    means: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)


def metric_rows(
    sent: Mapping[str, Any],
    batch_id: str,
    keys: Sequence[MetricKey],
    settings: Settings,
    beside: Beside,
    units: Units = NO_UNITS,
) -> list[MetricRow]:
    """Return the metrics of a job, given as sent, with what surrounds them.

    They are shown in these `units`; without one, in what suits the job and its cell.
    """
    settled = settings.settle(sent, batch_id)
    names = {settings.canonical(name): name for name in sent if settings.canonical(name) not in sent}
    known = {key.key: key for key in keys}
    rows = []
    for key in sorted((known.get(name) or MetricKey(name, 1) for name in settled), key=metric_order):
        raw, name = settled[key.key], names.get(key.key, key.key)
        row = _row(key, raw, beside, settings.resolution(key.key), units.get(key.key))
        rows.append(
            replace(
                row,
                sent_as=name if name != key.key else "",
                sent=sent[name] if repr(sent[name]) != repr(raw) else None,
            )
        )
    return rows


def _row(
    key: MetricKey, raw: Any, beside: Beside, resolution: float, shown_in: tuple[str, float] | None
) -> MetricRow:
    """Return value and cell of one metric as they are written: in one unit, with one number of decimals."""
    meaning, number = key.meaning, finite(raw)
    describes = meaning.role == "info"  # the mean of seeds, or of the jobs' numbers of epochs, is no result
    seeds = [jobs[key.key] for jobs in beside.cell if key.key in jobs and not describes]
    together = measure(seeds) if seeds else _NOTHING
    numbers = [value for other in [raw, *seeds] if (value := finite(other)) is not None]
    unit, scale = shown_in or choose_unit(meaning.unit, numbers)
    style = choose_style(numbers, [together.std] if together.std else [], _contest(numbers), scale)
    values = [value for other in seeds if (value := finite(other)) is not None]
    means = beside.means.get(key.key, {})
    named = {model: mean for model, mean in means.items() if model}  # jobs without a model are none
    own, rivals = named.get(beside.model), [mean for mean in named.values() if mean is not None]
    ranks = beside.counts and meaning.direction != "unknown" and meaning.role in ("quality", "cost")

    def place(value: float | None, among: Sequence[float]) -> Place | None:
        if value is None or not ranks or len(among) < 2:
            return None
        return place_among(value, among, higher=meaning.direction == "higher", resolution=resolution)

    return MetricRow(
        key=key.key,
        label=key.label,
        unit=unit,
        raw_unit=meaning.unit,
        direction=meaning.direction,
        role=meaning.role,
        raw=raw,
        display=style.value(raw),
        mean=style.value(together.raw) if together.raw is not None else "",
        spread=_spread(together, style),
        cell=together,
        among_seeds=place(number, values),
        among_models=place(own, rivals),
    )


def _contest(numbers: Sequence[float]) -> list[tuple[float, float]]:
    """Return the two values that should look different: the job's and the median, if they are."""
    middle = statistics.median_low(numbers) if numbers else 0.0
    return [(numbers[0], middle)] if numbers and not tied(numbers[0], middle) else []


def _spread(together: Measure, style: Style) -> str:
    if together.diverged:
        return f"{together.diverged} of {together.n} diverged"
    if together.number is None:
        return ""
    return f"± {style.spread(together.std, together.number)}" if together.std is not None else "n=1"
