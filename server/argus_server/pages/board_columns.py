"""Which columns a leaderboard shows, and in which order, as a form that works without JavaScript."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from argus_server.ranking.table import Column, RankedTable
from argus_server.ranking.view import View
from argus_server.urls import path_to

__all__ = ["Chooser", "chooser", "moved"]

_GROUPS = ("quality", "cost", "info", "hidden")


@dataclass(frozen=True, slots=True)
class Chooser:
    """What can be chosen: `shown` in their order; the rest by group; links to usual choices."""

    shown: Sequence[Column]
    others: Sequence[tuple[str, Sequence[Column]]]
    presets: Sequence[tuple[str, str]]
    total: int


def chooser(table: RankedTable, asked: View) -> Chooser:
    """Return the columns to choose from. The first column is pinned: it is always there."""
    shown = list(table.layout[1:])
    ids = {column.id for column in shown}
    others = [column for column in table.offered[1:] if column.id not in ids]
    groups = [(group, [column for column in others if _group(column) == group]) for group in _GROUPS]
    return Chooser(
        shown,
        [(group, columns) for group, columns in groups if columns],
        _presets(table, asked),
        len(shown) + len(others),
    )


def _group(column: Column) -> str:
    return column.role if column.kind == "metric" else "info"


def _presets(table: RankedTable, asked: View) -> list[tuple[str, str]]:
    """Return links to all columns, and to those of one group beside what names a row."""
    plain = [column.id for column in table.offered[1:] if column.kind != "metric"]
    found = [("all", _link(table, asked, ()))]
    for group in ("quality", "cost"):
        of_group = [c.id for c in table.offered if c.kind == "metric" and c.role == group]
        if of_group:
            found.append((group, _link(table, asked, (*plain[:-2], *of_group, *plain[-2:]))))
    return found


def _link(table: RankedTable, asked: View, col: tuple[str, ...]) -> str:
    return path_to("p", table.project, "leaderboard", query=asked.query(col=col))


def moved(view: View, name: str, places: int) -> View:
    """Return the view with one of its columns moved to the right, or to the left; at the ends it stays."""
    columns = list(view.col)
    if name in columns:
        old = columns.index(name)
        columns.insert(max(0, old + places), columns.pop(old))
    return replace(view, col=tuple(columns))
