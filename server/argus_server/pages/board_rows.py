"""The body of the leaderboard's table, written without a template: four thousand cells a page.

A template took 25 µs a cell on the machine where this was decided, more than all the rest of the page.
Everything that comes from an event goes through `escape`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from types import MappingProxyType

from markupsafe import Markup, escape

from argus_server.pages.filters import breakable
from argus_server.pages.flags import flag_marks
from argus_server.ranking.registry import NO_SETTINGS, Settings
from argus_server.ranking.table import Cell, Column, RankedTable, Row
from argus_server.ranking.values import raw_text
from argus_server.ranking.view import View
from argus_server.urls import job_key, path_to, segment

__all__ = ["RowKey", "board_rows", "row_key"]

RowKey = tuple[str, str]
NO_CURVES: Mapping[RowKey, Markup] = MappingProxyType({})

_ABSENT = '<span class="absent" title="done without this metric">∅</span>'


def board_rows(
    table: RankedTable,
    asked: View,
    settings: Settings = NO_SETTINGS,
    curves: Mapping[RowKey, Markup] = NO_CURVES,
) -> Markup:
    """Return the rows of a leaderboard, each a `<tr>` with a name of its own in `data-row`.

    Args:
        table: what is shown, in the order of its layout.
        asked: the view that links are made from.
        settings: how models and datasets are called instead.
        curves: the validation loss of rows, drawn.
    """
    writer = _Writer(table, asked, settings, curves)
    return Markup("".join(writer.row(row) for row in table.rows))  # noqa: S704 - escaped piece by piece


class _Writer:
    """Writes rows; what is the same in many of them is written once."""

    def __init__(
        self, table: RankedTable, asked: View, settings: Settings, curves: Mapping[RowKey, Markup]
    ) -> None:
        self._project = table.project
        self._asked = asked
        self._settings = settings
        self._curves = curves
        self._jobs = path_to("p", table.project, "jobs")
        self._sorted = table.view.sort
        self._writers = [self._writer(column) for column in table.layout]
        self._model = lru_cache(None)(self._model_link)
        self._dataset = lru_cache(None)(self._dataset_name)
        self._plain = lru_cache(None)(_named)

    def row(self, row: Row) -> str:
        """Return one row."""
        cells = "".join([write(row) for write in self._writers])
        old = ' class="old"' if row.superseded_by else ""
        if row.batch_id is None or row.job_id is None:
            name = f"{segment(row.model or '')}/{segment(row.dataset or '')}"
            return f'<tr data-row="{name}"{old}><td class="n rank">{_rank(row)}</td>{cells}</tr>\n'
        name = job_key(row.batch_id, row.job_id)
        box = f'<input type="checkbox" name="job" value="{name}" form="compare" aria-label="{_chosen(row)}">'
        return f'<tr data-row="{name}"{old}><td class="n rank">{box}{_rank(row)}</td>{cells}</tr>\n'

    def _writer(self, column: Column) -> Callable[[Row], str]:
        """Return what writes the cells of a column."""
        if column.kind == "metric":
            by = " by" if column.id == self._sorted else ""
            opened = f'<td class="n{by}" data-key="{escape(column.id)}" data-value="'
            return partial(_metric_cell, column.key, opened)
        if column.kind == "curve":
            return self._curve_cell
        if column.kind == "jobs":
            return self._jobs_cell
        return {"model": self._model_cell, "dataset": self._dataset_cell}.get(column.key, self._seed_cell)

    def _model_cell(self, row: Row) -> str:
        return f'<th scope="row" class="pin">{self._model(row.model)}{_superseded(row)}{flag_marks(row)}</th>'

    def _model_link(self, model: str | None) -> str:
        if model is None:
            return "—"
        link = path_to("p", self._project, "leaderboard", query=self._asked.query(model=(model,), page=1))
        return f'<a href="{escape(link)}">{breakable(self._settings.models.get(model, model))}</a>'

    def _dataset_cell(self, row: Row) -> str:
        return f"<td>{self._dataset(row.dataset)}</td>"

    def _dataset_name(self, dataset: str | None) -> str:
        return _named(self._settings.datasets.get(dataset, dataset) if dataset else None)

    def _seed_cell(self, row: Row) -> str:
        return f'<td class="n">{self._plain(row.seed)}</td>'

    def _curve_cell(self, row: Row) -> str:
        return f'<td class="curve">{self._curves.get(row_key(row), "")}</td>'

    def _jobs_cell(self, row: Row) -> str:
        if row.batch_id is None or row.job_id is None:
            wanted = [("model", row.model or ""), ("dataset", row.dataset or ""), ("status", "done")]
            link = path_to("p", self._project, "jobs", query=wanted)
            return f'<td class="n"><a href="{escape(link)}">{row.n}</a></td>'
        link = f"{self._jobs}/{segment(row.batch_id)}/{segment(row.job_id)}"
        return f'<td class="job"><a href="{escape(link)}">{breakable(row.job_id)}</a></td>'


def row_key(row: Row) -> RowKey:
    """Return what a row is known by: its batch and job, or its model and dataset."""
    if row.batch_id is None or row.job_id is None:
        return row.model or "", row.dataset or ""
    return row.batch_id, row.job_id


def _rank(row: Row) -> str:
    return "–" if row.rank is None else str(row.rank)


def _chosen(row: Row) -> str:
    return escape(
        f"Select {row.model or row.job_id} on {row.dataset or 'no dataset'}, seed {row.seed or 'unknown'}"
    )


def _named(name: str | None) -> str:
    return breakable(name) if name else "—"


def _superseded(row: Row) -> str:
    if not row.superseded_by:
        return ""
    later = escape(" / ".join(row.superseded_by))
    title = f"A later job has the same model, dataset and seed: {later}"
    return f' <span class="tag" title="{title}">superseded</span>'


def _metric_cell(key: str, opened: str, row: Row) -> str:
    cell = row.cells[key]
    if cell.raw is None:
        return f'{opened}">{_ABSENT}</td>'
    if cell.number is None:
        shown = f'<span class="odd">{escape(cell.display)}</span>'
        return f'{opened}{escape(raw_text(cell.raw))}">{shown}{_spread(cell)}</td>'
    shown = cell.display
    if cell.mark:
        shown = f"<b>{shown}</b>" if cell.mark == "best" else f"<u>{shown}</u>"
    title = f' title="95 % interval {cell.interval} (Student’s t, n = {cell.n})"' if cell.interval else ""
    return f'{opened}{cell.raw!r}"{title}>{shown}{_spread(cell)}</td>'


def _spread(cell: Cell) -> str:
    return f" <i>{cell.spread}</i>" if cell.spread else ""
