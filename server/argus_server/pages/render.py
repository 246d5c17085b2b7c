"""From a template to a response."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Request, Response

from argus_server.auth import form_cookie, form_token
from argus_server.pages import filters
from argus_server.pages.static import PLOTLY, plotly_styles, static_files
from argus_server.pages.strips import share_strip
from argus_server.urls import job_key, path_to

__all__ = ["Page", "address", "render", "templates"]


@cache
def templates() -> Environment:
    """Return the templates' world: everything escaped, nothing undefined; compiled once in a process."""
    files = static_files()
    environment = Environment(
        loader=PackageLoader("argus_server"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals["static"] = lambda name: f"/static/{files[name].name}"
    environment.globals["path_to"] = path_to
    environment.globals["job_key"] = job_key
    environment.globals["plotly"] = f"/static/{files[PLOTLY].name}" if PLOTLY in files else ""
    environment.globals["plotly_styles"] = plotly_styles()
    environment.globals["strip"] = share_strip
    environment.filters.update(
        ago=filters.ago,
        breakable=filters.breakable,
        clock=filters.clock,
        duration=filters.duration,
        iso_time=filters.iso_time,
        percent=filters.percent,
        plural=filters.plural,
        raw_text=filters.raw_text,
        span=filters.span,
        short=filters.short,
        when=filters.when,
    )
    return environment


def address(request: Request[Any, Any, Any]) -> str:
    """Return the path and query that were asked for."""
    query = request.scope.get("query_string", b"").decode("latin-1")
    return request.scope["path"] + (f"?{query}" if query else "")


@dataclass(frozen=True, slots=True)
class Page:
    """What a handler asks to be shown."""

    template: str
    context: dict[str, Any]
    status_code: int = 200
    headers: dict[str, str] | None = None


def render(request: Request[Any, Any, Any], page: Page) -> Response[str]:
    """Return the page as HTML, with the cookie that its forms are checked against."""
    cookie = form_cookie(request)
    text = (
        templates()
        .get_template(page.template)
        .render(
            {
                "grant": request.scope.get("user"),
                "form_token": form_token(request, cookie),
                "signed_in": request.scope.get("auth") == "session",
                "project": None,
                "current": "",
                "pulse": None,
                "live_url": "",
                "live_poll_s": 0,
                "live_awaits": "",
                "here": address(request),
                **page.context,
            }
        )
    )
    return Response(
        text,
        media_type="text/html",
        status_code=page.status_code,
        headers=page.headers,
        cookies=[cookie],
    )
