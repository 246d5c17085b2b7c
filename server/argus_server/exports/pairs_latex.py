"""Every model against every other as a table for a paper."""

from __future__ import annotations

from functools import partial

from argus_server.exports.latex import END, SEEDS, opening, view_hash
from argus_server.exports.latex_text import latex_number, latex_text
from argus_server.exports.models_latex import MISSING
from argus_server.ranking.pairs import Pair, PairTable
from argus_server.ranking.statistics import ALPHA
from argus_server.urls import path_to

__all__ = ["pairs_latex"]

_TESTS = {
    "wilcoxon": "Wilcoxon’s signed-rank test, corrected by Holm for all pairs",
    "nemenyi": "Nemenyi’s test",
}


def pairs_latex(table: PairTable, version: object) -> str:
    """Return one row for each two models, the one with the better average rank first.

    Args:
        table: the view.
        version: what changes whenever the data do; a part of the hash in the caption.
    """
    shown = partial(table.settings.shown, "model")
    ranks = {
        model: latex_number(table.rank_style.number(rank))
        for model, rank in zip(table.models, table.average_ranks, strict=True)
    }
    unit = f" ({latex_text(table.unit)})" if table.unit else ""
    heads = ["Model", "Avg rank", "Against", "Avg rank", "Wins/ties/losses", f"Difference{unit}", "$p$"]
    lines = [
        opening(
            path_to("p", table.project, "pairs", query=table.view.query(group="job", page=1)),
            view_hash(table.project, table.view, version),
            title="Pairs",
            caption=_caption(table),
            columns="lrlrrrr",
        ),
        " & ".join(heads) + END + "\\midrule\n",
    ]
    for pair in table.once:
        names = [_named(pair, model, shown(model)) for model in (pair.a, pair.b)]
        counts = f"{pair.wins}/{pair.ties}/{pair.losses}"
        p = latex_number(pair.p_text) if pair.p_text else "--"
        difference = latex_number(pair.display.removeprefix("+")) if pair.display else "--"
        difference = f"+{difference}" if pair.display.startswith("+") else difference
        cells = [names[0], ranks[pair.a], names[1], ranks[pair.b], counts, difference, p]
        lines.append(" & ".join(cells) + END)
    return "".join([*lines, "\\bottomrule\n\\end{tabular}\n\\end{table}\n"])


def _named(pair: Pair, model: str, shown: str) -> str:
    name = latex_text(shown)
    return rf"\textbf{{{name}}}" if pair.better == model else name


def _caption(table: PairTable) -> str:
    if not table.models:
        return " ".join([f"There are no two models of {table.project} to compare.", *table.notes])
    untested = sorted({pair.untested for pair in table.once} - {""})
    told = any(pair.separated for pair in table.once)
    sentences = [
        f"Each two models of {table.project} in {table.label} over {table.datasets} datasets: on how many the"
        f" first one wins, ties and loses, and the mean difference; values are {SEEDS[table.view.seeds]};"
        f" {MISSING[table.view.missing]}.",
        f"p is of {_TESTS[table.test]}; α = {ALPHA:g}.",
        table.sentence,
        "Bold: better than the other one, as the test has it." if told else "",
        f"Not tested (--): {'; '.join(untested)}." if untested else "",
        *table.notes,
    ]
    return " ".join(text for text in sentences if text)
