"""The matrix as CSV, JSON and Markdown, made from the same `MatrixTable` as the page."""

from __future__ import annotations

from typing import Any

import msgspec

from argus_server.exports.records import filter_record, separation_record
from argus_server.exports.text import csv_lines, markdown_lines, markdown_text
from argus_server.ranking.matrix import MatrixCell, MatrixTable

__all__ = ["matrix_csv", "matrix_json", "matrix_markdown"]

_WORDS = {
    "failed": "✕ failed",
    "interrupted": "✕ interrupted",
    "running": "◔",
    "stalled": "‖ stalled",
    "untested": "○ never tested",
    "no metric": "∅",
    "hidden": "⊘",
    "never": "—",
}
_ARROWS = {"lower": " ↓", "higher": " ↑", "unknown": ""}


def absent_text(cell: MatrixCell) -> str:
    """Return what stands in a cell without a number."""
    if cell.kind in ("diverged", "text"):
        return f"{cell.cell.display} {cell.cell.spread}".rstrip()
    if cell.kind == "running" and cell.state.progress is not None:
        return f"◔ {100 * cell.state.progress:.0f} %"
    return "◔ running" if cell.kind == "running" else _WORDS[cell.kind]


def matrix_csv(table: MatrixTable) -> str:
    """Return RFC 4180 text: raw values in raw units at round-trip precision.

    Each column has beside its number what is in the cell where there is none; a mean also `(std)`, `(n)`, and
    the ends of its 95 % interval by Student's t, `(low)` and `(high)`.
    """
    with_spread = table.view.cell in ("mean", "best")
    first, other = table.fields
    header = [first]
    for name in table.columns:
        header += [name or f"(no {other})"]
        header += [f"{name} ({part})" for part in ("std", "n", "low", "high")] if with_spread else []
        header += [f"{name} (state)"]
    if not table.view.transpose:
        header += ["average_rank", "provisional_rank"]
    lines: list[list[Any]] = [header]
    for row in table.rows:
        values: list[Any] = [row]
        for name in table.columns:
            cell = table.at(row, name)
            values.append(cell.content if cell.kind == "value" else cell.cell.raw)
            some = cell.cell
            values += [some.std, some.n, some.low, some.high] if with_spread else []
            values.append("done" if cell.kind == "value" else cell.kind)
        if not table.view.transpose:
            values += [table.average_ranks.get(row), table.provisional_ranks.get(row)]
        lines.append(values)
    return csv_lines(lines)


def matrix_json(table: MatrixTable) -> bytes:
    """Return the table as JSON; `display` has what the page shows, in the unit of the metric."""
    view, column = table.view, table.column
    plain = {
        "project": table.project,
        "view": {
            "metric": column.id if column is not None else None,
            "cell": view.cell,
            "rows": view.rows,
            "transpose": view.transpose,
            "seeds": view.seeds,
            "baseline": table.baseline,
            **filter_record(view),
        },
        "metric": None
        if column is None
        else {
            "key": column.key,
            "label": column.label,
            "unit": column.unit,
            "raw_unit": column.raw_unit,
            "direction": column.direction,
        },
        "models": table.models,
        "datasets": table.datasets,
        "average_ranks": table.average_ranks,
        "provisional_ranks": table.provisional_ranks,
        "coverage": [{"metric": item.id, "cells": item.cells, "of": item.total} for item in table.coverage],
        "notes": table.notes,
        "cells": [
            _cell(model, dataset, table.cells[model, dataset])
            for model in table.models
            for dataset in table.datasets
        ],
    }
    return msgspec.json.encode(plain)


def _cell(model: str, dataset: str, cell: MatrixCell) -> dict[str, Any]:
    shown = (
        f"{cell.display}{cell.marks} {cell.spread}".rstrip() if cell.kind == "value" else absent_text(cell)
    )
    return {
        "model": model,
        "dataset": dataset,
        "state": "done" if cell.kind == "value" else cell.kind,
        "value": cell.cell.raw,
        "std": cell.cell.std,
        "n": cell.cell.n,
        "diverged": cell.cell.diverged,
        "interval": None if cell.cell.low is None else [cell.cell.low, cell.cell.high],
        "rank": cell.rank,
        "gap": cell.gap,
        "delta": cell.delta,
        "mark": cell.cell.mark,
        "separation": separation_record(cell.separation),
        "display": shown,
        "jobs": {"done": cell.jobs, **cell.state.jobs},
        "progress": cell.state.progress,
        "reason": cell.state.reason or None,
    }


def matrix_markdown(table: MatrixTable) -> str:
    """Return a Markdown table as the page shows it, by its names: best bold, second underlined."""
    transposed, shown = table.view.transpose, table.settings.shown
    down, across = table.fields
    header = [down.capitalize(), *(markdown_text(shown(across, name)) for name in table.columns)]
    lines = [header + ([] if transposed else ["Avg rank"])]
    lines.append([":--", *("--:" for _ in lines[0][1:])])
    for row in table.rows:
        cells = [_markdown(table.at(row, name)) for name in table.columns]
        end = [] if transposed else [table.rank_text(row) or "–"]
        lines.append([markdown_text(shown(down, row)), *cells, *end])
    if transposed and table.average_ranks:
        lines.append(["Avg rank", *(table.rank_text(name) or "–" for name in table.columns)])
    notes = [_caption(table), *table.notes]
    return markdown_lines(lines) + "".join(f"\n{markdown_text(note)}\n" for note in notes if note)


def _caption(table: MatrixTable) -> str:
    column = table.column
    if column is None:
        return ""
    unit = f" ({column.unit})" if column.unit else ""
    return f"{column.label}{unit}{_ARROWS[column.direction]}"


def _markdown(cell: MatrixCell) -> str:
    if cell.kind != "value":
        return markdown_text(absent_text(cell))
    text = markdown_text(cell.display or "–")
    text = {"best": f"**{text}**", "second": f"<u>{text}</u>"}.get(cell.cell.mark, text)
    return f"{text}{cell.marks} {cell.spread}".rstrip()
