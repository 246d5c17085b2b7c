"""The matrix, model × dataset: its page and its exports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from litestar import Response, get

from argus_server.exports.matrix import matrix_csv, matrix_json, matrix_markdown
from argus_server.exports.matrix_latex import matrix_latex
from argus_server.pages.asking import READ, AnyRequest, asked_view, count_pages, name_in, queries_of
from argus_server.pages.conditional import entity_tag, not_modified
from argus_server.pages.doctor import doubts_about, with_doubts
from argus_server.pages.files import PAPER_FILES, file_links
from argus_server.pages.frame import project_frame, pulse_tag
from argus_server.pages.matrix_cells import average_rank, matrix_head, matrix_rows
from argus_server.pages.model_views import SEEDS
from argus_server.pages.render import Page, render
from argus_server.pages.visitors import shown_states
from argus_server.ranking.matrix import MatrixTable, matrix
from argus_server.ranking.view import View
from argus_server.threads import in_thread

__all__ = ["MATRIX_ROUTES", "matrix_of"]

COLUMNS = 100
"""So many columns are shown; the exports have all of them."""


def matrix_of(request: AnyRequest, name: str, view: View) -> MatrixTable:
    """Return the matrix of a view, as far as this caller may see it."""
    return _doubted(request, name, view)[0]


def _doubted(request: AnyRequest, name: str, view: View) -> tuple[MatrixTable, str]:
    """Return the same, and what the doctor doubts of it."""
    states = shown_states(request.user, name, queries_of(request).cell_states(name, view.batch))
    with queries_of(request).board(name, replace(view, group="cell")) as board:
        table = matrix(view, board, states)
        return table, doubts_about(board, [table.column.key] if table.column is not None else [])


@get("/p/{project:str}/matrix", guards=READ)
@in_thread
def matrix_page(request: AnyRequest) -> Response[Any]:
    """Show the matrix."""
    name, view, rows = name_in(request, "project"), asked_view(request), request.app.state.settings.page_rows
    frame = project_frame(request, name, "matrix")
    tag = entity_tag(request, queries_of(request).version(name), pulse_tag(frame))
    if unchanged := not_modified(request, tag):
        return unchanged
    table, doubts = _doubted(request, name, view)
    first = (view.page - 1) * rows
    context = {
        **frame,
        "table": table,
        "doubts": doubts,
        "marked": any(cell.cell.mark or cell.step for cell in table.cells.values()),
        "needs_direction": table.column is not None and table.column.direction == "unknown",
        "asked": view,
        "pages": count_pages(view, len(table.rows), rows),
        "head": matrix_head(table, table.columns[:COLUMNS]),
        "rows": matrix_rows(table, table.rows[first : first + rows], table.columns[:COLUMNS]),
        "averages": [average_rank(table, name) for name in table.columns[:COLUMNS]] if view.transpose else [],
        "seeds": SEEDS,
        "project_baseline": table.settings.baseline or "",
        "hidden_columns": max(0, len(table.columns) - COLUMNS),
        "job_counts": frame["pulse"].counts,
        "exports": file_links("p", name, "matrix", query=view.query(page=1), files=PAPER_FILES),
    }
    return render(request, Page("matrix.html", context, headers={"ETag": tag}))


def _export(
    request: AnyRequest, write: Callable[[MatrixTable], str | bytes], media_type: str
) -> Response[Any]:
    name, view = name_in(request, "project"), asked_view(request)
    pulse = queries_of(request).pulse(name)
    tag = entity_tag(request, queries_of(request).version(name), tuple(pulse.counts.items()))
    if unchanged := not_modified(request, tag):
        return unchanged
    table, doubts = _doubted(request, name, view)
    content = write(replace(table, notes=with_doubts(table.notes, doubts)))
    return Response(content, media_type=media_type, headers={"ETag": tag})


@get("/p/{project:str}/matrix.csv", guards=READ)
@in_thread
def matrix_as_csv(request: AnyRequest) -> Response[Any]:
    """Return the whole matrix as CSV, raw values."""
    return _export(request, matrix_csv, "text/csv")


@get(["/p/{project:str}/matrix.json", "/api/projects/{project:str}/matrix"], guards=READ)
@in_thread
def matrix_as_json(request: AnyRequest) -> Response[Any]:
    """Return the whole matrix as JSON: raw values and what the page shows."""
    return _export(request, matrix_json, "application/json")


@get("/p/{project:str}/matrix.md", guards=READ)
@in_thread
def matrix_as_markdown(request: AnyRequest) -> Response[Any]:
    """Return the whole matrix as a Markdown table."""
    return _export(request, matrix_markdown, "text/markdown")


@get("/p/{project:str}/matrix.tex", guards=READ)
@in_thread
def matrix_as_latex(request: AnyRequest) -> Response[Any]:
    """Return the whole matrix as a table for a paper."""
    version = queries_of(request).version(name_in(request, "project"))
    return _export(request, partial(matrix_latex, version=version), "application/x-tex")


MATRIX_ROUTES = [matrix_page, matrix_as_csv, matrix_as_json, matrix_as_markdown, matrix_as_latex]
