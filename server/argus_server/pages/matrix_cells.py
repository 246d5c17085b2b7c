"""The body of a matrix, written without a template: it may have ten thousand cells.

Everything that comes from an event goes through `escape`.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

from argus_server.exports.matrix import absent_text
from argus_server.pages.filters import breakable, plural
from argus_server.ranking.matrix import MatrixCell, MatrixTable, percent
from argus_server.ranking.values import raw_text
from argus_server.urls import path_to

__all__ = ["average_rank", "matrix_head", "matrix_rows"]

_GOING = ' <span class="going" role="img" aria-label="another job runs">◔</span>'
_WHY = {
    "diverged": "diverged",
    "text": "not a number",
    "running": "running",
    "stalled": "stalled",
    "failed": "failed",
    "interrupted": "interrupted",
    "untested": "never tested: no result came",
    "no metric": "done without this metric",
    "hidden": "filters hide its jobs",
    "never": "never run",
}


def matrix_head(table: MatrixTable, columns: Sequence[str]) -> Markup:
    """Return the header's cells for these columns, each a link to its rows of the leaderboard."""
    _, field = table.fields
    pieces = []
    for name in columns:
        shown = breakable(table.settings.shown(field, name))
        if name:
            query = [("group", "cell"), (field, name), *(("batch", batch) for batch in table.view.batch)]
            link = path_to("p", table.project, "leaderboard", query=query)
            shown = Markup('<a href="{}">{}</a>').format(link, shown)
        pieces.append(Markup('<th scope="col" class="n">{}</th>').format(shown))
    return Markup("").join(pieces)


def matrix_rows(table: MatrixTable, rows: Sequence[str], columns: Sequence[str]) -> Markup:
    """Return rows of the matrix, each a `<tr>`."""
    writer = _Writer(table, columns)
    return Markup("".join(writer.row(name) for name in rows))  # noqa: S704 - escaped piece by piece


def average_rank(table: MatrixTable, model: str) -> Markup:
    """Return the average rank of a model; a provisional one says so."""
    text = table.rank_text(model)
    if model in table.average_ranks or not text:
        return Markup(text or "–")  # noqa: S704 - a number
    title = "provisional, as some datasets are missing: beside the ranked models, on the datasets it has"
    return Markup(f'<i title="{title}">{text}</i>')  # noqa: S704 - a number


class _Writer:
    def __init__(self, table: MatrixTable, columns: Sequence[str]) -> None:
        self._table = table
        self._columns = columns
        self._transposed = table.view.transpose
        self._ranks_end = False
        self._batches = [("batch", batch) for batch in table.view.batch]

    def row(self, name: str) -> str:
        """Return one row."""
        cells = "".join(self._cell(name, column) for column in self._columns)
        return (
            f'<tr data-row="{escape(name)}"{self._separation(name)}>'
            f'<th scope="row" class="pin">{self._heading(name)}</th>'
            f"{cells}{'' if self._transposed else self._average(name)}</tr>\n"
        )

    def _separation(self, name: str) -> str:
        """Return the class of the first row behind those that have a rank."""
        if self._ranks_end or self._transposed or self._table.view.rows != "rank":
            return ""
        self._ranks_end = name not in self._table.average_ranks
        return ' class="sep"' if self._ranks_end and self._table.average_ranks else ""

    def _heading(self, name: str) -> str:
        if not name:
            return "—"
        field, _ = self._table.fields
        query = [("group", "cell"), (field, name), *self._batches]
        link = path_to("p", self._table.project, "leaderboard", query=query)
        return f'<a href="{escape(link)}">{breakable(self._table.settings.shown(field, name))}</a>'

    def _average(self, name: str) -> str:
        return f'<td class="n mean">{average_rank(self._table, name)}</td>'

    def _cell(self, row: str, column: str) -> str:
        cell = self._table.at(row, column)
        model, dataset = (column, row) if self._transposed else (row, column)
        link = path_to(
            "p", self._table.project, "jobs", query=[("model", model), ("dataset", dataset), *self._batches]
        )
        title = escape(_title(self._table, model, dataset, cell))
        if cell.kind == "value":
            shade = "n" if cell.step is None else f"n z{cell.step}"
            raw = "" if cell.content is None else repr(cell.content)
            inner = _number(cell)
        else:
            shade, raw = f"n st {cell.kind.replace(' ', '-')}", escape(raw_text(cell.cell.raw))
            inner = str(escape(absent_text(cell)))
        return (
            f'<td class="{shade}" data-key="{escape(column)}" data-value="{raw}">'
            f'<a href="{escape(link)}" title="{title}">{inner}</a></td>'
        )


def _number(cell: MatrixCell) -> str:
    shown = escape(cell.display) if cell.display else '<span class="absent">–</span>'
    if cell.cell.mark:
        shown = f"<b>{shown}</b>" if cell.cell.mark == "best" else f"<u>{shown}</u>"
    shown += cell.marks
    spread = f" <i>{cell.spread}</i>" if cell.spread else ""
    going = (
        ' <span class="going" aria-label="another job runs">◔</span>' if cell.state.kind == "running" else ""
    )
    return f"{shown}{spread}{going}"


def _title(table: MatrixTable, model: str, dataset: str, cell: MatrixCell) -> str:
    """Return what there is to say of a cell, in words: what shade and marks say too."""
    names = table.settings
    parts = [f"{names.shown('model', model)} on {names.shown('dataset', dataset)}"]
    if cell.kind == "value":
        unit = f" {table.column.unit}" if table.column is not None and table.column.unit else ""
        parts.append(f"{cell.cell.display}{unit} {cell.cell.spread}".rstrip())
        if cell.cell.interval:
            parts.append(f"95 % interval {cell.cell.interval}{unit}")
        if cell.cell.is_close:
            parts.append("the seeds do not tell it from the best")
        if cell.rank is not None:
            parts.append(f"rank {cell.rank:g}")
        if cell.gap is not None:
            parts.append("the best" if cell.gap == 0 else f"{percent(cell.gap).lstrip('+')} behind the best")
        if cell.delta is not None and table.baseline:
            parts.append(f"{percent(cell.delta)} against {names.shown('model', table.baseline)}")
        parts.append(plural(cell.jobs, "job"))
    else:
        parts.append(_WHY[cell.kind])
        if cell.state.reason and cell.kind in ("failed", "interrupted"):
            parts.append(cell.state.reason)
    others = {name: count for name, count in cell.state.jobs.items() if count}
    if others and (cell.kind == "value" or sum(others.values()) > 1):
        parts.append(", ".join(f"{count} {name}" for name, count in others.items()))
    return " · ".join(parts)
