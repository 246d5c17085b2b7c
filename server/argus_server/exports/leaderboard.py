"""The leaderboard as CSV, JSON and Markdown, made from the same `Ranking` as the page.

Each is every row of the view, whatever page was asked for, and comes in pieces: a large board is never
in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
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
from argus_server.exports.text import csv_line, csv_lines, iso_time, markdown_lines, markdown_text
from argus_server.ranking.rank import Ranking
from argus_server.ranking.table import Cell, Column, Row

__all__ = ["leaderboard_csv", "leaderboard_json", "leaderboard_markdown"]

ABSENT = "∅"
_ROWS_AT_ONCE = 500
_ARROWS = {"lower": " ↓", "higher": " ↑", "unknown": ""}


# --- CSV --------------------------------------------------------------------------------------


def leaderboard_csv(ranking: Ranking) -> Iterator[str]:
    """Yield RFC 4180 text: raw values in raw units at round-trip precision, empty where there are none.

    A mean has five columns: the mean, `NAME (std)`, `NAME (n)`, and the ends of its 95 % interval, by
    Student's t, `NAME (low)` and `NAME (high)`.
    """
    grouped = ranking.view.group == "cell"
    header = _csv_header(ranking, grouped=grouped)
    if grouped:
        rows = (_csv_cells(ranking, row) for row in ranking.stream())
        yield from map(csv_lines, _batched(chain([header], rows)))
    else:
        yield from map("".join, _batched(chain([csv_lines([header])], _csv_jobs(ranking))))


def _csv_header(ranking: Ranking, *, grouped: bool) -> list[Any]:
    header = ["rank", *(column.id for column in ranking.columns if column.kind == "identity")]
    if grouped:
        header.append("n")
    for column in ranking.metric_columns:
        header.append(column.id)
        if grouped:
            header += [f"{column.id} ({part})" for part in ("std", "n", "low", "high")]
    return (
        [*header, "finished_at", *SEPARATION, "flags"]
        if grouped
        else [*header, "batch_id", "job_id", "finished_at", "superseded_by"]
    )


def _csv_jobs(ranking: Ranking) -> Iterator[str]:
    keys = [column.key for column in ranking.metric_columns]
    for rank, item in ranking.raw():
        job = item.job
        names = ("" if rank is None else str(rank), job.model, job.dataset, job.seed)
        end = (job.batch_id, job.job_id, iso_time(job.finished_us), "/".join(item.superseded_by or ()))
        yield csv_line(names, list(map(job.metrics.get, keys)), end)


def _csv_cells(ranking: Ranking, row: Row) -> list[Any]:
    values: list[Any] = [row.rank, row.model, row.dataset, row.n]
    for column in ranking.metric_columns:
        cell = row.cells[column.key]
        values += [cell.raw, cell.std, cell.n, cell.low, cell.high]
    return [*values, iso_time(row.finished_us), *separation_fields(row.separation), flags_text(row)]


def _batched(items: Iterable[Any]) -> Iterator[list[Any]]:
    rest = iter(items)
    while some := list(islice(rest, _ROWS_AT_ONCE)):
        yield some


# --- JSON -------------------------------------------------------------------------------------


def leaderboard_json(ranking: Ranking) -> Iterator[bytes]:
    """Yield the table as JSON; `display` has what the page shows, in the columns' units."""
    view = ranking.view
    head = {
        "project": ranking.project,
        "view": {
            "group": view.group,
            "sort": view.sort,
            "order": view.order,
            **({"seeds": view.seeds} if view.group == "cell" else {}),
            **filter_record(view),
            "page": view.page,
        },
        "ranked_by": ranking.metric,
        "notes": ranking.notes,
        "names": names_record(ranking.settings),
        "columns": [column_record(column) for column in ranking.columns],
        "total": ranking.total,
    }
    yield msgspec.json.encode(head)[:-1] + b',"rows":['
    first = True
    for some in _batched(ranking.stream()):
        yield (b"" if first else b",") + b",".join(msgspec.json.encode(_row(row)) for row in some)
        first = False
    yield b"]}"


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
        "display": {key: _with_spread(cell.display, cell, row.n) for key, cell in present.items()},
        "best": [key for key, cell in present.items() if cell.mark == "best"],
        "second": [key for key, cell in present.items() if cell.mark == "second"],
        "separation": separation_record(row.separation),
        "flags": flag_records(row),
    }
    return plain


def _raw(cell: Cell) -> Any:
    if cell.n is None:
        return cell.raw
    interval = None if cell.low is None else [cell.low, cell.high]
    return {
        "mean": cell.raw,
        "std": cell.std,
        "n": cell.n,
        "diverged": cell.diverged,
        "interval": interval,
    }


# --- Markdown ---------------------------------------------------------------------------------


def leaderboard_markdown(ranking: Ranking) -> Iterator[str]:
    """Yield a Markdown table as the page shows it, of the chosen columns in their order.

    Units are in the header, the best is bold, the second best underlined.
    """
    counts = ["Jobs"] if ranking.view.group != "job" else []
    header = ["#", *(_heading(column) for column in ranking.chosen), *counts]
    rules = ["--:", *("--:" if column.kind == "metric" else ":--" for column in ranking.chosen)]
    rules += ["--:" for _ in counts]
    remarks = Remarks()
    rows = (_markdown_row(ranking, row, remarks) for row in ranking.stream())
    for some in _batched(chain([header, rules], rows)):
        yield markdown_lines(some)
    yield "".join(f"\n{markdown_text(note)}\n" for note in (*remarks.lines, *ranking.notes))


def _heading(column: Column) -> str:
    unit = f" ({markdown_text(column.unit)})" if column.unit else ""
    return markdown_text(column.label) + unit + _ARROWS[column.direction]


def _markdown_row(ranking: Ranking, row: Row, remarks: Remarks) -> list[str]:
    remarks.see(row)
    cells = [str(row.rank) if row.rank is not None else ""]
    for column in ranking.chosen:
        if column.kind == "identity":
            is_model = column.key == "model"
            shown = ranking.settings.shown(column.key, getattr(row, column.key))
            name = marked_name(row, ranking.settings) if is_model else markdown_text(shown)
            cells.append(name + (" (superseded)" if is_model and row.superseded_by else ""))
        else:
            cells.append(_markdown_cell(row.cells[column.key], row.n))
    return cells if ranking.view.group == "job" else [*cells, str(row.n)]


def _markdown_cell(cell: Cell, jobs: int) -> str:
    if not cell.present:
        return ABSENT
    text = markdown_text(cell.display)
    text = {"best": f"**{text}**", "second": f"<u>{text}</u>"}.get(cell.mark, text)
    return _with_spread(text, cell, jobs)


def _with_spread(text: str, cell: Cell, jobs: int) -> str:
    beside = cell.beside(jobs)
    return f"{text}{'†' if cell.is_close else ''}{' ' if beside else ''}{beside}"
