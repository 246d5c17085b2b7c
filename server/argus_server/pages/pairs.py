"""Every model against every other: its page and its exports."""

from __future__ import annotations

from functools import partial
from typing import Any

from litestar import Response, get

from argus_server.exports.comparisons import pairs_csv, pairs_json, pairs_markdown
from argus_server.exports.pairs_latex import pairs_latex
from argus_server.pages.asking import READ, AnyRequest, name_in, queries_of
from argus_server.pages.diagrams import critical_differences
from argus_server.pages.files import PAPER_FILES
from argus_server.pages.model_views import export_of, page_of
from argus_server.ranking.pairs import rank_pairs
from argus_server.threads import in_thread

__all__ = ["PAIRS_ROUTES"]


@get("/p/{project:str}/pairs", guards=READ)
@in_thread
def pairs_page(request: AnyRequest) -> Response[Any]:
    """Show every model against every other."""
    return page_of(
        request,
        "pairs",
        rank_pairs,
        lambda table, names: {"diagram": critical_differences(table, names)},
        PAPER_FILES,
    )


@get("/p/{project:str}/pairs.csv", guards=READ)
@in_thread
def pairs_as_csv(request: AnyRequest) -> Response[Any]:
    """Return the same as CSV, raw values."""
    return export_of(request, rank_pairs, pairs_csv, "text/csv")


@get("/p/{project:str}/pairs.json", guards=READ)
@in_thread
def pairs_as_json(request: AnyRequest) -> Response[Any]:
    """Return the same as JSON."""
    return export_of(request, rank_pairs, pairs_json, "application/json")


@get("/p/{project:str}/pairs.md", guards=READ)
@in_thread
def pairs_as_markdown(request: AnyRequest) -> Response[Any]:
    """Return all pairs as a Markdown table."""
    return export_of(request, rank_pairs, pairs_markdown, "text/markdown")


@get("/p/{project:str}/pairs.tex", guards=READ)
@in_thread
def pairs_as_latex(request: AnyRequest) -> Response[Any]:
    """Return all pairs as a table for a paper."""
    version = queries_of(request).version(name_in(request, "project"))
    return export_of(request, rank_pairs, partial(pairs_latex, version=version), "application/x-tex")


PAIRS_ROUTES = [pairs_page, pairs_as_csv, pairs_as_json, pairs_as_markdown, pairs_as_latex]
