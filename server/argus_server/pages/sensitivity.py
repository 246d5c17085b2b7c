"""Places under many variants: its page and its exports."""

from __future__ import annotations

from typing import Any

from litestar import Response, get

from argus_server.exports.comparisons import sensitivity_csv, sensitivity_json, sensitivity_markdown
from argus_server.pages.asking import READ, AnyRequest
from argus_server.pages.diagrams import slope_graph
from argus_server.pages.model_views import export_of, page_of
from argus_server.ranking.sensitivity import rank_sensitivity
from argus_server.threads import in_thread

__all__ = ["SENSITIVITY_ROUTES"]


@get("/p/{project:str}/sensitivity", guards=READ)
@in_thread
def sensitivity_page(request: AnyRequest) -> Response[Any]:
    """Show whether the order holds however the board is made."""
    return page_of(
        request, "sensitivity", rank_sensitivity, lambda table, names: {"diagram": slope_graph(table, names)}
    )


@get("/p/{project:str}/sensitivity.csv", guards=READ)
@in_thread
def sensitivity_as_csv(request: AnyRequest) -> Response[Any]:
    """Return the same as CSV, raw values."""
    return export_of(request, rank_sensitivity, sensitivity_csv, "text/csv")


@get("/p/{project:str}/sensitivity.json", guards=READ)
@in_thread
def sensitivity_as_json(request: AnyRequest) -> Response[Any]:
    """Return the same as JSON."""
    return export_of(request, rank_sensitivity, sensitivity_json, "application/json")


@get("/p/{project:str}/sensitivity.md", guards=READ)
@in_thread
def sensitivity_as_markdown(request: AnyRequest) -> Response[Any]:
    """Return the places under every variant as a Markdown table."""
    return export_of(request, rank_sensitivity, sensitivity_markdown, "text/markdown")


SENSITIVITY_ROUTES = [sensitivity_page, sensitivity_as_csv, sensitivity_as_json, sensitivity_as_markdown]
