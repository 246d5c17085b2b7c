"""From a template to a response."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Request, Response

from argus_server.auth import form_cookie, form_token
from argus_server.pages import filters
from argus_server.urls import path_to

__all__ = ["Page", "StaticFile", "address", "make_environment", "render", "static_files"]

_TYPES = {"css": "text/css", "svg": "image/svg+xml", "js": "text/javascript"}  # Litestar adds the charset


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file that travels in the package; `name` carries its hash, so it may be cached for ever."""

    name: str
    content: bytes
    media_type: str


def static_files() -> dict[str, StaticFile]:
    """Return the static files by their plain names."""
    files = {}
    for entry in sorted(resources.files("argus_server").joinpath("static").iterdir(), key=lambda e: e.name):
        stem, _, ending = entry.name.rpartition(".")
        if ending in _TYPES:
            content = entry.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:12]
            files[entry.name] = StaticFile(f"{stem}.{digest}.{ending}", content, _TYPES[ending])
    return files


def make_environment(files: dict[str, StaticFile]) -> Environment:
    """Return the templates' world: everything escaped, nothing undefined."""
    environment = Environment(
        loader=PackageLoader("argus_server"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["static"] = lambda name: f"/static/{files[name].name}"
    environment.globals["path_to"] = path_to
    environment.filters.update(
        ago=filters.ago,
        breakable=filters.breakable,
        duration=filters.duration,
        iso_time=filters.iso_time,
        plural=filters.plural,
        raw_text=filters.raw_text,
        span=filters.span,
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
    environment: Environment = request.app.state.templates
    cookie = form_cookie(request)
    text = environment.get_template(page.template).render(
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
    return Response(
        text,
        media_type="text/html",
        status_code=page.status_code,
        headers=page.headers,
        cookies=[cookie],
    )
