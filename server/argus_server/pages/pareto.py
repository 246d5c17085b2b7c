"""Quality against cost: its page and its exports."""

from __future__ import annotations

from typing import Any

from litestar import Response, get

from argus_server.exports.comparisons import pareto_csv, pareto_json, pareto_markdown
from argus_server.pages.asking import READ, AnyRequest
from argus_server.pages.diagrams import pareto_chart
from argus_server.pages.model_views import export_of, page_of
from argus_server.ranking.pareto import rank_pareto
from argus_server.threads import in_thread

__all__ = ["PARETO_ROUTES"]


@get("/p/{project:str}/pareto", guards=READ)
@in_thread
def pareto_page(request: AnyRequest) -> Response[Any]:
    """Show what each model is worth and what it costs."""
    return page_of(
        request, "pareto", rank_pareto, lambda table, names: {"diagram": pareto_chart(table, names)}
    )


@get("/p/{project:str}/pareto.csv", guards=READ)
@in_thread
def pareto_as_csv(request: AnyRequest) -> Response[Any]:
    """Return the same as CSV, raw values."""
    return export_of(request, rank_pareto, pareto_csv, "text/csv")


@get("/p/{project:str}/pareto.json", guards=READ)
@in_thread
def pareto_as_json(request: AnyRequest) -> Response[Any]:
    """Return the same as JSON."""
    return export_of(request, rank_pareto, pareto_json, "application/json")


@get("/p/{project:str}/pareto.md", guards=READ)
@in_thread
def pareto_as_markdown(request: AnyRequest) -> Response[Any]:
    """Return every model with its quality and its cost as a Markdown table."""
    return export_of(request, rank_pareto, pareto_markdown, "text/markdown")


PARETO_ROUTES = [pareto_page, pareto_as_csv, pareto_as_json, pareto_as_markdown]
