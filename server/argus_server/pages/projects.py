"""The home page: every project that the caller may see."""

from __future__ import annotations

import logging
from typing import Any

from litestar import Response, get

from argus_server.exports.text import iso_time
from argus_server.pages.asking import READ, AnyRequest, queries_of, server_url
from argus_server.pages.leaderboard import leader_in_time
from argus_server.pages.render import Page, render
from argus_server.ranking.leader import Leader
from argus_server.ranking.view import View
from argus_server.storage.queries import Queries
from argus_server.threads import in_thread
from argus_server.urls import path_to

__all__ = ["PROJECT_ROUTES"]

logger = logging.getLogger(__name__)

_LOOK_AGAIN_S = 5
"""So often an open page asks whether a project has changed; there may be hundreds of them."""


@get("/", guards=READ)
@in_thread
def projects_page(request: AnyRequest) -> Response[str]:
    """Show every project that the caller may see."""
    projects = [item for item in queries_of(request).projects() if request.user.sees(item.name)]
    leaders = {item.name: _leader_or_none(queries_of(request), item.name) for item in projects}
    context = {
        "projects": projects,
        **{name: sum(item.jobs[name] for item in projects) for name in ("running", "done", "failed")},
        "leaders": leaders,
        "public": request.app.state.store.credentials.public_projects(),
        "server_url": server_url(request),
        "live_poll_s": _LOOK_AGAIN_S,
    }
    return render(request, Page("projects.html", context))


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
    return {
        "projects": [
            {
                "project": item.name,
                "jobs": item.jobs,
                "n_batches": item.n_batches,
                "last_event_at": iso_time(item.last_event_us) or None,
                "leaderboard": path_to("p", item.name, "leaderboard"),
            }
            for item in queries_of(request).projects()
            if request.user.sees(item.name)
        ]
    }


PROJECT_ROUTES = [projects_page, projects_json]
