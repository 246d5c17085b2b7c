"""Jobs side by side: what they reached, how they were set, and which of it differs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from argus_core.conventions import Direction
from argus_core.events import number_or_none
from argus_server.ranking.board import tied
from argus_server.ranking.format import choose_style, choose_unit
from argus_server.ranking.metric import NO_UNITS, Units
from argus_server.ranking.position import metric_order
from argus_server.ranking.registry import Settings
from argus_server.ranking.table import MetricKey
from argus_server.ranking.values import finite, raw_text

__all__ = ["MOST_SIDES", "Comparison", "Section", "Side", "SideCell", "SideRow", "compare", "labels"]

MOST_SIDES = 8


@dataclass(frozen=True, slots=True)
class Side:
    """One of the jobs that are compared.

    Attributes:
        ranks: whether its metrics are a result: a job that is done, and was no trial run.
        metrics: as sent.
        configuration: setting → value as text.
        facts: what else is known of the job, by name; empty text for what is not.
        source: where it comes from, likewise.
    """

    batch_id: str
    job_id: str
    model: str | None
    dataset: str | None
    seed: str | None
    ranks: bool
    metrics: Mapping[str, Any] = field(default_factory=dict)
    configuration: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    source: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SideCell:
    """What one job has in a row.

    Attributes:
        raw: the value; None if the job has none.
        text: as the page shows it, in the row's unit.
        mark: `best` among the jobs on the same dataset that can be compared, if they differ.
        change: the difference to the first job as a share of it; None if that means nothing.
    """

    raw: Any = None
    text: str = ""
    mark: Literal["", "best"] = ""
    change: float | None = None


@dataclass(frozen=True, slots=True)
class SideRow:
    """One metric, setting or fact of every job."""

    key: str
    label: str
    cells: Sequence[SideCell]
    differs: bool
    unit: str = ""
    direction: Direction = "unknown"


@dataclass(frozen=True, slots=True)
class Section:
    """Rows of one kind: `Metrics`, `Hyperparameters`, `Job` or `Source`."""

    name: str
    rows: Sequence[SideRow]

    @property
    def differing(self) -> list[SideRow]:
        """The rows in which the jobs differ."""
        return [row for row in self.rows if row.differs]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Every row of every section; `labels` name the jobs by what tells them apart."""

    sides: Sequence[Side]
    labels: Sequence[str]
    sections: Sequence[Section]

    @property
    def alike(self) -> int:
        """How many rows are the same for all jobs."""
        return sum(not row.differs for section in self.sections for row in section.rows)

    @property
    def datasets(self) -> int:
        """How many datasets the jobs are on: values of different ones are not compared."""
        return len({side.dataset for side in self.sides})


def compare(
    sides: Sequence[Side], keys: Sequence[MetricKey], settings: Settings, units: Units = NO_UNITS
) -> Comparison:
    """Return the jobs side by side, with what the project says of its metrics.

    Metrics are shown in these `units`; without one, in what suits the jobs.
    """
    sections = [
        Section("Metrics", _metric_rows(sides, keys, settings, units)),
        Section("Hyperparameters", _text_rows([side.configuration for side in sides])),
        Section("Job", _text_rows([side.facts for side in sides])),
        Section("Source", _text_rows([side.source for side in sides])),
    ]
    return Comparison(sides, labels(sides), [section for section in sections if section.rows])


def labels(sides: Sequence[Side]) -> list[str]:
    """Return a name for each job, of what tells them apart: model, dataset, seed; at last its id."""
    parts = [
        [side.model or "no model" for side in sides],
        [side.dataset or "no dataset" for side in sides],
        [f"seed {side.seed}" if side.seed is not None else "no seed" for side in sides],
    ]
    telling = [names for names in parts if len(set(names)) > 1]
    names = [" · ".join(some) for some in zip(*telling, strict=True)] if telling else [""] * len(sides)
    if len(set(names)) == len(sides):
        return names
    ids = [side.job_id for side in sides]
    if len(set(ids)) < len(sides):
        ids = [f"{side.batch_id} / {side.job_id}" for side in sides]
    return [f"{name} · {own}" if name else own for name, own in zip(names, ids, strict=True)]


# --- metrics ----------------------------------------------------------------------------------


def _metric_rows(
    sides: Sequence[Side], keys: Sequence[MetricKey], settings: Settings, units: Units
) -> list[SideRow]:
    settled = [settings.settle(side.metrics, side.batch_id) for side in sides]
    known = {key.key: key for key in keys}
    names = dict.fromkeys(name for metrics in settled for name in metrics)
    found = sorted((known.get(name) or MetricKey(name, 1) for name in names), key=metric_order)
    return [
        _metric_row(
            key,
            sides,
            [metrics.get(key.key) for metrics in settled],
            settings.resolution(key.key),
            units.get(key.key),
        )
        for key in found
    ]


def _metric_row(
    key: MetricKey,
    sides: Sequence[Side],
    raws: Sequence[Any],
    resolution: float,
    shown_in: tuple[str, float] | None,
) -> SideRow:
    meaning, numbers = key.meaning, [finite(raw) for raw in raws]
    finites = [number for number in numbers if number is not None]
    unit, scale = shown_in or choose_unit(meaning.unit, finites)
    style = choose_style(finites, [], _contests(finites), scale)
    best = _best(key, sides, numbers, resolution)
    cells = [
        SideCell(raw, style.value(raw) if raw is not None else "", "best" if place in best else "")
        for place, raw in enumerate(raws)
    ]
    changes = _changes(sides, numbers)
    cells = [
        SideCell(cell.raw, cell.text, cell.mark, change) for cell, change in zip(cells, changes, strict=True)
    ]
    return SideRow(key.key, key.label, cells, _differ(raws), unit, meaning.direction)


def _contests(numbers: Sequence[float]) -> list[tuple[float, float]]:
    """Return the neighbours that should look different."""
    ordered = sorted(numbers)
    return [(a, b) for a, b in itertools.pairwise(ordered) if not tied(a, b)]


def _best(
    key: MetricKey, sides: Sequence[Side], numbers: Sequence[float | None], resolution: float
) -> set[int]:
    """Return which jobs are the best of those on their dataset; none where all of these are alike."""
    meaning = key.meaning
    if meaning.direction == "unknown" or meaning.role not in ("quality", "cost"):
        return set()
    groups: dict[str, list[tuple[int, float]]] = {}
    for place, (side, number) in enumerate(zip(sides, numbers, strict=True)):
        if number is not None and side.ranks:
            groups.setdefault(side.dataset or "", []).append((place, number))
    best = set()
    for group in groups.values():
        top = (max if meaning.direction == "higher" else min)(number for _, number in group)
        first = {place for place, number in group if tied(number, top, resolution)}
        if len(first) < len(group):
            best |= first
    return best


def _changes(sides: Sequence[Side], numbers: Sequence[float | None]) -> list[float | None]:
    """Return by what share of it each number differs from the first one, on the same dataset."""
    first = numbers[0]
    if first is None or first == 0:
        return [None] * len(numbers)
    return [
        finite((number - first) / abs(first))
        if place and number is not None and side.dataset == sides[0].dataset
        else None
        for place, (side, number) in enumerate(zip(sides, numbers, strict=True))
    ]


# --- settings and facts -----------------------------------------------------------------------


def _text_rows(tables: Sequence[Mapping[str, str]]) -> list[SideRow]:
    names = dict.fromkeys(name for table in tables for name in table)
    rows = []
    for name in names:
        values = [table.get(name) for table in tables]
        cells = [SideCell(value, value or "") for value in values]
        rows.append(SideRow(name, name, cells, _differ(values)))
    return rows


def _differ(raws: Sequence[Any]) -> bool:
    """Whether not all jobs have the same; 1 and 1.0 are."""
    return len({_same(raw) for raw in raws}) > 1


def _same(raw: Any) -> Any:
    number = None if isinstance(raw, str) else number_or_none(raw)
    if number is None:
        return None if raw is None else (type(raw).__name__, raw_text(raw))
    return "NaN" if math.isnan(number) else number
