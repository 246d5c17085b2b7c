"""The filters of a leaderboard: what there is to choose from, and which one hides every row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from argus_server.ranking.board import Board, Wanted
from argus_server.ranking.order import natural_seed
from argus_server.ranking.table import RankedTable
from argus_server.ranking.view import View
from argus_server.storage.credentials import Grant
from argus_server.storage.queries import Queries
from argus_server.urls import path_to

__all__ = [
    "Facet",
    "FacetValue",
    "Hiding",
    "choosing",
    "condition_units",
    "facets",
    "hiding",
    "raw_units",
    "toggling",
]

_MOST_VALUES = 40
_COUNTED_ROWS = 20_000
"""On larger boards nobody waits until the jobs of every batch are counted."""
_MOST_TRIED = 12
_FACETS = ("model", "dataset", "batch", "seed", "host", "user")
_SOURCE = ("host", "user")
_HERE = "\0"
"""Where in a link the values of a filter belong."""


@dataclass(frozen=True, slots=True)
class FacetValue:
    """A value that rows can have; `href` leads to the view with it chosen, or no longer chosen."""

    value: str
    count: int
    href: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Facet:
    """A filter with its values, each with its number of rows on the whole board; `more` are left out."""

    name: str
    values: Sequence[FacetValue]
    more: int


def facets(view: View, board: Board, grant: Grant) -> list[Facet]:
    """Return what this caller can filter for; a facet whose rows are all alike is left out."""
    found = []
    for name in _FACETS:
        if name in _SOURCE and not grant.allows("read", board.project):
            continue
        if name == "batch" and not _countable(board):
            continue
        chosen = getattr(view, name)
        counts = {value: count for value, count in board.names(name) if value}
        if len(counts) > 1 or chosen:
            found.append(
                _facet(view, board.project, name, counts | {value: counts.get(value, 0) for value in chosen})
            )
    return found


def _countable(board: Board) -> bool:
    return sum(count for _, count in board.names("dataset")) <= _COUNTED_ROWS


def _facet(view: View, project: str, name: str, counts: dict[str, int]) -> Facet:
    chosen = getattr(view, name)
    usual = sorted(counts, key=lambda value: (value not in chosen, -counts[value], value))[:_MOST_VALUES]
    listed = sorted(usual, key=natural_seed if name == "seed" else str)
    href = toggling(view, name, "p", project, "leaderboard")
    values = [FacetValue(value, counts[value], href(value), value in chosen) for value in listed]
    return Facet(name, values, len(counts) - len(values))


def toggling(view: View, name: str, *path: str) -> Callable[[str], str]:
    """Return what leads to this view with a value of a filter chosen, or no longer chosen."""
    chosen = getattr(view, name)
    link = choosing(view, name, *path)

    def href(value: str) -> str:
        return link([item for item in chosen if item != value] if value in chosen else [*chosen, value])

    return href


def choosing(view: View, name: str, *path: str) -> Callable[[Sequence[str]], str]:
    """Return what leads to this view with other values of a filter.

    The rest of the link is written once: a page has a hundred of them.
    """
    pairs = view.query(page=1, **{name: (_HERE,)})
    here = pairs.index((name, _HERE))
    before, after = urlencode(pairs[:here]), urlencode(pairs[here + 1 :])
    start = path_to(*path)

    def link(values: Sequence[str]) -> str:
        own = urlencode([(name, value) for value in values if value])
        query = "&".join(part for part in (before, own, after) if part)
        return f"{start}?{query}" if query else start

    return link


def raw_units(table: RankedTable) -> list[tuple[str, str, str]]:
    """Return the metrics that conditions compare in another unit than is shown: (label, raw, shown)."""
    return [
        (column.label, column.raw_unit, column.unit)
        for column in table.offered
        if column.kind == "metric" and column.raw_unit and column.unit not in ("", column.raw_unit)
    ]


def condition_units(table: RankedTable, view: View) -> dict[str, str]:
    """Return the unit of the number in each condition of a view, by its text."""
    units = {column.key: column.raw_unit for column in table.offered if column.kind == "metric"}
    return {str(condition): units.get(condition.key, "") for condition in view.where}


@dataclass(frozen=True, slots=True)
class Hiding:
    """A filter without which there would be rows: so many jobs."""

    name: str
    value: str
    jobs: int


def hiding(queries: Queries, project: str, view: View) -> list[Hiding]:
    """Return the filters of an empty view each of which hides every row by itself."""
    found = []
    for name, value, less in _each_without(view):
        with queries.board(project, less) as board:
            if jobs := board.total(Wanted.of(less)):
                found.append(Hiding(name, value, jobs))
    return found


def _each_without(view: View) -> Iterator[tuple[str, str, View]]:
    """Yield each filter and the view without it, of jobs: cells would need all of them in memory."""
    for name, value in view.filters[:_MOST_TRIED]:
        yield name, value, replace(View.parse(view.without(name, value)), group="job")
