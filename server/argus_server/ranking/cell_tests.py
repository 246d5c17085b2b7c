"""Which cells (model × dataset) the seeds tell from the best cell of their dataset.

Welch's t-test (1947) of every two cells of a dataset, each with a variance of its own, and Holm's correction
for all of its pairs: not for those with the best alone, as it is the data that choose the best. Where several
share the first place a cell must be told from each. It is about these seeds on this dataset and says nothing
of others; a cell of one seed has no variance, and is not tested.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np
import scipy  # `scipy.special` loads when it is first used, and takes 20 MB
from numpy.typing import NDArray

from argus_server.ranking.aggregate import Entry, Measure
from argus_server.ranking.board import tied
from argus_server.ranking.separation import Separation
from argus_server.ranking.statistics import ALPHA, holm
from argus_server.ranking.statistics.comparisons import Floats

__all__ = ["separate_cells"]

Cells = Mapping[tuple[str, str], Entry]


def separate_cells(
    cells: Cells, metric: str, *, higher: bool, resolution: float
) -> dict[tuple[str, str], Separation]:
    """Return what the seeds say of each cell with a number against the best of its dataset."""
    by_dataset: dict[str, list[tuple[str, Measure]]] = defaultdict(list)
    for (model, dataset), entry in cells.items():
        measure = entry.measures.get(metric)
        if measure is not None and measure.number is not None:
            by_dataset[dataset].append((model, measure))
    found = {}
    for dataset, some in by_dataset.items():
        for model, separation in _separate(some, higher=higher, resolution=resolution):
            found[model, dataset] = separation
    return found


def _separate(
    some: list[tuple[str, Measure]], *, higher: bool, resolution: float
) -> Iterable[tuple[str, Separation]]:
    numbers = [measure.number for _, measure in some if measure.number is not None]
    best = (max if higher else min)(numbers)
    first = [place for place, number in enumerate(numbers) if tied(number, best, resolution)]
    tested = [place for place, (_, measure) in enumerate(some) if measure.std is not None]
    why = ""
    if len(some) < 2:
        why = "there is nothing to compare it with"
    elif any(measure.choice for _, measure in some):
        why = "only means are tested"
    elif not set(first) <= set(tested):
        why = "the spread of the best of the dataset is not known"
    p = _pairs([some[place][1] for place in tested]) if not why else np.zeros((0, 0))
    at = {place: row for row, place in enumerate(tested)}
    for place, (model, _) in enumerate(some):
        if why:
            yield model, Separation("untested", None, why)
        elif place in first:
            yield model, Separation("leads")
        elif place not in at:
            yield model, Separation("untested", None, "its spread is not known")
        else:
            worst = max(float(p[at[place], at[leader]]) for leader in first)
            yield model, Separation("separable" if worst <= ALPHA else "not separable", worst)


def _pairs(measures: list[Measure]) -> Floats:
    """Return the p of every two means, by Holm for their number."""
    mean = np.array([measure.number for measure in measures], dtype=float)
    n = np.array([measure.n for measure in measures], dtype=float)
    k = len(measures)
    rows, columns = np.triu_indices(k, 1)
    p = np.ones((k, k))
    with np.errstate(all="ignore"):
        size = max(float(np.abs(mean).max()), 1e-300)
        error = (np.array([measure.std for measure in measures], dtype=float) / size) ** 2 / n
        apart = np.abs(mean[rows] / size - mean[columns] / size)
        raw = _welch(apart, error[rows], error[columns], n[rows], n[columns])
    p[rows, columns] = p[columns, rows] = holm(raw)
    return p


def _welch(apart: Floats, a: Floats, b: Floats, n_a: Floats, n_b: Floats) -> NDArray[np.float64]:
    """Return the two-sided p of differences, given the squared standard errors; 0 or 1 without any."""
    error = a + b
    freedom = error**2 / (a**2 / (n_a - 1) + b**2 / (n_b - 1))
    p = 2 * scipy.special.stdtr(freedom, -apart / np.sqrt(error))
    return np.where(error > 0, np.nan_to_num(p, nan=0.0), np.where(apart > 0, 0.0, 1.0))
