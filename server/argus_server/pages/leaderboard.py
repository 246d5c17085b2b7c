"""The leaderboard: its page and its exports."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any
from urllib.parse import parse_qsl, urlencode

from litestar import Response, get
from litestar.response import Redirect, Stream
from markupsafe import Markup

from argus_server.exports.latex import leaderboard_latex
from argus_server.exports.leaderboard import (
    leaderboard_csv,
    leaderboard_json,
    leaderboard_markdown,
)
from argus_server.exports.models import models_csv, models_json, models_markdown
from argus_server.exports.models_latex import models_latex
from argus_server.pages.asking import (
    READ,
    AnyRequest,
    asked_view,
    count_pages,
    name_in,
    queries_of,
)
from argus_server.pages.board_columns import chooser, moved
from argus_server.pages.board_filters import condition_units, facets, hiding, raw_units
from argus_server.pages.board_order import headings, sortings
from argus_server.pages.board_rows import RowKey, board_rows, row_key
from argus_server.pages.conditional import entity_tag, not_modified
from argus_server.pages.doctor import doubts_about, shown_keys, with_doubts
from argus_server.pages.files import PAPER_FILES, file_links
from argus_server.pages.flags import explained
from argus_server.pages.frame import project_frame, pulse_tag
from argus_server.pages.models import models_page
from argus_server.pages.render import Page, render
from argus_server.pages.saved_views import saved_views
from argus_server.pages.sparkline import sparkline
from argus_server.pages.visitors import shown_states, shown_table
from argus_server.ranking.board import Board
from argus_server.ranking.leader import Leader, leader
from argus_server.ranking.metric import lacks_direction
from argus_server.ranking.rank import Ranking, rank
from argus_server.ranking.strict import require_known, require_parameters
from argus_server.ranking.table import RankedTable
from argus_server.ranking.view import View, write_further
from argus_server.ranking.without_result import WithoutResult, without_result
from argus_server.threads import in_thread
from argus_server.urls import path_to

__all__ = ["LEADERBOARD_ROUTES", "leader_in_time"]

_LEADER_ROWS = 20_000
"""On larger boards nobody waits for the sentence about who leads."""


def leader_in_time(view: View, board: Board) -> Leader | None:
    """Return who leads, if it can be said while a page is made."""
    rows = sum(count for _, count in board.names("model"))
    return leader(view, board) if rows <= _LEADER_ROWS else None


@get("/p/{project:str}", guards=READ)
@in_thread
def project_page(request: AnyRequest) -> Response[Any]:
    """Show the project's default view: the leaderboard, as its settings would have it."""
    name = name_in(request, "project")
    chosen = request.app.state.store.settings.read(name).default_view
    query = list(request.query_params.multi_items()) or parse_qsl(chosen, keep_blank_values=True)
    return Redirect(path_to("p", name, "leaderboard", query=query), status_code=302)


@get("/p/{project:str}/leaderboard", guards=READ)
@in_thread
def leaderboard_page(request: AnyRequest) -> Response[Any]:
    """Show the leaderboard."""
    name, view, rows = name_in(request, "project"), asked_view(request), request.app.state.settings.page_rows
    if view.group == "model":
        return models_page(request, view)
    if changed := _rearranged(request, name, view):
        return changed
    frame = project_frame(request, name, "leaderboard")
    views = saved_views(request, name, "leaderboard", view)
    version = queries_of(request).version(name)
    tag = entity_tag(request, version, pulse_tag(frame), views)
    if unchanged := not_modified(request, tag):
        return unchanged
    asked = repr((name, version, view, rows, request.user.allows("read", name)))
    shared = request.app.state.boards.get(asked, lambda: _shared(request, name, view, rows))
    table = shared["table"]
    context = {
        **frame,
        **shared,
        "views": views,
        "view_query": urlencode(view.query(page=1)),
        "without_result": _without_result(request, name, view),
        "hiding": hiding(queries_of(request), name, view) if not table.total and view.is_filtered else [],
        "job_counts": frame["pulse"].counts,
        "exports": file_links("p", name, "leaderboard", query=view.query(page=1), files=PAPER_FILES),
    }
    return render(request, Page("leaderboard.html", context, headers={"ETag": tag}))


def _shared(request: AnyRequest, name: str, view: View, rows: int) -> dict[str, Any]:
    """Return what a page shows alike to all who may see as much of the project, at one of its versions."""
    with queries_of(request).board(name, view) as board:
        table = rank(view, board, page_rows=rows)
        leads = leader_in_time(view, board)
        filters = facets(view, board, request.user)
        settings = board.settings
        doubts = doubts_about(board, shown_keys(table.layout))
        needs_direction = lacks_direction(board.keys, table.ranked_by)
    return {
        "table": replace(table, rows=table.rows[:1]),
        "rows": board_rows(table, view, settings, _curves(request, table)),
        "headings": headings(table, view),
        "sortings": sortings(table, view),
        "columns": chooser(table, view),
        "facets": filters,
        "asked": view,
        "pages": count_pages(view, table.total, rows),
        "leader": leads,
        "by_dataset": _by_dataset(table, view),
        "doubts": doubts,
        "needs_direction": needs_direction,
        "flagged": explained(table.rows),
        "marked": any(cell.mark for row in table.rows for cell in row.cells.values()),
        "replaced": any(row.superseded_by for row in table.rows),
        "raw_units": raw_units(table),
        "condition_units": condition_units(table, view),
        "settings": settings,
    }


def _without_result(request: AnyRequest, name: str, view: View) -> WithoutResult | None:
    """Return the cells that have no row, where rows are cells. How far they are changes without an event."""
    if view.group != "cell":
        return None
    states = queries_of(request).cell_states(name, view.batch)
    with queries_of(request).board(name, view) as board:
        return without_result(view, board, shown_states(request.user, name, states))


def _curves(request: AnyRequest, table: RankedTable) -> dict[RowKey, Markup]:
    """Return the curves of the rows, if the table shows them."""
    if all(column.kind != "curve" for column in table.layout):
        return {}
    wanted = {row_key(row): row.curve_of for row in table.rows if row.curve_of is not None}
    losses = queries_of(request).val_losses(table.project, list(wanted.values()))
    return {row: sparkline(losses[job]) for row, job in wanted.items() if job in losses}


def _rearranged(request: AnyRequest, project: str, view: View) -> Response[Any] | None:
    """Return the way to the view with one column moved, if a button of the column chooser asks for it."""
    for name, places in (("left", -1), ("right", 1)):
        if column := request.query_params.get(name):
            path = path_to("p", project, "leaderboard", query=moved(view, column, places).query())
            return Redirect(f"{path}#columns-list", status_code=303)
    return None


def _by_dataset(table: RankedTable, asked: View) -> str:
    """Return where the rows stand dataset by dataset; empty where they do, or where there is one only."""
    shown = asked.dataset or [name for name in table.datasets if name]
    column = table.sorted_column
    if len(shown) < 2 or column is None or column.kind != "metric":
        return ""
    further = write_further(column.id, descends=table.view.order == "desc")
    query = asked.query(sort="dataset", order="", then=(further,), page=1)
    return path_to("p", table.project, "leaderboard", query=query)


Export = Callable[[Ranking], Iterator[str] | Iterator[bytes]]
ModelExport = Callable[[RankedTable], Iterator[str] | Iterator[bytes]]


def _export(request: AnyRequest, write: Export, models: ModelExport, media_type: str) -> Response[Any]:
    """Return an export of the view, as it comes; the first piece is made before the answer begins."""
    name, view = name_in(request, "project"), asked_view(request)
    counts = queries_of(request).job_counts(name) if view.group == "model" else None
    tag = entity_tag(request, queries_of(request).version(name), counts)
    if unchanged := not_modified(request, tag):
        return unchanged
    queries = queries_of(request)

    def pieces() -> Iterator[str | bytes]:
        with queries.board(name, view) as board:
            if view.group == "model":
                table = shown_table(request.user, name, rank(view, board))
                doubts = doubts_about(board, shown_keys(table.layout))
                yield from models(replace(table, notes=with_doubts(table.notes, doubts)))
            else:
                ranking = Ranking(view, board)
                doubts = doubts_about(board, shown_keys(ranking.chosen))
                ranking.notes = with_doubts(ranking.notes, doubts)
                yield from write(ranking)

    stream = pieces()
    first = next(stream, b"")
    return Stream(chain([first], stream), media_type=media_type, headers={"ETag": tag})


@get("/p/{project:str}/leaderboard.csv", guards=READ)
@in_thread
def leaderboard_as_csv(request: AnyRequest) -> Response[Any]:
    """Return every row of the view as CSV, raw values."""
    return _export(request, leaderboard_csv, models_csv, "text/csv")


@get(
    ["/p/{project:str}/leaderboard.json", "/api/projects/{project:str}/leaderboard"],
    guards=READ,
)
@in_thread
def leaderboard_as_json(request: AnyRequest) -> Response[Any]:
    """Return every row of the view as JSON: raw values and what the page shows.

    `strict=1` refuses what the board does not have; without it, a note says so as on the page.
    """
    if request.query_params.get("strict") == "1":
        require_parameters(set(request.query_params) - {"strict"})
        view = asked_view(request)
        with queries_of(request).board(name_in(request, "project"), view) as board:
            require_known(view, board)
    return _export(request, leaderboard_json, models_json, "application/json")


@get("/p/{project:str}/leaderboard.md", guards=READ)
@in_thread
def leaderboard_as_markdown(request: AnyRequest) -> Response[Any]:
    """Return every row of the view as a Markdown table."""
    return _export(request, leaderboard_markdown, models_markdown, "text/markdown")


@get("/p/{project:str}/leaderboard.tex", guards=READ)
@in_thread
def leaderboard_as_latex(request: AnyRequest) -> Response[Any]:
    """Return every row of the view as a table for a paper."""
    version = queries_of(request).version(name_in(request, "project"))
    jobs, models = (partial(write, version=version) for write in (leaderboard_latex, models_latex))
    return _export(request, jobs, models, "application/x-tex")


LEADERBOARD_ROUTES = [
    project_page,
    leaderboard_page,
    leaderboard_as_csv,
    leaderboard_as_json,
    leaderboard_as_markdown,
    leaderboard_as_latex,
]
