"""What every page asks of its request."""

from __future__ import annotations

from typing import Any

from litestar import Request

from argus_server.auth import require
from argus_server.errors import BadView
from argus_server.pages.visitors import allowed_view
from argus_server.ranking.view import View
from argus_server.storage.credentials import Grant
from argus_server.storage.queries import Queries
from argus_server.urls import read_segment

__all__ = ["READ", "AnyRequest", "asked_view", "count_pages", "name_in", "queries_of", "server_url"]

AnyRequest = Request[Any, Grant, Any]
READ = [require("read", visitors=True)]


def queries_of(request: AnyRequest) -> Queries:
    """Return what can be asked of the store."""
    queries: Queries = request.app.state.store.queries
    return queries


def name_in(request: AnyRequest, parameter: str) -> str:
    """Return a name from the path."""
    return read_segment(request.path_params[parameter])


def asked_view(request: AnyRequest) -> View:
    """Return the view that the query asks for, as far as this caller may see it.

    Raises:
        BadView: a parameter means nothing.
    """
    view = View.parse(request.query_params.multi_items())
    return allowed_view(request.user, name_in(request, "project"), view)


def count_pages(view: View, total: int, page_rows: int) -> int:
    """Return how many pages there are.

    Raises:
        BadView: the view's page is not one of them.
    """
    pages = max(1, -(-total // page_rows))
    if view.page > pages:
        raise BadView(f"page={view.page} is not a page; the last one is {pages}")
    return pages


def server_url(request: AnyRequest) -> str:
    """Return the address under which the caller reaches this server."""
    return str(request.base_url).rstrip("/")
