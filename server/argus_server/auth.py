"""Who is asking, and may they?

Programs send `Authorization: Bearer em_live_…`. Browsers have a session cookie, which is good for
pages and reading only: nothing that changes the store by `/api` takes a cookie, so no other site can
make a browser write. Every route names what it requires; a test enumerates them.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import anyio.to_thread
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult

from argus_server.storage.credentials import Credentials, Grant, Scope
from argus_server.urls import read_segment

__all__ = [
    "Authentication",
    "Guard",
    "check_form_token",
    "cookie_name",
    "form_cookie",
    "form_token",
    "public",
    "require",
    "session_cookie",
    "session_secret",
]

Connection = ASGIConnection[Any, Any, Any, Any]
Guard = Callable[[Connection, BaseRouteHandler], Awaitable[None]]

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="argus"'}


class Authentication(AbstractAuthenticationMiddleware):
    """Find out who is asking: a `Grant`, or None. Whether that is enough is the route's to say."""

    async def authenticate_request(self, connection: Connection) -> AuthenticationResult:
        """Return the grant of the bearer token, else that of the session cookie."""
        state = connection.app.state
        credentials: Credentials = state.store.credentials
        header = connection.headers.get("authorization")
        if header is not None:
            scheme, _, text = header.partition(" ")
            if scheme.lower() != "bearer":
                return AuthenticationResult(user=None, auth="bearer")
            grant = await anyio.to_thread.run_sync(
                credentials.check_token, text.strip(), limiter=state.door_threads
            )
            return AuthenticationResult(user=grant, auth="bearer")
        if secret := session_secret(connection):
            grant = await anyio.to_thread.run_sync(
                credentials.check_session, secret, limiter=state.door_threads
            )
            return AuthenticationResult(user=grant, auth="session")
        return AuthenticationResult(user=None, auth=None)


async def public(_connection: Connection, _handler: BaseRouteHandler) -> None:
    """Let anybody in. Written where it is meant, so that a route without a guard is a mistake."""


def require(*scopes: Scope) -> Guard:
    """Return a guard for callers with any of these scopes, for the project in the path if there is one."""

    async def guard(connection: Connection, _handler: BaseRouteHandler) -> None:
        grant: Grant | None = connection.scope.get("user")
        if grant is None or (connection.scope.get("auth") != "bearer" and "read" not in scopes):
            reason = "is unknown or revoked" if "authorization" in connection.headers else "is missing"
            raise NotAuthorizedException(
                detail=f"the token {reason}: send Authorization: Bearer em_live_…", headers=_CHALLENGE
            )
        if not any(grant.allows(scope) for scope in scopes):
            raise PermissionDeniedException(
                detail=f"this token may {grant.scope}; this needs {' or '.join(scopes)}"
            )
        project = connection.path_params.get("project")
        if project is not None and not grant.covers(read_segment(project)):
            raise PermissionDeniedException(detail="this token is for another project")

    guard.scopes = scopes  # type: ignore[attr-defined]
    return guard


# --- cookies and forms ------------------------------------------------------------------------

_FORM_COOKIE = "argus_form"


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
    secret = connection.cookies.get(_FORM_COOKIE) or secrets.token_urlsafe(32)
    return _cookie(connection, _FORM_COOKIE, secret, None)


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


def form_token(cookie: Cookie) -> str:
    """Return the hidden field of a form: only who can read our page knows it."""
    return hmac.new((cookie.value or "").encode(), b"argus form", hashlib.sha256).hexdigest()


def check_form_token(connection: Connection, sent: str) -> None:
    """Refuse a form that another site has sent.

    Raises:
        PermissionDeniedException: the hidden field does not match this browser's cookie.
    """
    secret = connection.cookies.get(_FORM_COOKIE, "")
    expected = hmac.new(secret.encode(), b"argus form", hashlib.sha256).hexdigest()
    if not secret or not hmac.compare_digest(expected.encode(), sent.encode("utf-8", "replace")):
        raise PermissionDeniedException(detail="this form is out of date; load the page again")
