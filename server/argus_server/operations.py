"""What whoever runs the server wants to know: is it ready, how much does it do, what happened.

A line of the log and a label of a metric name the route, `/p/{project}/leaderboard`, never the path:
paths are without number, and a query may hold a sign-in code.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections import Counter as Counts
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import anyio
import anyio.to_thread
from litestar import Request, Response, get
from litestar.connection import ASGIConnection
from litestar.exceptions import PermissionDeniedException
from litestar.handlers import BaseRouteHandler
from litestar.types import Message, Receive, Scope, Send
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from argus_server.auth import public, require
from argus_server.errors import StoreError
from argus_server.storage.watch import Watch
from argus_server.storage.writer import Commit
from argus_server.urls import read_segment

__all__ = ["OPERATION_ROUTES", "Metrics", "Readiness", "configure_logging", "observed"]

access = logging.getLogger("argus_server.access")

_CHECK_S = 3
_FRESH_S = 1.0
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_EVENTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)


# --- ready ------------------------------------------------------------------------------------


class Readiness:
    """Whether requests should be sent here. Many may ask; the database is asked once a second at most."""

    def __init__(self, database: str) -> None:
        self._watch = Watch(database)
        self._asking: asyncio.Task[str | None] | None = None
        self._answer: tuple[float, str | None] = (float("-inf"), None)
        self.stopping = False

    async def reason_against(self) -> str | None:
        """Return why not, or None if the server is ready."""
        if self.stopping:
            return "the server is shutting down"
        if time.monotonic() - self._answer[0] > _FRESH_S:
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask())
            done, _ = await asyncio.wait([self._asking], timeout=_CHECK_S)
            if not done:
                return "the database does not answer"
        return self._answer[1]

    async def _ask(self) -> str | None:
        reason = None
        try:
            await anyio.to_thread.run_sync(self._watch.check, abandon_on_cancel=True)
        except StoreError as error:
            reason = str(error)
        self._answer = (time.monotonic(), reason)
        return reason

    def close(self) -> None:
        """Let go of the database."""
        self._watch.close()


@get("/healthz", guards=[public])
async def healthz() -> dict[str, str]:
    """Say that the process lives. A database that is away is no reason to start it again."""
    return {"status": "ok"}


@get("/readyz", guards=[public])
async def readyz(request: Request[Any, Any, Any]) -> Response[dict[str, str]]:
    """Say whether requests should be sent here: the database answers, its tables fit, no shutdown."""
    readiness: Readiness = request.app.state.readiness
    reason = await readiness.reason_against()
    if reason is None:
        return Response({"status": "ok"})
    headers = {"Retry-After": "2"}
    return Response({"status": "not ready", "reason": reason}, status_code=503, headers=headers)


# --- metrics ----------------------------------------------------------------------------------


class Metrics:
    """The counters of one process, in a registry of their own. Any thread may count."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._events = Counter(
            "argus_events",
            "Events that were sent, by what became of them.",
            ["type", "result"],
            registry=registry,
        )
        self._requests = Counter(
            "argus_http_requests",
            "Requests that were answered.",
            ["method", "route", "status"],
            registry=registry,
        )
        self._durations = Histogram(
            "argus_http_request_duration_seconds",
            "From the request's head to the answer's end; live streams are not counted.",
            ["method", "route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._commits = Histogram(
            "argus_commit_duration_seconds", "Commits of events.", buckets=_SECONDS, registry=registry
        )
        self._group_events = Histogram(
            "argus_commit_events", "Events in one commit.", buckets=_EVENTS, registry=registry
        )
        self._group_requests = Histogram(
            "argus_commit_requests", "Requests that shared one commit.", buckets=_EVENTS, registry=registry
        )

    def watch(self, name: str, description: str, value: Callable[[], float]) -> None:
        """Add a gauge that is read whenever somebody asks."""
        Gauge(name, description, registry=self.registry).set_function(value)

    def committed(self, commit: Commit) -> None:
        """Count a commit."""
        pairs = zip(commit.events, commit.stored, strict=True)
        for (kind, is_new), count in Counts(
            (event.event_type, stored.is_new) for event, stored in pairs
        ).items():
            self._events.labels(kind, "accepted" if is_new else "deduplicated").inc(count)
        self._commits.observe(commit.duration_s)
        self._group_events.observe(len(commit.events))
        self._group_requests.observe(commit.n_requests)

    def rejected(self, count: int) -> None:
        """Count events that were refused: what is broken has no type that could be trusted."""
        if count:
            self._events.labels("unknown", "rejected").inc(count)

    def answered(self, method: str, route: str, status: int, seconds: float, *, is_stream: bool) -> None:
        """Count a request."""
        name = method if method in _METHODS else "other"
        self._requests.labels(name, route, str(status)).inc()
        if not is_stream:
            self._durations.labels(name, route).observe(seconds)


async def whole_server(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """Let in who may read every project: the numbers are about all of them together."""
    grant = connection.scope.get("user")
    if grant is None or grant.project is not None:
        raise PermissionDeniedException(detail="this needs a token for every project")


@get("/metrics", guards=[require("read"), whole_server])
async def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Return the numbers of this process, in Prometheus' text format."""
    kept: Metrics = request.app.state.metrics
    return Response(generate_latest(kept.registry), media_type=CONTENT_TYPE_LATEST)


OPERATION_ROUTES = [healthz, readyz, metrics]


# --- every request ----------------------------------------------------------------------------


class _Answer:
    """What is known of an answer once it has been sent."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 499  # the client has gone before there was one
        self.n_bytes = 0
        self.is_stream = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.is_stream = any(
                name.lower() == b"content-type" and value.startswith(b"text/event-stream")
                for name, value in message["headers"]
            )
        elif message["type"] == "http.response.body":
            self.n_bytes += len(message.get("body", b""))
        await self._send(message)


async def observed(
    app: Callable[[Scope, Receive, Send], Any], scope: Scope, receive: Receive, send: Send, metrics: Metrics
) -> None:
    """Answer a request, count it, and write its line into the log."""
    began = time.perf_counter()
    answer = _Answer(send)
    try:
        await app(scope, receive, answer.send)
    except Exception:
        if answer.status == 499:
            answer.status = 500
        raise
    finally:
        route = scope.get("path_template") or "(none)"
        seconds = time.perf_counter() - began
        method = "HEAD" if scope.get("argus_head") else str(scope.get("method", ""))
        metrics.answered(method, route, answer.status, seconds, is_stream=answer.is_stream)
        if access.isEnabledFor(logging.INFO):
            _write_line(scope, method, route, answer, seconds)


def _write_line(scope: Scope, method: str, route: str, answer: _Answer, seconds: float) -> None:
    fields: dict[str, Any] = {
        "method": method,
        "route": route,
        "status": answer.status,
        "ms": round(seconds * 1000, 1),
        "bytes": answer.n_bytes,
    }
    project = (scope.get("path_params") or {}).get("project")
    if project is not None:
        fields["project"] = read_segment(str(project))
    words = " ".join(f"{name}={_word(value)}" for name, value in fields.items())
    access.info("%s", words, extra={"fields": fields})


def _word(value: Any) -> str:
    """Return a value as one word of a line, whatever it contains."""
    text = str(value)
    return text if re.fullmatch(r"[\w./{}:()-]+", text, re.ASCII) else json.dumps(text)


# --- the log ----------------------------------------------------------------------------------

_SECRETS = (
    (re.compile(r"em_live_\w+"), "em_live_…"),
    (re.compile(r"([?&]code=)[^&\s\"']+"), r"\1…"),
    (re.compile(r"(\w+://[^:/@\s]*:)[^@/\s]+@"), r"\1…@"),
)


def _without_secrets(text: str) -> str:
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


class _TextFormatter(logging.Formatter):
    """One line for a record, and its traceback below; no secret, and no line of a sender's making."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        return super().formatMessage(record).replace("\r", "\\r").replace("\n", "\\n")

    def format(self, record: logging.LogRecord) -> str:
        return _without_secrets(super().format(record))


class _JsonFormatter(logging.Formatter):
    """One JSON object for a record; what a request's line says are fields of it."""

    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", None)
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            **(fields or {"message": record.getMessage()}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _without_secrets(json.dumps(line, default=str))


def configure_logging(log_format: str, level: str) -> None:
    """Write the log of this process to standard error; call it once, before anything is logged.

    `level` is for Argus and its web server. Others speak up from warnings on: SQLAlchemy would
    write the values of every statement.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonFormatter() if log_format == "json" else _TextFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in ("argus_server", "argus_core", "uvicorn"):
        logging.getLogger(name).setLevel(level.upper())
