"""Whether a board has what a view names: for programs, which read no note beside the table."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import fields

from argus_server.errors import BadView
from argus_server.ranking.board import Board
from argus_server.ranking.similar import nearest_name
from argus_server.ranking.view import IDENTITY, STATISTICS, View, column_id, metric_of, read_further

__all__ = ["require_known", "require_parameters"]

_MOST_NAMED = 8
_PARAMETERS = {field.name for field in fields(View)}


def require_parameters(names: Iterable[str]) -> None:
    """Refuse parameters that no view has.

    Raises:
        BadView: one means nothing.
    """
    for name in names:
        if name not in _PARAMETERS:
            nearest = nearest_name(name, _PARAMETERS)
            hint = f"; did you mean {nearest}=?" if nearest else ""
            raise BadView(f"{name}= is no parameter of a leaderboard{hint}")


def require_known(view: View, board: Board) -> None:
    """Refuse a view that names a metric, a model, a dataset, a batch or a seed that the board does not have.

    Raises:
        BadView: it does; the message names the value, and what there is.
    """
    ids = {column_id(key.key): key.key for key in board.keys}
    sortable = {*ids, *IDENTITY, *(STATISTICS if view.group == "model" else ())}
    further = [read_further(text)[0] for text in view.then]
    for name, values, known in (
        ("metric", [view.metric], ids),
        ("sort", [view.sort], sortable),
        ("then", further, sortable),
        ("where", [column_id(condition.key) for condition in view.where], ids),
    ):
        for value in values:
            if value and value not in known:
                said = f"{name}={value}: no job of this project has reported a metric {metric_of(value)!r}"
                raise BadView(said + _there_are(metric_of(value), list(ids.values())))
    for name, field in (
        *(("model", "model"), ("baseline", "model")),
        *(("dataset", "dataset"), ("batch", "batch"), ("seed", "seed")),
    ):
        wanted = (view.baseline,) if name == "baseline" else getattr(view, name)
        if not any(wanted):
            continue
        there = [value for value, _ in board.names(field)]
        for value in wanted:
            if value and value not in there:
                raise BadView(f"{name}={value}: no done job of this view has it{_there_are(value, there)}")


def _there_are(value: str, known: Collection[str]) -> str:
    if nearest := nearest_name(value, known):
        return f"; did you mean {nearest}?"
    some = [name for name in known if name]
    if not some:
        return ""
    return f"; there are {', '.join(some[:_MOST_NAMED])}" + (", …" if len(some) > _MOST_NAMED else "")
