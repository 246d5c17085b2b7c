"""The matrix as a table for a paper: models × datasets in one metric, as its page shows it."""

from __future__ import annotations

from argus_server.exports.latex import BETTER, END, NO_TEST, SEEDS, SPREAD, opening, view_hash
from argus_server.exports.latex_text import latex_number, latex_text
from argus_server.exports.matrix import absent_text
from argus_server.ranking.matrix import MatrixCell, MatrixTable
from argus_server.urls import path_to

__all__ = ["matrix_latex"]

_MARKS = "Best in bold, second best underlined, each within its dataset."
_CONTENTS = {
    "mean": "",
    "best": "each cell is the best of its seeds",
    "n": "each cell is the number of its seeds",
    "rank": "each cell is the rank within its dataset",
    "delta": "each cell is the difference to the baseline",
}


def matrix_latex(table: MatrixTable, version: object) -> str:
    """Return the table.

    Args:
        table: the view.
        version: what changes whenever the data do; a part of the hash in the caption.
    """
    transposed, shown = table.view.transpose, table.settings.shown
    down, across = table.fields
    heads = [down.capitalize(), *(latex_text(shown(across, name)) for name in table.columns)]
    heads += [] if transposed else ["Avg rank"]
    lines = [
        opening(
            path_to("p", table.project, "matrix", query=table.view.query(page=1)),
            view_hash(table.project, table.view, version),
            title="Matrix",
            caption=_caption(table),
            columns="l" + "r" * (len(heads) - 1),
        ),
        " & ".join(heads) + END + "\\midrule\n",
    ]
    for row in table.rows:
        cells = [_cell(table.at(row, name)) for name in table.columns]
        cells += [] if transposed else [_average(table.rank_text(row))]
        lines.append(" & ".join([latex_text(shown(down, row)), *cells]) + END)
    if transposed and table.average_ranks:
        averages = [_average(table.rank_text(name)) for name in table.columns]
        lines.append("\\midrule\n" + " & ".join(["Avg rank", *averages]) + END)
    return "".join([*lines, "\\bottomrule\n\\end{tabular}\n\\end{table}\n"])


def _caption(table: MatrixTable) -> str:
    column, view = table.column, table.view
    if column is None:
        return f"Models and datasets of {table.project}; no job has reported a metric."
    unit = f" in {column.unit}" if column.unit else ""
    content = _CONTENTS.get(view.cell, "") or f"each cell is {SEEDS[view.seeds]}{SPREAD[view.seeds]}"
    return " ".join(
        [
            f"{column.label}{unit} of {table.project} ({BETTER[column.direction]}); {content}.",
            *(() if column.direction == "unknown" else (_MARKS,)),
            *(() if table.is_tested else (NO_TEST,)),
            *table.notes,
        ]
    )


def _average(mean: str) -> str:
    if mean.startswith("("):
        return f"({latex_number(mean[1:-1])})"
    return latex_number(mean) if mean else "--"


def _cell(cell: MatrixCell) -> str:
    if cell.kind != "value":
        return latex_text(absent_text(cell))
    text = latex_number(cell.display or "–")
    text = {"best": rf"\textbf{{{text}}}", "second": rf"\underline{{{text}}}"}.get(cell.cell.mark, text)
    text += r"$^{\dagger}$" if cell.marks else ""
    if cell.spread.startswith("± "):
        return rf"{text} $\pm$ {latex_number(cell.spread[2:])}"
    return f"{text} ({latex_text(cell.spread)})" if cell.spread else text
