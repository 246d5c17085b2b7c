"""Which metric ranks when a URL names none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from argus_core.conventions import CONVENTIONS
from argus_server.ranking.board import Board
from argus_server.ranking.format import choose_unit
from argus_server.ranking.table import MetricKey
from argus_server.ranking.view import View, column_id

__all__ = [
    "NO_UNITS",
    "ROLE_ORDER",
    "Units",
    "default_metric",
    "lacks_direction",
    "no_rank_note",
    "offered_metrics",
    "ranking_metric",
    "shown_units",
]

_PLACES = {key: place for place, key in enumerate(CONVENTIONS)}
ROLE_ORDER = {"quality": 0, "cost": 1, "info": 2, "hidden": 3}


Units = Mapping[str, tuple[str, float]]
"""Metric → the unit in which it is shown, and what raw values are multiplied by for it."""
NO_UNITS: Units = MappingProxyType({})


def shown_units(board: Board) -> Units:
    """Return the units of the leaderboard's columns, for whoever shows single jobs: the same everywhere."""

    def choose() -> Units:
        sample = board.sample()
        return {key.key: choose_unit(key.meaning.unit, sample.get(key.key, ())) for key in board.keys}

    return board.memo("units of columns", choose)


def ranking_metric(view: View, board: Board) -> tuple[str | None, bool | None]:
    """Return the metric that a view ranks cells and models by, and whether higher is better.

    For cells it may be the one that sorts. The direction is None where nothing ranks.
    """
    ids = {column_id(key.key): key for key in board.keys}
    asked = view.metric or (view.sort if view.group == "cell" else "")
    metric = ids[asked].key if asked in ids else default_metric(board.keys, board.settings.primary)[0]
    known = next((key.meaning for key in board.keys if key.key == metric), None)
    if known is None or known.direction == "unknown" or known.role not in ("quality", "cost"):
        return metric, None
    return metric, known.direction == "higher"


def lacks_direction(keys: Sequence[MetricKey], metric: str | None) -> bool:
    """Whether it is not known if less or more of a metric is better."""
    return any(key.key == metric and key.meaning.direction == "unknown" for key in keys)


def no_rank_note(keys: Sequence[MetricKey], metric: str | None, so: str) -> str:
    """Say why a metric ranks nothing, and what would change that; empty for one that ranks, and without any.

    Args:
        keys: those of the board.
        metric: the one that was to rank.
        so: what follows: `rows are sorted by it, not ranked`.
    """
    key = next((key for key in keys if key.key == metric), None)
    if key is None:
        return ""
    if key.meaning.direction == "unknown":
        return (
            f"Whether less or more {key.label} is better is not known: {so}."
            " The settings of the project can say which."
        )
    if key.meaning.role not in ("quality", "cost"):
        return (
            f"{key.label} is {key.meaning.role}, neither quality nor cost: {so}. The settings can change it."
        )
    return ""


def offered_metrics(keys: Sequence[MetricKey]) -> list[MetricKey]:
    """Return the metrics to choose from: quality first, and the names that everybody knows before others."""

    def place(key: MetricKey) -> tuple[int, int, int, str]:
        return ROLE_ORDER[key.meaning.role], _PLACES.get(key.key, len(_PLACES)), -key.count, key.key

    return sorted((key for key in keys if key.meaning.role != "hidden"), key=place)


def default_metric(keys: Sequence[MetricKey], primary: str | None) -> tuple[str | None, str]:
    """Return the metric that ranks when the URL names none, and why it is not MSE if it is not.

    What is hidden is nobody's default, unless it is the project's primary metric.
    """
    everything = {key.key for key in keys}
    if primary is not None and primary in everything:
        return primary, ""
    meanings = {key.key: key.meaning for key in keys if key.meaning.role != "hidden"}
    counts = {key.key: key.count for key in keys if key.key in meanings}
    if "MSE" in counts:
        return "MSE", ""
    best = min(
        counts,
        key=lambda key: (
            ROLE_ORDER[meanings[key].role],
            meanings[key].direction == "unknown",
            -counts[key],
            key,
        ),
        default=None,
    )
    if best is None:
        return None, "Every metric of this project is hidden." if everything else ""
    kind = "quality metric" if meanings[best].role == "quality" else "metric there is"
    why = "MSE is hidden" if "MSE" in everything else "No job reports MSE"
    return best, f"{why}; this is {best}, the most common {kind}."
