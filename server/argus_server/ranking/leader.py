"""Who leads, in one sentence that claims no more than the table shows."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace

from argus_server.ranking.board import Board, tied
from argus_server.ranking.rank import Ranking
from argus_server.ranking.view import View

__all__ = ["Leader", "leader"]


@dataclass(frozen=True, slots=True)
class Leader:
    """The models that are best on most datasets.

    Attributes:
        models: usually one; several if they are best on equally many.
        metric, label: by which they are best, and what people call that.
        wins: on how many datasets each of them is best.
        datasets: how many datasets have at least two models to compare.
        value: the leader's value and unit, if there is one dataset only.
    """

    models: tuple[str, ...]
    metric: str
    label: str
    direction: str
    wins: int
    datasets: int
    value: str


def leader(view: View, board: Board) -> Leader | None:
    """Return who leads the board by the metric that ranks it, None where nothing can be compared.

    The means over seeds decide. Of the view's filters only the datasets count: the others hide rows.
    """
    asked = replace(
        view, group="job", order="", page=1, after="", model=(), seed=(), host=(), user=(), q="", where=()
    )
    return board.memo(repr(("leader", asked)), lambda: _leader(asked, board))


def _leader(view: View, board: Board) -> Leader | None:
    ranking = Ranking(view, board)
    metric, higher = ranking.metric, ranking.ranks_higher
    if metric is None or higher is None:
        return None
    by_dataset: dict[str, list[tuple[float, str]]] = defaultdict(list)
    means = [row for row in board.means(metric) if row[0]]  # what nobody has named cannot lead
    has_names = any(dataset for _, dataset, _ in means)
    for model, dataset, mean in means:
        if has_names and not dataset:
            continue
        if mean is not None and (not view.dataset or dataset in view.dataset):
            by_dataset[dataset].append((mean, model))
    contested = {name: rivals for name, rivals in by_dataset.items() if len(rivals) > 1}
    if not contested:
        return None
    resolution = board.settings.resolution(metric)
    wins: Counter[str] = Counter()
    best = 0.0
    for rivals in contested.values():
        best = (max if higher else min)(mean for mean, _ in rivals)
        wins.update(model for mean, model in rivals if tied(mean, best, resolution))
    most = max(wins.values())
    models = tuple(sorted(model for model, count in wins.items() if count == most))
    value = ranking.shown(metric, best) if len(contested) == 1 else ""
    label = next(key.label for key in board.keys if key.key == metric)
    return Leader(models, metric, label, "higher" if higher else "lower", most, len(contested), value)
