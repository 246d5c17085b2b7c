"""Who is asking, and may they?

Programs send `Authorization: Bearer em_live_…`. Browsers have a session cookie, which is good for
pages, reading, and the forms of `require_browser`, which carry a token of their own: nothing under
`/api` that changes the store takes a cookie, so no other site can make a browser write. Projects that
are public are shown to visitors, who have neither. Every route names what it requires; a test
enumerates them.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio.to_thread
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult

from argus_server.errors import StoreError, TokenExpired
from argus_server.limits import Doorkeeper, client_address
from argus_server.storage.credentials import Credentials, Grant, Scope
from argus_server.urls import read_segment

__all__ = [
    "FORM_COOKIE",
    "Authentication",
    "Guard",
    "check_form_token",
    "cookie_name",
    "form_cookie",
    "form_token",
    "public",
    "require",
    "require_browser",
    "session_cookie",
    "session_secret",
    "writing_uses",
]

logger = logging.getLogger(__name__)

Connection = ASGIConnection[Any, Any, Any, Any]
Guard = Callable[[Connection, BaseRouteHandler], Awaitable[None]]

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="argus"'}
_USES_EVERY_S = 60


class Authentication(AbstractAuthenticationMiddleware):
    """Find out who is asking: a `Grant`, or None. Whether that is enough is the route's to say."""

    async def authenticate_request(self, connection: Connection) -> AuthenticationResult:
        """Return the grant of the bearer token, else that of the session cookie."""
        header = connection.headers.get("authorization")
        if header is not None:
            scheme, _, text = header.partition(" ")
            if scheme.lower() == "bearer":
                return await self._bearer(connection, text.strip())
            return AuthenticationResult(user=None, auth="bearer")
        if secret := session_secret(connection):
            credentials: Credentials = connection.app.state.store.credentials
            grant = await _at_the_door(connection, credentials.check_session, secret)
            return AuthenticationResult(user=grant, auth="session")
        return AuthenticationResult(user=None, auth=None)

    async def _bearer(self, connection: Connection, text: str) -> AuthenticationResult:
        credentials: Credentials = connection.app.state.store.credentials
        if grant := credentials.recall_token(text):
            return AuthenticationResult(user=grant, auth="bearer")
        try:
            grant = await _at_the_door(connection, credentials.check_token, text)
        except TokenExpired:
            return AuthenticationResult(user=None, auth="expired")
        return AuthenticationResult(user=grant, auth="bearer")


async def _at_the_door(connection: Connection, ask: Callable[..., Any], *arguments: Any) -> Any:
    """Ask the store in a thread that no page holds."""
    return await anyio.to_thread.run_sync(ask, *arguments, limiter=connection.app.state.intake.door_threads)


async def public(_connection: Connection, _handler: BaseRouteHandler) -> None:
    """Let anybody in. Written where it is meant, so that a route without a guard is a mistake."""


def require(*scopes: Scope, visitors: bool = False) -> Guard:
    """Return a guard for callers with any of these scopes, for the project in the path if there is one.

    A browser's session is enough for reading. With `visitors`, a public project is shown to everybody, and
    a route without a project in its path to those for whom there is one.
    """

    async def guard(connection: Connection, _handler: BaseRouteHandler) -> None:
        project = _project(connection)
        if visitors:
            await _invite(connection, project)
        grant: Grant | None = connection.scope.get("user")
        if grant is None or (connection.scope.get("auth") == "session" and "read" not in scopes):
            raise _unauthorized(connection)
        if not grant.public:
            _check_scope(grant, scopes, project)
        _admit(connection, grant, reports="report" in scopes)

    guard.scopes, guard.visitors = scopes, visitors  # type: ignore[attr-defined]
    return guard


def require_browser(scope: Scope) -> Guard:
    """Return a guard for pages with forms: for sessions, and bearers, with this scope.

    A handler that changes anything calls `check_form_token` first.
    """

    async def guard(connection: Connection, _handler: BaseRouteHandler) -> None:
        grant: Grant | None = connection.scope.get("user")
        if grant is None:
            raise _unauthorized(connection)
        _check_scope(grant, (scope,), _project(connection))
        _admit(connection, grant, reports=False)

    guard.scopes, guard.visitors = (scope,), False  # type: ignore[attr-defined]
    return guard


def _project(connection: Connection) -> str | None:
    name = connection.path_params.get("project")
    return None if name is None else read_segment(name)


async def _invite(connection: Connection, project: str | None) -> None:
    """Add what is public to the caller's grant, if only that opens the route.

    A wrong token is no visitor: its owner believes to have more, and should hear that it is not so.
    """
    grant: Grant | None = connection.scope.get("user")
    if grant is None and "authorization" in connection.headers:
        return
    if grant is not None and grant.allows("read", project) and (project or grant.project is None):
        return
    credentials: Credentials = connection.app.state.store.credentials
    names = await _at_the_door(connection, credentials.public_projects)
    if names and (project is None or project in names):
        connection.scope["user"] = replace(grant or Grant("visitor"), public=names)


def _check_scope(grant: Grant, scopes: tuple[Scope, ...], project: str | None) -> None:
    if not any(grant.allows(scope) for scope in scopes):
        raise PermissionDeniedException(
            detail=f"this token may {grant.scope}; this needs {' or '.join(scopes)}"
        )
    if project is not None and not grant.covers(project):
        raise PermissionDeniedException(detail="this token is for another project")


def _admit(connection: Connection, grant: Grant, *, reports: bool) -> None:
    """Count the request for its token; those without one count together with their address."""
    if "argus_failure" in connection.scope:  # the short way has counted it, see `shortcut`
        return
    doorkeeper: Doorkeeper = connection.app.state.doorkeeper
    key = client_address(connection) if grant.token_id is None else grant.token_id
    doorkeeper.admit(key, reports=reports)


def _unauthorized(connection: Connection) -> NotAuthorizedException:
    """Return the 401 that says what is missing, having counted a wrong token for its address."""
    if "authorization" not in connection.headers:
        detail = "the token is missing"
    else:
        expired = connection.scope.get("auth") == "expired"
        detail = "the token has expired" if expired else "the token is unknown or revoked"
        doorkeeper: Doorkeeper = connection.app.state.doorkeeper
        doorkeeper.count_failure(client_address(connection), detail)
    return NotAuthorizedException(
        detail=f"{detail}: send Authorization: Bearer em_live_…", headers=_CHALLENGE
    )


@asynccontextmanager
async def writing_uses(credentials: Credentials) -> AsyncIterator[None]:
    """Write down when keys were used, now and then and at the end; no request waits for it."""

    async def write() -> None:
        try:
            await anyio.to_thread.run_sync(credentials.write_uses)
        except StoreError as error:
            logger.warning("when keys were last used is not written down: %s", error)

    async def now_and_then() -> None:
        while True:
            await asyncio.sleep(_USES_EVERY_S)
            await write()

    task = asyncio.create_task(now_and_then())
    try:
        yield
    finally:
        task.cancel()
        await write()


# --- cookies and forms ------------------------------------------------------------------------

FORM_COOKIE = "argus_form"


def cookie_name(connection: Connection) -> str:
    """Return the name of the session cookie: cookies know no ports, and two servers may share a host."""
    return f"argus_session_{connection.url.port or 'default'}"


def session_secret(connection: Connection) -> str | None:
    """Return what the browser's session cookie holds."""
    return connection.cookies.get(cookie_name(connection))


def session_cookie(connection: Connection, secret: str, *, lifetime_s: int) -> Cookie:
    """Return the cookie that keeps a browser signed in; scripts cannot read it."""
    return _cookie(connection, cookie_name(connection), secret, lifetime_s)


def form_cookie(connection: Connection) -> Cookie:
    """Return the cookie that proves a form came from us, the browser's own if it has one."""
    secret = connection.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(32)
    return _cookie(connection, FORM_COOKIE, secret, None)


def _cookie(connection: Connection, name: str, value: str, max_age: int | None) -> Cookie:
    return Cookie(
        key=name,
        value=value,
        path="/",
        httponly=True,
        samesite="lax",
        secure=connection.url.scheme == "https",
        max_age=max_age,
    )


def form_token(connection: Connection, cookie: Cookie) -> str:
    """Return the hidden field of a form: only who can read our page, in this session, knows it."""
    return _form_token(cookie.value or "", session_secret(connection) or "")


def _form_token(form_secret: str, session: str) -> str:
    return hmac.new(f"{form_secret}|{session}".encode(), b"argus form", hashlib.sha256).hexdigest()


def check_form_token(connection: Connection, sent: str) -> None:
    """Refuse a form that another site has sent.

    Raises:
        PermissionDeniedException: the hidden field does not match this browser's cookies, or the
            browser says that the form comes from elsewhere.
    """
    secret = connection.cookies.get(FORM_COOKIE, "")
    expected = _form_token(secret, session_secret(connection) or "")
    if not secret or not hmac.compare_digest(expected.encode(), sent.encode("utf-8", "replace")):
        raise PermissionDeniedException(detail="this form is out of date; load the page again")
    if connection.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise PermissionDeniedException(detail="this form was sent by another site")
