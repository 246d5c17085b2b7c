r"""The leaderboard as a table for a paper: `\input{leaderboard.tex}`, with booktabs and siunitx.

It is the view, row by row and column by column, as its page shows it. The caption says what a reader of
the paper has to know: metric, seeds, test, α, and what became of missing cells.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from argus_server.exports.latex_text import PREAMBLE, latex_number, latex_sentence, latex_text
from argus_server.exports.row_flags import Remarks, flag_letters
from argus_server.ranking.rank import Ranking
from argus_server.ranking.registry import Settings
from argus_server.ranking.table import Cell, Column, Row
from argus_server.ranking.view import View
from argus_server.urls import path_to

__all__ = [
    "BETTER",
    "END",
    "NO_TEST",
    "SEEDS",
    "SPREAD",
    "heading",
    "leaderboard_latex",
    "opening",
    "view_hash",
]

_ARROWS = {"lower": r" $\downarrow$", "higher": r" $\uparrow$", "unknown": ""}
BETTER = {"lower": "lower is better", "higher": "higher is better", "unknown": "no direction is known"}
END = r" \tabularnewline" + "\n"
SEEDS = {
    "mean": "the mean over seeds",
    "median": "the median over seeds",
    "best": "the best of n seeds",
    "last": "the last seed",
}
NO_TEST = "No significance test is applied, and no α."
SPREAD = {"mean": " with its standard deviation (n − 1)", "median": "", "best": "", "last": ""}
"""What stands beside it."""


def view_hash(project: str, view: View, version: object) -> str:
    """Return twelve digits that are equal for equal views of equal data."""
    said = (project, sorted(view.query(page=1)), version)
    return hashlib.blake2b(repr(said).encode("utf-8", "replace"), digest_size=6).hexdigest()


def opening(address: str, digest: str, *, title: str, caption: str, columns: str) -> str:
    """Return how a table begins, up to its first rule.

    Args:
        address: of the page that shows the same.
        digest: the `view_hash`, which ends the caption and is in the label.
        title: what a list of tables has.
        caption: sentences, not yet as LaTeX has them.
        columns: where the text of each stands: `l`, `r`.
    """
    return (
        f"% {address}\n"
        "% \\usepackage{booktabs,siunitx}\n"
        f"{PREAMBLE}\n"
        "\\begin{table}\n\\centering\n"
        f"\\caption[{title}]{{{latex_sentence(caption)} View \\texttt{{{digest}}}.}}\n"
        f"\\label{{tab:argus-{digest}}}\n"
        f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n"
    )


def leaderboard_latex(ranking: Ranking, version: object) -> Iterator[str]:
    """Yield the table, every row of the view.

    Args:
        ranking: the view.
        version: what changes whenever the data do; a part of the hash in the caption.
    """
    columns, counts = ranking.chosen, ranking.view.group != "job"
    kinds = "".join("l" if column.kind == "identity" else "r" for column in columns)
    yield opening(
        path_to("p", ranking.project, "leaderboard", query=ranking.view.query(page=1)),
        view_hash(ranking.project, ranking.view, version),
        title="Leaderboard",
        caption=_caption(ranking),
        columns=f"r{kinds}{'r' if counts else ''}",
    )
    heads = ["\\#", *map(heading, columns), *(["Jobs"] if counts else [])]
    yield " & ".join(heads) + END + "\\midrule\n"
    remarks = Remarks()
    for row in ranking.stream():
        remarks.see(row)
        yield _row(columns, row, ranking.settings, counts=counts)
    yield "\\bottomrule\n\\end{tabular}\n" + remarks.latex + "\\end{table}\n"


def _caption(ranking: Ranking) -> str:
    view, metric = ranking.view, ranking.metric
    column = next((column for column in ranking.metric_columns if column.key == metric), None)
    is_ranked = column is not None and ranking.ranks_higher is not None
    ranked = (
        f"ranked by {column.label} ({BETTER[column.direction]})" if column and is_ranked else "not ranked"
    )
    what = "Each row is one job, as it was measured"
    if view.group == "cell":
        what = f"Each value is {SEEDS[view.seeds]}{SPREAD[view.seeds]}"
    sentences = [
        f"Leaderboard of {ranking.project}, {ranked}.",
        f"{what}.",
        *(() if not ranking.marks else ("Best in bold, second best underlined, each within its dataset.",)),
        *(() if ranking.is_tested else (NO_TEST,)),
        *ranking.notes,
    ]
    return " ".join(sentences)


def heading(column: Column) -> str:
    """Return the head of a column, with its unit and what is better."""
    unit = f" ({latex_text(column.unit)})" if column.unit else ""
    arrow = _ARROWS[column.direction] if column.kind == "metric" else ""
    return latex_text(column.label) + unit + arrow


def _row(columns: list[Column], row: Row, settings: Settings, *, counts: bool) -> str:
    cells = [str(row.rank) if row.rank is not None else "--"]
    for column in columns:
        if column.kind == "identity":
            shown, is_model = settings.shown(column.key, getattr(row, column.key)), column.key == "model"
            text = latex_text(shown)
            text += flag_letters(row) if is_model else ""
            cells.append(text + (" (superseded)" if is_model and row.superseded_by else ""))
        else:
            cells.append(_cell(row.cells[column.key], row.n))
    return " & ".join(cells + ([str(row.n)] if counts else [])) + END


def _cell(cell: Cell, jobs: int) -> str:
    if not cell.present:
        return r"$\emptyset$"
    text = latex_number(cell.display)
    text = {"best": rf"\textbf{{{text}}}", "second": rf"\underline{{{text}}}"}.get(cell.mark, text)
    return text + (r"$^{\dagger}$" if cell.is_close else "") + _spread(cell, jobs)


def _spread(cell: Cell, jobs: int) -> str:
    if cell.spread.startswith("± "):
        own = "" if cell.n in (None, jobs) else f", n={cell.n}"
        return rf" $\pm$ {latex_number(cell.spread[2:])}{own}"
    return f" ({latex_text(cell.spread)})" if cell.spread else ""
