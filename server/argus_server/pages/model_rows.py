"""The table of models as its template needs it: headings, intervals, reasons, links."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from argus_server.pages.filters import breakable, duration
from argus_server.ranking.gaps import Gap
from argus_server.ranking.table import Cell, Column, RankedTable, Row
from argus_server.ranking.values import raw_text
from argus_server.ranking.view import View
from argus_server.urls import path_to, segment

__all__ = [
    "Heading",
    "bands_without_tie",
    "gap_items",
    "headings",
    "interval",
    "last_rank",
    "rank_axis",
    "raw",
    "statistic",
    "tier",
    "value",
]

WIDTH, HEIGHT, PAD = 96, 14, 6
_MOST_NAMED = 3
_ARROWS = {"lower": "↓", "higher": "↑", "unknown": ""}
_WORDS = {"lower": "lower is better", "higher": "higher is better", "unknown": "no direction known"}
_TITLES = {
    "average_rank": "Mean over the datasets of the rank within each; ties share theirs",
    "win_rate": "Share of datasets on which the model beats another, ties half; mean over the others",
    "skill": "By what share the error is below the baseline's: geometric mean over the datasets",
    "datasets": "Datasets with a value × seeds behind each",
}


@dataclass(frozen=True, slots=True)
class Heading:
    """The head of a column: where its link leads, and how the table stands by it."""

    column: Column
    href: str
    title: str
    arrow: str
    arrow_word: str
    aria_sort: str


def headings(table: RankedTable, columns: Sequence[Column], asked: View) -> list[Heading]:
    """Return the heads of these columns."""
    found = []
    for column in columns:
        is_sorted = column.id == table.view.sort
        other = ("asc" if table.view.order == "desc" else "desc") if is_sorted else ""
        link = asked.query(sort=column.id, order=other, page=1)
        title = _TITLES.get(column.id, "")
        if column.kind == "metric":
            title = f"{column.label}: mean over the datasets ± its deviation from seed to seed"
            title += f"; {_WORDS[column.direction]}"
        found.append(
            Heading(
                column,
                path_to("p", table.project, "leaderboard", query=link),
                title,
                _ARROWS[column.direction] if column.kind == "metric" else "",
                _WORDS[column.direction],
                ("descending" if table.view.order == "desc" else "ascending") if is_sorted else "",
            )
        )
    return found


def last_rank(table: RankedTable) -> int:
    """Return where the axis of the average ranks ends: at the worst rank there can be, as far as is shown."""
    shown = [row.statistics.get("average_rank") for row in table.rows]
    ends = [end for cell in shown if cell is not None for end in (cell.number, cell.high) if end is not None]
    return max(len(table.rows), math.ceil(max(ends, default=1.0)))


def _x(rank: float, last: int) -> float:
    return round(PAD + (rank - 1) / (last - 1) * (WIDTH - 2 * PAD), 1)


def rank_axis(last: int) -> Markup:
    """Return the scale of `interval`, for the head of its column."""
    if last < 2:
        return Markup("")
    middle = [(1 + last) // 2] if last > 4 else []
    marks = "".join(
        f'<line class="axis" x1="{x}" x2="{x}" y1="14" y2="18"/>'
        f'<text x="{x}" y="11" text-anchor="middle">{rank}</text>'
        for rank, x in ((rank, _x(rank, last)) for rank in (1, *middle, last))
    )
    return Markup(  # noqa: S704 - numbers only
        f'<svg class="range" width="{WIDTH}" height="18" viewBox="0 0 {WIDTH} 18" role="img"'
        f' aria-label="on a line from rank 1 to rank {last}">{marks}</svg>'
    )


def interval(cell: Cell, last: int) -> Markup:
    """Return an average rank with its interval as a dot on a line from rank 1 to the last one."""
    if cell.number is None or last < 2:
        return Markup("")
    text, line = "none: it takes eight datasets", ""
    if cell.low is not None and cell.high is not None:
        text = f"{cell.low:.2f} to {cell.high:.2f}"
        line = f'<line class="span" x1="{_x(cell.low, last)}" x2="{_x(cell.high, last)}" y1="7" y2="7"/>'
    return Markup(  # noqa: S704 - numbers only
        f'<svg class="range" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' aria-label="average rank {cell.display}, 95 % interval {text}"><title>95 % interval {text}</title>'
        f'<line class="axis" x1="{PAD}" x2="{WIDTH - PAD}" y1="7" y2="7"/>{line}'
        f'<circle cx="{_x(cell.number, last)}" cy="7" r="3.2"/></svg>'
    )


def tier(row: Row, no_ties: Collection[str]) -> Markup:
    """Return the places of a model; a range of places says why it is one.

    Args:
        row: the model.
        no_ties: what `bands_without_tie` returns.
    """
    first, _, last = row.tier.partition("–")
    if not last:
        return escape(row.tier or "–")
    title = f"between place {first} and {last}: the data cannot order these models"
    title += ", which is no tie" if row.tier in no_ties else ""
    return Markup('<span title="{}">{}</span>').format(title, row.tier)


def bands_without_tie(table: RankedTable) -> list[str]:
    """Return the ranges of places whose models do not all share one average rank."""
    ranks: dict[str, set[int | None]] = {}
    for row in table.rows:
        ranks.setdefault(row.tier, set()).add(row.rank)
    return [band for band, some in ranks.items() if len(some) > 1]


def statistic(cell: Cell | None) -> Markup:
    """Return what is computed of a model, with its marks."""
    if cell is None or not cell.present:
        return Markup('<span class="absent">—</span>')
    shown = escape(cell.display)
    shown = Markup("<b>{}</b>").format(shown) if cell.mark == "best" else shown
    if cell.is_close:
        shown += Markup('<span title="not separable from the best: the data cannot tell them apart">†</span>')
    if cell.is_favoured:
        shown += Markup(
            '<span title="better than the best by the signed ranks, which weigh by how much">§</span>'
        )
    if cell.is_imputed:
        shown += Markup('<span title="some values are filled in">‡</span>')
    return shown + (Markup(" <i>{}</i>").format(cell.spread) if cell.spread else "")


def value(cell: Cell | None, most: int) -> Markup:
    """Return a mean over the datasets; one over fewer than `most`, which others have, says so."""
    if cell is None or not cell.present:
        return Markup('<span class="absent" title="on no dataset">—</span>')
    if cell.n is None or cell.n >= most:
        return statistic(cell)
    title = f"the mean of {cell.n} datasets; other models have {most}"
    return statistic(cell) + Markup(' <i class="part" title="{}">on {}/{}</i>').format(title, cell.n, most)


def raw(cell: Cell | None) -> str:
    """Return the number of a cell at round-trip precision."""
    return raw_text(cell.raw) if cell is not None and cell.present else ""


def gap_items(
    gaps: Sequence[Gap], project: str, names: Mapping[str, str]
) -> list[tuple[list[tuple[Markup, str]], int, str]]:
    """Return why values are missing, like reasons together: (datasets with links, further ones, reason)."""
    grouped: dict[str, list[Gap]] = {}
    for gap in gaps:
        grouped.setdefault(_reason(gap), []).append(gap)
    found = []
    for reason, some in grouped.items():
        named = some if len(some) <= _MOST_NAMED else some[: _MOST_NAMED - 1]
        links = [
            (
                breakable(names.get(gap.dataset, gap.dataset) or "(no name)"),
                "" if gap.job is None else _job_link(project, gap.job),
            )
            for gap in named
        ]
        found.append((links, len(some) - len(named), reason))
    return found


def _reason(gap: Gap) -> str:
    if gap.eta_s is None:
        return gap.text
    low, high = (duration(end) for end in gap.eta_s)
    left = "due now" if gap.eta_s[1] < 1 else f"{low if low == high else f'{low} to {high}'} left"
    return f"{gap.text}, {left}"


def _job_link(project: str, job: tuple[str, str]) -> str:
    return f"{path_to('p', project, 'jobs')}/{segment(job[0])}/{segment(job[1])}"
