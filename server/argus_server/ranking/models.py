"""`group=model`: one row for each model, over all datasets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np

from argus_core.conventions import CONVENTIONS
from argus_server.ranking.aggregate import (
    Entry,
    Measure,
    Together,
    choice_note,
    chosen_cells,
    settled_seeds,
    unnamed_notes,
)
from argus_server.ranking.board import Board, MemoryBoard, tied
from argus_server.ranking.fairness import flag_models
from argus_server.ranking.format import Style, choose_style, choose_unit
from argus_server.ranking.gaps import Gap, GapKind, Unfinished
from argus_server.ranking.metric import ROLE_ORDER, default_metric, no_rank_note, ranking_metric
from argus_server.ranking.phrases import NO_VERDICT, Verdict
from argus_server.ranking.scores import Field, Scores, alone_note, choose_field, imputed_note, scores_of
from argus_server.ranking.separation import Separation
from argus_server.ranking.standing import TWO_DECIMALS, Standing, rank_style, stand
from argus_server.ranking.statistics import LEAST_DATASETS, Ties, fractional_ranks, skill
from argus_server.ranking.statistics.comparisons import Floats
from argus_server.ranking.table import Cell, Column, RankedTable, Row
from argus_server.ranking.values import finite, mean_of
from argus_server.ranking.verdict import give_verdict
from argus_server.ranking.view import STATISTICS, Seeds, View, column_id

__all__ = ["ModelBoard", "model_board", "rank_models"]

_PLACES = {key: place for place, key in enumerate(CONVENTIONS)}
_KEPT_JOBS = 5000
"""The cells of larger boards are not kept for their next views: they hold every job."""
_FAR = 1e6
"""Beyond this no ratio of rates counts for more: see `skill`, which cuts them earlier."""
_PERCENT = Style(100.0, 1)
_WIN_RATE = Style(100.0, 0)
Cells = Mapping[tuple[str, str], Entry]


@dataclass(frozen=True, slots=True)
class ModelBoard:
    """What a view of models is computed from: the cells, and the scores of the metric that ranks.

    Attributes:
        metric: key of the metric that ranks; None without metrics.
        scores: None where it has no direction, and nothing can be ranked.
        baseline: the model that skill is measured against; empty for none.
        seeds: how the jobs of a cell became one number: as asked, if that could be done.
    """

    cells: Cells
    metric: str | None
    scores: Scores | None
    baseline: str
    notes: tuple[str, ...]
    seeds: Seeds = "mean"


def model_board(view: View, board: Board) -> ModelBoard:
    """Return the cells and the scores that a view is about. Filters by model or text have no say in them."""
    chosen = replace(
        view, model=(), q="", sort="", order="", then=(), col=(), missing="complete", page=1, after=""
    )
    metric, higher = ranking_metric(view, board)
    seeds, said = settled_seeds(view.seeds, metric, higher=higher)
    cells = _cells(view, board, Together(seeds, metric, bool(higher)) if seeds == "best" else Together(seeds))

    def score() -> tuple[Scores | None, tuple[str, ...]]:
        scores = None
        if metric is not None and higher is not None:
            scores = scores_of(cells, metric, higher=higher, ties=Ties(board.settings.resolution(metric)))
        notes = [*_metric_notes(view, board, metric), said, *unnamed_notes(cells)]
        return scores, tuple(note for note in notes if note)

    scores, notes = board.memo(repr(("scores", chosen)), score)
    baseline = view.baseline or board.settings.baseline or ""
    return ModelBoard(cells, metric, scores, baseline, notes, seeds)


def _cells(view: View, board: Board, together: Together) -> Cells:
    """Return the cells of a view: the same by whatever metric it ranks, unless that chooses the jobs."""

    def make() -> tuple[Cells, MemoryBoard | None]:
        whole = board.everything()
        cells = {
            (entry.first.model or "", entry.first.dataset or ""): entry
            for entry in chosen_cells(whole, view, together)
            if not view.dataset or (entry.first.dataset or "") in view.dataset
        }
        return cells, whole if whole is not board else None  # the cells hold its jobs: it weighs with them

    if sum(n for _, n in board.names("model")) > _KEPT_JOBS:
        return make()[0]
    chosen = (view.dataset, view.seed, view.host, view.user, view.where)
    return board.memo(repr(("cells", chosen, together)), make)[0]


def _metric_notes(view: View, board: Board, metric: str | None) -> tuple[str, ...]:
    """Say which metric ranks if it is not the one that was asked for, and why none does."""
    notes = []
    if view.metric and metric is not None and column_id(metric) != view.metric:
        notes.append(f"No job of this project has reported a metric {view.metric!r}.")
    elif not view.metric:
        notes.append(default_metric(board.keys, board.settings.primary)[1])
    notes.append(no_rank_note(board.keys, metric, "models are not ranked by it"))
    return tuple(note for note in notes if note)


def rank_models(view: View, board: Board) -> RankedTable:
    """Return the table with one row for each model: see `rank`."""
    asked = replace(view, page=1, after="", col=())
    table, datasets = board.memo(repr(("models", asked)), lambda: _rank_models(view, board))
    unranked = _with_reasons(table.unranked, table, datasets, view, board)
    layout = _chosen_columns(table, view.col)
    return replace(table, unranked=unranked, layout=layout, view=replace(table.view, col=view.col))


def _rank_models(view: View, board: Board) -> tuple[RankedTable, tuple[str, ...]]:
    """Return the table, and the datasets that anybody has a value on."""
    found = model_board(view, board)
    return _Table(view, board, found).table(), () if found.scores is None else found.scores.datasets


def _chosen_columns(table: RankedTable, col: Sequence[str]) -> list[Column]:
    """Return the columns that people read: those of the view, else the ranking metric and the costs."""
    by_id = {column.id: column for column in table.columns}
    chosen = [by_id[name] for name in col if name in by_id and name != "model"]
    if chosen:
        return [table.columns[0], *chosen]
    return [
        column
        for column in table.columns
        if column.kind != "metric" or column.key == table.ranked_by or column.role == "cost"
    ]


# --- the table --------------------------------------------------------------------------------


class _Table:
    """Puts one table together."""

    def __init__(self, view: View, board: Board, found: ModelBoard) -> None:
        self._view = view
        self._board = board
        self._found = found
        self._meanings = {key.key: key.meaning for key in board.keys}
        self._entries: dict[str, dict[str, Entry]] = {}
        for (model, dataset), entry in found.cells.items():
            self._entries.setdefault(model, {})[dataset] = entry
        self._models = sorted(self._entries)
        self._flags = flag_models(found.cells, found.metric, found.seeds)
        self._notes = [*found.notes, *filter(None, [choice_note(self._view)])]
        self._made: dict[str, dict[str, Measure]] = {}
        self._field: Field | None = None
        self._standing: Standing | None = None
        self._verdict: Verdict = NO_VERDICT
        scores = found.scores
        if scores is not None:
            self._field = choose_field(scores, view.missing)
            self._standing = stand(self._field, scores)
            label = next(key.label for key in board.keys if key.key == scores.metric)
            self._verdict = give_verdict(
                scores,
                self._field,
                self._standing,
                found.seeds,
                view.missing,
                label=label,
                of_all=not (view.dataset or view.batch or view.seed or view.host or view.user or view.where),
            )
        self._rank_style = TWO_DECIMALS if self._standing is None else rank_style(self._standing)
        self._skills = self._skill()
        self._styles = self._choose_styles()

    # --- what holds for all rows ----------------------------------------------------------------

    def table(self) -> RankedTable:
        """Return the table, without the reasons of its gaps that change by themselves."""
        columns = self._columns()
        rows, unranked = self._ranked_rows(), self._unranked_rows()
        sort, descends = self._sorting(columns)
        rows = _sorted(rows, columns, sort, descends=descends)
        shown = [row for row in rows if self._is_shown(row)]
        others = [row for row in unranked if self._is_shown(row)]
        self._add_notes(len(rows) + len(unranked) - len(shown) - len(others))
        return RankedTable(
            project=self._board.project,
            view=replace(self._view, sort=sort, order="desc" if descends else "asc", seeds=self._found.seeds),
            columns=columns,
            rows=shown,
            total=len(shown),
            ranked_by=self._found.metric,
            notes=tuple(self._notes),
            models=[name for name, _ in self._board.names("model")],
            datasets=[name for name, _ in self._board.names("dataset")],
            verdict=self._verdict,
            unranked=others,
            settings=self._board.settings,
        )

    def _is_shown(self, row: Row) -> bool:
        wanted, name = self._view.model, row.model or ""
        return (not wanted or name in wanted) and self._view.q.lower() in name.lower()

    def _add_notes(self, hidden: int) -> None:
        standing, field, scores = self._standing, self._field, self._found.scores
        if hidden:
            self._notes.append("Filters hide rows: ranks are those of all models.")
        if standing is None or field is None or scores is None:
            return
        n, k = field.values.shape
        if 1 < n < LEAST_DATASETS and k > 1:
            self._notes.append(f"Intervals of average ranks need {LEAST_DATASETS} datasets.")
        if self._view.missing == "shared" and n < len(scores.datasets) and k > 1:
            total = len(scores.datasets)
            self._notes.append(f"Ranked over the {n} of {total} datasets that all models have.")
        if self._view.missing == "pairwise" and field.has_gaps:
            self._notes.append("Each pair of models is compared on the datasets that both have.")
        self._notes += filter(None, [alone_note(scores, field, self._view.missing), imputed_note(field)])
        if self._found.seeds == "best":
            self._notes.append(
                "The best of several seeds favours models with more seeds: two equal models with ten seeds"
                " against one make the first win 91 % of the time."
            )
        if self._found.baseline and self._skills is None:
            self._notes.append(self._why_no_skill(scores))
        if self._skills is not None and field.has_gaps:
            self._notes.append("Skill is over the datasets that a model has: they are not the same for all.")

    def _why_no_skill(self, scores: Scores) -> str:
        baseline = self._found.baseline
        if baseline not in scores.models:
            return f"No skill is shown: there is no model {baseline!r}."
        if scores.higher and self._meanings[scores.metric].role != "cost":
            return f"No skill is shown: ratios of {scores.metric} mean nothing."
        if (scores.raw[~np.isnan(scores.raw)] <= 0).any():
            return f"No skill is shown: some {scores.metric} is not positive."
        return f"No skill is shown: the baseline {baseline} misses a dataset."

    def _sorting(self, columns: Sequence[Column]) -> tuple[str, bool]:
        ids = {column.id: column for column in columns}
        sort = self._view.sort if self._view.sort in ids else "average_rank"
        if sort not in ids:
            sort = "model"
        best_is_high = ids[sort].direction == "higher"
        return sort, self._view.order == "desc" or (self._view.order == "" and best_is_high)

    # --- columns --------------------------------------------------------------------------------

    def _columns(self) -> list[Column]:
        columns = [Column("model", "model", "Model", "identity")]
        if self._found.scores is not None:
            columns.append(_statistic("average_rank", "Avg rank", "lower"))
            columns.append(_statistic("win_rate", "Win rate", "higher", unit="%", scale=100.0))
            if self._skills is not None:
                columns.append(_statistic("skill", "Skill", "higher", unit="%", scale=100.0))
        coverage = _statistic("datasets", "Coverage", "higher")
        metrics = self._metric_columns()
        first = [column for column in metrics if column.key == self._found.metric]
        costs = [column for column in metrics if column.role == "cost" and column not in first]
        rest = [column for column in metrics if column not in first and column not in costs]
        return [*columns, *first, coverage, *costs, *rest]

    def _metric_columns(self) -> list[Column]:
        keys = sorted(
            (key for key in self._board.keys if key.meaning.role != "hidden"),
            key=lambda key: (
                ROLE_ORDER[key.meaning.role],
                _PLACES.get(key.key, len(_PLACES)),
                -key.count,
                key.key,
            ),
        )
        columns = []
        for key in keys:
            known, (unit, style) = key.meaning, self._styles[key.key]
            columns.append(
                Column(
                    key.key,
                    column_id(key.key),
                    key.label,
                    "metric",
                    unit,
                    known.unit,
                    style.scale,
                    known.direction,
                    known.role,
                )
            )
        return columns

    def _choose_styles(self) -> dict[str, tuple[str, Style]]:
        """Return unit and style of each metric, by its means over the datasets."""
        scores, field = self._found.scores, self._field
        places: dict[str, int] = {}
        if scores is not None and field is not None:
            places = {scores.models[place]: model for model, place in enumerate(field.models)}
        means = [self._means(name, places.get(name)) for name in self._models]
        leading = self._leading()
        styles = {}
        for key, known in self._meanings.items():
            numbers = [some[key].number for some in means if key in some]
            finite_ones = [number for number in numbers if number is not None]
            spreads = [some[key].std for some in means if key in some]
            unit, scale = choose_unit(known.unit, finite_ones)
            stds = [std for std in spreads if std is not None]
            contests = self._contests(key, finite_ones)
            if key == self._found.metric and len(leading) == 2:
                contests += self._contest(key, *(self._means(name, places[name])[key] for name in leading))
            styles[key] = unit, choose_style(finite_ones, stds, contests, scale)
        return styles

    def _leading(self) -> list[str]:
        """Return the models in the first two places, one of each."""
        scores, field, standing = self._found.scores, self._field, self._standing
        if scores is None or field is None or standing is None or not len(field.datasets):
            return []
        return [scores.models[field.models[place[0]]] for place in standing.places[:2]]

    def _contests(self, key: str, numbers: Sequence[float]) -> list[tuple[float, float]]:
        """Return the best and the second best mean of a metric, which should look different if they are."""
        known = self._meanings[key]
        if known.direction == "unknown" or known.role not in ("quality", "cost"):
            return []
        best = sorted(numbers, reverse=known.direction == "higher")[:2]
        return [(best[0], best[1])] if len(best) == 2 and not self._tied(key, *best) else []

    def _contest(self, key: str, a: Measure, b: Measure) -> list[tuple[float, float]]:
        if a.number is None or b.number is None or self._tied(key, a.number, b.number):
            return []
        return [(a.number, b.number)]

    def _tied(self, key: str, a: float, b: float) -> bool:
        return tied(a, b, self._board.settings.resolution(key))

    # --- rows -----------------------------------------------------------------------------------

    def _ranked_rows(self) -> list[Row]:
        field, standing, scores = self._field, self._standing, self._found.scores
        if field is None or standing is None or scores is None:
            coverage = self._plain_coverage()
            return [self._row(name, None, {"datasets": coverage[name]}) for name in self._models]
        tiers, ranks = _bands(standing, single=len(field.datasets) == 1), standing.ranks
        rows = []
        for model in standing.order:
            name = scores.models[field.models[model]]
            tier, opens = tiers[model]
            separation = standing.separation(model)
            row = self._row(name, model, self._statistics(model, separation))
            rows.append(
                msgspec.structs.replace(
                    row, rank=ranks[model], tier=tier, opens_tier=opens, separation=separation
                )
            )
        return rows

    def _statistics(self, model: int, separation: Separation) -> dict[str, Cell]:
        field, standing, scores = self._field, self._standing, self._found.scores
        assert field is not None
        assert standing is not None
        assert scores is not None
        low, high = standing.interval if standing.interval is not None else (None, None)
        is_imputed = bool(field.imputed[:, model].any())
        cells = {
            "average_rank": _statistic_cell(
                float(standing.average[model]),
                self._rank_style,
                low=None if low is None else finite(float(low[model])),
                high=None if high is None else finite(float(high[model])),
                mark="best" if model in standing.leaders and len(standing.order) > 1 else "",
                is_close=separation.result == "not separable",
                is_favoured=separation.result == "reversed",
                is_imputed=is_imputed,
            ),
            "win_rate": _statistic_cell(float(standing.win_rate[model]), _WIN_RATE, is_imputed=is_imputed),
        }
        if self._skills is not None:
            cells["skill"] = _skill_cell(float(self._skills[model]), is_imputed=is_imputed)
        counted = field.datasets if self._view.missing == "shared" else range(len(scores.datasets))
        return cells | {"datasets": self._coverage(scores.models[field.models[model]], counted)}

    def _coverage(self, name: str, datasets: Sequence[int]) -> Cell:
        """Return on how many of the datasets a model has a value, and of how many seeds."""
        scores = self._found.scores
        if scores is None:
            return _NOTHING
        if name not in scores.models:
            return _coverage_cell([], len(datasets))
        seeds = scores.seeds[list(datasets), scores.models.index(name)]
        return _coverage_cell(seeds[seeds > 0].tolist(), len(datasets))

    def _plain_coverage(self) -> dict[str, Cell]:
        """Return the same of every model where nothing ranks; of the datasets with a number of anybody."""
        seeds: dict[str, list[int]] = {name: [] for name in self._models}
        datasets = set()
        for (model, dataset), entry in self._found.cells.items():
            measure = entry.measures.get(self._found.metric or "")
            if measure is not None and measure.number is not None:
                seeds[model].append(measure.n or 1)
                datasets.add(dataset)
        return {model: _coverage_cell(counts, len(datasets)) for model, counts in seeds.items()}

    def _row(self, name: str, model: int | None, statistics: Mapping[str, Cell]) -> Row:
        measures = self._means(name, model)
        cells = {
            key: self._cell(key, measures.get(key), model) for key in self._meanings if key in self._styles
        }
        jobs = [job for entry in self._entries.get(name, {}).values() for job in entry.jobs]
        last = max(jobs, key=lambda job: (job.finished_us, job.order)) if jobs else None
        return Row(
            rank=None,
            model=name or None,
            dataset=None,
            seed=None,
            cells=cells,
            n=len(jobs),
            curve_of=None if last is None else (last.batch_id, last.job_id),
            statistics=statistics,
            is_baseline=bool(name) and name == self._found.baseline,
            flags=self._flags.get(name, ()),
        )

    def _cell(self, key: str, measure: Measure | None, model: int | None) -> Cell:
        if measure is None:
            return _NOTHING
        _, style = self._styles[key]
        imputed = (
            model is not None
            and self._field is not None
            and key == self._found.metric
            and bool(self._field.imputed[:, model].any())
        )
        spread = f"± {style.spread(measure.std, measure.number)}" if measure.std else ""
        return Cell(
            measure.raw,
            style.value(measure.raw),
            measure.number,
            std=measure.std,
            n=measure.n,
            spread=spread,
            is_imputed=imputed,
        )

    def _means(self, name: str, model: int | None) -> dict[str, Measure]:
        """See `_make_means`: each once."""
        if name not in self._made:
            self._made[name] = self._make_means(name, model)
        return self._made[name]

    def _make_means(self, name: str, model: int | None) -> dict[str, Measure]:
        """Return the mean of every metric over the datasets that count for a model.

        The spread beside it is what one seed on every dataset makes of the mean: the root of the summed
        variances over their number.
        """
        scores, field = self._found.scores, self._field
        entries = self._entries.get(name, {})
        names: Sequence[str] = sorted(entries) if scores is None else scores.datasets
        if scores is not None and field is not None and model is not None:
            names = [scores.datasets[place] for place in field.datasets]
        found: dict[str, list[Measure]] = {}
        for dataset in names:
            entry = entries.get(dataset)
            if entry is not None:
                for key, measure in entry.measures.items():
                    if measure.number is not None:
                        found.setdefault(key, []).append(measure)
        means = {key: _mean_of(measures) for key, measures in found.items()}
        if scores is not None and field is not None and model is not None and field.imputed[:, model].any():
            sign = -1 if scores.higher else 1
            mean = sign * mean_of(field.values[:, model].tolist())
            means[scores.metric] = Measure(mean, mean, None, len(field.datasets))
        return means

    def _unranked_rows(self) -> list[Row]:
        field, scores = self._field, self._found.scores
        if field is None or scores is None:
            return []
        ranked = {scores.models[place] for place in field.models}
        rows = [
            self._unranked_row(name, scores, field) if name else self._unnamed_row(scores)
            for name in self._models
            if name not in ranked
        ]
        return sorted(rows, key=lambda row: (-(row.statistics["datasets"].raw), row.model or ""))

    def _unranked_row(self, name: str, scores: Scores, field: Field) -> Row:
        everything = range(len(scores.datasets))
        cells = {"datasets": self._coverage(name, everything)}
        own = scores.models.index(name)
        against = field.models or tuple(place for place in range(len(scores.models)) if place != own)
        some = scores.values[:, [*against, own]]
        has = ~np.isnan(some)
        met = some[has[:, -1] & has[:, :-1].any(axis=1)]  # beside nobody there is no rank
        if len(met):
            rank = float(fractional_ranks(met, scores.ties)[:, -1].mean())
            n = len(met)
            cells["average_rank"] = _statistic_cell(rank, self._rank_style, n=n, spread=f"on {n}")
        row = self._row(name, None, cells)
        gaps = [
            self._gap(name, dataset)
            for place, dataset in enumerate(scores.datasets)
            if math.isnan(scores.values[place, own])
        ]
        return msgspec.structs.replace(row, gaps=gaps)

    def _unnamed_row(self, scores: Scores) -> Row:
        """Return the row of the jobs that name no model: they may be of several, so no rank is theirs."""
        row = self._row("", None, {"datasets": _coverage_cell([], len(scores.datasets))})
        entries = sorted(self._entries[""].items())
        return msgspec.structs.replace(
            row,
            gaps=[
                Gap(dataset, "no model", (entry.jobs[-1].batch_id, entry.jobs[-1].job_id))
                for dataset, entry in entries
            ],
        )

    def _gap(self, name: str, dataset: str) -> Gap:
        """Return why there is no value, as far as the jobs that are done can tell."""
        entry, metric = self._found.cells.get((name, dataset)), self._found.metric
        if entry is None or metric is None:
            return Gap(dataset, "never")
        last = entry.jobs[-1]
        measure = entry.measures.get(metric)
        kind: GapKind = "diverged" if measure is not None and measure.diverged else "no metric"
        detail = (
            f"{measure.diverged} of {measure.n}"
            if measure is not None and kind == "diverged" and (measure.n or 1) > 1
            else ""
        )
        return Gap(dataset, kind, (last.batch_id, last.job_id), detail)

    def _skill(self) -> Floats | None:
        """Return the skill of each model of the field, where it means something."""
        scores, field = self._found.scores, self._field
        if scores is None or field is None or self._found.baseline not in scores.models:
            return None
        own = scores.models.index(self._found.baseline)
        if own not in field.models or field.imputed[:, field.models.index(own)].any():
            return None  # against values that nobody measured there is no skill
        if not scores.higher:
            return skill(field.values, field.models.index(own))
        if self._meanings[scores.metric].role != "cost":
            return None  # a rate has a zero and can be divided; accuracy, R² and AUC are no ratio scales
        raw, baseline = -field.values, field.models.index(own)
        if not (raw[~np.isnan(raw)] > 0).all():
            return None
        with np.errstate(over="ignore", under="ignore"):
            slower = raw[:, [baseline]] / raw  # 1 / rate as a share of the baseline's: finite in itself
        return skill(np.clip(slower, 1 / _FAR, _FAR), baseline)


_NOTHING = Cell()


def _coverage_cell(seeds: Sequence[int], of: int) -> Cell:
    """Return on how many datasets a model has values, given the number of seeds on each of these."""
    if not seeds:
        return Cell(0, f"0/{of}", 0.0, n=of)
    low, high, n = min(seeds), max(seeds), len(seeds)
    spread = f"× {low}" if low == high else f"× {low}–{high}"
    return Cell(n, f"{n}/{of}", float(n), n=of, spread=spread)


def _mean_of(measures: Sequence[Measure]) -> Measure:
    numbers = [measure.number for measure in measures if measure.number is not None]
    mean = mean_of(numbers)
    stds = [measure.std for measure in measures]
    spread = None
    if all(std is not None for std in stds):
        spread = finite(math.hypot(*(std for std in stds if std is not None)) / len(stds))
    return Measure(mean, mean, spread, len(numbers))


def _statistic(name: str, label: str, direction: Any, *, unit: str = "", scale: float = 1.0) -> Column:
    assert name in STATISTICS
    return Column(name, name, label, "statistic", unit=unit, scale=scale, direction=direction, role="quality")


def _statistic_cell(value: float, style: Style, **more: Any) -> Cell:
    return Cell(value, style.number(value), value, **more) if math.isfinite(value) else _NOTHING


def _skill_cell(value: float, *, is_imputed: bool) -> Cell:
    cell = _statistic_cell(value, _PERCENT, is_imputed=is_imputed)
    if not cell.present or not cell.display.strip("0."):
        return cell
    return cell if value < 0 else msgspec.structs.replace(cell, display=f"+{cell.display}")


def _bands(standing: Standing, *, single: bool) -> dict[int, tuple[str, bool]]:
    """Return for each model the places of its tier, and whether it opens one below the first."""
    if single:
        return {model: (str(place), False) for model, place in standing.ranks.items()}
    bands = {}
    first = 1
    for group in standing.tiers.groups:
        last = first + len(group) - 1
        text = str(first) if first == last else f"{first}–{last}"
        for place, model in enumerate(group):
            bands[model] = text, place == 0 and first > 1
        first = last + 1
    return bands


def _sorted(rows: list[Row], columns: Sequence[Column], sort: str, *, descends: bool) -> list[Row]:
    """Return the rows by one column; those without a number in it last, equal ones as they stood."""
    column = next(column for column in columns if column.id == sort)
    if column.kind == "identity":
        return sorted(rows, key=lambda row: row.model or "", reverse=descends)

    def number(row: Row) -> float | None:
        cells = row.statistics if column.kind == "statistic" else row.cells
        cell = cells.get(column.key)
        return cell.number if cell is not None else None

    sign = -1 if descends else 1
    known = [row for row in rows if number(row) is not None]
    return sorted(known, key=lambda row: sign * (number(row) or 0.0)) + [
        row for row in rows if number(row) is None
    ]


# --- why cells are missing ----------------------------------------------------------------------


def _with_reasons(
    rows: Sequence[Row], table: RankedTable, datasets: Sequence[str], view: View, board: Board
) -> list[Row]:
    """Return the rows without a place, with what the jobs that are not done say; and models without any."""
    known = {row.model or "" for row in (*table.rows, *rows)}
    metric = table.ranked_by
    if metric is None:
        return list(rows)
    unfinished = board.unfinished()
    told = [
        msgspec.structs.replace(row, gaps=[_told(gap, row.model or "", unfinished) for gap in row.gaps])
        for row in rows
    ]
    started = sorted({model for model, _ in unfinished} - known - {name for name, _ in board.names("model")})
    for model in started:
        if (view.model and model not in view.model) or view.q.lower() not in model.lower():
            continue
        its = {
            name for one, name in unfinished if one == model and (not view.dataset or name in view.dataset)
        }
        gaps = [_told(Gap(name, "never"), model, unfinished) for name in sorted({*datasets, *its})]
        none = _coverage_cell([], len(datasets))
        told.append(Row(None, model or None, None, None, {}, n=0, statistics={"datasets": none}, gaps=gaps))
    return told


def _told(gap: Gap, model: str, unfinished: Mapping[tuple[str, str], Unfinished]) -> Gap:
    """Return the gap with what became of the latest job that was to fill it."""
    latest = unfinished.get((model, gap.dataset))
    if gap.kind != "never" or latest is None:
        return gap
    kinds: dict[str, GapKind] = {
        "failed": "interrupted" if latest.interrupted else "failed",
        "running": "running",
        "stalled": "stalled",
        "untested": "untested",
    }
    if latest.status not in kinds:
        return gap
    job = latest.batch_id, latest.job_id
    return Gap(gap.dataset, kinds[latest.status], job, latest.reason or "", latest.eta_s)
