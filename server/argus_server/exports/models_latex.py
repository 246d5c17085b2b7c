"""The table of models for a paper: a rule between groups that differ, and a caption that says how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from argus_server.exports.latex import BETTER, END, SEEDS, heading, opening, view_hash
from argus_server.exports.latex_text import latex_number, latex_text
from argus_server.exports.models import cell_of, legend, most_of, part_text
from argus_server.exports.row_flags import Remarks, flag_letters
from argus_server.ranking.table import Cell, Column, RankedTable, Row
from argus_server.urls import path_to

__all__ = ["MISSING", "models_latex"]

MISSING = {
    "complete": "models without a value on every dataset are not ranked",
    "shared": "models are compared on the datasets that all of them have",
    "pairwise": "each pair of models is compared on the datasets that both have",
    "impute:worst": "missing values are as good as the worst of their dataset and rank behind it",
}


def models_latex(table: RankedTable, version: object) -> Iterator[str]:
    """Yield the table; models without a place stand below it, with a dash for theirs.

    Args:
        table: the view.
        version: what changes whenever the data do; a part of the hash in the caption.
    """
    yield opening(
        path_to("p", table.project, "leaderboard", query=table.view.query(page=1)),
        view_hash(table.project, table.view, version),
        title="Leaderboard",
        caption=_caption(table),
        columns="rl" + "r" * (len(table.layout) - 1),
    )
    yield " & ".join(["\\#", *map(heading, table.layout)]) + END + "\\midrule\n"
    with_rules, widths = _has_rules(table), table.widths()
    for place, row in enumerate(table.rows):
        yield ("\\midrule\n" if place and row.opens_tier and with_rules else "") + _row(table, row, widths)
    if table.unranked:
        yield "\\midrule\n"
    for row in table.unranked:
        yield _row(table, row, widths)
    yield "\\bottomrule\n\\end{tabular}\n" + Remarks(table.rows).latex + "\\end{table}\n"


def _has_rules(table: RankedTable) -> bool:
    """Whether groups stand below each other: rows by something else than their average rank have none."""
    by_rank = table.view.sort == "average_rank" and table.view.order == "asc"
    return by_rank and any(row.opens_tier for row in table.rows[1:])


def _not_ranked(rows: Sequence[Row]) -> str:
    provisional = any(row.statistics.get("average_rank") for row in rows)
    return f"Not ranked{', with provisional ranks' if provisional else ''}: {len(rows)}." if rows else ""


def _caption(table: RankedTable) -> str:
    metric = next((column for column in table.metric_columns if column.key == table.ranked_by), None)
    is_ranked = metric is not None and any(row.rank is not None for row in table.rows)
    ranked = (
        f"by their average rank in {metric.label} ({BETTER[metric.direction]})"
        if metric is not None and is_ranked
        else "not ranked"
    )
    view = table.view
    sentences = [
        f"Models of {table.project}, {ranked}; each metric is the mean over datasets of {SEEDS[view.seeds]};"
        f" {MISSING[view.missing]}.",
        table.verdict.told(table.settings.models),
        "A rule separates groups that differ." if _has_rules(table) else "",
        *legend(table),
        _not_ranked(table.unranked),
        *table.notes,
    ]
    return " ".join(text for text in sentences if text)


def _row(table: RankedTable, row: Row, widths: Mapping[str, int]) -> str:
    name = latex_text(table.settings.shown("model", row.model)) + flag_letters(row)
    cells = [latex_text(row.tier) if row.tier else "--", name]
    for column in table.layout[1:]:
        cell = cell_of(row, column)
        part = part_text(cell, most_of(widths, column))
        cells.append(_cell(cell, column) + (f" {latex_text(part)}" if part else ""))
    return " & ".join(cells) + END


def _cell(cell: Cell, column: Column) -> str:
    if not cell.present:
        return "--"
    is_number = column.id != "datasets" or column.kind == "metric"
    text = latex_number(cell.display) if is_number else latex_text(cell.display)
    text = rf"\textbf{{{text}}}" if cell.mark == "best" else text
    text += (r"$^{\dagger}$" if cell.is_close else "") + (r"$^{\S}$" if cell.is_favoured else "")
    text += r"$^{\ddagger}$" if cell.is_imputed else ""
    if cell.spread.startswith("± "):
        return rf"{text} $\pm$ {latex_number(cell.spread[2:])}"
    return f"{text} {latex_text(cell.spread)}" if cell.spread else text
