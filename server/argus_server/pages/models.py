"""The leaderboard with one row for each model."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from litestar import Response

from argus_server.pages.asking import AnyRequest, name_in, queries_of
from argus_server.pages.conditional import entity_tag, not_modified
from argus_server.pages.doctor import doubts_about, shown_keys
from argus_server.pages.files import PAPER_FILES, file_links
from argus_server.pages.flags import explained, flag_marks
from argus_server.pages.frame import project_frame, pulse_tag
from argus_server.pages.model_rows import (
    bands_without_tie,
    gap_items,
    headings,
    interval,
    last_rank,
    rank_axis,
    raw,
    statistic,
    tier,
    value,
)
from argus_server.pages.model_views import MISSING, SEEDS, tabs
from argus_server.pages.outlook import outlook_panel
from argus_server.pages.render import Page, render
from argus_server.pages.saved_views import saved_views
from argus_server.pages.sparkline import sparkline
from argus_server.pages.visitors import shown_table
from argus_server.ranking.metric import lacks_direction, offered_metrics
from argus_server.ranking.models import rank_models
from argus_server.ranking.view import View, column_id

__all__ = ["models_page"]


def models_page(request: AnyRequest, view: View) -> Response[Any]:
    """Show the models, best average rank first."""
    name = name_in(request, "project")
    frame = project_frame(request, name, "leaderboard")
    views = saved_views(request, name, "leaderboard", view)
    tag = entity_tag(request, queries_of(request).version(name), pulse_tag(frame), views)
    if unchanged := not_modified(request, tag):
        return unchanged
    with queries_of(request).board(name, view) as board:
        table = shown_table(request.user, name, rank_models(view, board))
        settings = board.settings
        reported = offered_metrics(board.keys)
        doubts = doubts_about(board, shown_keys(table.layout))
        needs_direction = lacks_direction(board.keys, table.ranked_by)
    wanted = {row.model: row.curve_of for row in table.rows if row.curve_of is not None}
    losses = queries_of(request).val_losses(name, list(wanted.values())) if not view.col else {}
    context = {
        **frame,
        "table": table,
        "flag_marks": flag_marks,
        **outlook_panel(request, view),
        "flagged": explained(table.rows),
        "asked": view,
        "views": views,
        "view_query": urlencode(view.query(page=1)),
        "columns": table.layout,
        "all_columns": table.columns,
        "column_id": column_id,
        "headings": headings(table, table.layout, view),
        "metrics": reported,
        "model_names": settings.models,
        "dataset_names": settings.datasets,
        "baseline": view.baseline or settings.baseline or "",
        "unranked": [(row, gap_items(row.gaps, name, settings.datasets)) for row in table.unranked],
        "seeds": SEEDS,
        "missing": MISSING,
        "job_counts": frame["pulse"].counts,
        "curves": {model: sparkline(losses[last]) for model, last in wanted.items() if last in losses},
        "doubts": doubts,
        "needs_direction": needs_direction,
        "last_rank": last_rank(table),
        "rank_axis": rank_axis,
        "interval": interval,
        "statistic": statistic,
        "tier": tier,
        "no_ties": bands_without_tie(table),
        "widths": table.widths(),
        "value": value,
        "raw": raw,
        "page_name": "leaderboard",
        "tabs": tabs(name, view),
        "exports": file_links("p", name, "leaderboard", query=view.query(page=1), files=PAPER_FILES),
    }
    return render(request, Page("leaderboard_models.html", context, headers={"ETag": tag}))
