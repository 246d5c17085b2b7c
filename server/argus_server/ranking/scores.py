"""One metric of a board as an array: datasets × models, and who is compared with whom on what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from argus_server.ranking.aggregate import Entry, comparable
from argus_server.ranking.statistics.comparisons import Floats, Ties
from argus_server.ranking.view import Missing

__all__ = ["Field", "Scores", "alone_note", "choose_field", "imputed_note", "scores_of"]

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Scores:
    """One metric: what every model reached on every dataset.

    Attributes:
        models, datasets: by name, which is the order of the columns and of the rows.
        values: datasets × models; **lower is better** whatever the metric, NaN where there is no number.
        seeds: how many jobs each value is of; 0 where there is none.
        std: the standard deviation over them, NaN where it is not known.
        higher: whether the metric itself is better when higher: then `values` are turned round.
        ties: when two values are one.
    """

    metric: str
    higher: bool
    models: tuple[str, ...]
    datasets: tuple[str, ...]
    values: Floats
    seeds: NDArray[np.int64]
    std: Floats
    ties: Ties

    @property
    def raw(self) -> Floats:
        """The values as the metric has them."""
        return -self.values if self.higher else self.values

    def without_dataset(self, name: str) -> Scores:
        """Return the scores with one dataset left out; models that have no other stay, without any value."""
        keep = [place for place, dataset in enumerate(self.datasets) if dataset != name]
        return replace(
            self,
            datasets=tuple(self.datasets[place] for place in keep),
            values=self.values[keep],
            seeds=self.seeds[keep],
            std=self.std[keep],
        )


def scores_of(
    cells: Mapping[tuple[str, str], Entry],
    metric: str,
    *,
    higher: bool,
    ties: Ties,
    datasets: Sequence[str] = (),
) -> Scores:
    """Return the scores of a metric, of the cells that are `comparable`.

    A dataset counts if any model has a finite value on it.

    Args:
        cells: (model, dataset) → what its jobs measured.
        metric: which of it.
        higher: whether more of it is better.
        ties: when two values are one.
        datasets: which datasets count; empty for all.
    """
    found: dict[tuple[str, str], tuple[float, int, float]] = {}
    known = comparable(cells)
    for cell, entry in cells.items():
        if cell not in known:
            continue
        measure = entry.measures.get(metric)
        if measure is not None and measure.number is not None and (not datasets or cell[1] in datasets):
            std = np.nan if measure.std is None else measure.std
            found[cell] = measure.number, measure.n or 1, std
    models = tuple(sorted({model for model, _ in cells if model}))
    named = tuple(sorted({dataset for _, dataset in found}))
    values = np.full((len(named), len(models)), np.nan)
    std, seeds = values.copy(), np.zeros(values.shape, dtype=np.int64)
    columns, rows = ({name: place for place, name in enumerate(names)} for names in (models, named))
    for (model, dataset), (number, n, spread) in found.items():
        at = rows[dataset], columns[model]
        values[at], seeds[at], std[at] = -number if higher else number, n, spread
    return Scores(metric, higher, models, named, values, seeds, std, ties)


@dataclass(frozen=True, slots=True)
class Field:
    """Who is ranked, over which datasets, by which scores.

    Attributes:
        models, datasets: places in the `Scores`.
        values: these datasets × these models; lower is better.
        placed: the same for comparisons: an imputed value is infinite, and so behind all others.
        imputed: which of them are filled in.
    """

    models: tuple[int, ...]
    datasets: tuple[int, ...]
    values: Floats
    placed: Floats
    imputed: NDArray[np.bool_]

    @property
    def has_gaps(self) -> bool:
        """Whether some models miss some of the datasets."""
        return bool(np.isnan(self.values).any())


def choose_field(scores: Scores, missing: Missing) -> Field:
    """Return who is ranked under a policy for missing cells. What is missing is never zero, and never first.

    - `complete`: models with a value on every dataset, over all datasets;
    - `shared`: models with any value, over the datasets where all of them have one; nobody without such;
    - `pairwise`: models that have a dataset in common with another, each pair over the datasets that both
      have; one that is the only one of all is there alone;
    - `impute:worst`: models with any value, over all datasets, a gap being as good as the worst value of
      its dataset and behind it.
    """
    present = ~np.isnan(scores.values)
    everyone, everything = np.arange(len(scores.models)), np.arange(len(scores.datasets))
    models = everyone[present.any(axis=0)]
    datasets = everything
    if missing == "complete":
        models = everyone[present.all(axis=0)] if len(everything) else everyone[:0]
    elif missing == "shared":
        datasets = everything[present[:, models].all(axis=1)]
        models = models if len(datasets) else models[:0]
    elif missing == "pairwise" and len(models) > 1:
        models = everyone[present[present.sum(axis=1) > 1].any(axis=0)]
        datasets = everything[present[:, models].any(axis=1)]
    values = scores.values[np.ix_(datasets, models)]
    gaps = np.isnan(values)
    if missing != "impute:worst" or not gaps.any():
        return Field(_places(models), _places(datasets), values, values, np.zeros_like(gaps))
    worst = np.nanmax(values, axis=1, keepdims=True)
    filled, placed = np.where(gaps, worst, values), np.where(gaps, np.inf, values)
    return Field(_places(models), _places(datasets), filled, placed, gaps)


def imputed_note(field: Field) -> str:
    """Say how many values are filled in; empty where none is."""
    count = int(field.imputed.sum())
    values = "1 missing value is" if count == 1 else f"{count} missing values are"
    theirs = "its" if count == 1 else "their"
    ranks = "ranks" if count == 1 else "rank"
    said = f"‡ {values} filled in with the worst value of {theirs} dataset, and {ranks} behind it."
    return said if count else ""


def alone_note(scores: Scores, field: Field, missing: Missing) -> str:
    """Say which models are compared with nobody while others are; empty where all are."""
    if missing != "pairwise" or not field.models:
        return ""
    present = ~np.isnan(scores.values).all(axis=0)
    alone = [scores.models[place] for place in np.flatnonzero(present) if place not in field.models]
    if not alone:
        return ""
    others = f" and {len(alone) - _MOST_NAMED} others" if len(alone) > _MOST_NAMED else ""
    have = "has" if len(alone) == 1 else "have"
    are = "is" if len(alone) == 1 else "are"
    named = ", ".join(alone[:_MOST_NAMED])
    return f"{named}{others} {have} no dataset in common with another model, and {are} not ranked."


def _places(places: NDArray[np.int64]) -> tuple[int, ...]:
    return tuple(int(place) for place in places)
