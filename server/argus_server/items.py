"""What a body holds: events, and for each item that is none the reason why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from argus_core.errors import InvalidEvent
from argus_core.events import (
    SCHEMA_VERSION,
    Event,
    decode_all,
    decode_event,
    decode_items,
    split_events,
)
from argus_server.settings import Limits

__all__ = [
    "PART_BYTES",
    "Item",
    "Rejected",
    "check_limits",
    "excerpt",
    "parts",
    "read_event",
    "read_items",
    "read_list",
    "weight",
]

PART_BYTES = 512 * 1024
"""A larger body is decoded, stored and answered part by part, so that it never stands in memory as events."""
_VALUE_BYTES = 56
"""About what a value takes in memory beside its text."""
_EXCERPT = 500
_MAX_INTEGER = 2**53
_COUNTS = ("epoch", "epochs_total", "train_epochs", "n_total_jobs")
_CONTAINERS = frozenset({dict, list})
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


def read_list(body: bytes | bytearray, limits: Limits) -> list[Item]:
    """Return the events of a body of at most `PART_BYTES`, with the reason in the place of each bad one.

    Raises:
        MalformedBody: it is no list, or does not say where its items end.
    """
    events = decode_all(body) if len(body) <= limits.event_bytes else None
    if events is None:
        return read_items(map(bytes, split_events(body)), limits)
    return [_checked(event, limits) for event in events]


def read_items(pieces: Iterable[bytes], limits: Limits) -> list[Item]:
    """Return the events of some items of a body, with the reason in the place of each bad one."""
    return [
        _too_large(len(piece), limits)
        if len(piece) > limits.event_bytes
        else _checked(decode_items([piece])[0], limits)
        for piece in pieces
    ]


def parts(pieces: Sequence[Any]) -> Iterator[list[bytes]]:
    """Cut the items of a body into parts that may stand in memory as events."""
    part: list[bytes] = []
    size_bytes = 0
    for piece in pieces:
        text = bytes(piece)
        if part and size_bytes + len(text) > PART_BYTES:
            yield part
            part, size_bytes = [], 0
        part.append(text)
        size_bytes += len(text)
    if part:
        yield part


def weight(pieces: Iterable[bytes | bytearray]) -> int:
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
        return Rejected(status, excerpt(error.field), excerpt(reason), excerpt(error.event_id or "") or None)
    return item


def excerpt(text: str) -> str:
    """Return the beginning of a text that may be anything, as an answer can carry it."""
    return text[:_EXCERPT].encode("utf-8", "replace").decode()


def check_limits(event: Event, limits: Limits) -> None:
    """Raise `InvalidEvent` for an event that is well-formed and still cannot be kept."""
    if (
        "\x00" in event.event_id
        or "\x00" in event.batch_id
        or "\x00" in event.source.project
        or (event.job_id and "\x00" in event.job_id)
    ):
        raise _nul_in(event)
    if not _FIRST_MOMENT <= event.timestamp < _END_OF_TIME:
        reason = f"{event.timestamp.isoformat()} is not between the years 1970 and 9998, in UTC"
        raise InvalidEvent("timestamp", reason, event_id=event.event_id)
    data = event.data
    if not _CONTAINERS.isdisjoint(map(type, data.values())) and _is_deeper(data, limits.depth):
        reason = f"nested more than {limits.depth} deep"
        raise InvalidEvent("data", reason, event_id=event.event_id)
    for name in _COUNTS:
        count = data.get(name)
        if isinstance(count, int) and count >= _MAX_INTEGER:
            raise InvalidEvent(f"data.{name}", f"{count} is no count", event_id=event.event_id)
    if event.event_type == "job_done":
        _check_metrics(event, limits)


def _nul_in(event: Event) -> InvalidEvent:
    """Return what is wrong with an event of which a name has a NUL."""
    names = {
        "event_id": event.event_id,
        "batch_id": event.batch_id,
        "job_id": event.job_id or "",
        "source.project": event.source.project,
    }
    name = next(name for name, value in names.items() if "\x00" in value)
    return InvalidEvent(name, "a NUL character cannot be part of a name", event_id=event.event_id)


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
