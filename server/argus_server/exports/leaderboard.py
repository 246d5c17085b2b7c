"""The leaderboard as CSV, JSON and Markdown: the same `RankedTable` as the page."""

from __future__ import annotations

import csv
import io
from typing import Any

import msgspec

from argus_server.exports.text import csv_text, iso_time, markdown_text
from argus_server.ranking.table import Cell, Column, RankedTable, Row

__all__ = ["leaderboard_csv", "leaderboard_json", "leaderboard_markdown", "leaderboard_object"]

ABSENT = "∅"
_ARROWS = {"lower": " ↓", "higher": " ↑", "unknown": ""}


# --- CSV --------------------------------------------------------------------------------------


def leaderboard_csv(table: RankedTable) -> str:
    """Return RFC 4180 text: raw values in raw units at round-trip precision, empty where there are none.

    A mean has three columns: the mean, `NAME (std)` and `NAME (n)`.
    """
    grouped = table.view.group == "cell"
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(csv_text(name) for name in _csv_header(table, grouped=grouped))
    for row in table.rows:
        writer.writerow(csv_text(value) for value in _csv_row(table, row, grouped=grouped))
    return out.getvalue()


def _csv_header(table: RankedTable, *, grouped: bool) -> list[str]:
    header = ["rank", *(column.id for column in table.columns if column.kind == "identity")]
    if grouped:
        header.append("n")
    for column in table.metric_columns:
        header.append(column.id)
        if grouped:
            header += [f"{column.id} (std)", f"{column.id} (n)"]
    return header if grouped else [*header, "batch_id", "job_id", "finished_at", "superseded_by"]


def _csv_row(table: RankedTable, row: Row, *, grouped: bool) -> list[Any]:
    values: list[Any] = [row.rank]
    values += [getattr(row, column.key) for column in table.columns if column.kind == "identity"]
    if grouped:
        values.append(row.n)
    for column in table.metric_columns:
        cell = row.cells[column.key]
        values.append(cell.raw)
        if grouped:
            values += [cell.std, cell.n]
    if grouped:
        return values
    return [*values, row.batch_id, row.job_id, iso_time(row.finished_us), "/".join(row.superseded_by or ())]


# --- JSON -------------------------------------------------------------------------------------


def leaderboard_object(table: RankedTable) -> dict[str, Any]:
    """Return the table as plain data; `display` has what the page shows, in the columns' units."""
    view = table.view
    return {
        "project": table.project,
        "view": {
            "group": view.group,
            "sort": view.sort,
            "order": view.order,
            "model": view.model,
            "dataset": view.dataset,
            "batch": view.batch,
            "seed": view.seed,
            "page": view.page,
        },
        "ranked_by": table.ranked_by,
        "notes": table.notes,
        "columns": [_column(column) for column in table.columns],
        "rows": [_row(row) for row in table.rows],
        "total": table.total,
    }


def leaderboard_json(table: RankedTable) -> bytes:
    """Return `leaderboard_object` as JSON."""
    return msgspec.json.encode(leaderboard_object(table))


def _column(column: Column) -> dict[str, Any]:
    return {
        "key": column.key,
        "id": column.id,
        "label": column.label,
        "unit": column.unit,
        "raw_unit": column.raw_unit,
        "direction": column.direction,
        "role": column.role,
        "kind": column.kind,
    }


def _row(row: Row) -> dict[str, Any]:
    present = {key: cell for key, cell in row.cells.items() if cell.present}
    plain: dict[str, Any] = {
        "rank": row.rank,
        "model": row.model,
        "dataset": row.dataset,
        "seed": row.seed,
        "batch_id": row.batch_id,
        "job_id": row.job_id,
        "finished_at": iso_time(row.finished_us) or None,
        "superseded_by": list(row.superseded_by) if row.superseded_by else None,
        "n": row.n,
        "cells": {key: _raw(cell) for key, cell in present.items()},
        "display": {key: f"{cell.display} {cell.spread}".rstrip() for key, cell in present.items()},
        "best": [key for key, cell in present.items() if cell.mark == "best"],
        "second": [key for key, cell in present.items() if cell.mark == "second"],
    }
    return plain


def _raw(cell: Cell) -> Any:
    if cell.n is None:
        return cell.raw
    return {"mean": cell.raw, "std": cell.std, "n": cell.n, "diverged": cell.diverged}


# --- Markdown ---------------------------------------------------------------------------------


def leaderboard_markdown(table: RankedTable) -> str:
    """Return a Markdown table as the page shows it: units in the header, best bold, second underlined."""
    header = ["#", *(_heading(column) for column in table.columns)]
    rules = ["--:", *("--:" if column.kind == "metric" else ":--" for column in table.columns)]
    lines = [header, rules, *(_markdown_row(table, row) for row in table.rows)]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
    return text + "".join(f"\n{markdown_text(note)}\n" for note in table.notes)


def _heading(column: Column) -> str:
    unit = f" ({column.unit})" if column.unit else ""
    return markdown_text(column.label) + unit + _ARROWS[column.direction]


def _markdown_row(table: RankedTable, row: Row) -> list[str]:
    cells = [str(row.rank) if row.rank is not None else ""]
    for column in table.columns:
        if column.kind == "identity":
            is_old = column.key == "model" and row.superseded_by
            cells.append(markdown_text(getattr(row, column.key) or "—") + (" (superseded)" if is_old else ""))
        else:
            cells.append(_markdown_cell(row.cells[column.key]))
    return cells


def _markdown_cell(cell: Cell) -> str:
    if not cell.present:
        return ABSENT
    text = markdown_text(cell.display)
    text = {"best": f"**{text}**", "second": f"<u>{text}</u>"}.get(cell.mark, text)
    return f"{text} {cell.spread}".rstrip()
