"""How the rows of a leaderboard stand, as what a reader can click."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from argus_server.ranking.table import Column, RankedTable
from argus_server.ranking.view import View, read_further, write_further
from argus_server.urls import path_to

__all__ = ["Heading", "Sorting", "headings", "sortings"]


@dataclass(frozen=True, slots=True)
class Heading:
    """A column's header.

    Attributes:
        href: the view sorted by this column alone, best first, or turned round if it is already; empty
            for a column that nothing can be sorted by.
        place: 1 for the column that sorts, 2 and more for those that decide further, 0 for the others.
        best_first: what `then=` says of it for the best first.
    """

    column: Column
    href: str
    place: int
    descends: bool
    best_first: str


@dataclass(frozen=True, slots=True)
class Sorting:
    """One of the columns that rows stand by, and the views with it turned round and without it."""

    label: str
    descends: bool
    turned: str
    removed: str


def headings(table: RankedTable, asked: View) -> list[Heading]:
    """Return the header of each column."""
    standing = dict(_standing(table.view))
    places = {name: place for place, name in enumerate(standing, 1)}
    found = []
    for column in table.layout:
        descends, place = standing.get(column.id, False), places.get(column.id, 0)
        order = ("asc" if descends else "desc") if place == 1 else ""
        query = asked.query(sort=column.id, order=order, then=(), page=1)
        href = path_to("p", table.project, "leaderboard", query=query) if column.has_values else ""
        best_first = write_further(column.id, descends=column.direction == "higher")
        found.append(Heading(column, href, place, descends, best_first))
    return found


def sortings(table: RankedTable, asked: View) -> list[Sorting]:
    """Return the columns that rows stand by, the first one first."""
    standing = _standing(table.view)
    labels = {column.id: column.label for column in table.offered}

    def link(*parts: tuple[str, bool]) -> str:
        return path_to("p", table.project, "leaderboard", query=_sorted_by(asked, parts))

    return [
        Sorting(
            labels.get(name, name),
            descends,
            link(*standing[:i], (name, not descends), *standing[i + 1 :]),
            link(*standing[:i], *standing[i + 1 :]),
        )
        for i, (name, descends) in enumerate(standing)
    ]


def _standing(view: View) -> list[tuple[str, bool]]:
    """Return the ids of the columns that rows stand by, and whether each descends."""
    return [(view.sort, view.order == "desc"), *map(read_further, view.then)]


def _sorted_by(asked: View, standing: Sequence[tuple[str, bool]]) -> list[tuple[str, str]]:
    if not standing:
        return asked.query(sort="", order="", then=(), page=1)
    (sort, descends), *further = standing
    then = tuple(write_further(name, descends=turned) for name, turned in further)
    return asked.query(sort=sort, order="desc" if descends else "asc", then=then, page=1)
