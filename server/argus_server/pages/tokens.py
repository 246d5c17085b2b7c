"""The page on which admins make, list and revoke tokens."""

from __future__ import annotations

from typing import Any, cast

import anyio.to_thread
from litestar import Request, Response, get, post
from litestar.exceptions import NotFoundException
from litestar.response import Redirect

from argus_server.auth import check_form_token, require_browser
from argus_server.errors import BadToken
from argus_server.lifetimes import read_lifetime
from argus_server.pages.render import Page, render
from argus_server.storage.credentials import SCOPES, Credentials, Grant, Scope, TokenInfo
from argus_server.threads import in_thread

__all__ = ["TOKEN_ROUTES"]

AnyRequest = Request[Any, Grant, Any]
ADMIN = [require_browser("admin")]
_LIFETIMES = ("", "1d", "7d", "30d", "90d", "1y")
_PATH = "/tokens"
_FIELDS = {"scope": "report", "project": "", "name": "", "expires": ""}


@get(_PATH, guards=ADMIN)
@in_thread
def tokens_page(request: AnyRequest) -> Response[str]:
    """Show the tokens that the caller may revoke; a query fills in the form for a new one."""
    asked = {name: request.query_params.get(name, default) for name, default in _FIELDS.items()}
    return _page(request, {"fields": asked})


@post(_PATH, guards=ADMIN, status_code=200)
async def create_token(request: AnyRequest) -> Response[str]:
    """Make a token and show it, this once."""
    form = await request.form()
    check_form_token(request, str(form.get("form_token", "")))
    fields = {name: str(form.get(name, "")).strip() for name in ("scope", "project", "name", "expires")}
    return await anyio.to_thread.run_sync(_create, request, fields)


def _create(request: AnyRequest, fields: dict[str, str]) -> Response[str]:
    try:
        text = _make(_credentials(request), request.user, fields)
    except (BadToken, ValueError) as error:
        return _page(request, {"problem": f"No token was made: {error}.", "fields": fields}, 422)
    return _page(request, {"made": text, "made_fields": fields})


def _make(credentials: Credentials, grant: Grant, fields: dict[str, str]) -> str:
    if fields["scope"] not in SCOPES:
        raise BadToken(f"{fields['scope']!r} is not a scope; {', '.join(SCOPES)} are")
    project = fields["project"] or grant.project
    if grant.project not in (None, project):
        raise BadToken(f"you may make tokens for the project {grant.project} only")
    lifetime_s = read_lifetime(fields["expires"]) if fields["expires"] else None
    scope = cast(Scope, fields["scope"])
    return credentials.create_token(scope, project, fields["name"] or None, lifetime_s=lifetime_s)


@post(f"{_PATH}/{{number:int}}/revoke", guards=ADMIN, status_code=200)
async def revoke_token(request: AnyRequest) -> Response[Any]:
    """Revoke a token at once. Who revokes the token of this session is signed out by it."""
    form = await request.form()
    check_form_token(request, str(form.get("form_token", "")))
    return await anyio.to_thread.run_sync(_revoke, request, request.path_params["number"])


def _revoke(request: AnyRequest, number: int) -> Response[Any]:
    if all(token.id != number for token in _tokens(request)):
        raise NotFoundException(detail=f"there is no token {number}")
    _credentials(request).revoke_token(number)
    return Redirect(_PATH, status_code=303)


def _page(request: AnyRequest, context: dict[str, Any], status_code: int = 200) -> Response[str]:
    tokens = sorted(_tokens(request), key=lambda item: (item.state != "active", -item.id))
    everything = {
        "current": "tokens",
        "tokens": tokens,
        "lifetimes": _LIFETIMES,
        "scopes": SCOPES,
        "own_project": request.user.project,
        "own_token": request.user.token_id,
        "projects": _projects(request, tokens),
        "fields": _FIELDS,
        "made": "",
        "problem": "",
        "server_url": str(request.base_url).rstrip("/"),
        **context,
    }
    headers = {"Cache-Control": "no-store"}  # a browser's history is no place for a token
    return render(request, Page("tokens.html", everything, status_code, headers))


def _projects(request: AnyRequest, tokens: list[TokenInfo]) -> list[str]:
    """Return the projects that there are, and those that tokens wait for."""
    names = {token.project for token in tokens if token.project is not None}
    names |= _credentials(request).projects().keys()
    return sorted(name for name in names if request.user.covers(name))


def _tokens(request: AnyRequest) -> list[TokenInfo]:
    """Return the tokens that the caller may see: an admin of one project has nothing to do with others."""
    own = request.user.project
    return [token for token in _credentials(request).tokens() if own is None or token.project == own]


def _credentials(request: AnyRequest) -> Credentials:
    credentials: Credentials = request.app.state.store.credentials
    return credentials


TOKEN_ROUTES = [tokens_page, create_token, revoke_token]
