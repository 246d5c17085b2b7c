"""Answer 304 where a browser already has what it asks for."""

from __future__ import annotations

import hashlib
from typing import Any

from litestar import Request, Response

from argus_server.auth import FORM_COOKIE, form_cookie, form_token

__all__ = ["entity_tag", "not_modified"]


def entity_tag(request: Request[Any, Any, Any], *parts: object) -> str:
    """Return a weak ETag for what this caller gets at this URL while `parts` stay as they are."""
    who = (request.scope.get("user"), request.scope.get("auth"), _form_token(request))
    said = (str(request.url), request.headers.get("accept", ""), request.app.state.build, who, parts)
    return f'W/"{hashlib.blake2b(repr(said).encode("utf-8", "replace"), digest_size=16).hexdigest()}"'


def _form_token(request: Request[Any, Any, Any]) -> str | None:
    """Return what the forms of the page carry; None if the answer has to bring a new cookie for them."""
    return form_token(request, form_cookie(request)) if FORM_COOKIE in request.cookies else None


def not_modified(request: Request[Any, Any, Any], tag: str) -> Response[None] | None:
    """Return the 304 if the caller has the answer with this tag; None if it must be made."""
    sent = {part.strip() for part in request.headers.get("if-none-match", "").split(",")}
    return Response(None, status_code=304, headers={"ETag": tag}) if sent & {tag, "*"} else None
