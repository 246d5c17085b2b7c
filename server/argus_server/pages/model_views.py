"""What the pages about models have in common: the view, the frame, the exports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from litestar import Response

from argus_server.pages.asking import AnyRequest, asked_view, name_in, queries_of
from argus_server.pages.conditional import entity_tag, not_modified
from argus_server.pages.doctor import doubts_about, with_doubts
from argus_server.pages.files import FILES, file_links
from argus_server.pages.frame import project_frame, pulse_tag
from argus_server.pages.render import Page, render
from argus_server.ranking.board import Board
from argus_server.ranking.metric import lacks_direction, offered_metrics
from argus_server.ranking.pairs import PairTable
from argus_server.ranking.pareto import Pareto
from argus_server.ranking.sensitivity import Sensitivity
from argus_server.ranking.view import MISSING_IN_WORDS, SEEDS_IN_WORDS, View, column_id
from argus_server.urls import path_to

__all__ = ["MISSING", "PAGES", "SEEDS", "export_of", "page_of", "tabs"]

T = TypeVar("T", bound=PairTable | Pareto | Sensitivity)

SEEDS = tuple(SEEDS_IN_WORDS.items())
MISSING = tuple(MISSING_IN_WORDS.items())
PAGES = ("pairs", "pareto", "sensitivity")


def tabs(project: str, view: View) -> list[tuple[str, str, str]]:
    """Return the pages about models with the same question: (name, label, address)."""
    query = view.query(group="job", col=(), sort="", order="", then=(), page=1)
    models = path_to("p", project, "leaderboard", query=view.query(group="model", page=1))
    found = [("leaderboard", "models", models)]
    return found + [(page, page, path_to("p", project, page, query=query)) for page in PAGES]


def page_of(
    request: AnyRequest,
    page: str,
    rank: Callable[[View, Board], T],
    more: Callable[[T, dict[str, str]], dict[str, Any]],
    files: Sequence[tuple[str, str]] = FILES,
) -> Response[Any]:
    """Return one of the pages about models.

    Args:
        request: what is asked.
        page: its name, in the address and as a template.
        rank: what it shows.
        more: what else its template needs, given that and the names to show for models.
        files: what it can be taken along as: (label, ending).
    """
    name, view = name_in(request, "project"), asked_view(request)
    frame = project_frame(request, name, "leaderboard")
    tag = entity_tag(request, queries_of(request).version(name), pulse_tag(frame))
    if unchanged := not_modified(request, tag):
        return unchanged
    with queries_of(request).board(name, _of_models(view)) as board:
        table = rank(view, board)
        doubts = doubts_about(board, _keys_of(table))
        settings = board.settings
        metrics = offered_metrics(board.keys)
        models = [model for model, _ in board.names("model") if model]
    context = {
        **frame,
        "table": table,
        "doubts": doubts,
        "needs_direction": lacks_direction(metrics, table.metric),
        "asked": view,
        "page_name": page,
        "tabs": tabs(name, view),
        "metrics": metrics,
        "models": models,
        "model_names": settings.models,
        "dataset_names": settings.datasets,
        "column_id": column_id,
        "seeds": SEEDS,
        "missing": MISSING,
        "exports": file_links("p", name, page, query=view.query(), files=files),
        **more(table, settings.models),
    }
    return render(request, Page(f"{page}.html", context, headers={"ETag": tag}))


def export_of(
    request: AnyRequest, rank: Callable[[View, Board], T], write: Callable[[T], str | bytes], media_type: str
) -> Response[Any]:
    """Return the same as a file."""
    name, view = name_in(request, "project"), asked_view(request)
    tag = entity_tag(request, queries_of(request).version(name))
    if unchanged := not_modified(request, tag):
        return unchanged
    with queries_of(request).board(name, _of_models(view)) as board:
        table = rank(view, board)
        doubts = doubts_about(board, _keys_of(table))
        content = write(replace(table, notes=with_doubts(table.notes, doubts)))
    return Response(content, media_type=media_type, headers={"ETag": tag})


def _keys_of(table: PairTable | Pareto | Sensitivity) -> list[str | None]:
    """Return the metrics that one of these tables shows."""
    return [table.metric, table.cost] if isinstance(table, Pareto) else [table.metric]


def _of_models(view: View) -> View:
    """Return a view of the same jobs that asks for a board of models."""
    return View(group="model", batch=view.batch)
