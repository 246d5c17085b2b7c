"""The body of the leaderboard's table, written without a template: four thousand cells a page.

A template took 25 µs a cell on the machine where this was decided, more than all the rest of the page.
Everything that comes from an event goes through `escape`.
"""

from __future__ import annotations

from functools import lru_cache

from markupsafe import Markup, escape

from argus_server.pages.filters import breakable
from argus_server.ranking.table import Cell, RankedTable, Row
from argus_server.ranking.values import raw_text
from argus_server.ranking.view import View
from argus_server.urls import path_to, segment

__all__ = ["board_rows"]

_ABSENT = '<span class="absent" title="done without this metric">∅</span>'


def board_rows(table: RankedTable, asked: View) -> Markup:
    """Return the rows of a leaderboard, each a `<tr>`."""
    writer = _Writer(table, asked)
    return Markup("".join(writer.row(row) for row in table.rows))  # noqa: S704 - escaped piece by piece


class _Writer:
    """Writes rows; what is the same in many of them is written once."""

    def __init__(self, table: RankedTable, asked: View) -> None:
        self._project = table.project
        self._asked = asked
        self._jobs = path_to("p", table.project, "jobs")
        self._identity = [column.key for column in table.columns if column.kind == "identity"]
        self._opened = [
            (
                column.key,
                f'<td class="n{" by" if column.id == table.view.sort else ""}"'
                f' data-key="{escape(column.id)}" data-value="',
            )
            for column in table.metric_columns
        ]
        self._model = lru_cache(None)(self._model_link)
        self._plain = lru_cache(None)(_named)

    def row(self, row: Row) -> str:
        """Return one row."""
        cells = row.cells
        return "".join(
            (
                '<tr class="old">' if row.superseded_by else "<tr>",
                f'<td class="n rank">{row.rank if row.rank is not None else "–"}</td>',
                *(self._name(row, key) for key in self._identity),
                *(_cell(opened, cells[key]) for key, opened in self._opened),
                self._end(row),
                "</tr>\n",
            )
        )

    def _name(self, row: Row, key: str) -> str:
        if key == "model":
            return f'<th scope="row" class="pin">{self._model(row.model)}{_superseded(row)}</th>'
        value = self._plain(row.dataset if key == "dataset" else row.seed)
        return f'<td class="n">{value}</td>' if key == "seed" else f"<td>{value}</td>"

    def _model_link(self, model: str | None) -> str:
        if model is None:
            return "—"
        link = path_to("p", self._project, "leaderboard", query=self._asked.query(model=(model,), page=1))
        return f'<a href="{escape(link)}">{breakable(model)}</a>'

    def _end(self, row: Row) -> str:
        if row.batch_id is None or row.job_id is None:
            wanted = [("model", row.model or ""), ("dataset", row.dataset or ""), ("status", "done")]
            link = path_to("p", self._project, "jobs", query=wanted)
            return f'<td class="n"><a href="{escape(link)}">{row.n}</a></td>'
        link = f"{self._jobs}/{segment(row.batch_id)}/{segment(row.job_id)}"
        return f'<td class="job"><a href="{escape(link)}">{breakable(row.job_id)}</a></td>'


def _named(name: str | None) -> str:
    return breakable(name) if name else "—"


def _superseded(row: Row) -> str:
    if not row.superseded_by:
        return ""
    later = escape(" / ".join(row.superseded_by))
    title = f"A later job has the same model, dataset and seed: {later}"
    return f' <span class="tag" title="{title}">superseded</span>'


def _cell(opened: str, cell: Cell) -> str:
    if cell.raw is None:
        return f'{opened}">{_ABSENT}</td>'
    if cell.number is None:
        shown = f'<span class="odd">{escape(cell.display)}</span>'
        return f'{opened}{escape(raw_text(cell.raw))}">{shown}{_spread(cell)}</td>'
    shown = cell.display
    if cell.mark:
        shown = f"<b>{shown}</b>" if cell.mark == "best" else f"<u>{shown}</u>"
    return f'{opened}{cell.raw!r}">{shown}{_spread(cell)}</td>'


def _spread(cell: Cell) -> str:
    return f" <i>{cell.spread}</i>" if cell.spread else ""
