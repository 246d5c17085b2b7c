"""The same board under every aggregate, policy and subset: does the order hold?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from argus_server.ranking.aggregate import Entry, Together
from argus_server.ranking.board import Board
from argus_server.ranking.models import ModelBoard, model_board
from argus_server.ranking.registry import NO_SETTINGS, Settings
from argus_server.ranking.scores import Field, Scores, choose_field, scores_of
from argus_server.ranking.statistics import (
    Ties,
    average_ranks,
    fractional_ranks,
    pairwise_average_ranks,
    win_loss,
)
from argus_server.ranking.statistics.comparisons import Floats, outcomes_between
from argus_server.ranking.view import MISSING_IN_WORDS, SEEDS_IN_WORDS, Missing, Seeds, View

__all__ = ["MOST_MODELS", "Sensitivity", "Variant", "rank_sensitivity"]

Kind = Literal["as asked", "aggregate", "missing", "seeds", "without"]
_POLICIES: Mapping[str, str] = {str(policy): words for policy, words in MISSING_IN_WORDS.items()}
MOST_MODELS = 40
_MOST_TOLD = 3
_RANKS = Ties()
"""When two ranks are one."""
_Values = tuple[Floats, Ties]
"""What models are ordered by, lower is better, and when two of it are one."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to make the board.

    Attributes:
        kind: what is done otherwise than the view asks.
        name: how: `median rank`, `pairwise`, or the dataset that is left out.
        places: model → its place, ties sharing it; models that are not ranked so are not in it.
    """

    kind: Kind
    name: str
    places: Mapping[str, int]

    @property
    def label(self) -> str:
        """The name as people read it, which is that of the choice on the page."""
        if self.kind == "without":
            return f"without {self.name}"
        return _POLICIES.get(self.name, self.name) if self.kind == "missing" else self.name


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """How every variant orders the models.

    Attributes:
        models: as the view orders them; then those that only other variants rank.
        variants: the view itself first; of the others those that rank somebody.
        settings: those of the project: the names to show.
    """

    project: str
    view: View
    metric: str | None
    models: Sequence[str]
    variants: Sequence[Variant]
    notes: Sequence[str]
    settings: Settings = NO_SETTINGS

    def range_of(self, model: str) -> tuple[int, int] | None:
        """Return the best and the worst place of a model."""
        places = [variant.places[model] for variant in self.variants if model in variant.places]
        return (min(places), max(places)) if places else None

    def firsts(self, model: str, kind: Kind | None = None) -> tuple[int, int]:
        """Return in how many variants a model is first, and of how many; of one kind, or of all."""
        some = [variant for variant in self.variants if kind is None or variant.kind == kind]
        return sum(variant.places.get(model) == 1 for variant in some), len(some)

    def shared(self, model: str, kind: Kind | None = None) -> int:
        """Return in how many of those variants others are first with it."""
        return sum(
            list(variant.places.values()).count(1) > 1
            for variant in self.variants
            if (kind is None or variant.kind == kind) and variant.places.get(model) == 1
        )

    @property
    def sentence(self) -> str:
        """Whether who leads does so however the board is made; each who shares the first place by itself."""
        if not self.variants or not self.variants[0].places:
            return ""
        if len(self.models) == 1:
            return f"{self._called(self.models[0])} alone is ranked: there is no order that could change."
        leaders = [model for model in self.models if self.variants[0].places.get(model) == 1]
        told = [self._told(leader) for leader in leaders[:_MOST_TOLD]]
        if len(leaders) > _MOST_TOLD:
            others = len(leaders) - _MOST_TOLD
            told.append(f"{others} more {'leads' if others == 1 else 'lead'} with them as asked")
        return "; ".join(told) + "."

    def _told(self, model: str) -> str:
        """Say how often a model is first: among boards of all datasets, and of all but one."""
        (left, datasets), (first, total) = self.firsts(model, "without"), self.firsts(model)
        shared = self.shared(model, "without")
        text = f"{self._called(model)} is first in {first - left} of {total - datasets} variants"
        text += _shared(self.shared(model) - shared)
        if datasets:
            text += f", and in {left} of {datasets} when one dataset is left out{_shared(shared)}"
        return text

    def _called(self, model: str) -> str:
        return self.settings.shown("model", model)


def _shared(count: int) -> str:
    return f" ({count} of them with others)" if count else ""


def rank_sensitivity(view: View, board: Board) -> Sensitivity:
    """Return the places of the models under every variant of a view."""
    return board.memo(repr(("sensitivity", view)), lambda: _rank_sensitivity(view, board))


def _rank_sensitivity(view: View, board: Board) -> Sensitivity:
    found = model_board(view, board)
    notes = list(found.notes)
    if found.scores is None:
        return Sensitivity(board.project, view, found.metric, (), (), tuple(notes))
    scores = found.scores
    variants = [Variant("as asked", "as asked", _places(scores, view.missing))]
    field = choose_field(scores, view.missing)
    for name, aggregate in _AGGREGATES.items() if field.models else ():
        values = aggregate(field, scores)
        if values is not None:
            variants.append(Variant("aggregate", name, _order(_names(scores, field), *values)))
    policies, told = _policies(scores, view.missing)
    notes += told
    variants += [Variant("missing", policy, _places(scores, policy)) for policy in policies]
    others, told = _seed_choices(found, scores)
    notes += told
    variants += [Variant("seeds", name, _places(other, view.missing)) for name, other in others]
    used = [scores.datasets[place] for place in field.datasets]
    if len(used) > 1:
        variants += [
            Variant("without", name, _places(scores.without_dataset(name), view.missing)) for name in used
        ]
    notes += _without_anybody([variant for variant in variants[1:] if not variant.places])
    variants[1:] = [variant for variant in variants[1:] if variant.places]
    ranked = sorted(variants[0].places, key=lambda model: (variants[0].places[model], model))
    models = [*ranked, *sorted({model for variant in variants for model in variant.places} - set(ranked))]
    if len(models) > MOST_MODELS:
        notes.append(f"These are the first {MOST_MODELS} of {len(models)} models.")
    return Sensitivity(
        board.project, view, found.metric, models[:MOST_MODELS], variants, tuple(notes), board.settings
    )


def _names(scores: Scores, field: Field) -> list[str]:
    return [scores.models[place] for place in field.models]


def _places(scores: Scores, missing: Missing) -> dict[str, int]:
    field = choose_field(scores, missing)
    return _order(_names(scores, field), _average_rank(field, scores))


def _policies(scores: Scores, asked: Missing) -> tuple[list[Missing], list[str]]:
    """Return the other policies for missing cells, those of one board once; and what to say of the rest."""
    seen = [choose_field(scores, asked)]
    found: list[Missing] = []
    same: list[str] = []
    for policy in get_args(Missing):
        field = choose_field(scores, policy)
        if policy == asked:
            continue
        if field.models and any(_same_field(field, other) for other in seen):
            same.append(MISSING_IN_WORDS[policy])
        else:
            seen.append(field)
            found.append(policy)
    return found, _same_boards(same)


def _same_field(a: Field, b: Field) -> bool:
    same = a.models == b.models and a.datasets == b.datasets
    return same and np.array_equal(a.placed, b.placed, equal_nan=True)


def _seed_choices(found: ModelBoard, scores: Scores) -> tuple[list[tuple[str, Scores]], list[str]]:
    """Return the scores with seeds taken together in other ways, each board once; and what to say."""
    if not (scores.seeds > 1).any() and all(len(entry.jobs) < 2 for entry in found.cells.values()):
        return [], []
    seen, others, same = [scores], [], []
    for seeds in get_args(Seeds):
        if seeds == found.seeds:
            continue
        other = _other_seeds(found, scores, seeds)
        if any(_same_scores(other, one) for one in seen):
            same.append(SEEDS_IN_WORDS[seeds])
        else:
            seen.append(other)
            others.append((SEEDS_IN_WORDS[seeds], other))
    return others, _same_boards(same)


def _same_scores(a: Scores, b: Scores) -> bool:
    if a.models != b.models or a.datasets != b.datasets:
        return False
    _, tied = outcomes_between(a.values, b.values)
    return bool((tied | (np.isnan(a.values) & np.isnan(b.values))).all())


def _same_boards(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    make, count = ("makes", "counts") if len(names) == 1 else ("make", "count")
    quoted = ", ".join(f"“{name}”" for name in names)
    return [f"{quoted} {make} a board that is here already, and {count} no more."]


def _without_anybody(variants: Sequence[Variant]) -> list[str]:
    if not variants:
        return []
    names = [f"“{each.label}”" for each in variants]
    are = "it is" if len(names) == 1 else "they are"
    return [f"No model would be ranked by {', '.join(names)}: {are} no board."]


def _order(names: Sequence[str], values: Floats, ties: Ties = _RANKS) -> dict[str, int]:
    """Return the places of models by values, lower is better, that tie as `ties` says; NaN has none."""
    known = [(name, value) for name, value in zip(names, values, strict=True) if not np.isnan(value)]
    numbers = np.array([value for _, value in known])
    better, _ = outcomes_between(numbers[None, :], numbers[:, None], ties)
    return {name: 1 + int(count) for (name, _), count in zip(known, better.sum(axis=1), strict=True)}


def _average_rank(field: Field, scores: Scores) -> Floats:
    if not len(field.datasets):
        return np.full(len(field.models), np.nan)
    if field.has_gaps:
        return pairwise_average_ranks(win_loss(field.placed, scores.ties))
    return average_ranks(fractional_ranks(field.placed, scores.ties))


# --- other aggregates: none of them orders the leaderboard ---------------------------------------


def _ranks_against_others(field: Field, scores: Scores) -> Floats:
    """Return the ranks on the datasets where there is anybody to be compared with."""
    ranks = fractional_ranks(field.placed, scores.ties)
    return ranks if len(field.models) < 2 else ranks[(~np.isnan(ranks)).sum(axis=1) > 1]


def _median_rank(field: Field, scores: Scores) -> _Values | None:
    if not len(field.datasets):
        return None
    ranks = _ranks_against_others(field, scores)
    return np.array([np.median(column[~np.isnan(column)]) for column in ranks.T]), _RANKS


def _first_places(field: Field, scores: Scores) -> _Values | None:
    if not len(field.datasets):
        return None
    ranks = _ranks_against_others(field, scores)
    best = np.nanmin(ranks, axis=1, keepdims=True)
    counts: Floats = -(ranks == best).sum(axis=0).astype(float)
    return counts, _RANKS


def _mean_value(field: Field, scores: Scores) -> _Values | None:
    """Return the means; they tie as values of the metric do."""
    if field.has_gaps or not len(field.datasets):
        return None
    try:
        sums = [math.fsum(column) for column in field.values.T.tolist()]
    except OverflowError:
        return None
    return np.array(sums) / len(field.datasets), scores.ties


def _geometric_mean(field: Field, scores: Scores) -> _Values | None:
    """Return the means of the logarithms: where these differ by a little the values differ by that share."""
    raw = -field.values if scores.higher else field.values
    if field.has_gaps or not len(field.datasets) or not (raw > 0).all():
        return None
    logs: Floats = np.log(raw).mean(axis=0)
    return -logs if scores.higher else logs, Ties(scores.ties.relative, 0.0)


_AGGREGATES: Mapping[str, Callable[[Field, Scores], _Values | None]] = {
    "median rank": _median_rank,
    "first places": _first_places,
    "mean value": _mean_value,
    "geometric mean": _geometric_mean,
}


def _other_seeds(found: ModelBoard, scores: Scores, seeds: Seeds) -> Scores:
    """Return the scores with the jobs of each cell taken together in another way."""
    together = Together(seeds, scores.metric, scores.higher)
    cells = {}
    for cell, entry in found.cells.items():
        measure = together.measure(entry.jobs, scores.metric)
        cells[cell] = Entry(entry.jobs, {} if measure is None else {scores.metric: measure})
    return scores_of(cells, scores.metric, higher=scores.higher, ties=scores.ties)
