"""Why a job is on the leaderboard, or is not: a checklist in the order in which things go wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from argus_core.conventions import Convention, convention
from argus_core.events import number_or_none
from argus_server.ranking.board import Board, Order, Placed, Wanted
from argus_server.ranking.models import model_board, rank_models
from argus_server.ranking.rank import Ranking
from argus_server.ranking.similar import nearest_name
from argus_server.ranking.table import DoneJob
from argus_server.ranking.units import likely_unit
from argus_server.ranking.values import finite, raw_text
from argus_server.ranking.view import View, column_id

__all__ = ["Answer", "JobFacts", "Line", "not_arrived", "unranked_reason", "why"]

Verdict = Literal["ok", "warning", "bad"]
_MOST_NAMED = 5
_MOST_COUNTED = 1000
_MOST_ROWS = 20_000
"""On larger boards nobody waits to hear which datasets a model lacks."""
_LOOKED_THROUGH = 500


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What is known of the job that is asked about, whatever its status.

    Attributes:
        metrics: flat and as sent with `job_done`; empty before.
        epochs: how many epochs have been reported.
        epoch_names: the names of everything that any `job_epoch` of it carried.
        reason: why it failed; empty for who may not see it.
        framework: whose callback has reported it; None for a loop of one's own.
        on_validation: whether its client says that the result is that of the validation set.
    """

    batch_id: str
    job_id: str
    status: str
    model: str | None = None
    dataset: str | None = None
    seed: str | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 0
    epoch_names: frozenset[str] = frozenset()
    fast_dev_run: bool = False
    interrupted: bool = False
    reason: str = ""
    framework: str | None = None
    on_validation: bool = False
    host: str | None = None
    user: str | None = None

    @property
    def as_done(self) -> DoneJob:
        """The job as a filter sees it."""
        return DoneJob(
            self.batch_id,
            self.job_id,
            self.model,
            self.dataset,
            self.seed,
            self.metrics,
            0,
            self.fast_dev_run,
            self.host,
            self.user,
        )


@dataclass(frozen=True, slots=True)
class Line:
    """One check.

    Attributes:
        name: which check this is; the same words in every answer.
        verdict: `ok`; `warning`: look at it; `bad`: for this the job has no rank in this view.
        fact: what is the case, with the value.
        fix: what to do about it; empty if there is nothing to do.
        path: where to look, as names below the project; empty for nowhere.
        query: the parameters of that place.
    """

    name: str
    verdict: Verdict
    fact: str
    fix: str = ""
    path: tuple[str, ...] = ()
    query: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """The whole checklist.

    Attributes:
        lines: in the order in which to fix them.
        listed: whether the view has a row of the job.
        rank: its place within its dataset, that of its cell, or that of its model over all datasets, as the
            view groups jobs; None if there is none, or it is beyond the thousandth.
        summary: one sentence.
    """

    lines: Sequence[Line]
    listed: bool
    rank: int | None
    summary: str

    @property
    def ranked(self) -> bool:
        """Whether nothing keeps the job from having a rank."""
        return all(line.verdict != "bad" for line in self.lines)


def not_arrived(batch_id: str, job_id: str, known: Iterable[str]) -> Answer:
    """Return the answer about a job that no event has named; `known` are job ids to compare it with."""
    others = list(known)
    longer = [name for name in others if job_id and name.startswith(job_id)]
    near = nearest_name(job_id, others) or min(longer, default=None)
    named = f"a job “{job_id}”" + (f" of the batch “{batch_id}”" if batch_id else "")
    line = Line(
        "arrived",
        "bad",
        f"No event has named {named}." + (f" There is one “{near}”." if near else ""),
        "Where it trains, `argus doctor` says why nothing arrives, and `argus sync` sends what waits there.",
        ("jobs",),
    )
    return Answer([line], listed=False, rank=None, summary=line.fact)


def why(view: View, board: Board, job: JobFacts) -> Answer:
    """Return whether the job has a rank in this view, and every reason against it.

    Args:
        view: what is asked for, with its filters.
        board: the board of that view.
        job: the job.
    """
    return _Checklist(view, board, job).answer()


def unranked_reason(
    metrics: Mapping[str, Any],
    metric: str | None,
    epoch_names: Iterable[str] = (),
    *,
    meaning: Callable[[str], Convention] = convention,
) -> tuple[str, str]:
    """Return why a job with these metrics gets no rank by `metric`, and the fix; empty texts if it does.

    Args:
        metrics: flat, of the job.
        metric: by which jobs rank; None if the project has none.
        epoch_names: what its epochs have carried.
        meaning: what is known of a metric's name.
    """
    if metric is None:
        return ("The job reported no metric.", "Report the metrics of the test stage with `job_done`.")
    if metric not in metrics:
        return _missing(metrics, metric, frozenset(epoch_names), meaning)
    value = metrics[metric]
    if finite(value) is not None:
        return "", ""
    number = number_or_none(value)
    if number is None:
        fact = f"{metric} is “{raw_text(value)[:60]}”, which is no number: it is shown and never ranked."
        return fact, "Send a plain float."
    shown = "NaN" if math.isnan(number) else "infinite"
    return f"{metric} is {shown}: the job diverged, which is shown and never ranked.", (
        "Look at its curve; a lower learning rate or gradient clipping may help."
    )


def _missing(
    metrics: Mapping[str, Any], metric: str, epoch_names: frozenset[str], meaning: Callable[[str], Convention]
) -> tuple[str, str]:
    if metric in epoch_names:
        return (
            f"{metric} is in job_epoch; a row is made of what job_done carries.",
            f"Report {metric} at the end of the test stage as well.",
        )
    if near := nearest_name(metric, metrics):
        return (
            f"The job sent “{near}”, the board ranks “{metric}”.",
            f"Send it as “{metric}”, or make “{near}” an alias of it in the project's settings.",
        )
    if not metrics:
        return "The job reported no metric.", f"Report {metric} with job_done, after the test stage."
    found = _worth_ranking(metrics, meaning)
    return (
        f"The job reported no {metric}; it reported {_some(found)}.",
        f"Report {metric}, or rank by one of those.",
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_NAMED]) + (", …" if len(names) > _MOST_NAMED else "")


def _worth_ranking(metrics: Mapping[str, Any], meaning: Callable[[str], Convention]) -> list[str]:
    """Return the metrics of a job by which one would rank it: of quality, else costs, else all, in order."""
    numbers = [key for key, value in metrics.items() if finite(value) is not None]
    for role in ("quality", "cost"):
        if found := [key for key in numbers if meaning(key).role == role]:
            return sorted(found)
    return sorted(metrics)


_HOW_TO_TEST = {
    "lightning": "Call trainer.test(model, test_loader) with the same callback, after trainer.fit.",
    "transformers": "Call trainer.evaluate(test) or trainer.predict(test) after trainer.train().",
    "keras": "Call model.evaluate(x_test, y_test, callbacks=[callback]): Keras tells nobody else.",
    "accelerate": "Call done({...}) of the ArgusTracker with the metrics of the test.",
    "sklearn": "Let `evaluate` reach its end.",
}
_HOW_TO_TEST_ANY = "Call trainer.test(), trainer.evaluate(test) or job.done({...}) after training."


class _Checklist:
    """The checks, each a method that returns its line, or None where there is nothing to say."""

    def __init__(self, view: View, board: Board, job: JobFacts) -> None:
        self._view = view
        self._board = board
        job = self._job = replace(job, metrics=board.settings.settle(job.metrics, job.batch_id))
        sort = "" if view.group == "model" else view.sort  # a statistic of models is no metric of jobs
        self._ranking = Ranking(replace(view, group="job", sort=sort, page=1, after=""), board)
        self._metric = self._ranking.metric
        self._placed = _find(board, job) if job.status == "done" and not job.fast_dev_run else None

    def answer(self) -> Answer:
        """Return all lines, and what they come to."""
        checks = (
            self._arrived(),
            self._status(),
            self._checks_only(),
            self._names(),
            self._has_metric(),
            self._validated(),
            self._direction(),
            self._superseded(),
            *self._filtered(),
            self._siblings(),
            self._coverage(),
            self._unit(),
        )
        lines = [line for line in checks if line is not None]
        listed = self._placed is not None and not any(line.name == "filter" for line in lines)
        place = None
        if all(line.verdict != "bad" for line in lines):
            line, place = self._rank()
            lines.append(line)
        first = next((line for line in lines if line.verdict == "bad"), None)
        if first is not None:
            start = "On the leaderboard, without a rank" if listed else "Not on the leaderboard"
            return Answer(lines, listed, None, f"{start}: {first.fact}")
        return Answer(lines, listed, place, lines[-1].fact)

    # --- the lines, in order ------------------------------------------------------------------

    def _arrived(self) -> Line:
        job = self._job
        return Line("arrived", "ok", f"The server has the job “{job.job_id}” of the batch “{job.batch_id}”.")

    def _status(self) -> Line:
        job = self._job
        here = ("jobs", job.batch_id, job.job_id)
        epochs = f"{job.epochs} epoch{'' if job.epochs == 1 else 's'}"
        if job.status == "done":
            return Line("status", "ok", "It is done: job_done has arrived.")
        if job.status == "untested":
            return Line(
                "status",
                "bad",
                f"It trained {epochs}, and test() was never called.",
                _HOW_TO_TEST.get(job.framework or "", _HOW_TO_TEST_ANY),
                here,
            )
        if job.status == "failed":
            word = "was interrupted" if job.interrupted else "failed"
            return Line(
                "status",
                "bad",
                f"It {word} after {epochs}" + (f": {job.reason}" if job.reason else "."),
                "Repair and start it again: the same batch and job id (pass job_id= and ARGUS_BATCH_ID) take "
                "its place, new ones stand beside it.",
                here,
            )
        if job.status == "stalled":
            return Line(
                "status",
                "bad",
                f"It is stalled after {epochs}: nothing has come from it for long.",
                "Where it trains, look whether it still runs, and ask `argus doctor`.",
                here,
            )
        return Line(
            "status",
            "bad",
            f"It is running, {epochs} so far.",
            "Its row appears when job_done arrives, at the end of the test stage.",
            here,
        )

    def _checks_only(self) -> Line | None:
        if not self._job.fast_dev_run:
            return None
        return Line(
            "fast_dev_run",
            "bad",
            "It ran with fast_dev_run, which checks that code runs and measures nothing.",
            "Train without fast_dev_run.",
        )

    def _names(self) -> Line | None:
        """Say what the job does not name: then it is in no cell and of no model that could be compared."""
        what = self._unnamed()
        if not what:
            return None
        is_job = self._view.group == "job"
        nothing = ": as a cell, and over all datasets, it" if is_job else ", and"
        return Line(
            "names",
            "warning" if is_job else "bad",
            f"It names no {what}{nothing} is compared with nothing.",
            f"Name the {what} where the job starts ({what}=…), and run it again.",
            ("jobs", self._job.batch_id, self._job.job_id),
        )

    def _unnamed(self) -> str:
        """Return what is missing, as `aggregate.comparable` has it: `model`, `dataset` or nothing."""
        if not self._job.model:
            return "model"
        if self._job.dataset:
            return ""
        if self._view.group == "job" or self._is_large():
            has_names = any(name for name, _ in self._board.names("dataset"))
        else:
            view = self._view if self._view.group == "model" else replace(self._view, dataset=())
            has_names = any(dataset for _, dataset in model_board(view, self._board).cells)
        return "dataset" if has_names else ""

    def _is_large(self) -> bool:
        return sum(count for _, count in self._board.names("model")) > _MOST_ROWS

    def _has_metric(self) -> Line | None:
        job, metric = self._job, self._metric
        if job.status != "done" and not job.metrics:
            return None  # its status says why
        fact, fix = unranked_reason(job.metrics, metric, job.epoch_names, meaning=self._meaning)
        if not fact:
            value = finite(job.metrics[metric or ""])
            shown = self._ranking.shown(metric or "", value or 0.0)
            return Line("metric", "ok", f"It has {metric}, by which this view ranks: {shown}.")
        path, query = self._where_to_fix(metric)
        return Line("metric", "bad", fact, fix, path, query)

    def _validated(self) -> Line | None:
        if not self._job.on_validation:
            return None
        return Line(
            "validation",
            "warning",
            "The result was measured on the validation set, which was evaluated during the training too.",
            "Pass the test set: trainer.evaluate(test).",
        )

    def _where_to_fix(self, metric: str | None) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
        job = self._job
        if metric is None or metric in job.metrics or metric in job.epoch_names or not job.metrics:
            return ("jobs", job.batch_id, job.job_id), ()
        if nearest_name(metric, job.metrics):
            return ("doctor",), ()
        other = column_id(_worth_ranking(job.metrics, self._meaning)[0])
        return ("leaderboard",), tuple(self._view.query(sort=other, metric="", order="", page=1))

    def _direction(self) -> Line | None:
        metric = self._metric
        if metric is None or self._ranking.ranks_higher is not None:
            return None
        known = self._meaning(metric)
        fact = (
            f"Whether less or more {metric} is better is not known: it sorts the rows and ranks none."
            if known.role in ("quality", "cost")
            else f"{metric} is {known.role}: it sorts the rows and ranks none."
        )
        fix = "Set its direction in the project's settings, or declare it where the metric is reported."
        return Line("direction", "bad", fact, fix, ("settings",))

    def _meaning(self, key: str) -> Convention:
        known = (item.meaning for item in self._board.keys if item.key == key)
        return next(known, None) or convention(key)

    def _superseded(self) -> Line | None:
        if self._placed is None or self._placed.superseded_by is None:
            return None
        batch_id, job_id = self._placed.superseded_by
        return Line(
            "superseded",
            "bad",
            f"A later job has the same model, dataset and seed: “{job_id}” of the batch “{batch_id}”.",
            "If it is another run, give it another seed; if it is the same one again, nothing is to be done.",
            ("jobs", batch_id, job_id),
        )

    def _filtered(self) -> list[Line]:
        lines = []
        for name in dict.fromkeys(name for name, _ in self._view.filters):
            values = getattr(self._view, name)
            if Wanted.of(View(**{name: values})).takes(self._job.as_done):
                continue
            texts = [values] if name == "q" else [str(value) for value in values]
            kept = (" and " if name == "where" else " or ").join(f"{name}={text}" for text in texts)
            lines.append(
                Line(
                    "filter",
                    "bad",
                    f"The view keeps only {kept}, and the job is not among them.",
                    "Take the filter away.",
                    ("leaderboard",),
                    tuple(self._view.query(page=1, **{name: "" if name == "q" else ()})),
                )
            )
        return lines

    def _siblings(self) -> Line | None:
        """Say which other job of its cell (model × dataset) diverged: the cell has no mean then."""
        job, view, metric, placed = self._job, self._view, self._metric, self._placed
        if placed is None or placed.superseded_by or metric is None or not job.model:
            return None
        if finite(job.metrics.get(metric)) is None:
            return None
        cell = job.model or "", job.dataset or ""
        means = self._means(metric)
        if means is not None and all(
            mean is not None for model, dataset, mean in means if (model, dataset) == cell
        ):
            return None
        wanted = Wanted((cell[0],), (cell[1],), view.batch)
        if view.group != "job":  # these choose the jobs that a mean is of
            wanted = replace(wanted, seed=view.seed, host=view.host, user=view.user, conditions=view.where)
        order = Order("seed", is_metric=False, descends=False)
        items, _ = self._board.walk(order, wanted, after=None, skip=0, limit=_LOOKED_THROUGH)
        beside = [item.job for item in items if item.superseded_by is None]
        numbers = [(other, number_or_none(other.metrics.get(metric))) for other in beside]
        measured = [(other, number) for other, number in numbers if number is not None]
        diverged = [other for other, number in measured if not math.isfinite(number)]
        if not diverged:
            return None
        where = f" on {job.dataset}" if job.dataset else ""
        jobs = f"{len(diverged)} of {len(measured)} jobs of {job.model or 'the model'}{where}"
        names = _some([f"“{other.job_id}”" for other in diverged])
        counts = view.group != "job" and view.seeds in ("mean", "median")
        return Line(
            "seeds",
            "bad" if counts else "warning",
            f"{jobs} diverged: {names}. A mean over all of them is no number, and has no rank.",
            "Start it again with the same seed: the later job takes its place.",
            ("jobs", diverged[0].batch_id, diverged[0].job_id),
        )

    def _coverage(self) -> Line | None:
        """Say on which datasets of the view the model has no result: over all, it is then not ranked."""
        job, metric = self._job, self._metric
        if metric is None or job.status != "done" or not job.model:
            return None
        means = self._means(metric)
        if means is None:
            return None
        is_ranked = self._view.group == "model"
        datasets, has, diverged = self._scored() if is_ranked else self._measured(means)
        lacks = sorted(datasets - has)
        if not lacks or not (has or is_ranked):
            return None
        model, n_has, n_all = job.model, len(has), len(datasets)
        never = [name or "no dataset" for name in lacks if name not in diverged]
        reasons = [f"it lacks {_some(never)}"] if never else []
        if lost := [name or "no dataset" for name in lacks if name in diverged]:
            reasons.append(f"{'a job' if never else 'a job of it'} diverged on {_some(lost)}")
        is_bad = is_ranked and (self._view.missing == "complete" or not has)
        return Line(
            "coverage",
            "bad" if is_bad else "warning",
            f"{model} has {metric} on {n_has} of {n_all} datasets; {', and '.join(reasons)}.",
            "Over all datasets (group=model) it is ranked once it has them all, or with missing=shared.",
            ("leaderboard",),
            tuple(self._view.query(group="model", missing="shared", page=1)),
        )

    def _means(self, metric: str) -> Sequence[tuple[str, str, float | None]] | None:
        """Return the means of the board; None of a large one, for which nobody waits."""
        return None if self._is_large() else self._board.means(metric)

    def _measured(
        self, means: Sequence[tuple[str, str, float | None]]
    ) -> tuple[set[str], set[str], set[str]]:
        """Return the datasets that count; of the job's model, those with a mean, and those that diverged."""
        chosen = [item for item in means if not self._view.dataset or item[1] in self._view.dataset]
        own = [(dataset, mean) for model, dataset, mean in chosen if model == (self._job.model or "")]
        return (
            {dataset for _, dataset, mean in chosen if mean is not None},
            {dataset for dataset, mean in own if mean is not None},
            {dataset for dataset, mean in own if mean is None},
        )

    def _scored(self) -> tuple[set[str], set[str], set[str]]:
        """Return the same of the models as the view ranks them, by the jobs that it chooses."""
        found = model_board(self._view, self._board)
        scores, model = found.scores, self._job.model or ""
        if scores is None:
            return set(), set(), set()
        measured = {
            dataset: entry.measures[scores.metric]
            for (name, dataset), entry in found.cells.items()
            if name == model and scores.metric in entry.measures
        }
        return (
            set(scores.datasets),
            {dataset for dataset, measure in measured.items() if measure.number is not None},
            {dataset for dataset, measure in measured.items() if measure.number is None and measure.diverged},
        )

    def _unit(self) -> Line | None:
        """Say which value looks as if it were in another unit."""
        sample = self._board.sample()
        for key in sorted(self._job.metrics):
            value = finite(self._job.metrics[key])
            known = next((item.meaning for item in self._board.keys if item.key == key), None)
            if value is None or known is None:
                continue
            others = [other for other in sample.get(key, ()) if other != value]
            if unit := likely_unit(key, known, value, others):
                said = {"s": "seconds", "MB": "MB"}.get(known.unit, "a fraction of 1")
                return Line(
                    "unit",
                    "warning",
                    f"{key} = {raw_text(self._job.metrics[key])} looks like {unit}; {key} is in {said}.",
                    f"Send {said}, or correct the unit of these jobs in the project's settings.",
                    ("doctor",),
                )
        return None

    # --- the rank -----------------------------------------------------------------------------

    def _rank(self) -> tuple[Line, int | None]:
        """Return the place of what the view ranks: the job, its cell, or its model."""
        if self._view.group == "job" or self._is_large():
            return self._rank_of_job()
        return self._rank_of_cell() if self._view.group == "cell" else self._rank_of_model()

    def _rank_of_job(self) -> tuple[Line, int | None]:
        metric, higher = self._metric or "", bool(self._ranking.ranks_higher)
        dataset = self._job.dataset or ""
        value = finite(self._job.metrics[metric]) or 0.0
        counts = self._board.better(metric, {(dataset, value)}, higher=higher, limit=_MOST_COUNTED)
        better = counts[dataset, value]
        place = 1 + better if better < _MOST_COUNTED else None
        where = f" on {dataset}" if dataset else ""
        what = "It" if self._view.group == "job" else "The job alone"
        fact = (
            f"{what} ranks {place} among the jobs{where} by {metric}."
            if place is not None
            else f"{what} ranks among the jobs{where} by {metric}, behind more than {better}."
        )
        wanted = (("dataset", dataset),) if dataset else ()
        return Line("rank", "ok", fact, "", ("leaderboard",), wanted), place

    def _rank_of_cell(self) -> tuple[Line, int | None]:
        model, dataset = self._job.model or "", self._job.dataset or ""
        asked = replace(self._view, model=(model,), dataset=(dataset,), q="", col=(), page=1, after="")
        row = next((row for row in Ranking(asked, self._board).stream() if row.model == model), None)
        wanted = (("group", "cell"), *((("dataset", dataset),) if dataset else ()))
        where = f" on {dataset}" if dataset else ""
        if row is None or row.rank is None:
            fact = f"Its cell, {model}{where}, has no {self._metric} that could rank."
            fix = "Look at its other jobs: by seeds= one of them stands for all."
            return Line("rank", "bad", fact, fix, ("leaderboard",), wanted), None
        fact = f"Its cell, {model}{where}, ranks {row.rank} among the cells{where} by {self._metric}."
        return Line("rank", "ok", fact, "", ("leaderboard",), wanted), row.rank

    def _rank_of_model(self) -> tuple[Line, int | None]:
        model = self._job.model or ""
        asked = replace(self._view, model=(), q="", sort="", order="", then=(), col=(), page=1, after="")
        table = rank_models(asked, self._board)
        row = next((row for row in table.rows if row.model == model), None)
        wanted = tuple(self._view.query(page=1))
        over = "the datasets of the view" if self._view.dataset else "all datasets"
        if row is None:
            fact = f"Its model, {model}, has no place over {over} by {self._metric}."
            fix = "The table of models that are not ranked says what it lacks."
            return Line("rank", "bad", fact, fix, ("leaderboard",), wanted), None
        fact = f"Its model, {model}, ranks {row.rank} of {len(table.rows)} over {over} by {self._metric}."
        return Line("rank", "ok", fact, "", ("leaderboard",), wanted), row.rank


def _find(board: Board, job: JobFacts) -> Placed | None:
    """Return the job as the board has it."""
    wanted = Wanted(
        model=(job.model or "",), dataset=(job.dataset or "",), seed=(job.seed or "",), batch=(job.batch_id,)
    )
    order = Order("model", is_metric=False, descends=False)
    skip = 0
    while True:
        items, _ = board.walk(order, wanted, after=None, skip=skip, limit=_LOOKED_THROUGH)
        for item in items:
            if (item.job.batch_id, item.job.job_id) == (job.batch_id, job.job_id):
                return item
        if len(items) < _LOOKED_THROUGH:
            return None
        skip += _LOOKED_THROUGH
