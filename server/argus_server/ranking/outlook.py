"""What a board can still come to while jobs run, and which run would tell the most."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from argus_server.ranking.board import Board
from argus_server.ranking.bounds import Bounds, Step, find_bounds, next_steps
from argus_server.ranking.models import ModelBoard, model_board
from argus_server.ranking.scores import Scores
from argus_server.ranking.statistics import Ties, average_ranks, fractional_ranks
from argus_server.ranking.statistics.comparisons import Floats
from argus_server.ranking.table import DoneJob
from argus_server.ranking.view import View

__all__ = ["NextRun", "Outlook", "Prospect", "find_outlook", "shell_line"]

_ONE_SIDED = ("best", "median")
"""What further seeds cannot move anywhere: the bounds hold, and are not reached."""
_MOST_RUNS = 5
_HIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


@dataclass(frozen=True, slots=True)
class Prospect:
    """Between what the average rank and the place of a model will end."""

    model: str
    average_low: float
    average_high: float
    place_low: int
    place_high: int

    @property
    def can_lead(self) -> bool:
        """Whether it may still be the first."""
        return self.place_low == 1


@dataclass(frozen=True, slots=True)
class NextRun:
    """A missing cell that would help to decide who is first.

    Attributes:
        swing: by how much of the average rank it narrows the differences to the leader, at least.
        is_running: whether a job is on its way to fill it.
        sibling: (batch_id, job_id) of a done job from whose command this run can be made; None without one.
        sibling_model, sibling_dataset: what that job was about.
    """

    model: str
    dataset: str
    swing: float
    is_running: bool
    sibling: tuple[str, str] | None = None
    sibling_model: str = ""
    sibling_dataset: str = ""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What can still happen.

    Attributes:
        metric: by which models are ranked.
        missing: how many cells have no value yet.
        moving: how many have one, and jobs that run: further seeds, which may still bring any value.
        is_exact: whether the places are reached; if not, none is beyond them.
        prospects: the models, by their best average rank.
        runs: which cells to fill next, the most decisive first.
    """

    metric: str
    missing: int
    moving: int
    is_exact: bool
    prospects: Sequence[Prospect]
    runs: Sequence[NextRun]


def find_outlook(view: View, board: Board) -> Outlook | None:
    """Return what the missing cells of a view can still bring; None where nothing ranks, or is missing.

    Every model with a value is in it, or with a job that runs, and all datasets that anybody has a value on,
    or a job that runs, whatever the view does with missing cells: they are what is to come. A cell whose
    further seeds still run is open too, with a value or without.
    """
    found = model_board(view, board)
    scores = found.scores
    if scores is None or not scores.datasets:
        return None
    running = _running(view, board, scores)
    present = [int(place) for place in np.flatnonzero((scores.seeds > 0).any(axis=0))]
    measured = [scores.models[place] for place in present]
    names = measured + sorted({model for model, _ in running} - set(measured))
    begun = sorted({dataset for _, dataset in running} - set(scores.datasets))
    datasets = [*scores.datasets, *begun]
    values = np.full((len(datasets), len(names)), np.nan)
    values[: len(scores.datasets), : len(measured)] = scores.values[:, present]
    missing = int(np.isnan(values).sum())
    places = {name: place for place, name in enumerate(names)}
    moving = [
        (row, places[model])
        for row, dataset in enumerate(datasets)
        for model in measured
        if (model, dataset) in running and not np.isnan(values[row, places[model]])
    ]
    if not missing + len(moving) or len(names) < 2:
        return None
    now = _averages(values, scores.ties)
    for at in moving:
        values[at] = np.nan
    chosen = replace(view, model=(), q="", sort="", order="", then=(), col=(), missing="complete", page=1)
    bounds, steps = board.memo(
        repr(("outlook", chosen, names, begun, moving)), lambda: _computed(values, scores.ties, now)
    )
    prospects = [
        Prospect(name, float(low), float(high), first, last)
        for name, low, high, first, last in zip(
            names,
            bounds.average_low,
            bounds.average_high,
            bounds.place_low,
            bounds.place_high,
            strict=True,
        )
    ]
    runs = [
        _run(found, names[step.model], datasets[step.dataset], step.swing, running)
        for step in steps[:_MOST_RUNS]
    ]
    ordered = sorted(
        prospects, key=lambda item: (item.place_low, item.average_low, item.average_high, item.model)
    )
    is_exact = bounds.is_exact and not (moving and found.seeds in _ONE_SIDED)
    return Outlook(scores.metric, missing, len(moving), is_exact, ordered, runs)


def _running(view: View, board: Board, scores: Scores) -> set[tuple[str, str]]:
    """Return the cells with jobs that run and will be compared.

    Their models are named, and their datasets among those of the view, with a name if the others have one.
    """
    return {
        (model, dataset)
        for (model, dataset), latest in board.unfinished().items()
        if latest.is_open
        and model
        and (dataset in scores.datasets or (dataset and scores.datasets != ("",)))
        and (not view.dataset or dataset in view.dataset)
    }


def _averages(values: Floats, ties: Ties) -> list[float]:
    """Return the average ranks as they are now, infinite for who has none."""
    averages: list[float] = np.nan_to_num(average_ranks(fractional_ranks(values, ties)), nan=np.inf).tolist()
    return averages


def _computed(values: Floats, ties: Ties, now: Sequence[float]) -> tuple[Bounds, list[Step]]:
    """Return the bounds, and the steps against the model that leads now among those that can lead."""
    bounds = find_bounds(values, ties)
    leader = min(bounds.can_lead, key=lambda model: (now[model], model))
    return bounds, next_steps(values, ties, bounds, leader)


def _run(found: ModelBoard, model: str, dataset: str, swing: float, running: set[tuple[str, str]]) -> NextRun:
    sibling = _sibling(found, model, dataset)
    return NextRun(
        model,
        dataset,
        swing,
        (model, dataset) in running,
        None if sibling is None else (sibling.batch_id, sibling.job_id),
        "" if sibling is None else sibling.model or "",
        "" if sibling is None else sibling.dataset or "",
    )


def _sibling(found: ModelBoard, model: str, dataset: str) -> DoneJob | None:
    """Return the latest job of the same model, else of the same dataset."""
    for same in ((0, model), (1, dataset)):
        jobs = [job for cell, entry in found.cells.items() if cell[same[0]] == same[1] for job in entry.jobs]
        if jobs:
            return max(jobs, key=lambda job: (job.finished_us, job.batch_id, job.job_id))
    return None


def shell_line(run: NextRun, command: str) -> str:
    """Return the shell line that fills a cell, made from the command of its sibling.

    The sibling's model and dataset are replaced where they stand as a word, or behind `=`; what cannot be
    recognised is said in a comment, and the line is the command as it was.
    """
    line = _HIDDEN.sub("�", command)
    changes = [
        (old, new)
        for old, new in ((run.sibling_model, run.model), (run.sibling_dataset, run.dataset))
        if old != new
    ]
    try:
        words = shlex.split(line)
    except ValueError:
        words = []
    done: list[tuple[str, str]] = []
    for old, new in changes:
        changed = [_HIDDEN.sub("�", _in_word(word, old, new)) for word in words]
        if old and changed != words:
            words, done = changed, [*done, (old, new)]
    if words and len(done) == len(changes):
        return shlex.join(words)
    wanted = " and ".join(f"{old or 'none'} → {new}" for old, new in changes if (old, new) not in done)
    return f"{line}  # change by hand: {_HIDDEN.sub('�', wanted)}"


def _in_word(word: str, old: str, new: str) -> str:
    if word == old:
        return new
    name, sign, value = word.partition("=")
    return f"{name}={new}" if sign and value == old else word
