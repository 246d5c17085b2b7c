"""The way in: requests become events, and an answer is given when they are committed."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import anyio.to_thread
from litestar import Request, Response, get, post
from litestar.exceptions import ClientException, HTTPException

from argus_core.errors import InvalidEvent, MalformedBody
from argus_core.events import SCHEMA_VERSION, Event, decode_event, decode_events
from argus_server.auth import require
from argus_server.errors import WriterBusy
from argus_server.ranking.values import flatten
from argus_server.settings import Limits
from argus_server.storage.credentials import Grant
from argus_server.storage.store import Stored
from argus_server.storage.writer import GroupWriter
from argus_server.urls import read_segment

__all__ = ["INGEST_ROUTES", "check_limits", "expand", "read_events"]

_OFFLOAD_BYTES = 64 * 1024
_MAX_INTEGER = 2**53
_FIRST_MOMENT = datetime(1970, 1, 1, tzinfo=timezone.utc)
_END_OF_TIME = datetime(9999, 1, 1, tzinfo=timezone.utc)
"""Before and after these, a moment and its local time need not both fit the years 1 to 9999."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """An item that cannot be stored, and the status that it alone would get."""

    status_code: int
    field: str
    reason: str
    event_id: str | None = None


# --- reading ----------------------------------------------------------------------------------


def expand(body: bytes, encoding: str, limit_bytes: int) -> bytes:
    """Return the body without its gzip; never holds more than the limit.

    Raises:
        HTTPException: 413 above the limit, 415 for another encoding, 400 for broken gzip.
    """
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise HTTPException(
            status_code=415, detail=f"Content-Encoding {encoding!r} is not supported; use gzip"
        )
    machine = zlib.decompressobj(wbits=31)
    try:
        expanded = machine.decompress(body, limit_bytes + 1)
    except zlib.error as error:
        raise HTTPException(status_code=400, detail=f"the body is not gzip: {error}") from None
    if len(expanded) > limit_bytes:
        raise HTTPException(status_code=413, detail=f"the body expands to more than {limit_bytes} bytes")
    if not machine.eof:
        raise HTTPException(status_code=400, detail="the body is not gzip: it ends too early")
    return expanded


def read_events(body: bytes, limits: Limits, *, single: bool) -> list[Event | Rejected]:
    """Return the events of a body, with the reason in the place of each that cannot be stored.

    Raises:
        MalformedBody: it is not JSON, or JSON of another shape.
    """
    items: list[Event | InvalidEvent]
    if single:
        try:
            items = [decode_event(body)]
        except InvalidEvent as error:
            items = [error]
    else:
        items = decode_events(body)
    return [_checked(item, limits) for item in items]


def _checked(item: Event | InvalidEvent, limits: Limits) -> Event | Rejected:
    try:
        if isinstance(item, InvalidEvent):
            raise item
        check_limits(item, limits)
    except InvalidEvent as error:
        status = 415 if error.field == "schema_version" else 422
        reason = f"this server speaks {SCHEMA_VERSION}: {error.reason}" if status == 415 else error.reason
        return Rejected(status, error.field, reason, error.event_id)
    return item


def check_limits(event: Event, limits: Limits) -> None:
    """Raise `InvalidEvent` for an event that is well-formed and still cannot be kept."""
    for name, value in (
        ("event_id", event.event_id),
        ("batch_id", event.batch_id),
        ("job_id", event.job_id or ""),
        ("source.project", event.source.project),
    ):
        if "\x00" in value:
            raise InvalidEvent(name, "a NUL character cannot be part of a name", event_id=event.event_id)
    if not _FIRST_MOMENT <= event.timestamp < _END_OF_TIME:
        reason = f"{event.timestamp.isoformat()} is not between the years 1970 and 9998, in UTC"
        raise InvalidEvent("timestamp", reason, event_id=event.event_id)
    if _is_deeper(event.data, limits.depth):
        reason = f"nested more than {limits.depth} deep"
        raise InvalidEvent("data", reason, event_id=event.event_id)
    for name in ("epoch", "epochs_total", "train_epochs", "n_total_jobs"):
        count = event.data.get(name)
        if isinstance(count, int) and count >= _MAX_INTEGER:
            raise InvalidEvent(f"data.{name}", f"{count} is no count", event_id=event.event_id)
    if event.event_type == "job_done":
        _check_metrics(event, limits)


def _check_metrics(event: Event, limits: Limits) -> None:
    metrics = flatten(event.data.get("metrics") or {})
    if len(metrics) > limits.metrics:
        reason = f"{len(metrics)} metrics; a job may report {limits.metrics}"
        raise InvalidEvent("data.metrics", reason, event_id=event.event_id)
    for key in metrics:
        if len(key) > limits.key_length or "\x00" in key:
            reason = f"the name {key[:40]!r} has more than {limits.key_length} characters, or a NUL"
            raise InvalidEvent("data.metrics", reason, event_id=event.event_id)


def _is_deeper(value: Any, limit: int) -> bool:
    """Whether objects and arrays are nested more than `limit` deep. Works level by level."""
    level = [value]
    for _ in range(limit + 1):
        level = [child for item in level for child in _children(item)]
        if not level:
            return False
    return True


def _children(value: Any) -> Iterator[Any]:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (child for child in children if isinstance(child, (dict, list)))


# --- answering --------------------------------------------------------------------------------


@post("/api/events", guards=[require("report")], status_code=200)
async def take_event(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
    """Store one event."""
    items, size = await _items(request, single=True)
    item = items[0]
    if isinstance(item, Rejected):
        return _answer(item.status_code, _explain(item, 0))
    _check_projects(request.user, [item])
    (stored,) = await _store(request, [item], size)
    return _answer(200, {"accepted": True, "event_id": stored.seq, "deduplicated": not stored.is_new})


@post("/api/events/batch", guards=[require("report")], status_code=200)
async def take_events(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
    """Store the good events of a list, and say for each of the others what is wrong with it."""
    items, size = await _items(request, single=False)
    events = [item for item in items if isinstance(item, Event)]
    if items and not events:
        first = next(index for index, item in enumerate(items) if isinstance(item, Rejected))
        refusal = _explain(_rejected(items[first]), first)
        results = _results(items, [])
        return _answer(
            422, {**refusal, "status_code": 422, "accepted": 0, "rejected": len(items), "results": results}
        )
    _check_projects(request.user, events)
    stored = await _store(request, events, size) if events else []
    answer = {
        "accepted": len(events),
        "rejected": len(items) - len(events),
        "results": _results(items, stored),
    }
    return _answer(200, answer)


def _rejected(item: Event | Rejected) -> Rejected:
    assert isinstance(item, Rejected)
    return item


def _results(items: list[Event | Rejected], stored: list[Stored]) -> list[dict[str, Any]]:
    answers = iter(stored)
    results: list[dict[str, Any]] = []
    for index, item in enumerate(items):
        if isinstance(item, Rejected):
            results.append(
                {"event_id": item.event_id, "status": "rejected", "db_id": None, **_explain(item, index)}
            )
            continue
        answer = next(answers)
        status = "accepted" if answer.is_new else "deduplicated"
        results.append({"event_id": item.event_id, "status": status, "db_id": answer.seq, "error": None})
    return results


def _explain(item: Rejected, index: int) -> dict[str, Any]:
    where = f"events[{index}]" + (f".{item.field}" if item.field else "")
    return {
        "status_code": item.status_code,
        "error": f"{where}: {item.reason}",
        "index": index,
        "field": item.field,
        "reason": item.reason,
    }


def _answer(status_code: int, content: dict[str, Any]) -> Response[dict[str, Any]]:
    return Response(content, status_code=status_code, media_type="application/json")


def _check_projects(grant: Grant, events: list[Event]) -> None:
    for index, event in enumerate(events):
        if not grant.covers(event.source.project):
            name = event.source.project
            detail = f"events[{index}].source.project: this token is for another project than {name!r}"
            raise HTTPException(status_code=403, detail=detail)


async def _items(request: Request[Any, Any, Any], *, single: bool) -> tuple[list[Event | Rejected], int]:
    """Read the body; large ones are read in a thread, so that nobody waits for them."""
    limits: Limits = request.app.state.settings.limits
    body = await request.body()
    encoding = request.headers.get("content-encoding", "").strip().lower()

    def work() -> tuple[list[Event | Rejected], int]:
        plain = expand(body, encoding, limits.expanded_bytes)
        return read_events(plain, limits, single=single), len(plain)

    try:
        if len(body) > _OFFLOAD_BYTES or encoding:
            return await anyio.to_thread.run_sync(work, limiter=request.app.state.door_threads)
        return work()
    except MalformedBody as error:
        raise ClientException(detail=str(error)) from None


async def _store(request: Request[Any, Any, Any], events: list[Event], size_bytes: int) -> list[Stored]:
    """Hand the events to the writer and wait for the commit, even if the client does not."""
    writer: GroupWriter = request.app.state.writer
    try:
        future = writer.submit(events, size_bytes)
    except WriterBusy as busy:
        headers = {"Retry-After": str(busy.retry_after_s)}
        raise HTTPException(status_code=429, detail=str(busy), headers=headers) from None
    return await asyncio.shield(asyncio.wrap_future(future))


# --- beside the events ------------------------------------------------------------------------


@get("/api/batches/{batch_id:str}/stop-requested", guards=[require("report", "read")])
async def stop_requested(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Say whether somebody asked the batch to stop. Nobody can, yet."""
    return {
        "batch_id": read_segment(request.path_params["batch_id"]),
        "requested": False,
        "stop_requested": False,
    }


@post(
    ["/api/jobs/{job_id:str}/artifacts", "/api/batches/{batch_id:str}/artifacts"],
    guards=[require("report")],
    status_code=501,
)
async def artifacts() -> dict[str, Any]:
    """Say clearly that files are not taken."""
    return {
        "status_code": 501,
        "error": "this server keeps no artifacts; events and metrics are stored as usual",
    }


INGEST_ROUTES = [take_event, take_events, stop_requested, artifacts]
