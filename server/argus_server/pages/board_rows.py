"""The body of the leaderboard's table, written without a template: four thousand cells a page.

A template took 25 µs a cell on the machine where this was decided, more than all the rest of the page.
Everything that comes from an event goes through `escape`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

from markupsafe import Markup, escape

from argus_server.pages.board_filters import choosing
from argus_server.pages.filters import breakable
from argus_server.pages.flags import flag_marks
from argus_server.ranking.registry import NO_SETTINGS, Settings
from argus_server.ranking.table import Cell, Column, RankedTable, Row
from argus_server.ranking.values import raw_text, raw_texts
from argus_server.ranking.view import View
from argus_server.urls import job_key, path_to

__all__ = ["RowKey", "board_rows", "row_key"]

RowKey = tuple[str, str]
NO_CURVES: Mapping[RowKey, Markup] = MappingProxyType({})

_CLOSE = '<span title="the seeds do not tell it from the best of its dataset">†</span>'
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
    return Markup(_Writer(table, asked, settings, curves).rows())  # noqa: S704 - escaped piece by piece


class _Writer:
    """Writes columns, and rows from them; what is the same in many rows is written once."""

    def __init__(
        self, table: RankedTable, asked: View, settings: Settings, curves: Mapping[RowKey, Markup]
    ) -> None:
        self._table = table
        self._settings = settings
        self._curves = curves
        self._keys = [row_key(row) for row in table.rows]
        self._names = [job_key(*key) for key in self._keys]
        self._jobs = path_to("p", table.project, "jobs")
        self._with_models = choosing(asked, "model", "p", table.project, "leaderboard")
        self._model = lru_cache(None)(self._model_link)
        self._dataset = lru_cache(None)(self._dataset_cell)
        self._seed = lru_cache(None)(self._seed_cell)
        self._about = lru_cache(None)(self._about_text)

    def rows(self) -> str:
        """Return all rows."""
        columns = [self._column(column) for column in self._table.layout]
        lines = zip(map(self._opened, self._table.rows, self._names), *columns, strict=True)
        return "".join([piece for line in lines for piece in (*line, "</tr>\n")])

    def _opened(self, row: Row, name: str) -> str:
        """Return how a row begins, with its place."""
        old = ' class="old"' if row.superseded_by else ""
        rank = "–" if row.rank is None else row.rank
        box = ""
        if row.job_id is not None:
            said = _chosen(row, self._settings)
            box = f'<input type="checkbox" name="job" value="{name}" form="compare" aria-label="{said}">'
        return f'<tr data-row="{name}"{old}><td class="n rank">{box}{rank}</td>'

    def _column(self, column: Column) -> Iterable[str]:
        """Return the cells of a column."""
        rows = self._table.rows
        if column.kind == "metric":
            by = " by" if column.id == self._table.view.sort else ""
            opened = f'<td class="n{by}" data-key="{escape(column.id)}" data-value="'
            return _metric_cells(column.key, rows, opened)
        if column.kind == "curve":
            return [f'<td class="curve">{self._curves.get(key, "")}</td>' for key in self._keys]
        if column.kind == "jobs":
            return map(self._jobs_cell, rows, self._names)
        if column.key == "model":
            return map(self._model_cell, rows)
        if column.key == "dataset":
            return [self._dataset(row.dataset) for row in rows]
        return [self._seed(row.seed) for row in rows]

    def _model_cell(self, row: Row) -> str:
        about = f' data-about="{self._about(row.dataset, row.seed)}"' if row.dataset or row.seed else ""
        named = f"{self._model(row.model)}{_superseded(row)}{flag_marks(row)}"
        return f'<th scope="row" class="pin"{about}>{named}</th>'

    def _model_link(self, model: str | None) -> str:
        if model is None:
            return "—"
        link = self._with_models((model,))
        return f'<a href="{escape(link)}">{breakable(self._settings.shown("model", model))}</a>'

    def _about_text(self, dataset: str | None, seed: str | None) -> str:
        """Return what stands below the model where there is no room for columns of these."""
        shown = [self._settings.shown("dataset", dataset)] if dataset else []
        return escape(" · ".join([*shown, *([f"seed {seed}"] if seed else [])]))

    def _dataset_cell(self, dataset: str | None) -> str:
        return f'<td class="about">{breakable(self._settings.shown("dataset", dataset))}</td>'

    def _seed_cell(self, seed: str | None) -> str:
        return f'<td class="n about">{breakable(seed or "—")}</td>'

    def _jobs_cell(self, row: Row, name: str) -> str:
        if row.job_id is None:
            wanted = [("model", row.model or ""), ("dataset", row.dataset or ""), ("status", "done")]
            link = path_to("p", self._table.project, "jobs", query=wanted)
            return f'<td class="n"><a href="{escape(link)}">{row.n}</a></td>'
        return f'<td class="job"><a href="{self._jobs}/{name}">{breakable(row.job_id)}</a></td>'


def row_key(row: Row) -> RowKey:
    """Return what a row is known by: its batch and job, or its model and dataset."""
    if row.batch_id is None or row.job_id is None:
        return row.model or "", row.dataset or ""
    return row.batch_id, row.job_id


def _chosen(row: Row, settings: Settings) -> str:
    model = settings.shown("model", row.model) if row.model else row.job_id
    dataset = settings.shown("dataset", row.dataset) if row.dataset else "no dataset"
    return escape(f"Select {model} on {dataset}, seed {row.seed or 'unknown'}")


def _superseded(row: Row) -> str:
    if not row.superseded_by:
        return ""
    later = escape(" / ".join(row.superseded_by))
    title = f"A later job has the same model, dataset and seed: {later}"
    return f' <span class="tag" title="{title}">superseded</span>'


def _metric_cells(key: str, rows: Sequence[Row], opened: str) -> list[str]:
    """Return the cells of a metric; `opened` is how each begins, up to its raw value."""
    absent = f'{opened}">{_ABSENT}</td>'
    cells = [row.cells[key] for row in rows]
    raws = raw_texts([cell.raw for cell in cells])
    return [
        f'{opened}{raw}">{cell.display}</td>'
        if cell.number is not None and not cell.mark and not cell.spread
        else absent
        if cell.raw is None
        else _special_cell(opened, cell, row.n)
        for row, cell, raw in zip(rows, cells, raws, strict=True)
    ]


def _special_cell(opened: str, cell: Cell, jobs: int) -> str:
    """Return a cell with a mark or a spread, or one that does not rank."""
    spread = f" <i>{cell.beside(jobs)}</i>" if cell.spread else ""
    if cell.number is None:
        shown = f'<span class="odd">{escape(cell.display)}</span>'
        return f'{opened}{escape(raw_text(cell.raw))}">{shown}{spread}</td>'
    shown = cell.display
    if cell.mark:
        shown = f"<b>{shown}</b>" if cell.mark == "best" else f"<u>{shown}</u>"
    shown += _CLOSE if cell.is_close else ""
    title = f' title="95 % interval {cell.interval} (Student’s t, n = {cell.n})"' if cell.interval else ""
    return f'{opened}{raw_text(cell.raw)}"{title}>{shown}{spread}</td>'
