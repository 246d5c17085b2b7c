"""Views with a name: they stand above the page they are of, and admins look after them there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

import anyio.to_thread
from litestar import Response, post
from litestar.response import Redirect
from msgspec import structs

from argus_server.auth import check_form_token, require_browser
from argus_server.errors import BadView
from argus_server.pages.asking import AnyRequest, name_in
from argus_server.pages.visitors import allowed_view
from argus_server.ranking.view import View
from argus_server.storage.saved_views import SavedViews
from argus_server.urls import path_to

__all__ = ["SAVED_VIEW_ROUTES", "ViewLink", "saved_views"]

ADMIN = [require_browser("admin")]
_PAGES = ("leaderboard",)
_FORM_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class ViewLink:
    """A saved view as this caller sees it."""

    name: str
    href: str
    is_shown: bool
    is_default: bool


def saved_views(request: AnyRequest, project: str, page: str, shown: View) -> list[ViewLink]:
    """Return the saved views of a page; for visitors only those that tell nothing of hosts and users.

    Args:
        request: who asks.
        project: whose views.
        page: the page they are of.
        shown: the view that is on the page.
    """
    saved = _store(request).of(project, page)
    if not saved:
        return []
    default = request.app.state.store.settings.read(project).default_view
    now = shown.query(page=1)
    links = []
    for item in saved:
        query = parse_qsl(item.query)
        try:
            view = View.parse(query)
        except BadView:  # another version of Argus saved it
            continue
        if allowed_view(request.user, project, view) == view:
            href = path_to("p", project, page, query=query)
            links.append(ViewLink(item.name, href, query == now, bool(query) and item.query == default))
    return links


@post("/p/{project:str}/views", guards=ADMIN, status_code=200, request_max_body_size=_FORM_BYTES)
async def change_saved_views(request: AnyRequest) -> Response[Any]:
    """Save, rename or delete a view, or make it the project's default; `do` says which."""
    form = await request.form()
    check_form_token(request, str(form.get("form_token", "")))
    fields = {name: str(form.get(name, "")).strip() for name in ("do", "page", "name", "new_name", "query")}
    return await anyio.to_thread.run_sync(_change, request, fields)


def _change(request: AnyRequest, fields: dict[str, str]) -> Response[Any]:
    project, page, views = name_in(request, "project"), fields["page"], _store(request)
    if page not in _PAGES:
        raise BadView(f"page={page} has no saved views; {', '.join(_PAGES)} has")
    name, back = fields["name"], _canonical(fields["query"])
    if fields["do"] == "save":
        views.save(project, page, name, urlencode(back))
    elif fields["do"] == "rename":
        views.rename(project, page, name, fields["new_name"])
    elif fields["do"] == "delete":
        views.delete(project, page, name)
    elif fields["do"] == "default":
        _make_default(request, project, page, name)
    else:
        raise BadView(f"do={fields['do']} is nothing that can be done with a view")
    return Redirect(path_to("p", project, page, query=back), status_code=303)


def _make_default(request: AnyRequest, project: str, page: str, name: str) -> None:
    """Let the project's own address show a view; what the view becomes later changes nothing there."""
    query = {view.name: view.query for view in _store(request).of(project, page)}.get(name)
    if query is None:
        raise BadView(f"there is no saved view {name!r}")
    request.app.state.store.settings.change(project, lambda known: structs.replace(known, default_view=query))


def _canonical(query: str) -> Sequence[tuple[str, str]]:
    """Return the parameters of a view as every link has them, from its first page."""
    return View.parse(parse_qsl(query)).query(page=1)


def _store(request: AnyRequest) -> SavedViews:
    views: SavedViews = request.app.state.store.saved_views
    return views


SAVED_VIEW_ROUTES = [change_saved_views]
