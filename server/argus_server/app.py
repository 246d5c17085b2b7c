"""The application: routes, guards, and what holds for every answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import anyio
import anyio.to_thread
from litestar import Litestar, Request, Router, get
from litestar.config.compression import CompressionConfig
from litestar.datastructures import MutableScopeHeaders, State
from litestar.middleware import DefineMiddleware
from litestar.openapi import OpenAPIConfig
from litestar.types import Message, Scope

from argus_server.auth import Authentication, public, require, writing_uses
from argus_server.bodies import BoundedBodies, Memory
from argus_server.ingest import INGEST_ROUTES
from argus_server.intake import Intake
from argus_server.limits import Doorkeeper
from argus_server.live import LIVE_ROUTES, LiveFeed
from argus_server.openapi import DocumentPlugin
from argus_server.operations import OPERATION_ROUTES, Metrics, Readiness, observed
from argus_server.pages.problems import EXCEPTION_HANDLERS
from argus_server.pages.routes import PAGE_ROUTES
from argus_server.pages.sign_in import SIGN_IN_ROUTES
from argus_server.pages.static import STATIC_ROUTES, static_files
from argus_server.pages.tokens import TOKEN_ROUTES
from argus_server.settings import Settings
from argus_server.sharing import Shared
from argus_server.shortcut import Shortcut
from argus_server.storage.credentials import Grant
from argus_server.storage.store import SqlStore, open_store
from argus_server.storage.writer import Commit, GroupWriter
from argus_server.urls import RawPathLitestar

__all__ = ["create_app"]

_LAST_COMMIT_S = 5
"""How long a database that hangs may keep the process when it is asked to stop."""
_BOARDS_BYTES = 16 * 1024 * 1024
"""What the boards that pages share may take in memory."""
_SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


@get("/api/token", guards=[require("report", "read", "admin")])
async def own_token(request: Request[Any, Any, Any]) -> dict[str, str | None]:
    """Say what the caller's own token is good for; `argus doctor` asks."""
    grant: Grant = request.user
    return {"scope": grant.scope, "project": grant.project}


async def _add_headers(message: Message, _scope: Scope) -> None:
    """Give every answer, the errors too, the headers that keep browsers honest."""
    if message["type"] != "http.response.start":
        return
    _complete(MutableScopeHeaders.from_message(message))


def _complete(headers: MutableScopeHeaders) -> None:
    for name, value in _SECURITY_HEADERS.items():
        headers.setdefault(name, value)
    is_page = headers.get("content-type", "").startswith("text/html")
    headers.setdefault("Cache-Control", "private, no-cache" if is_page else "no-store")
    if "immutable" not in headers["Cache-Control"]:
        headers["Vary"] = "Accept, Accept-Encoding, Authorization, Cookie"


class _Application(RawPathLitestar):
    """Counts every request, and writes its line into the log."""

    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await observed(self._answer, scope, receive, send, self.state.metrics)
        else:
            await super().answer(scope, receive, send)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        if not await self.state.shortcut.take(scope, receive, send):
            await super().answer(scope, receive, send)


def _json_headers() -> list[tuple[bytes, bytes]]:
    """Return the headers of every answer in JSON."""
    message: Any = {"type": "http.response.start", "headers": [(b"content-type", b"application/json")]}
    _complete(MutableScopeHeaders.from_message(message))
    return list(message["headers"])


def _watch(metrics: Metrics, writer: GroupWriter, live: LiveFeed, store: SqlStore) -> None:
    metrics.watch("argus_writer_requests", "Requests that wait for a commit.", lambda: writer.waiting[0])
    metrics.watch("argus_writer_bytes", "The size of what waits for a commit.", lambda: writer.waiting[1])
    metrics.watch("argus_live_listeners", "Pages that listen for changes.", lambda: live.listeners)
    metrics.watch(
        "argus_remembered_bytes",
        "What is remembered of leaderboards takes in memory, about.",
        lambda: store.queries.remembered_bytes,
    )


def create_app(settings: Settings) -> Litestar:
    """Return the application. It opens its database, and migrates it, when it starts up."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        settings: Settings = app.state.settings
        limits = settings.limits
        store = await anyio.to_thread.run_sync(open_store, settings.database, limits.remembered_bytes)
        metrics = app.state.metrics = Metrics()
        live = app.state.live = LiveFeed(settings.database, max_listeners=limits.live_listeners)
        readiness = app.state.readiness = Readiness(settings.database)

        def on_commit(commit: Commit) -> None:
            metrics.committed(commit)
            live.committed(commit)

        writer = GroupWriter(
            store,
            waiting_requests=limits.waiting_requests,
            waiting_bytes=limits.waiting_bytes,
            on_commit=on_commit,
        )
        writer.start()
        _watch(metrics, writer, live, store)
        app.state.store, app.state.writer = store, writer
        app.state.intake = Intake(store, writer, metrics, limits)
        app.state.shortcut = Shortcut(app.state, _json_headers())
        app.state.memory = Memory(limits.held_bytes)
        app.state.doorkeeper = Doorkeeper(limits)
        app.state.boards = Shared(_BOARDS_BYTES)
        try:
            async with live.running(), writing_uses(store.credentials):
                yield
        finally:
            await anyio.to_thread.run_sync(writer.close, _LAST_COMMIT_S)
            for part in (readiness, store):
                await anyio.to_thread.run_sync(part.close)

    files = static_files()
    state = State(
        {
            "settings": settings,
            "static": {file.name: file for file in files.values()},
            "build": f"{version('argus-leaderboard')} {sorted(file.name for file in files.values())}",
        }
    )
    return _Application(
        route_handlers=[
            *INGEST_ROUTES,
            *PAGE_ROUTES,
            *SIGN_IN_ROUTES,
            *TOKEN_ROUTES,
            *LIVE_ROUTES,
            *OPERATION_ROUTES,
            own_token,
            *STATIC_ROUTES,
        ],
        lifespan=[lifespan],
        state=state,
        middleware=[
            BoundedBodies,
            DefineMiddleware(Authentication, exclude=["^/static/", "^/healthz$", "^/readyz$"]),
        ],
        exception_handlers=EXCEPTION_HANDLERS,  # type: ignore[arg-type]
        before_send=[_add_headers],
        compression_config=CompressionConfig(
            backend="gzip",
            minimum_size=1000,
            gzip_compress_level=1,
            exclude=[r"^/api/events"],
            exclude_opt_key="uncompressed",
        ),
        request_max_body_size=settings.limits.body_bytes,
        logging_config=None,
        openapi_config=OpenAPIConfig(
            title="Argus",
            version="1.1",
            path="/schema",
            render_plugins=[DocumentPlugin(path="/openapi.json")],
            openapi_router=Router(path="/schema", route_handlers=[], guards=[public]),
        ),
    )
