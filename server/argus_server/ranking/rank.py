"""`rank(view, …) → RankedTable`: the one function that every rendering goes through."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from argus_core.conventions import CONVENTIONS, Convention
from argus_server.ranking.aggregate import Entry, cell_entries, job_entries, keep, superseded
from argus_server.ranking.format import Style, choose_style, choose_unit
from argus_server.ranking.table import Cell, Column, DoneJob, MetricKey, RankedTable, Row
from argus_server.ranking.view import IDENTITY, View, column_id

__all__ = ["default_metric", "rank"]

_ROLES = {"quality": 0, "cost": 1, "info": 2, "hidden": 3}
_TIE = 1e-9
Meanings = Mapping[str, Convention]
"""What is known of each metric of the project."""

_PLACES = {key: place for place, key in enumerate(CONVENTIONS)}


def rank(
    view: View,
    jobs: Iterable[DoneJob],
    keys: Sequence[MetricKey],
    *,
    project: str,
    primary: str | None = None,
    page_rows: int | None = None,
) -> RankedTable:
    """Return the table that `view` asks for.

    The same jobs in any order give the same table. Values of different datasets are not compared:
    ranks and marks hold within a dataset, also where the rows of several stand in one list.

    Args:
        view: what is asked for.
        jobs: every done job of the project; the view's filters are applied here.
        keys: every metric name that any job of the project ever reported: the columns.
        project: its name.
        primary: the project's own default metric, if it has one.
        page_rows: rows on a page; None for all rows.
    """
    everyone = [job for job in jobs if not job.fast_dev_run]
    kept = keep(everyone, view)
    replaced = superseded(kept)
    entries = (cell_entries if view.group == "cell" else job_entries)(kept, replaced)
    default, note = default_metric(keys, primary)
    metric, sort, more = _resolve(view, keys, default)
    meanings = {key.key: key.meaning for key in keys}
    contest = _Contest(entries, meanings)
    ordered = _ordered(entries, sort, view, meanings)
    styles = {key.key: _style(key.key, entries, contest) for key in keys}
    ranks = contest.ranks(metric) if metric is not None else {}
    start = (view.page - 1) * page_rows if page_rows else 0
    page = ordered[start : start + page_rows] if page_rows else ordered
    datasets = sorted({job.dataset or "" for job in kept})
    told = (note if not view.sort else "", more, _direction_note(metric, meanings), _dataset_note(datasets))
    return RankedTable(
        project=project,
        view=_settled(view, sort, meanings),
        columns=_columns(view, keys, metric, styles),
        rows=[_row(view, entry, styles, contest, ranks) for entry in page],
        total=len(entries),
        ranked_by=metric,
        notes=[text for text in told if text],
        models=sorted({job.model or "" for job in everyone}),
        datasets=sorted({job.dataset or "" for job in everyone}),
    )


def default_metric(keys: Sequence[MetricKey], primary: str | None) -> tuple[str | None, str]:
    """Return the metric that ranks when the URL names none, and why it is not MSE if it is not."""
    counts = {key.key: key.count for key in keys}
    meanings = {key.key: key.meaning for key in keys}
    if primary is not None and primary in counts:
        return primary, ""
    if "MSE" in counts:
        return "MSE", ""
    best = min(
        counts,
        key=lambda key: (
            _ROLES[meanings[key].role],
            meanings[key].direction == "unknown",
            -counts[key],
            key,
        ),
        default=None,
    )
    if best is None:
        return None, ""
    return best, f"No job reports MSE; this is {best}, the most common quality metric."


def _resolve(view: View, keys: Sequence[MetricKey], default: str | None) -> tuple[str | None, str, str]:
    """Return the metric that ranks, the id of the column that sorts, and what to tell the reader."""
    ids = {column_id(key.key): key.key for key in keys}
    fallback = column_id(default) if default is not None else "model"
    if view.sort in ids:
        return ids[view.sort], view.sort, ""
    if view.sort in IDENTITY:
        return default, view.sort, ""
    if view.sort:
        return default, fallback, f"No job of this project has reported a metric {view.sort!r}."
    return default, fallback, ""


def _direction_note(metric: str | None, meanings: Meanings) -> str:
    """Say why nothing has a rank: an unknown direction is a state, never a guess."""
    if metric is None or (
        meanings[metric].role in ("quality", "cost") and meanings[metric].direction != "unknown"
    ):
        return ""
    return f"Whether less or more {metric} is better is not known: rows are sorted by it, not ranked."


def _dataset_note(datasets: Sequence[str]) -> str:
    if len(datasets) < 2:
        return ""
    return (
        "Values of different datasets are not comparable: "
        "ranks, best and second best hold within each dataset."
    )


# --- comparing --------------------------------------------------------------------------------


class _Contest:
    """Who competes with whom: the entries of one dataset that are not superseded."""

    def __init__(self, entries: Sequence[Entry], meanings: Meanings) -> None:
        self.meanings = meanings
        self._by_dataset: dict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            if entry.superseded_by is None:
                self._by_dataset[entry.first.dataset or ""].append(entry)
        self._podiums: dict[str, dict[str, list[float]]] = {}

    def podiums(self, key: str) -> Mapping[str, list[float]]:
        """Return for each dataset its values of a metric, best first; none if no direction is known."""
        if key not in self._podiums:
            self._podiums[key] = self._rank_values(key)
        return self._podiums[key]

    def _rank_values(self, key: str) -> dict[str, list[float]]:
        known = self.meanings[key]
        if known.direction == "unknown" or known.role in ("info", "hidden"):
            return {}
        return {
            dataset: sorted(_numbers(entries, key), reverse=known.direction == "higher")
            for dataset, entries in self._by_dataset.items()
        }

    def pairs(self, key: str) -> list[tuple[float, float]]:
        """Return (best, second) of every dataset where they differ."""
        pairs = []
        for values in self.podiums(key).values():
            second = next((value for value in values if not _tied(value, values[0])), None)
            if second is not None:
                pairs.append((values[0], second))
        return pairs

    def mark(self, entry: Entry, key: str) -> str:
        """Return `best`, `second` or nothing. Alone in its dataset nobody is best."""
        values = self.podiums(key).get(entry.first.dataset or "", [])
        measure = entry.measures.get(key)
        if entry.superseded_by or measure is None or measure.number is None or len(values) < 2:
            return ""
        if _tied(measure.number, values[0]):
            return "best"
        if _tied(values[0], values[1]):
            return ""
        return "second" if _tied(measure.number, values[1]) else ""

    def ranks(self, key: str) -> dict[int, int]:
        """Return the rank of each entry that ranks, by `id(entry)`; ties share the better rank."""
        ranks = {}
        reverse = self.meanings[key].direction == "higher"
        for dataset in self.podiums(key):
            entries = [entry for entry in self._by_dataset[dataset] if _number(entry, key) is not None]
            entries.sort(key=lambda entry: _number(entry, key) or 0.0, reverse=reverse)
            leader, place = 0.0, 0
            for position, entry in enumerate(entries, 1):
                value = _number(entry, key) or 0.0
                if place == 0 or not _tied(value, leader):
                    leader, place = value, position
                ranks[id(entry)] = place
        return ranks


def _number(entry: Entry, key: str) -> float | None:
    measure = entry.measures.get(key)
    return measure.number if measure is not None else None


def _numbers(entries: Iterable[Entry], key: str) -> list[float]:
    return [number for entry in entries if (number := _number(entry, key)) is not None]


def _tied(a: float, b: float) -> bool:
    return abs(a - b) <= _TIE * max(abs(a), abs(b))


# --- ordering ---------------------------------------------------------------------------------


def _descends(view: View, sort: str, meanings: Meanings) -> bool:
    known = None if sort in IDENTITY else meanings.get(_metric_of(sort))
    best_is_high = known is not None and known.direction == "higher"
    return view.order == "desc" or (view.order == "" and best_is_high)


def _metric_of(sort: str) -> str:
    return sort.removeprefix("metric:")


def _settled(view: View, sort: str, meanings: Meanings) -> View:
    """Return the view with its defaults spelt out, for the renderings."""
    descends = _descends(view, sort, meanings)
    return replace(view, sort=sort, order="desc" if descends else "asc")


def _ordered(entries: Sequence[Entry], sort: str, view: View, meanings: Meanings) -> list[Entry]:
    """Return the entries in the view's order: finite values, then what is only shown, then the rest.

    The three classes keep their order when the values turn round. What is superseded comes after all
    of them: it is listed, and never above a row that counts.
    """
    current = [entry for entry in entries if entry.superseded_by is None]
    replaced = [entry for entry in entries if entry.superseded_by is not None]
    descends = _descends(view, sort, meanings)
    return _sorted(current, sort, descends=descends) + _sorted(replaced, sort, descends=descends)


def _sorted(entries: Sequence[Entry], sort: str, *, descends: bool) -> list[Entry]:
    placed = sorted(entries, key=lambda entry: entry.first.order)
    metric = _metric_of(sort)
    if sort in IDENTITY:
        named = [entry for entry in placed if getattr(entry.first, sort) is not None]
        nameless = [entry for entry in placed if getattr(entry.first, sort) is None]
        named.sort(key=lambda entry: _identity_key(entry, sort), reverse=descends)
        return named + nameless
    ranked = [entry for entry in placed if _number(entry, metric) is not None]
    ranked.sort(key=lambda entry: _number(entry, metric) or 0.0, reverse=descends)
    shown = [entry for entry in placed if _number(entry, metric) is None and metric in entry.measures]
    missing = [entry for entry in placed if metric not in entry.measures]
    return ranked + shown + missing


def _identity_key(entry: Entry, sort: str) -> tuple[str, ...]:
    return entry.first.order[2:4] if sort == "seed" else (getattr(entry.first, sort),)


# --- columns and cells ------------------------------------------------------------------------


def _style(key: str, entries: Sequence[Entry], contest: _Contest) -> tuple[str, Style]:
    numbers = _numbers(entries, key)
    unit, scale = choose_unit(contest.meanings[key].unit, numbers)
    stds = [m.std for entry in entries if (m := entry.measures.get(key)) is not None and m.std is not None]
    return unit, choose_style(numbers, stds, contest.pairs(key), scale)


def _columns(
    view: View, keys: Sequence[MetricKey], metric: str | None, styles: Mapping[str, tuple[str, Style]]
) -> list[Column]:
    """Return identity, then the metric that ranks, then quality, cost and info, each as people know them."""
    names = IDENTITY[:2] if view.group == "cell" else IDENTITY
    columns = [Column(name, name, name.capitalize(), "identity") for name in names]
    counts = Counter({key.key: key.count for key in keys})
    meanings = {key.key: key.meaning for key in keys}

    def place(key: str) -> tuple[bool, int, int, int, str]:
        known = meanings[key]
        return key != metric, _ROLES[known.role], _PLACES.get(key, len(_PLACES)), -counts[key], key

    for key in sorted(counts, key=place):
        known, (unit, style) = meanings[key], styles[key]
        if known.role != "hidden":
            columns.append(
                Column(
                    key,
                    column_id(key),
                    key,
                    "metric",
                    unit,
                    known.unit,
                    style.scale,
                    known.direction,
                    known.role,
                )
            )
    return columns


def _row(
    view: View,
    entry: Entry,
    styles: Mapping[str, tuple[str, Style]],
    contest: _Contest,
    ranks: Mapping[int, int],
) -> Row:
    job, is_job = entry.first, view.group == "job"
    return Row(
        rank=ranks.get(id(entry)),
        model=job.model,
        dataset=job.dataset,
        seed=job.seed if is_job else None,
        cells={key: _cell(entry, key, style, contest) for key, (_, style) in styles.items()},
        batch_id=job.batch_id if is_job else None,
        job_id=job.job_id if is_job else None,
        finished_us=max(job.finished_us for job in entry.jobs),
        superseded_by=entry.superseded_by,
        n=len(entry.jobs),
    )


def _cell(entry: Entry, key: str, style: Style, contest: _Contest) -> Cell:
    measure = entry.measures.get(key)
    if measure is None:
        return Cell()
    spread = ""
    if measure.std is not None and measure.number is not None:
        spread = f"± {style.spread(measure.std)}"
    elif measure.n == 1 and measure.number is not None:
        spread = "n=1"
    elif measure.diverged:
        spread = f"{measure.diverged} of {measure.n} diverged"
    return Cell(
        raw=measure.raw,
        display=style.value(measure.raw),
        number=measure.number,
        std=measure.std,
        n=measure.n,
        diverged=measure.diverged,
        spread=spread,
        mark=contest.mark(entry, key),  # type: ignore[arg-type]
    )
