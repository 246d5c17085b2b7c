"""The leaderboard with one row for each model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from litestar import Response

from argus_server.pages.asking import AnyRequest, name_in, queries_of
from argus_server.pages.conditional import entity_tag, not_modified
from argus_server.pages.frame import project_frame, pulse_tag
from argus_server.pages.model_rows import (
    gap_items,
    headings,
    interval,
    page_columns,
    raw,
    statistic,
    value,
)
from argus_server.pages.render import Page, render
from argus_server.pages.visitors import shown_table
from argus_server.ranking.models import rank_models
from argus_server.ranking.view import View, column_id
from argus_server.urls import path_to

__all__ = ["MISSING", "SEEDS", "models_page"]

SEEDS = (
    ("mean", "mean ± std"),
    ("median", "median"),
    ("last", "last"),
    ("best", "best of n"),
)
MISSING = (
    ("complete", "rank complete models only"),
    ("shared", "datasets that all have"),
    ("pairwise", "datasets that each pair has"),
    ("impute:worst", "fill in the worst ‡"),
)
_PAGES = (("Pairs", "pairs"), ("Pareto", "pareto"), ("Sensitivity", "sensitivity"))


def models_page(request: AnyRequest, view: View) -> Response[Any]:
    """Show the models, best average rank first."""
    name = name_in(request, "project")
    frame = project_frame(request, name, "leaderboard")
    tag = entity_tag(request, queries_of(request).version(name), pulse_tag(frame))
    if unchanged := not_modified(request, tag):
        return unchanged
    with queries_of(request).board(name, view) as board:
        table = shown_table(request.user, name, rank_models(view, board))
        settings = board.settings
        reported = [key for key in board.keys if key.meaning.role != "hidden"]
        columns = page_columns(table, view)
        everything = rank_models(replace(view, col=()), board).columns
    context = {
        **frame,
        "table": table,
        "asked": view,
        "columns": columns,
        "all_columns": everything,
        "column_id": column_id,
        "headings": headings(table, columns, view),
        "metrics": reported,
        "model_names": settings.models,
        "baseline": view.baseline or settings.baseline or "",
        "unranked": [(row, gap_items(row.gaps, name, settings.datasets)) for row in table.unranked],
        "seeds": SEEDS,
        "missing": MISSING,
        "job_counts": frame["pulse"].counts,
        "interval": interval,
        "statistic": statistic,
        "value": value,
        "raw": raw,
        "pages_of_models": [
            (label, path_to("p", name, page, query=view.query(group="job", col=(), sort="", order="")))
            for label, page in _PAGES
        ],
        "exports": [
            (label, path_to("p", name, f"leaderboard.{ending}", query=view.query(page=1)))
            for label, ending in (("CSV", "csv"), ("JSON", "json"), ("Markdown", "md"), ("LaTeX", "tex"))
        ],
    }
    return render(request, Page("leaderboard_models.html", context, headers={"ETag": tag}))
