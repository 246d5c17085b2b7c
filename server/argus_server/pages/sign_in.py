"""Signing in and out: with a token, or with the link that `argus serve` prints."""

from __future__ import annotations

from typing import Any

import anyio.to_thread
from litestar import Request, Response, get, post
from litestar.exceptions import TooManyRequestsException
from litestar.response import Redirect

from argus_server.auth import (
    check_form_token,
    public,
    session_cookie,
    session_secret,
)
from argus_server.errors import TokenExpired
from argus_server.limits import Doorkeeper, client_address
from argus_server.pages.render import Page, render
from argus_server.storage.credentials import SESSION_LIFETIME_S, Credentials, Grant
from argus_server.threads import in_thread

__all__ = ["SIGN_IN_ROUTES", "sign_in_form"]

AnyRequest = Request[Any, Any, Any]
_FORM_BYTES = 64 * 1024
"""Anybody may send these forms, so they are small."""


def sign_in_form(
    request: AnyRequest,
    *,
    target: str,
    status_code: int = 200,
    problem: str = "",
    headers: dict[str, str] | None = None,
) -> Response[str]:
    """Return the page with the form, which leads to `target` afterwards."""
    if status_code == 401:
        headers = {"WWW-Authenticate": 'Bearer realm="argus"'}
    context = {"target": local_path(target), "problem": problem}
    return render(request, Page("sign_in.html", context, status_code, headers))


def local_path(target: str) -> str:
    """Return a path on this server, `/` for anything that could lead elsewhere."""
    is_local = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if is_local else "/"


@get("/sign-in", guards=[public])
@in_thread
def sign_in_page(request: AnyRequest) -> Response[Any]:
    """Show the form; with `?code=…`, use the one-time link up and go to the projects."""
    target = request.query_params.get("next", "/")
    code = request.query_params.get("code")
    if code is None:
        return sign_in_form(request, target=target)
    grant = _credentials(request).redeem_code(code)
    if grant is not None:
        return _enter(request, grant, target)
    if _is_signed_in(request):
        return Redirect(local_path(target), status_code=303)
    problem = (
        "This link has been used or is too old. On the machine of the server, `argus token link` with the "
        "--database and --url of the server prints a new one; `argus serve` has said the whole command."
    )
    return _refuse(request, target, problem)


@post("/sign-in", guards=[public], status_code=200, request_max_body_size=_FORM_BYTES)
async def sign_in(request: AnyRequest) -> Response[Any]:
    """Exchange a token for a session."""
    form = await request.form()
    check_form_token(request, str(form.get("form_token", "")))
    target = str(form.get("next", "/"))
    text = str(form.get("token", "")).strip()

    return await anyio.to_thread.run_sync(_sign_in, request, text, target)


def _sign_in(request: AnyRequest, text: str, target: str) -> Response[Any]:
    try:
        grant = _credentials(request).check_token(text)
    except TokenExpired:
        return _refuse(request, target, "This token has expired.")
    if grant is None:
        problem = (
            "This token is unknown or revoked. It starts with em_live_ and has 32 characters after that."
        )
        return _refuse(request, target, problem)
    if grant.scope == "report":
        problem = "This token may only send events. Make one for reading: argus token create --scope read"
        return sign_in_form(request, target=target, status_code=401, problem=problem)
    return _enter(request, grant, target)


def _refuse(request: AnyRequest, target: str, problem: str) -> Response[str]:
    """Show the form again, or ask an address that has been wrong too often to wait."""
    doorkeeper: Doorkeeper = request.app.state.doorkeeper
    try:
        doorkeeper.count_failure(client_address(request), "this sign-in failed")
    except TooManyRequestsException as error:
        problem, headers = f"{problem} Too many sign-ins have failed; wait a little.", error.headers
        return sign_in_form(request, target=target, status_code=429, problem=problem, headers=headers)
    return sign_in_form(request, target=target, status_code=401, problem=problem)


@post("/sign-out", guards=[public], status_code=200, request_max_body_size=_FORM_BYTES)
async def sign_out(request: AnyRequest) -> Response[Any]:
    """End the session, on the server too."""
    form = await request.form()
    check_form_token(request, str(form.get("form_token", "")))
    if secret := session_secret(request):
        await anyio.to_thread.run_sync(_credentials(request).end_session, secret)
    gone = session_cookie(request, "", lifetime_s=0)
    return Redirect("/sign-in", status_code=303, cookies=[gone])


def _enter(request: AnyRequest, grant: Grant, target: str) -> Response[Any]:
    if earlier := session_secret(request):
        _credentials(request).end_session(earlier)
    secret = _credentials(request).create_session(grant)
    cookie = session_cookie(request, secret, lifetime_s=SESSION_LIFETIME_S)
    return Redirect(local_path(target), status_code=303, cookies=[cookie])


def _is_signed_in(request: AnyRequest) -> bool:
    return request.scope.get("user") is not None


def _credentials(request: AnyRequest) -> Credentials:
    credentials: Credentials = request.app.state.store.credentials
    return credentials


SIGN_IN_ROUTES = [sign_in_page, sign_in, sign_out]
