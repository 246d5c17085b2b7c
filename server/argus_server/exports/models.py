"""The table of models as CSV, JSON and Markdown: every row, those without a place too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from argus_server.exports.records import (
    SEPARATION,
    column_record,
    filter_record,
    names_record,
    separation_fields,
    separation_record,
)
from argus_server.exports.row_flags import Remarks, flag_records, flags_text, marked_name
from argus_server.exports.text import csv_lines, markdown_lines, markdown_text
from argus_server.ranking.registry import Settings
from argus_server.ranking.table import Cell, Column, RankedTable, Row

__all__ = ["models_csv", "models_json", "models_markdown"]

ABSENT = "—"
_ARROWS = {"lower": " ↓", "higher": " ↑", "unknown": ""}
_NONE = Cell()


def cell_of(row: Row, column: Column) -> Cell:
    """Return what a row has in a column that is no name."""
    cells = row.statistics if column.kind == "statistic" else row.cells
    return cells.get(column.key, _NONE)


# --- CSV --------------------------------------------------------------------------------------


def models_csv(table: RankedTable) -> Iterator[str]:
    """Yield RFC 4180 text, raw values in raw units at round-trip precision.

    `n` is how many jobs the model has. An average rank has the ends of its interval beside it, and whether
    the model is told from the leader: empty for the leader, and where nobody tested it, for which
    `separation (why)` has the reason. A metric is its mean over the datasets, with `NAME (std)` and, as
    `NAME (n)`, over how many. A model without a place has its average rank under `provisional_rank`, and
    says why.
    """
    rows = (_csv_row(table, row) for row in (*table.rows, *table.unranked))
    yield csv_lines([_csv_header(table), *rows])


def _csv_header(table: RankedTable) -> list[str]:
    header = ["rank", "tier", "model", "n", "is_baseline"]
    for column in table.columns[1:]:
        header.append(column.id)
        if column.id == "average_rank" and column.kind == "statistic":
            header += ["average_rank (low)", "average_rank (high)", *SEPARATION]
        elif column.id == "datasets" and column.kind == "statistic":
            header += ["datasets (of)", "seeds"]
        elif column.kind == "metric":
            header += [f"{column.id} (std)", f"{column.id} (n)"]
    return [*header, "flags", "provisional_rank", "not_ranked_because"]


def _csv_row(table: RankedTable, row: Row) -> list[Any]:
    values: list[Any] = [row.rank, row.tier, row.model, row.n, row.is_baseline]
    is_ranked = row.rank is not None
    for column in table.columns[1:]:
        cell = cell_of(row, column)
        if column.kind == "metric":
            values += [cell.raw, cell.std, cell.n]
        elif column.id == "average_rank":
            shown = cell if is_ranked else _NONE
            values += [shown.raw, shown.low, shown.high, *separation_fields(row.separation)]
        elif column.id == "datasets":
            values += [cell.raw, cell.n, cell.spread.removeprefix("× ")]
        else:
            values.append(cell.raw)
    provisional = row.statistics.get("average_rank", _NONE)
    why = "; ".join(f"{gap.dataset}: {gap.text}" for gap in row.gaps)
    return [*values, flags_text(row), None if is_ranked else provisional.raw, why]


# --- JSON -------------------------------------------------------------------------------------


def models_json(table: RankedTable) -> Iterator[bytes]:
    """Yield the table as JSON; `display` has what the page shows, in the columns' units."""
    view, widths = table.view, table.widths()
    yield msgspec.json.encode(
        {
            "project": table.project,
            "view": {
                "group": view.group,
                "metric": table.ranked_by,
                "seeds": view.seeds,
                "missing": view.missing,
                "baseline": view.baseline,
                "sort": view.sort,
                "order": view.order,
                **filter_record(view),
            },
            "ranked_by": table.ranked_by,
            "verdict": {
                "text": table.verdict.told(table.settings.models),
                "leaders": table.verdict.leaders,
                "not_separable": table.verdict.close,
                "reversed": table.verdict.favoured,
                "untested": table.verdict.untested or None,
            },
            "notes": table.notes,
            "names": names_record(table.settings),
            "columns": [column_record(column) for column in table.columns],
            "total": table.total,
            "rows": [_row(table, row, widths) for row in table.rows],
            "not_ranked": [_row(table, row, widths) for row in table.unranked],
        }
    )


def _row(table: RankedTable, row: Row, widths: Mapping[str, int]) -> dict[str, Any]:
    present = [(column, cell) for column in table.columns[1:] if (cell := cell_of(row, column)).present]
    metrics = [(column, cell) for column, cell in present if column.kind == "metric"]
    statistics = {column.id: cell.raw for column, cell in present if column.kind == "statistic"}
    rank = row.statistics.get("average_rank", _NONE)
    coverage = row.statistics.get("datasets", _NONE)
    told = row.separation.is_told if row.separation is not None else None
    plain: dict[str, Any] = {
        "rank": row.rank,
        "tier": row.tier or None,
        "model": row.model,
        "n": row.n,
        "is_baseline": row.is_baseline,
        "statistics": statistics | {"datasets_of": coverage.n, "seeds": coverage.spread.removeprefix("× ")},
        "interval": [rank.low, rank.high] if rank.low is not None else None,
        "not_separable": None if told is None else rank.is_close,
        "separation": separation_record(row.separation),
        "imputed": rank.is_imputed,
        "cells": {column.key: {"mean": cell.raw, "std": cell.std, "n": cell.n} for column, cell in metrics},
        "display": {column.id: shown(cell, most_of(widths, column)) for column, cell in present},
        "flags": flag_records(row),
    }
    if row.rank is None:
        plain["provisional_rank"] = statistics.pop("average_rank", None)
        plain["statistics"].pop("average_rank", None)
        plain["gaps"] = [
            {"dataset": gap.dataset, "kind": gap.kind, "text": gap.text, "job": gap.job} for gap in row.gaps
        ]
    return plain


def part_text(cell: Cell, most: int) -> str:
    """Return what stands beside a mean over fewer datasets than `most`, which others have: `on 3/5`."""
    return f"on {cell.n}/{most}" if cell.n is not None and cell.n < most else ""


def shown(cell: Cell, most: int = 0) -> str:
    """Return a cell as the page shows it, without markup; `most` is what `part_text` takes."""
    marks = ("†" if cell.is_close else "") + ("§" if cell.is_favoured else "")
    marks += "‡" if cell.is_imputed else ""
    beside = (f"{cell.display}{marks}", cell.spread, part_text(cell, most))
    return " ".join(text for text in beside if text)


# --- Markdown ---------------------------------------------------------------------------------


def models_markdown(table: RankedTable) -> Iterator[str]:
    """Yield the verdict, the table and the models without a place as Markdown."""
    if table.verdict:
        yield (
            "".join(
                f"<b>{markdown_text(table.settings.shown('model', phrase.text))}</b>"
                if phrase.strong
                else markdown_text(phrase.text)
                for phrase in table.verdict.phrases
            )
            + "\n\n"
        )
    widths = table.widths()
    lines = [["#", *(_heading(table, column) for column in table.layout)]]
    lines.append(["--:", ":--", *("--:" for _ in table.layout[1:])])
    lines += [
        [
            row.tier,
            marked_name(row, table.settings),
            *(_cell(row, column, widths) for column in table.layout[1:]),
        ]
        for row in table.rows
    ]
    yield markdown_lines(lines)
    if table.unranked:
        yield f"\nNot ranked ({len(table.unranked)})\n\n"
        yield markdown_lines(
            [
                ["Model", "Coverage", "Missing because", "Provisional rank"],
                [":--", "--:", ":--", "--:"],
                *(_unranked(row, table.settings) for row in table.unranked),
            ]
        )
    notes = [*legend(table), *Remarks(table.rows).lines, *table.notes]
    yield "".join(f"\n{markdown_text(note)}\n" for note in notes)


def legend(table: RankedTable) -> list[str]:
    """Say what the marks beside average ranks mean, those that stand there."""
    said = []
    if table.verdict.close:
        said.append("† not separable from the best.")
    if table.verdict.favoured:
        said.append("§ better than the best by the signed ranks, which weigh by how much.")
    return said


def _heading(table: RankedTable, column: Column) -> str:
    baseline = table.view.baseline or table.settings.baseline
    against = f" vs {table.settings.shown('model', baseline)}" if column.id == "skill" and baseline else ""
    unit = f" ({markdown_text(column.unit)})" if column.unit else ""
    arrow = _ARROWS[column.direction] if column.kind == "metric" else ""
    return markdown_text(column.label + against) + unit + arrow


def most_of(widths: Mapping[str, int], column: Column) -> int:
    """Return over how many datasets the means of a column are, at most; 0 of what is no metric."""
    return widths.get(column.key, 0) if column.kind == "metric" else 0


def _cell(row: Row, column: Column, widths: Mapping[str, int]) -> str:
    cell = cell_of(row, column)
    if not cell.present:
        return ABSENT
    text = markdown_text(shown(cell, most_of(widths, column)))
    return f"**{text}**" if cell.mark == "best" else text


def _unranked(row: Row, settings: Settings) -> list[str]:
    why = "; ".join(
        f"{markdown_text(settings.shown('dataset', gap.dataset))}: {markdown_text(gap.text)}"
        for gap in row.gaps
    )
    cells = (row.statistics.get(name, _NONE) for name in ("datasets", "average_rank"))
    coverage, rank = (markdown_text(shown(cell)) if cell.present else ABSENT for cell in cells)
    return [markdown_text(settings.shown("model", row.model)), coverage, why, rank]
