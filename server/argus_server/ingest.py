"""The way in: requests become events, and an answer is given when they are committed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from typing import Any, TypeVar

import anyio.to_thread
import msgspec
from litestar import Request, Response, get, post
from litestar.exceptions import ClientException, HTTPException

from argus_core.errors import InvalidEvent, MalformedBody
from argus_core.events import (
    SCHEMA_VERSION,
    Event,
    decode_event,
    decode_items,
    split_events,
)
from argus_server.auth import require
from argus_server.bodies import Allowance, expand
from argus_server.errors import StoreError, WriterBusy
from argus_server.ranking.rank import default_metric
from argus_server.ranking.values import flatten
from argus_server.ranking.view import View
from argus_server.ranking.why import unranked_reason
from argus_server.settings import Limits
from argus_server.storage.credentials import Grant
from argus_server.storage.queries import Queries
from argus_server.storage.store import Stored
from argus_server.storage.writer import GroupWriter
from argus_server.urls import read_segment

__all__ = ["INGEST_ROUTES", "check_limits", "read_event", "read_items"]

logger = logging.getLogger(__name__)

_INLINE_BYTES = 64 * 1024
_PART_BYTES = 512 * 1024
"""A larger body is decoded, stored and answered part by part, so that it never stands in memory as events."""
_VALUE_BYTES = 56
"""About what a value takes in memory beside its text."""
_EXCERPT = 500
_MOST_TOLD = 20
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


Item = Event | Rejected
Result = TypeVar("Result")


# --- reading ----------------------------------------------------------------------------------


def read_event(body: bytes | bytearray, limits: Limits) -> Item:
    """Return the event that a body is, or why it cannot be stored.

    Raises:
        MalformedBody: it is not JSON.
    """
    if len(body) > limits.event_bytes:
        return _too_large(len(body), limits)
    try:
        return _checked(decode_event(body), limits)
    except InvalidEvent as error:
        return _checked(error, limits)


def read_items(pieces: Iterable[bytes], limits: Limits) -> list[Item]:
    """Return the events of some items of a body, with the reason in the place of each bad one."""
    return [
        _too_large(len(piece), limits)
        if len(piece) > limits.event_bytes
        else _checked(decode_items([piece])[0], limits)
        for piece in pieces
    ]


def _parts(pieces: Sequence[Any]) -> Iterator[list[bytes]]:
    """Cut the items of a body into parts that may stand in memory as events."""
    part: list[bytes] = []
    size_bytes = 0
    for piece in pieces:
        text = bytes(piece)
        if part and size_bytes + len(text) > _PART_BYTES:
            yield part
            part, size_bytes = [], 0
        part.append(text)
        size_bytes += len(text)
    if part:
        yield part


def _weight(pieces: Iterable[bytes | bytearray]) -> int:
    """Return about how many bytes these items take once they are decoded."""
    return sum(
        len(text) + _VALUE_BYTES * (text.count(b",") + text.count(b"{") + text.count(b"[")) for text in pieces
    )


def _too_large(size_bytes: int, limits: Limits) -> Rejected:
    reason = f"an event of {size_bytes} bytes; this server takes {limits.event_bytes}"
    return Rejected(413, "", reason)


def _checked(item: Event | InvalidEvent, limits: Limits) -> Item:
    try:
        if isinstance(item, InvalidEvent):
            raise item
        check_limits(item, limits)
    except InvalidEvent as error:
        status = 415 if error.field == "schema_version" else 422
        reason = f"this server speaks {SCHEMA_VERSION}: {error.reason}" if status == 415 else error.reason
        return Rejected(
            status, _excerpt(error.field), _excerpt(reason), _excerpt(error.event_id or "") or None
        )
    return item


def _excerpt(text: str) -> str:
    """Return the beginning of a text that may be anything, as an answer can carry it."""
    return text[:_EXCERPT].encode("utf-8", "replace").decode()


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
    """Look at names and numbers only: nested metrics are not spelt out before they are known to be few."""
    count = 0
    nested: list[tuple[int, Mapping[str, Any]]] = [(0, event.data.get("metrics") or {})]
    while nested:
        prefix, metrics = nested.pop()
        for key, value in metrics.items():
            length = prefix + len(key)
            if length > limits.key_length or "\x00" in key:
                reason = f"the name {key[:40]!r} has more than {limits.key_length} characters, or a NUL"
                raise InvalidEvent("data.metrics", reason, event_id=event.event_id)
            if isinstance(value, Mapping):
                nested.append((length + 1, value))
            count += 1
        if count > limits.metrics:
            reason = f"more than {limits.metrics} metrics, which is what a job may report"
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
    body = await _body(request)
    item = await _work(request, len(body), partial(read_event, body, _limits(request)))
    if isinstance(item, Rejected):
        request.app.state.metrics.rejected(1)
        return _answer(item.status_code, _explain(item, 0))
    _check_projects(request.user, [item])
    (stored,) = await _store(request, [item], _weight([body]))
    return _answer(200, {"accepted": True, "event_id": stored.seq, "deduplicated": not stored.is_new})


@post("/api/events/batch", guards=[require("report")], status_code=200)
async def take_events(request: Request[Any, Any, Any]) -> Response[Any]:
    """Store the good events of a list, and say for each of the others what is wrong with it.

    A long list is stored part by part: who is told of trouble half-way sends it again, and loses nothing.
    """
    body = await _body(request)
    pieces = await _work(request, len(body), partial(split_events, body))
    answer = _Answer(_allowance(request))
    ended: list[Event] = []
    for part in _parts(pieces):
        items = await _work(request, sum(map(len, part)), partial(read_items, part, _limits(request)))
        events = [item for item in items if isinstance(item, Event)]
        request.app.state.metrics.rejected(len(items) - len(events))
        _check_projects(request.user, events)
        answer.add(items, await _store(request, events, _weight(part)) if events else [])
        ended += [event for event in events if event.event_type == "job_done"][: _MOST_TOLD - len(ended)]
    return answer.response(await _unranked(request, ended))


@dataclass
class _Answer:
    """What became of the items so far. Their results are kept as JSON, which is small."""

    allowance: Allowance
    accepted: int = 0
    rejected: int = 0
    first: dict[str, Any] | None = None
    results: list[bytes] = field(default_factory=list)

    def add(self, items: Sequence[Item], stored: Iterable[Stored]) -> None:
        """Take in the items of one part, and what was stored of them."""
        answers = iter(stored)
        results: list[dict[str, Any]] = []
        for index, item in enumerate(items, self.accepted + self.rejected):
            if isinstance(item, Rejected):
                results.append(
                    {"event_id": item.event_id, "status": "rejected", "db_id": None, **_explain(item, index)}
                )
                self.first = self.first or results[-1]
                continue
            answer = next(answers)
            status = "accepted" if answer.is_new else "deduplicated"
            results.append({"event_id": item.event_id, "status": status, "db_id": answer.seq, "error": None})
        n_rejected = sum(isinstance(item, Rejected) for item in items)
        self.rejected += n_rejected
        self.accepted += len(items) - n_rejected
        text = msgspec.json.encode(results)[1:-1]
        self.allowance.take(len(text))
        self.results.append(text)

    def response(self, unranked: Sequence[Mapping[str, str]]) -> Response[Any]:
        """Return 200, or 422 with the first reason if there was no good event among them."""
        content: dict[str, Any] = {"accepted": self.accepted, "rejected": self.rejected}
        if unranked:
            content["unranked"] = unranked
        status_code = 200
        if self.first is not None and not self.accepted:
            status_code = 422
            refusal = {key: self.first[key] for key in ("error", "index", "field", "reason")}
            content = {"status_code": 422, **refusal, **content}
        content["results"] = msgspec.Raw(b"[" + b",".join(self.results) + b"]")
        return _answer(status_code, content)


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


def _limits(request: Request[Any, Any, Any]) -> Limits:
    limits: Limits = request.app.state.settings.limits
    return limits


def _allowance(request: Request[Any, Any, Any]) -> Allowance:
    allowance: Allowance = request.scope["state"]["allowance"]
    return allowance


async def _body(request: Request[Any, Any, Any]) -> bytes | bytearray:
    """Read the body and expand it; where that is work, in a thread, so that nobody waits for it."""
    body = await request.body()
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return body
    work = partial(expand, body, encoding, _limits(request).expanded_bytes, _allowance(request).take)
    return await anyio.to_thread.run_sync(work, limiter=request.app.state.door_threads)


async def _work(request: Request[Any, Any, Any], size_bytes: int, work: Callable[[], Result]) -> Result:
    """Do a little work at once, more in a thread, and much of it in one of few threads."""
    state = request.app.state
    try:
        if size_bytes <= _INLINE_BYTES:
            return work()
        limiter = state.door_threads if size_bytes <= _PART_BYTES else state.decode_threads
        return await anyio.to_thread.run_sync(work, limiter=limiter)
    except MalformedBody as error:
        raise ClientException(detail=_excerpt(str(error))) from None


async def _store(request: Request[Any, Any, Any], events: list[Event], size_bytes: int) -> list[Stored]:
    """Hand the events to the writer and wait for the commit, even if the client does not."""
    writer: GroupWriter = request.app.state.writer
    try:
        return await writer.store(events, size_bytes)
    except WriterBusy as busy:
        headers = {"Retry-After": str(busy.retry_after_s)}
        raise HTTPException(status_code=429, detail=str(busy), headers=headers) from None


async def _unranked(request: Request[Any, Any, Any], ended: Sequence[Event]) -> list[dict[str, str]]:
    """Return the jobs among these that will have no rank, and why: their sender says it to who waits there.

    The answer to the events carries it, so that a client learns it without another request, with a token
    that may only report, and never waits for it.
    """
    if not ended:
        return []
    try:
        return await anyio.to_thread.run_sync(_why_unranked, request.app.state.store.queries, ended)
    except StoreError as error:  # the events are stored all the same
        logger.warning("jobs are not told whether they rank: %s", error)
    except Exception:
        logger.exception("jobs are not told whether they rank")
    return []


def _why_unranked(queries: Queries, ended: Sequence[Event]) -> list[dict[str, str]]:
    latest = {(event.source.project, event.batch_id, event.job_id or ""): event for event in ended}
    told = []
    for project in {name for name, _, _ in latest}:
        with queries.board(project, View()) as board:
            settings = board.settings
            metric, _ = default_metric(board.keys, settings.primary)
        for (name, batch_id, job_id), event in latest.items():
            metrics = settings.settle(flatten(event.data.get("metrics") or {}), batch_id)
            fact, fix = unranked_reason(metrics, metric)
            if name == project and fact:
                told.append({"batch_id": batch_id, "job_id": job_id, "reason": f"{fact} {fix}"})
    return told


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
