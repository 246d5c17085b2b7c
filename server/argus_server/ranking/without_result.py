"""The cells of a board that have no row on it, since no job of theirs is done."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from argus_server.ranking.board import Board, Wanted
from argus_server.ranking.matrix import CellState
from argus_server.ranking.table import DoneJob
from argus_server.ranking.view import View

__all__ = ["WithoutResult", "without_result"]


@dataclass(frozen=True, slots=True)
class WithoutResult:
    """Cells without a result: those with jobs, and how many never had one.

    Attributes:
        never: of the models and datasets that the project knows and the view shows.
    """

    cells: Sequence[CellState]
    never: int


def without_result(view: View, board: Board, states: Sequence[CellState]) -> WithoutResult:
    """Return the cells that the view would show if a job of theirs were done.

    Args:
        view: its models, datasets and text choose; by what else jobs are filtered, a cell without a result
            cannot be judged.
        board: the jobs that are done.
        states: the cells with other jobs.
    """
    wanted = Wanted(view.model, view.dataset, text=view.q)

    def is_shown(cell: tuple[str, str]) -> bool:
        return wanted.takes(DoneJob("", "", *cell, None, {}, 0))

    done = {(job.model or "", job.dataset or "") for job in board.everything().jobs}
    open_cells = {(state.model, state.dataset): state for state in states}
    known = {cell for cell in done | open_cells.keys() if all(cell) and is_shown(cell)}
    shown = [open_cells[cell] for cell in sorted(open_cells.keys() - done) if is_shown(cell)]
    return WithoutResult(shown, _pairs(view, done | open_cells.keys()) - len(known))


def _pairs(view: View, known: Collection[tuple[str, str]]) -> int:
    """Return how many pairs of a model and a dataset the view shows, without making each of them."""
    models, datasets = ({cell[i] for cell in known if cell[i]} for i in (0, 1))
    models = {name for name in models if not view.model or name in view.model}
    datasets = {name for name in datasets if not view.dataset or name in view.dataset}
    text = view.q.lower()
    found_models = sum(text in name.lower() for name in models)
    found_datasets = sum(text in name.lower() for name in datasets)
    return found_models * len(datasets) + (len(models) - found_models) * found_datasets
