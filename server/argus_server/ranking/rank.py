"""`rank(view, …) → RankedTable`: the one function that every rendering goes through."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any, Literal

from msgspec import structs

from argus_core.conventions import CONVENTIONS, Convention
from argus_server.errors import BadView
from argus_server.ranking.aggregate import (
    Entry,
    Measure,
    Together,
    cell_board,
    choice_note,
    comparable,
    settled_seeds,
    unnamed_notes,
)
from argus_server.ranking.board import (
    STYLE_DATASETS,
    Board,
    Contest,
    Cursor,
    MemoryBoard,
    Order,
    Placed,
    Wanted,
    count_better,
    in_natural_order,
    room_around,
    tied,
)
from argus_server.ranking.cell_tests import separate_cells
from argus_server.ranking.fairness import flag_cells
from argus_server.ranking.format import Style, choose_style, choose_unit
from argus_server.ranking.metric import ROLE_ORDER, default_metric, no_rank_note, ranking_metric
from argus_server.ranking.models import rank_models
from argus_server.ranking.registry import Settings
from argus_server.ranking.separation import Separation
from argus_server.ranking.similar import nearest_name
from argus_server.ranking.statistics import ALPHA, t_half_width
from argus_server.ranking.table import Cell, Column, DoneJob, Flag, MetricKey, RankedTable, Row
from argus_server.ranking.values import finite, finite_of
from argus_server.ranking.view import CURVE, IDENTITY, View, column_id, metric_of, read_further, write_further

__all__ = ["Ranking", "default_metric", "rank"]

_MOST_COUNTED = 1000
_CHUNK_ROWS = 1000
_LEAST_SEEDS = 3
"""Of so many seeds a mean has an interval."""
Meanings = Mapping[str, Convention]
"""What is known of each metric of the project."""

_PLACES = {key: place for place, key in enumerate(CONVENTIONS)}


def rank(view: View, board: Board, *, page_rows: int | None = None) -> RankedTable:
    """Return the table that `view` asks for.

    The same jobs in any order give the same table. Values of different datasets are not compared:
    ranks and marks hold within a dataset, also where the rows of several stand in one list. They are
    those of the whole board: a filter hides rows and does not change who won.

    Args:
        view: what is asked for.
        board: the jobs that compete.
        page_rows: rows on a page; None for all rows, each with its rank. Models are always all there.
    """
    if view.group == "model":
        return rank_models(view, board)
    ranking = Ranking(view, board)
    return ranking.page(page_rows) if page_rows else ranking.whole()


class Ranking:
    """A view of a board: what holds for all its rows, and the rows as they are asked for."""

    def __init__(self, view: View, board: Board) -> None:
        if view.group == "model":
            raise BadView("models have no rows to walk: ask rank")
        said, unnamed = "", []
        if view.group == "cell":
            metric, higher = ranking_metric(view, board)
            seeds, said = settled_seeds(view.seeds, metric, higher=higher)
            view = replace(view, seeds=seeds)
            board = cell_board(board.everything(), view, Together(seeds, metric, bool(higher)))
            self._wanted = Wanted(view.model, view.dataset, text=view.q)
            unnamed = unnamed_notes(_cells_of(board))
        else:
            self._wanted = replace(
                Wanted.of(view), batch=() if isinstance(board, MemoryBoard) else view.batch
            )
        self._board = board
        self._asked = view
        self._all_values: Mapping[str, Sequence[float]] | None = None
        self._meanings: Meanings = {key.key: key.meaning for key in board.keys}
        default, note = default_metric(board.keys, board.settings.primary)
        self.metric, sort, more = _resolve(view, board.keys, default)
        then, unknown = _further(view, sort, board.keys)
        self.view = _settled(view, sort, then, self._meanings)
        self.order = replace(
            _order(sort, descends=self.view.order == "desc"),
            then=tuple(_order(name, descends=descends) for name, descends in then),
        )
        self._directions = {
            key: known.direction == "higher"
            for key, known in self._meanings.items()
            if known.direction != "unknown" and known.role in ("quality", "cost")
        }
        self._names = {name: [value for value, _ in board.names(name)] for name in ("model", "dataset")}
        named = "styles" if view.group == "job" else "styles of cells"
        self._styles = board.memo(named, self._choose_styles)
        self.offered = _offered(view, board.keys, self.metric, self._styles)
        themselves = {
            name for name in IDENTITY if view.group == "cell" or any(n for n, _ in board.names(name))
        }
        self.layout = _layout(view, self.offered, themselves)
        self.columns = [column for column in self.offered if column.has_values and column.role != "hidden"]
        self.chosen = [column for column in self.layout if column.has_values]
        told = (
            note if not view.sort else "",
            more,
            unknown,
            _condition_note(view, self._meanings),
            no_rank_note(board.keys, self.metric, "rows are sorted by it, not ranked"),
            _dataset_note(self._names["dataset"], compares=self.marks),
            _filter_note(self._wanted),
            choice_note(view) if view.group == "cell" else "",
            said,
            *unnamed,
        )
        self.notes = [text for text in told if text]
        self._flags: Mapping[tuple[str, str], tuple[Flag, ...]] = {}
        self.separations: Mapping[tuple[str, str], Separation] = {}
        if isinstance(board, MemoryBoard) and view.group == "cell":
            self._judge(_cells_of(board))

    def _judge(self, cells: Mapping[tuple[str, str], Entry]) -> None:
        """Find out what makes cells not quite comparable, and which of them the seeds tell from the best."""
        self._flags = flag_cells(
            cells, self.metric, self._asked.seeds, of_some=bool(choice_note(self._asked))
        )
        if self.metric is None or self.ranks_higher is None:
            return
        resolution = self._board.settings.resolution(self.metric)
        named = comparable(cells)
        self.separations = separate_cells(
            {cell: entry for cell, entry in cells.items() if cell in named},
            self.metric,
            higher=self.ranks_higher,
            resolution=resolution,
        )
        if self.is_tested:
            label = next(key.label for key in self._board.keys if key.key == self.metric)
            self.notes.append(
                f"† in {label}: the seeds do not tell it from the best of its dataset (Welch’s t, Holm"
                f" over all pairs of the dataset, α = {ALPHA:g}); one seed alone is not tested."
            )

    @property
    def settings(self) -> Settings:
        """Those of the project."""
        return self._board.settings

    @property
    def is_tested(self) -> bool:
        """Whether any value is held against the best of its dataset by a test."""
        return any(found.p is not None for found in self.separations.values())

    def _choose_styles(self) -> dict[str, tuple[str, Style]]:
        """Return the unit and the style of each column: the same on every page and in every export."""
        board, sample = self._board, self._board.sample()
        contests = board.contests(self._directions, self._names["dataset"][:STYLE_DATASETS])
        pairs: dict[str, list[tuple[float, float]]] = {}
        for (key, _), contest in contests.items():
            if contest.second is not None and not self._tied(key, contest):
                pairs.setdefault(key, []).append((contest.best, contest.second))
        return {
            key: _style(known, sample.get(key, ()), self._spreads(key), pairs.get(key, ()))
            for key, known in self._meanings.items()
        }

    def _tied(self, key: str, contest: Contest) -> bool:
        """Whether the best and the second best of a contest are one."""
        assert contest.second is not None
        return tied(contest.best, contest.second, self._board.settings.resolution(key))

    def _spreads(self, key: str) -> list[float]:
        """Return the standard deviations of a column; single jobs have none."""
        if self._asked.group == "job":
            return []
        measures = (item.entry.measures.get(key) for item in self._board.placed)  # type: ignore[attr-defined]
        return [measure.std for measure in measures if measure is not None and measure.std is not None]

    @property
    def project(self) -> str:
        """The name of the project."""
        return self._board.project

    @property
    def total(self) -> int:
        """How many rows there are."""
        return self._board.total(self._wanted)

    @property
    def metric_columns(self) -> list[Column]:
        """The columns that are metrics, in order, whichever are chosen."""
        return [column for column in self.columns if column.kind == "metric"]

    @property
    def marks(self) -> bool:
        """Whether the best of any chosen metric is marked: somebody knows which way is better."""
        return any(column.key in self._directions for column in self.chosen if column.kind == "metric")

    @property
    def ranks_higher(self) -> bool | None:
        """Whether more of the ranking metric is better; None where nothing ranks."""
        return self._directions.get(self.metric) if self.metric is not None else None

    def shown(self, key: str, value: float) -> str:
        """Return a value of a metric as its column writes it, with the unit."""
        unit, style = self._styles[key]
        return f"{style.number(value)} {unit}".strip()

    # --- rows ---------------------------------------------------------------------------------

    def page(self, page_rows: int) -> RankedTable:
        """Return the page that the view asks for."""
        after = Cursor.parse(self._asked.after) if self._asked.after else None
        skip = 0 if after is not None else (self._asked.page - 1) * page_rows
        items, following = self._board.walk(self.order, self._wanted, after=after, skip=skip, limit=page_rows)
        items = in_natural_order(items, self.order)
        return self._table(self._rows(items, keys={column.key for column in self.chosen}), following)

    def whole(self) -> RankedTable:
        """Return every row, from the first."""
        return self._table(list(self.stream()), None)

    def stream(self) -> Iterator[Row]:
        """Yield every row, a thousand at a time in memory."""
        for items in self._chunks():
            yield from self._rows(items, self._exact_ranks(items))

    def raw(self) -> Iterator[tuple[int | None, Placed]]:
        """Yield every row as its job and its rank, without what a page would show: fast."""
        for items in self._chunks():
            ranks = self._exact_ranks(items)
            for item in items:
                yield ranks.get(id(item)), item

    def _chunks(self) -> Iterator[list[Placed]]:
        after: Cursor | None = None
        skip = 0
        while True:
            items, after = self._board.walk(
                self.order, self._wanted, after=after, skip=skip, limit=_CHUNK_ROWS
            )
            yield in_natural_order(items, self.order)
            if not self.order.is_walked and len(items) == _CHUNK_ROWS:
                skip += _CHUNK_ROWS
            elif after is None:
                return

    def _table(self, rows: list[Row], following: Cursor | None) -> RankedTable:
        return RankedTable(
            project=self._board.project,
            view=self.view,
            columns=self.chosen,
            rows=rows,
            total=self.total,
            ranked_by=self.metric,
            notes=self.notes,
            next=following.text() if following is not None else "",
            models=self._names["model"],
            datasets=self._names["dataset"],
            layout=self.layout,
            offered=self.offered,
            settings=self.settings,
        )

    def _rows(
        self,
        items: Sequence[Placed],
        ranks: Mapping[int, int] | None = None,
        keys: Collection[str] | None = None,
    ) -> list[Row]:
        """Return rows with the cells of these metrics, or of all."""
        podiums = self._podiums({item.job.dataset or "" for item in items})
        ranks = self._counted_ranks(items) if ranks is None else ranks
        names = [key for key in self._styles if keys is None or key in keys]
        makers = _job_cells if self._asked.group == "job" else _mean_cells
        competing = [
            item.job.dataset or "" if item.competes and item.superseded_by is None else None for item in items
        ]
        columns = [
            makers(key, items, self._styles[key][1], list(map(podiums.get(key, _NO_PODIUMS).get, competing)))
            for key in names
        ]
        cells: Iterable[tuple[Cell, ...]] = zip(*columns, strict=True) if columns else repeat(())
        return [
            self._row(item, dict(zip(names, some, strict=True)), ranks.get(id(item)))
            for item, some in zip(items, cells, strict=False)
        ]

    def _podiums(self, datasets: Collection[str]) -> Mapping[str, Mapping[str | None, _Podium]]:
        """Return key → dataset → what is marked there, of these datasets at least."""
        usual = self._names["dataset"][:STYLE_DATASETS]
        if not set(usual).issuperset(datasets):
            return self._find_podiums(datasets)
        return self._board.memo("podiums", lambda: self._find_podiums(usual))

    def _find_podiums(self, datasets: Collection[str]) -> dict[str, dict[str | None, _Podium]]:
        found: dict[str, dict[str | None, _Podium]] = defaultdict(dict)
        for (key, dataset), contest in self._board.contests(self._directions, datasets).items():
            if (podium := _podium(contest, self._board.settings.resolution(key))) is not None:
                found[key][dataset] = podium
        return {**found}

    def _ranked(self, items: Iterable[Placed]) -> Iterator[tuple[Placed, str, float]]:
        """Yield the rows that have a rank, with dataset and value."""
        if self.metric is None or self.metric not in self._directions:
            return
        for item in items:
            number = finite(item.job.metrics.get(self.metric))
            if item.competes and item.superseded_by is None and number is not None:
                yield item, item.job.dataset or "", number

    def _counted_ranks(self, items: Sequence[Placed]) -> dict[int, int]:
        """Return the ranks on one page, by `id` of the row: 1 and how many are better, if not too many."""
        ranked = list(self._ranked(items))
        if not ranked or self.metric is None:
            return {}
        if self._begins_with_the_best():
            return self._ranks_among(ranked, _values_of(ranked))
        counts = self._board.better(
            self.metric,
            {(dataset, number) for _, dataset, number in ranked},
            higher=self._directions[self.metric],
            limit=_MOST_COUNTED,
        )
        return {
            id(item): 1 + counts[dataset, number]
            for item, dataset, number in ranked
            if counts[dataset, number] < _MOST_COUNTED
        }

    def _begins_with_the_best(self) -> bool:
        """Whether everything that is better than a row of this page is on it too."""
        is_first = self._asked.page == 1 and not self._asked.after
        is_whole = self._wanted == Wanted(dataset=self._wanted.dataset)
        by_metric = self.order.is_metric and self.order.by == self.metric
        return is_first and is_whole and by_metric and self.order.descends == self.ranks_higher

    def _exact_ranks(self, items: Sequence[Placed]) -> dict[int, int]:
        if self.metric is None or self.metric not in self._directions:
            return {}
        if self._all_values is None:
            self._all_values = self._board.values(self.metric)
        return self._ranks_among(self._ranked(items), self._all_values)

    def _ranks_among(
        self, ranked: Iterable[tuple[Placed, str, float]], values: Mapping[str, Sequence[float]]
    ) -> dict[int, int]:
        """Return the ranks of rows, by `id`, given every value that may be better, by dataset, ascending."""
        higher = bool(self.ranks_higher)
        resolution = self._board.settings.resolution(self.metric) if self.metric is not None else 0.0
        return {
            id(item): 1 + count_better(values[dataset], number, higher=higher, resolution=resolution)
            for item, dataset, number in ranked
        }

    def _row(self, item: Placed, cells: Mapping[str, Cell], place: int | None) -> Row:
        job, is_job = item.job, item.entry is None
        separation = None if is_job else self.separations.get((job.model or "", job.dataset or ""))
        key = self.metric or ""
        if separation is not None and separation.result == "not separable" and key in cells:
            cells = {**cells, key: structs.replace(cells[key], is_close=True)}
        return Row(
            rank=place,
            model=job.model,
            dataset=job.dataset,
            seed=job.seed if is_job else None,
            cells=cells,
            batch_id=job.batch_id if is_job else None,
            job_id=job.job_id if is_job else None,
            finished_us=job.finished_us,
            superseded_by=item.superseded_by,
            n=1 if is_job else len(item.entry.jobs),
            separation=separation,
            flags=() if is_job else self._flags.get((job.model or "", job.dataset or ""), ()),
            curve_of=self._curve_of([job] if is_job else item.entry.jobs),
        )

    def _curve_of(self, jobs: Sequence[DoneJob]) -> tuple[str, str]:
        """Return the job whose curve stands for these: the best one, else the last that finished."""
        higher = self.ranks_higher

        def place(job: DoneJob) -> tuple[Any, ...]:
            number = finite(job.metrics.get(self.metric)) if self.metric and higher is not None else None
            value = 0.0 if number is None else -number if higher else number
            return number is None, value, -job.finished_us, job.order

        best = min(jobs, key=place) if len(jobs) > 1 else jobs[0]
        return best.batch_id, best.job_id


def _cells_of(board: MemoryBoard) -> dict[tuple[str, str], Entry]:
    return {(item.job.model or "", item.job.dataset or ""): item.entry for item in board.placed}


def _resolve(view: View, keys: Sequence[MetricKey], default: str | None) -> tuple[str | None, str, str]:
    """Return the metric that ranks, the id of the column that sorts, and what to tell the reader."""
    ids = {column_id(key.key): key.key for key in keys}
    unknown = view.metric and view.metric not in ids
    if view.metric in ids:
        default = ids[view.metric]
    fallback = column_id(default) if default is not None else "model"
    if unknown:
        return default, fallback, f"No job of this project has reported a metric {view.metric!r}."
    if view.sort in ids:
        return default if view.metric else ids[view.sort], view.sort, ""
    if view.sort in IDENTITY:
        further = (ids.get(read_further(text)[0]) for text in view.then)
        metric = None if view.metric else next((key for key in further if key is not None), None)
        return metric or default, view.sort, ""
    if view.sort:
        return default, fallback, f"No job of this project has reported a metric {view.sort!r}."
    return default, fallback, ""


def _dataset_note(datasets: Sequence[str], *, compares: bool) -> str:
    if len(datasets) < 2:
        return ""
    so = ": ranks, best and second best hold within each dataset" if compares else ""
    return f"Values of different datasets are not comparable{so}."


def _condition_note(view: View, meanings: Meanings) -> str:
    """Name the metrics of conditions that nobody has reported: such a condition hides every row."""
    for condition in view.where:
        if condition.key not in meanings:
            nearest = nearest_name(condition.key, meanings)
            hint = f" Did you mean {nearest!r}?" if nearest else ""
            return f"No job of this project has reported a metric {condition.key!r}.{hint}"
    return ""


def _filter_note(wanted: Wanted) -> str:
    return (
        "" if wanted == Wanted(dataset=wanted.dataset) else "Filters hide rows: ranks are those of all jobs."
    )


# --- ordering ---------------------------------------------------------------------------------


def _descends(view: View, sort: str, meanings: Meanings) -> bool:
    known = None if sort in IDENTITY else meanings.get(metric_of(sort))
    best_is_high = known is not None and known.direction == "higher"
    return view.order == "desc" or (view.order == "" and best_is_high)


def _settled(view: View, sort: str, then: Sequence[tuple[str, bool]], meanings: Meanings) -> View:
    """Return the view with its defaults spelt out, for the renderings."""
    descends = _descends(view, sort, meanings)
    further = tuple(write_further(name, descends=turned) for name, turned in then)
    return replace(view, sort=sort, order="desc" if descends else "asc", then=further)


def _order(column: str, *, descends: bool) -> Order:
    is_metric = column not in IDENTITY
    return Order(metric_of(column) if is_metric else column, is_metric, descends)


def _further(view: View, sort: str, keys: Sequence[MetricKey]) -> tuple[Sequence[tuple[str, bool]], str]:
    """Return the columns that decide further, each once, and what to tell of those that there are not."""
    known = {*IDENTITY, *(column_id(key.key) for key in keys)}
    asked: dict[str, bool] = {}
    for name, descends in map(read_further, view.then):
        asked.setdefault(name, descends)
    then = [(name, descends) for name, descends in asked.items() if name in known and name != sort]
    unknown = [metric_of(name) for name in asked if name not in known]
    return then, f"No job of this project has reported a metric {unknown[0]!r}." if unknown else ""


# --- columns and cells ------------------------------------------------------------------------


def _style(
    known: Convention,
    numbers: Sequence[float],
    spreads: Sequence[float],
    pairs: Sequence[tuple[float, float]],
) -> tuple[str, Style]:
    unit, scale = choose_unit(known.unit, numbers)
    return unit, choose_style(numbers, spreads, pairs, scale)


def _offered(
    view: View, keys: Sequence[MetricKey], metric: str | None, styles: Mapping[str, tuple[str, Style]]
) -> list[Column]:
    """Return every column there can be.

    Identity comes first, the metric that ranks, quality, cost and info, each as people know them, then
    the curve and the jobs, last what is hidden.
    """
    names = IDENTITY[:2] if view.group == "cell" else IDENTITY
    counts = Counter({key.key: key.count for key in keys})
    meanings = {key.key: key.meaning for key in keys}

    def place(key: str) -> tuple[bool, int, int, int, str]:
        known = meanings[key]
        return key != metric, ROLE_ORDER[known.role], _PLACES.get(key, len(_PLACES)), -counts[key], key

    labels = {key.key: key.label for key in keys}
    metrics = [
        _metric_column(key, labels[key], meanings[key], *styles[key]) for key in sorted(counts, key=place)
    ]
    jobs = ("n", "Jobs") if view.group == "cell" else ("job_id", "Job")
    return [
        *(Column(name, name, name.capitalize(), "identity") for name in names),
        *(column for column in metrics if column.role != "hidden"),
        Column(CURVE, CURVE, "val loss", "curve"),
        Column(jobs[0], *jobs, "jobs"),
        *(column for column in metrics if column.role == "hidden"),
    ]


def _metric_column(key: str, label: str, known: Convention, unit: str, style: Style) -> Column:
    return Column(
        key, column_id(key), label, "metric", unit, known.unit, style.scale, known.direction, known.role
    )


def _layout(view: View, offered: Sequence[Column], named: Collection[str]) -> list[Column]:
    """Return the columns to show: those that the view names, or all that are not hidden.

    What tells rows apart is always there, the model first: without dataset and seed they would look alike.

    Args:
        view: what is asked for.
        offered: every column there can be.
        named: what the jobs themselves say of model, dataset and seed; a metric of that name says it again.
    """
    first, *identity = [column for column in offered if column.kind == "identity"]
    if not view.col:
        again = {column.id for column in offered if column.kind == "metric" and column.key in named}
        return [column for column in offered if column.role != "hidden" and column.id not in again]
    by_id = {column.id: column for column in offered}
    chosen = [by_id[name] for name in view.col if name in by_id and name != first.id]
    return [first, *(column for column in identity if column not in chosen), *chosen]


def _values_of(ranked: Iterable[tuple[Placed, str, float]]) -> dict[str, list[float]]:
    values: dict[str, list[float]] = defaultdict(list)
    for _, dataset, number in ranked:
        values[dataset].append(number)
    return {dataset: sorted(some) for dataset, some in values.items()}


_NO_CELL = Cell()


_Podium = tuple[float, float, float, float]
"""From where to where a value is the best one, and from where to where the second best."""
_NO_PODIUMS: Mapping[str | None, _Podium] = {}


def _podium(contest: Contest, resolution: float) -> _Podium | None:
    """Return what is marked in a dataset: nothing if one is alone, no second behind a shared first."""
    if contest.second is None:
        return None
    best, second = contest.best, contest.second
    room, shared = room_around(best, resolution), tied(best, second, resolution)
    further = math.nan if shared else room_around(second, resolution)
    return best - room, best + room, second - further, second + further


def _mark(number: float | None, podium: _Podium | None) -> Literal["", "best", "second"]:
    if number is None or podium is None:
        return ""
    if podium[0] <= number <= podium[1]:
        return "best"
    return "second" if podium[2] <= number <= podium[3] else ""


def _job_cells(
    key: str, items: Sequence[Placed], style: Style, podiums: Sequence[_Podium | None]
) -> list[Cell]:
    """Return the cells of one metric: a column at once costs half of what its cells cost one by one."""
    raws = [item.job.metrics.get(key) for item in items]
    numbers = finite_of(raws)
    cells = list(map(Cell, raws, style.numbers(numbers), numbers))
    for i, (number, podium) in enumerate(zip(numbers, podiums, strict=True)):
        if number is None:
            cells[i] = _NO_CELL if raws[i] is None else Cell(raws[i], style.value(raws[i]))
        elif podium is not None and podium[0] <= number <= podium[1]:
            cells[i] = structs.replace(cells[i], mark="best")
        elif podium is not None and podium[2] <= number <= podium[3]:
            cells[i] = structs.replace(cells[i], mark="second")
    return cells


def _mean_cells(
    key: str, items: Sequence[Placed], style: Style, podiums: Sequence[_Podium | None]
) -> list[Cell]:
    """Return the cells of one metric, each over the jobs of its row."""
    measures = [item.entry.measures.get(key) for item in items]
    return [
        _NO_CELL if measure is None else _mean_cell(measure, style, podium)
        for measure, podium in zip(measures, podiums, strict=True)
    ]


def _mean_cell(measure: Measure, style: Style, podium: _Podium | None) -> Cell:
    spread = ""
    if measure.std is not None and measure.number is not None:
        spread = f"± {style.spread(measure.std, measure.number)}"
    elif measure.n == 1 and measure.number is not None:
        spread = "n=1"
    elif measure.diverged:
        spread = f"{measure.diverged} of {measure.n} diverged"
    if measure.choice and measure.number is not None:
        spread = f"{measure.choice} of {measure.n}"
    low, high = _interval(measure)
    return Cell(
        raw=measure.raw,
        display=style.value(measure.raw),
        number=measure.number,
        std=measure.std,
        n=measure.n,
        diverged=measure.diverged,
        spread=spread,
        mark=_mark(measure.number, podium),
        low=low,
        high=high,
        interval="" if low is None or high is None else f"{style.number(low)} to {style.number(high)}",
    )


def _interval(measure: Measure) -> tuple[float | None, float | None]:
    """Return the ends of Student's interval for a mean, from three seeds on."""
    if measure.number is None or measure.n is None or measure.n < _LEAST_SEEDS:
        return None, None
    half = t_half_width(measure.std, measure.n)
    if half is None:
        return None, None
    low, high = finite(measure.number - half), finite(measure.number + half)
    return (None, None) if low is None or high is None else (low, high)
