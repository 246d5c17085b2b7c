"""The home page: every project that the caller may see."""

from __future__ import annotations

import logging
from typing import Any

from litestar import Response, get

from argus_server.exports.projects import (
    Listed,
    listed_record,
    project_record,
    projects_csv,
    projects_markdown,
)
from argus_server.pages.asking import READ, AnyRequest, queries_of, server_url
from argus_server.pages.files import file_links
from argus_server.pages.leaderboard import leader_in_time
from argus_server.pages.render import Page, render
from argus_server.ranking.leader import Leader
from argus_server.ranking.view import View
from argus_server.storage.queries import ProjectSummary, Queries
from argus_server.threads import in_thread

__all__ = ["PROJECT_ROUTES"]

logger = logging.getLogger(__name__)

_LOOK_AGAIN_S = 5
"""So often an open page asks whether a project has changed; there may be hundreds of them."""


@get("/", guards=READ)
@in_thread
def projects_page(request: AnyRequest) -> Response[str]:
    """Show every project that the caller may see."""
    projects = _listed(request)
    context = {
        "projects": projects,
        **{name: sum(item.summary.jobs[name] for item in projects) for name in ("running", "done", "failed")},
        "server_url": server_url(request),
        "live_poll_s": _LOOK_AGAIN_S,
        "exports": file_links("projects"),
    }
    return render(request, Page("projects.html", context))


def _seen(request: AnyRequest) -> list[ProjectSummary]:
    """Return every project that the caller may see."""
    return [item for item in queries_of(request).projects() if request.user.sees(item.name)]


def _listed(request: AnyRequest) -> list[Listed]:
    """Return the same, with who leads each."""
    queries, public = queries_of(request), request.app.state.store.credentials.public_projects()
    return [Listed(item, _leader_or_none(queries, item.name), item.name in public) for item in _seen(request)]


def _leader_or_none(queries: Queries, name: str) -> Leader | None:
    """Return who leads a project. A project that cannot be ranked does not take the others' page away."""
    try:
        with queries.board(name, View()) as board:
            return leader_in_time(View(), board)
    except Exception:
        logger.exception("the project %r cannot be ranked", name)
        return None


@get("/api/projects", guards=READ)
@in_thread
def projects_json(request: AnyRequest) -> dict[str, Any]:
    """List every project that the caller may see."""
    return {"projects": [project_record(item) for item in _seen(request)]}


@get("/projects.json", guards=READ)
@in_thread
def projects_as_json(request: AnyRequest) -> dict[str, Any]:
    """Return every project of the home page, with who leads it."""
    return {"projects": [listed_record(item) for item in _listed(request)]}


@get("/projects.csv", guards=READ)
@in_thread
def projects_as_csv(request: AnyRequest) -> Response[str]:
    """Return every project of the home page as CSV."""
    return Response(projects_csv(_listed(request)), media_type="text/csv")


@get("/projects.md", guards=READ)
@in_thread
def projects_as_markdown(request: AnyRequest) -> Response[str]:
    """Return every project of the home page as a Markdown table."""
    return Response(projects_markdown(_listed(request)), media_type="text/markdown")


PROJECT_ROUTES = [projects_page, projects_json, projects_as_json, projects_as_csv, projects_as_markdown]
