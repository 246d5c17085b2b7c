"""The sentence above a table of models: who leads, and what the data cannot tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from argus_server.ranking.phrases import Phrase, Verdict
from argus_server.ranking.scores import Field, Scores
from argus_server.ranking.standing import Standing, rank_style
from argus_server.ranking.statistics import ALPHA, Friedman
from argus_server.ranking.view import Missing, Seeds

__all__ = ["give_verdict", "overall_text", "p_text"]

_MOST_NAMED = 4


def p_text(p: float) -> str:
    """Return a p-value as papers print it."""
    if p >= 0.9995:
        return "1"
    return f"{p:.2g}" if p >= 1e-300 else "less than 1e-300"


class _Sentences:
    """Collects phrases."""

    def __init__(self) -> None:
        self.phrases: list[Phrase] = []

    def say(self, text: str) -> None:
        self.phrases.append(Phrase(text))

    def name(self, models: Sequence[str]) -> None:
        """Say the names of some models: a few, and how many there are beside."""
        named = list(models if len(models) <= _MOST_NAMED else models[: _MOST_NAMED - 1])
        others = len(models) - len(named)
        for place, model in enumerate(named):
            if place:
                self.say(" and " if place == len(named) - 1 and not others else ", ")
            self.phrases.append(Phrase(model or "(no name)", strong=True))
        if others:
            self.say(f" and {others} others")


def give_verdict(
    scores: Scores,
    field: Field,
    standing: Standing,
    seeds: Seeds,
    missing: Missing,
    *,
    label: str = "",
    of_all: bool = True,
) -> Verdict:
    """Return the verdict on a field.

    Args:
        scores: where the field comes from.
        field: what is ranked.
        standing: how.
        seeds: how the jobs of a cell became one number.
        missing: the policy that chose the field.
        label: what people call the metric, if not by its name.
        of_all: whether the scores are of all jobs, or of those that a view chooses.
    """
    scores = replace(scores, metric=label or scores.metric)
    said = _Sentences()
    names = [scores.models[place] for place in field.models]
    n, k = field.values.shape
    if k < 2 or n < 1:
        _say_nothing_to_compare(said, scores, names, n, missing, of_all=of_all)
        return Verdict(tuple(names), phrases=tuple(said.phrases), untested=standing.why_untested)
    leaders = [names[model] for model in standing.leaders]
    close = [names[model] for model in standing.close]
    favoured = [names[model] for model in standing.favoured]
    over = _over(scores, field, seeds)
    said.name(leaders)
    verb = "share" if len(leaders) > 1 else "has"
    if n == 1:
        best = "highest" if scores.higher else "lowest"
        said.say(f" {verb} the {best} {scores.metric} of {k} models on {over}.")
        said.say(" One dataset says nothing about others: there is nothing to test.")
        return Verdict(tuple(leaders), phrases=tuple(said.phrases), untested=standing.why_untested)
    rank = rank_style(standing).number(float(standing.average[standing.order[0]]))
    said.say(f" {verb} the best average rank ({rank} of {k}) over {over}")
    _say_tests(said, standing, close, favoured)
    return Verdict(tuple(leaders), tuple(close), tuple(said.phrases), tuple(favoured), standing.why_untested)


def _say_nothing_to_compare(
    said: _Sentences, scores: Scores, names: Sequence[str], n: int, missing: Missing, *, of_all: bool
) -> None:
    total = len(scores.datasets)
    if not total:
        where = "" if of_all else " among the jobs of this view"
        said.say(f"No model has a finite {scores.metric}{where}: nothing is ranked.")
    elif missing == "shared" and not n:
        said.say(f"No dataset has a {scores.metric} of every model: nothing is ranked.")
    elif missing == "pairwise" and not names:
        said.say(f"No two models have a {scores.metric} on the same dataset: nothing can be compared.")
    elif not names:
        said.say(f"No model has a {scores.metric} on {_all(total)}: nothing is ranked.")
    else:
        said.say("Only ")
        said.name(names)
        where = "on any dataset" if missing != "complete" else f"on {_all(total)}"
        said.say(f" has a {scores.metric} {where}: there is nothing to compare it with.")


def _all(total: int) -> str:
    return f"all {total} datasets" if total > 1 else "the dataset"


def _over(scores: Scores, field: Field, seeds: Seeds) -> str:
    n = len(field.datasets)
    where = f"{n} datasets" if n > 1 else scores.datasets[field.datasets[0]] or "the dataset"
    counts = scores.seeds[np.ix_(field.datasets, field.models)]
    low, high = int(counts[counts > 0].min()), int(counts.max())
    how_many = str(high) if low == high else f"{low} to {high}"
    if seeds in ("best", "last"):
        return f"{where}, the {seeds} of {how_many} {_seeds(high)} each" if high > 1 else f"{where} × 1 seed"
    medians = "medians of " if seeds == "median" and high > 1 else ""
    return f"{where} × {medians}{how_many} {_seeds(high)}"


def _seeds(count: int) -> str:
    return "seed" if count == 1 else "seeds"


def _say_tests(said: _Sentences, standing: Standing, close: Sequence[str], favoured: Sequence[str]) -> None:
    it = "it" if len(standing.leaders) == 1 else "them"
    exact = "exact " if all(against.is_exact for against in standing.tiers.leader.values()) else ""
    by = f"({exact}Wilcoxon, Holm, α = {ALPHA:g})"
    if standing.datasets < standing.needed:
        why = standing.why_untested
        said.say(f". {why[0].upper()}{why[1:]}. {overall_text(standing)}")
        return
    if not standing.tiers.leader:
        said.say(
            "; the models as a whole cannot be told apart: their order may be chance."
            f" {overall_text(standing)}"
        )
        return
    if favoured:
        said.say("; ")
        said.name(favoured)
        said.say(f" {_is(favoured)} better than {it} by the signed ranks, which weigh by how much")
    if close:
        said.say("; ")
        said.name(close)
        said.say(f" {_is(close)} not separable from {it}")
    separable, untested = (len(standing.of_result(result)) for result in ("separable", "untested"))
    if separable and not close and not favoured:
        who = f"{separable} {'models are' if separable > 1 else 'model is'}"
        said.say(f"; {who if untested else 'every other model is'} separated from {it}")
    said.say(f" {by}." if separable or close or favoured else ".")
    if untested:
        few = f"{untested} {'model shares' if untested == 1 else 'models share'}"
        said.say(f" {few} too few datasets with {it} to be tested.")
    said.say(f" {overall_text(standing)}")


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def overall_text(standing: Standing) -> str:
    """Return what the test of all models together says."""
    test = standing.overall
    if isinstance(test, Friedman):
        f = f"Iman–Davenport F = {test.f:.3g}"
        if math.isinf(test.f):
            f = "every dataset orders the models alike"
        return f"Friedman χ² = {test.chi2:.3g}, {f}, p = {p_text(test.p)}."
    assert test is not None
    return f"Skillings–Mack χ² = {test.statistic:.3g}, p = {p_text(test.p)}."
