"""Errors as answers: a page for people, JSON for programs, and never a traceback."""

from __future__ import annotations

import difflib
import logging
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException

from argus_server.errors import (
    BadSettings,
    BadText,
    BadView,
    StoreBusy,
    StoreError,
    UnknownBatch,
    UnknownJob,
    UnknownProject,
)
from argus_server.pages.render import Page, address, render
from argus_server.pages.sign_in import sign_in_form

__all__ = ["EXCEPTION_HANDLERS"]

logger = logging.getLogger(__name__)

AnyRequest = Request[Any, Any, Any]
_TITLES = {
    400: "This request makes no sense",
    403: "Not allowed",
    404: "There is nothing here",
    405: "Not like this",
    413: "Too large",
    415: "Not in this format",
    422: "This cannot be set so",
    429: "Too much at once",
    500: "Something went wrong on this server",
    503: "The database does not answer in time",
}


def wants_html(request: AnyRequest) -> bool:
    """Whether a browser asks, for a page."""
    path = request.scope["path"]
    return not path.startswith(("/api/", "/schema")) and "text/html" in request.headers.get("accept", "")


def on_http_error(request: AnyRequest, error: HTTPException) -> Response[Any]:
    """Answer with the status of the error; who is not signed in gets the form at once."""
    headers = {name: value for name, value in (error.headers or {}).items() if name.lower() != "content-type"}
    if error.status_code == 401 and wants_html(request):
        return sign_in_form(request, target=address(request), status_code=401)
    return _problem(request, error.status_code, str(error.detail), headers)


def on_unknown_project(request: AnyRequest, error: UnknownProject) -> Response[Any]:
    """Say which projects there are, and how one comes into being."""
    grant = request.scope.get("user")
    names = [name for name in error.known if grant is not None and grant.covers(name)]
    folded = {name.casefold(): name for name in names}
    close = difflib.get_close_matches(error.project.casefold(), folded, n=3, cutoff=0.5)
    nearest = [folded[name] for name in close]
    if not wants_html(request):
        content = {"status_code": 404, "error": str(error), "nearest": nearest, "projects": names[:100]}
        return Response(content, status_code=404, media_type="application/json")
    context = {
        "unknown": error.project,
        "nearest": nearest,
        "names": names[:100],
        "live_awaits": error.project,
        "server_url": str(request.base_url).rstrip("/"),
    }
    return render(request, Page("unknown_project.html", context, 404))


def on_unknown_part(request: AnyRequest, error: UnknownBatch | UnknownJob) -> Response[Any]:
    """Answer 404."""
    return _problem(request, 404, str(error), {})


def on_bad_view(request: AnyRequest, error: BadView) -> Response[Any]:
    """Answer 400 and name the parameter; lead back to the page without any."""
    plain = request.scope["path"] if request.method == "GET" and request.query_params else ""
    return _problem(request, 400, str(error), {}, plain)


def on_bad_settings(request: AnyRequest, error: BadSettings) -> Response[Any]:
    """Answer 422 and name the value."""
    return _problem(request, 422, str(error), {})


def on_store_error(request: AnyRequest, error: StoreError) -> Response[Any]:
    """Answer 503: the sender keeps its events and tries again."""
    logger.error("%s %s failed", request.method, request.scope["path"], exc_info=error)
    return _problem(request, 503, "the database did not take this; try again", {"Retry-After": "5"})


def on_bad_text(request: AnyRequest, error: BadText) -> Response[Any]:
    """Answer 400 to who asks for what cannot be there; what is sent is not refused for good."""
    if request.method != "GET":
        return on_store_error(request, error)
    return _problem(request, 400, str(error), {})


def on_store_busy(request: AnyRequest, error: StoreBusy) -> Response[Any]:
    """Answer 503: nothing is broken, there are too many at once."""
    logger.warning("%s %s: %s", request.method, request.scope["path"], error)
    return _problem(request, 503, "too many requests wait for the database; try again", {"Retry-After": "2"})


def on_bug(request: AnyRequest, error: Exception) -> Response[Any]:
    """Answer 500 and keep the traceback for the log."""
    logger.error("%s %s failed", request.method, request.scope["path"], exc_info=error)
    return _problem(request, 500, "the server's log has the reason", {})


def _problem(
    request: AnyRequest, status: int, detail: str, headers: dict[str, str], plain: str = ""
) -> Response[Any]:
    """Return the answer. `plain` is where the page is that was asked for with a query that makes no sense."""
    if not wants_html(request):
        content = {"status_code": status, "error": detail}
        return Response(content, status_code=status, headers=headers, media_type="application/json")
    title = _TITLES.get(status, f"Error {status}")
    context = {"title": title, "detail": detail, "status_code": status, "plain": plain}
    return render(request, Page("problem.html", context, status, headers))


EXCEPTION_HANDLERS = {
    HTTPException: on_http_error,
    UnknownProject: on_unknown_project,
    UnknownBatch: on_unknown_part,
    UnknownJob: on_unknown_part,
    BadSettings: on_bad_settings,
    BadView: on_bad_view,
    BadText: on_bad_text,
    StoreError: on_store_error,
    StoreBusy: on_store_busy,
    Exception: on_bug,
}
