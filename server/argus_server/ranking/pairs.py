"""Every model against every other, by the rule of `ranking.statistics.tiers`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from argus_core.words import plural
from argus_server.ranking.board import Board
from argus_server.ranking.format import Style, choose_style, choose_unit
from argus_server.ranking.models import model_board
from argus_server.ranking.registry import NO_SETTINGS, Settings
from argus_server.ranking.scores import Field, Scores, alone_note, choose_field, imputed_note
from argus_server.ranking.standing import LEAST_IN_COMMON, TWO_DECIMALS, Standing, rank_style, stand
from argus_server.ranking.statistics import (
    ALPHA,
    Friedman,
    SkillingsMack,
    cliques,
    critical_difference,
    holm,
    nemenyi_p,
    smallest_n,
    wilcoxon,
    win_loss,
)
from argus_server.ranking.statistics.comparisons import Floats
from argus_server.ranking.values import finite, mean_of
from argus_server.ranking.verdict import overall_text, p_text
from argus_server.ranking.view import View

__all__ = ["MOST_MODELS", "Pair", "PairTable", "rank_pairs"]

MOST_MODELS = 40
"""Eight hundred pairs are as many as a page can show."""
_MOST_TESTED = 60
"""Of more models not every pair is tested: over many datasets with ties one test takes milliseconds."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Model `a` against model `b`.

    Attributes:
        wins, ties, losses: on how many datasets a is better, neither is, b is.
        difference: mean of a − b over the datasets where both have a value, in the metric's own unit; None
            without one.
        display: the same as it is shown.
        p: of the test; corrected for the number of pairs of all models. None where nothing is tested.
        separated: whether the data tell a from b; None where nothing is tested.
        better: the one that the test finds better, by the signed ranks or the average ones, whoever wins more
            often; empty where it does not tell them apart.
        untested: why nothing is tested, in words.
    """

    a: str
    b: str
    wins: int
    ties: int
    losses: int
    difference: float | None
    display: str
    p: float | None
    separated: bool | None
    better: str = ""
    untested: str = ""

    @property
    def p_text(self) -> str:
        """The p-value as papers print it."""
        return "" if self.p is None else p_text(self.p)


@dataclass(frozen=True, slots=True)
class PairTable:
    """All pairs of the ranked models, the best `MOST_MODELS` of them.

    Attributes:
        models: best average rank first.
        pairs: (a, b) → the pair, for every two different models in both orders.
        rank_style: how average ranks are written.
        test: `wilcoxon` or `nemenyi`, which was done.
        critical_difference: of average ranks, by Nemenyi; None for the other test.
        cliques: runs of models in order, no two of which can be told apart, two models at least.
        sentence: what came of it.
        is_exact: whether the p-values of Wilcoxon's test are counted out, all of them.
        settings: those of the project: the names to show.
        label: what people call the metric.
    """

    project: str
    view: View
    metric: str | None
    unit: str
    models: Sequence[str]
    average_ranks: Sequence[float]
    pairs: dict[tuple[str, str], Pair]
    test: str
    overall: Friedman | SkillingsMack | None
    critical_difference: float | None
    cliques: Sequence[tuple[int, int]]
    datasets: int
    sentence: str
    notes: Sequence[str]
    rank_style: Style = TWO_DECIMALS
    is_exact: bool = True
    settings: Settings = NO_SETTINGS
    label: str = ""

    @property
    def once(self) -> list[Pair]:
        """The pairs, each once: the model with the better average rank first."""
        return [self.pairs[a, b] for place, a in enumerate(self.models) for b in self.models[place + 1 :]]


def rank_pairs(view: View, board: Board) -> PairTable:
    """Return all pairs of the models that a view of models ranks."""
    return board.memo(repr(("pairs", view)), lambda: _rank_pairs(view, board))


def _rank_pairs(view: View, board: Board) -> PairTable:
    found = model_board(view, board)
    notes = list(found.notes)
    scores = found.scores
    if scores is None:
        return _nothing(view, board, found.metric, notes)
    field = choose_field(scores, view.missing)
    notes += filter(None, [alone_note(scores, field, view.missing)])
    standing = stand(field, scores, with_interval=False)
    order = standing.order[:MOST_MODELS]
    if len(standing.order) > MOST_MODELS:
        notes.append(f"These are the best {MOST_MODELS} of {len(standing.order)} models.")
    n = len(field.datasets)
    if len(order) < 2 or n < 1:
        notes.append("There are no two models to compare. Another policy for missing values may help.")
        return _nothing(view, board, found.metric, notes)
    by_ranks = view.test == "nemenyi"
    if by_ranks and (field.has_gaps or n < 2):
        by_ranks = False
        notes.append("Nemenyi's test needs a value of every model on every dataset, and two datasets.")
    if not by_ranks and len(standing.order) > _MOST_TESTED:
        notes.append(
            f"The pairs of the best {_MOST_TESTED} models are tested, and corrected for the number of all:"
            " none is told apart that would not be if all were tested."
        )
    if field.imputed.any():
        notes.append(f"{imputed_note(field)} Differences are of values that were measured.")
    tested = _by_ranks(standing, order, n) if by_ranks else _by_signed_ranks(field, scores, standing)
    differ = standing.overall is not None and standing.overall.p <= ALPHA
    separated = (tested.p <= ALPHA) & (differ or by_ranks)
    names = [scores.models[field.models[model]] for model in order]
    unit, style = _style(scores, field, board)
    ranks = [float(standing.average[model]) for model in order]
    return PairTable(
        project=board.project,
        view=view,
        metric=scores.metric,
        unit=unit,
        models=names,
        average_ranks=ranks,
        pairs=_pairs(names, field, scores, order, tested, separated, style),
        test="nemenyi" if by_ranks else "wilcoxon",
        overall=standing.overall,
        critical_difference=critical_difference(len(standing.order), n) if by_ranks else None,
        cliques=cliques(separated),
        datasets=n,
        sentence=_sentence(standing, separated, tested, by_ranks=by_ranks, differ=differ),
        notes=notes,
        rank_style=rank_style(standing),
        is_exact=tested.is_exact,
        settings=board.settings,
        label=next(key.label for key in board.keys if key.key == scores.metric),
    )


def _style(scores: Scores, field: Field, board: Board) -> tuple[str, Style]:
    """Return unit and style of differences."""
    known = next(key.meaning for key in board.keys if key.key == scores.metric)
    numbers = [abs(float(number)) for number in field.values.flat if not math.isnan(number)]
    unit, scale = choose_unit(known.unit, numbers)
    means = [mean_of(column[~np.isnan(column)].tolist()) for column in field.values.T]
    apart = [abs(a - b) for a in means for b in means]
    return unit, choose_style([number for number in apart if math.isfinite(number)], (), (), scale)


def _nothing(view: View, board: Board, metric: str | None, notes: Sequence[str]) -> PairTable:
    return PairTable(
        board.project, view, metric, "", (), (), {}, view.test, None, None, (), 0, "", tuple(notes)
    )


@dataclass(frozen=True, slots=True)
class _Tested:
    """What came of the tests, models × models in order.

    Attributes:
        p: symmetric.
        way: 1 where the test finds the model of the row worse than that of the column, −1 where better.
        floor: why no outcome could tell any two models apart; empty where one could.
        in_common: on how many datasets both have a value.
        is_exact: whether every p is counted out.
    """

    p: Floats
    way: Floats
    floor: str
    in_common: NDArray[np.int64]
    is_exact: bool = True

    def why_untested(self, i: int, j: int) -> str:
        """Return why no outcome could have told these two apart."""
        common = int(self.in_common[i, j])
        if self.floor or common >= LEAST_IN_COMMON:
            return self.floor
        return f"they have {plural(common, 'dataset')} in common, and {LEAST_IN_COMMON} are needed"


_ONE_DATASET = "one dataset says nothing about others"


def _by_signed_ranks(field: Field, scores: Scores, standing: Standing) -> _Tested:
    """Return the pairs of the best models by Wilcoxon's test, with Holm's correction for those of all."""
    order, n = standing.order[:_MOST_TESTED], len(field.datasets)
    k = len(order)
    pairs = len(standing.order) * (len(standing.order) - 1) // 2
    rows, columns = np.triu_indices(k, 1)
    tests = [
        wilcoxon(field.values[:, order[a]], field.values[:, order[b]], scores.ties)
        for a, b in zip(rows.tolist(), columns.tolist(), strict=True)
    ]
    p, way = np.ones((k, k)), np.zeros((k, k))
    p[rows, columns] = p[columns, rows] = holm([test.p for test in tests], of=pairs)
    way[rows, columns] = [test.way for test in tests]
    way -= way.T
    needed = smallest_n(pairs)
    floor = f"with {n} datasets no outcome could separate one of {plural(pairs, 'pair')}: {needed} are needed"
    shown = slice(MOST_MODELS)
    present = (~np.isnan(field.values[:, list(order[shown])])).astype(np.int64)
    return _Tested(
        p[shown, shown],
        way[shown, shown],
        _ONE_DATASET if n == 1 else floor if n < needed else "",
        present.T @ present,
        all(test.is_exact for test in tests),
    )


def _by_ranks(standing: Standing, order: Sequence[int], n: int) -> _Tested:
    """Return all pairs by Nemenyi's test, which corrects by itself and needs every value."""
    k = len(standing.order)
    average = standing.average[list(order)]
    way = np.sign(np.round(average[:, None] - average[None, :], 9))
    p = np.ones((len(order), len(order)))
    for i, a in enumerate(average.tolist()):
        for j, b in enumerate(average[:i].tolist()):
            p[i, j] = p[j, i] = nemenyi_p(a - b, k, n)
    beyond = nemenyi_p(k - 1, k, n) > ALPHA
    floor = f"no average ranks of {k} models over {n} datasets are so far apart as Nemenyi's test needs"
    return _Tested(p, way, floor if beyond else "", np.full(p.shape, max(n, LEAST_IN_COMMON)))


def _pairs(
    names: Sequence[str],
    field: Field,
    scores: Scores,
    order: Sequence[int],
    tested: _Tested,
    separated: NDArray[np.bool_],
    style: Style,
) -> dict[tuple[str, str], Pair]:
    counts = win_loss(field.placed[:, list(order)], scores.ties)
    sign = -1 if scores.higher else 1
    measured = np.where(field.imputed, np.nan, field.values)
    found = {}
    for i, a in enumerate(names):
        for j, b in enumerate(names):
            if i == j:
                continue
            mean = _mean_difference(sign * measured[:, order[i]], sign * measured[:, order[j]])
            text = "" if mean is None else style.number(mean)
            why, is_told = tested.why_untested(i, j), bool(separated[i, j])
            found[a, b] = Pair(
                a,
                b,
                int(counts.wins[i, j]),
                int(counts.ties[i, j]),
                int(counts.wins[j, i]),
                mean,
                f"+{text}" if mean is not None and mean > 0 and text.strip("0.") else text,
                None if why else float(tested.p[i, j]),
                None if why else is_told,
                (b if tested.way[i, j] > 0 else a) if is_told else "",
                why,
            )
    return found


def _mean_difference(a: Floats, b: Floats) -> float | None:
    """Return the mean of a − b where both have a value; None without any, or if no float is so large."""
    both = ~(np.isnan(a) | np.isnan(b))
    if not both.any():
        return None
    with np.errstate(over="ignore"):
        apart = a[both] - b[both]
    if np.isfinite(apart).all():
        return mean_of(apart.tolist())
    return finite(2 * mean_of((a[both] / 2 - b[both] / 2).tolist()))


def _sentence(
    standing: Standing, separated: NDArray[np.bool_], tested: _Tested, *, by_ranks: bool, differ: bool
) -> str:
    floor, (shown, k) = tested.floor, (len(separated), len(standing.order))
    pairs, of_all = shown * (shown - 1) // 2, k * (k - 1) // 2
    if standing.overall is None:
        return "One dataset says nothing about others: there is nothing to test."
    overall = overall_text(standing)
    if floor:
        return f"{floor[0].upper()}{floor[1:]}. {overall}"
    if not by_ranks and not differ:
        return f"The models as a whole cannot be told apart, so no pair is. {overall}"
    how = "Nemenyi" if by_ranks else f"{'exact ' if tested.is_exact else ''}Wilcoxon, Holm"
    how += f" for all {of_all:,} pairs" if of_all > pairs else ""
    apart = int(separated.sum()) // 2
    return f"{apart} of {pairs} pairs can be told apart ({how}, α = {ALPHA:g}). {overall}"
