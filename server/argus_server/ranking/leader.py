"""Who leads, in one sentence that claims no more than the table shows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from argus_server.ranking.table import RankedTable

__all__ = ["Leader", "leader"]


@dataclass(frozen=True, slots=True)
class Leader:
    """The models that are best on most datasets.

    Attributes:
        models: usually one; several if they are best on equally many.
        metric: by which they are best.
        wins: on how many datasets each of them is best.
        datasets: how many datasets have at least two models to compare.
        value: the leader's value and unit, if there is one dataset only.
    """

    models: tuple[str, ...]
    metric: str
    direction: str
    wins: int
    datasets: int
    value: str


def leader(cells: RankedTable) -> Leader | None:
    """Return who leads a table of cells (`group=cell`), None where nothing can be compared."""
    metric = cells.ranked_by
    if metric is None:
        return None
    ranked = [row for row in cells.rows if row.rank is not None]
    rivals = Counter(row.dataset for row in ranked)
    firsts = [row for row in ranked if row.rank == 1 and rivals[row.dataset] > 1]
    if not firsts:
        return None
    wins = Counter(row.model or "" for row in firsts)
    most = max(wins.values())
    datasets = len({row.dataset for row in firsts})
    column = next(column for column in cells.metric_columns if column.key == metric)
    value = f"{firsts[0].cells[metric].display} {column.unit}".strip() if datasets == 1 else ""
    models = tuple(sorted(model for model, count in wins.items() if count == most))
    return Leader(models, metric, column.direction, most, datasets, value)
