"""The wire schema v1.1: one definition for client and server.

An event is an immutable fact about a batch or a job. `Event` is its envelope; what `data` may hold
depends on the type, and is written down as one struct per type below. Those structs type the keys
that Argus knows; every other key of `data` is kept as sent.

Numbers that JSON cannot carry travel as the strings "NaN", "Infinity" and "-Infinity", as in
protobuf's JSON mapping. `decode_event` also reads the bare tokens that other clients send.
"""

from __future__ import annotations

import json
import math
import os
import re
import reprlib
import threading
import time
from array import array
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from argus_core.errors import InvalidEvent, MalformedBody
from argus_core.jsonable import clean_text, jsonable

__all__ = [
    "DATA_TYPES",
    "EVENT_TYPES",
    "SCHEMA_VERSION",
    "Event",
    "Source",
    "decode_all",
    "decode_event",
    "decode_events",
    "decode_items",
    "encode_event",
    "json_schema",
    "new_event_id",
    "number_or_none",
    "repair_data",
    "split_events",
]

SCHEMA_VERSION: Final = "1.1"

NonFinite = Literal["NaN", "Infinity", "-Infinity"]
Number = float | NonFinite | None
Label = str | int | float | None
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]  # what a database column holds


class Source(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where an event comes from. Only `project` is required."""

    project: Annotated[str, Meta(min_length=1, max_length=256)]
    host: str | None = None
    user: str | None = None
    commit: str | None = None
    command: str | None = None


class BatchStart(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Jobs are about to be launched together. `n_total_jobs` is None when nobody knows it."""

    name: Label = None
    experiment_type: Label = None
    n_total_jobs: Count | None = None
    command: str | None = None


class BatchDone(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Every job of the batch has ended, as far as its sender knows.

    `untested` are the jobs that it leaves without a result: none of its own, if the list is empty. Who
    sends no list has ended the batch for all of its jobs. `status` is "incomplete" if there are any.
    """

    n_done: Count | None = None
    n_failed: Count | None = None
    total_elapsed_s: Number = None
    status: str | None = None
    untested: list[str] | None = None


class BatchFailed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The batch ended with an exception; `reason` reads like "ValueError: boom".

    `untested` means what it does in `BatchDone`.
    """

    reason: str | None = None
    total_elapsed_s: Number = None
    untested: list[str] | None = None


class JobStart(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One training run of (model, dataset, seed) begins."""

    model: Label = None
    dataset: Label = None
    seed: Label = None
    epochs_total: Count | None = None
    config: dict[str, Any] | None = None
    tags: Any = None


class JobEpoch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One epoch, counted from 0, has ended. Never a leaderboard row."""

    epoch: Count
    train_loss: Number = None
    val_loss: Number = None
    lr: Number = None
    batch_time_ms: Number = None


class JobDone(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The test stage has ended: `metrics`, free-form, is the leaderboard row.

    `metrics_raw` is what the framework logged before names were normalised, `elapsed_s` seconds
    with their fraction, `dropped` the keys that were no scalars.
    """

    metrics: dict[str, Any] | None = None
    metrics_raw: dict[str, Any] | None = None
    elapsed_s: Number = None
    train_epochs: Count | None = None
    resources: dict[str, Any] | None = None
    dropped: list[str] | None = None


class JobFailed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The job ended with an exception, or was interrupted (`status`)."""

    reason: str | None = None
    elapsed_s: Number = None
    error: dict[str, Any] | str | None = None
    status: str | None = None


class ResourceSnapshot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Load of the host at one moment, in percent and MB."""

    cpu_util_pct: Number = None
    ram_mb: Number = None
    proc_ram_mb: Number = None
    gpu_util_pct: Number = None
    gpu_mem_mb: Number = None


class LogLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of output; `line` "heartbeat" only says that the sender is alive."""

    line: str | None = None
    level: str | None = None


class EnvSnapshot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The sender's environment, free-form. Sent by other clients; Argus keeps it."""


DATA_TYPES: dict[str, type[msgspec.Struct]] = {
    "batch_start": BatchStart,
    "batch_done": BatchDone,
    "batch_failed": BatchFailed,
    "job_start": JobStart,
    "job_epoch": JobEpoch,
    "job_done": JobDone,
    "job_failed": JobFailed,
    "resource_snapshot": ResourceSnapshot,
    "log_line": LogLine,
    "env_snapshot": EnvSnapshot,
}
"""What `data` may hold, by event type."""

EVENT_TYPES = tuple(DATA_TYPES)

EventType = Literal[
    "batch_start",
    "batch_done",
    "batch_failed",
    "job_start",
    "job_epoch",
    "job_done",
    "job_failed",
    "resource_snapshot",
    "log_line",
    "env_snapshot",
]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope. Immutable; `event_id` is the idempotency key within a project."""

    event_id: Annotated[str, Meta(min_length=8, max_length=64)]
    schema_version: Literal["1.1"] = SCHEMA_VERSION
    event_type: EventType
    timestamp: Annotated[datetime, Meta(tz=True)]
    batch_id: Annotated[str, Meta(min_length=1, max_length=128)]
    job_id: Annotated[str, Meta(max_length=256)] | None = None
    source: Source
    data: dict[str, Any] = {}


# --- decoding ---------------------------------------------------------------------------------

_event_decoder = msgspec.json.Decoder(Event)
_raw_list_decoder = msgspec.json.Decoder(list[msgspec.Raw])


class _Batch(msgspec.Struct):
    events: list[msgspec.Raw]


_batch_decoder = msgspec.json.Decoder(_Batch)
_all_decoder = msgspec.json.Decoder(list[Event])


class _WholeBatch(msgspec.Struct):
    events: list[Event]


_whole_decoder = msgspec.json.Decoder(_WholeBatch)


def decode_event(raw: bytes | bytearray | msgspec.Raw | memoryview | Mapping[str, Any]) -> Event:
    """Return the event that `raw` spells, checked against the schema.

    An integer `job_id` becomes a string; bare NaN and Infinity tokens become their strings.

    Raises:
        InvalidEvent: it breaks the schema; the error names the field.
        MalformedBody: `raw` is not JSON at all.
    """
    try:
        event = _event_decoder.decode(raw) if not isinstance(raw, Mapping) else _convert(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        # ValidationError is a DecodeError: the slow path either repairs or explains.
        event = _convert(raw if isinstance(raw, Mapping) else _parse(bytes(raw)))
    _check_data(event)
    return event


def decode_events(body: bytes) -> list[Event | InvalidEvent]:
    """Return the events of a batch body, in order, with an error in the place of each bad one.

    The body is `{"events": [...]}` or a bare array. One bad item rejects that item only, whatever is
    wrong with it: it need not even be JSON, as long as its brackets and quotes say where it ends.

    Raises:
        MalformedBody: the body is of another shape, or does not say where its items end.
    """
    return decode_items(split_events(body))


def decode_all(body: bytes | bytearray) -> list[Event] | None:
    """Return the events of a batch body, decoded at once; None if anything at all is wrong with any of them.

    `decode_items` says what it is, and what the others are.
    """
    try:
        is_bare = _first_byte(body) == b"["
        events = _all_decoder.decode(body) if is_bare else _whole_decoder.decode(body).events
        for event in events:
            _check_data(event)
    except (msgspec.DecodeError, UnicodeError, RecursionError, InvalidEvent):
        return None
    return events


def decode_items(items: Iterable[Item]) -> list[Event | InvalidEvent]:
    """Return the events that these items of a body spell, with an error in the place of each bad one."""
    return [_decode_or_error(item) for item in items]


Item = msgspec.Raw | bytes | memoryview
"""One item of a batch body, not yet looked at."""

_FAST_BYTES = 1024 * 1024
_MOST_ITEMS = 600_000
_MOST_OPENINGS = 2_500_000
_MOST_TOKENS_BEFORE = 500_000
"""Of items, objects and arrays in a body, and tokens before its events: 64 MiB of real events have fewer."""


def split_events(body: bytes | bytearray) -> Sequence[Item]:
    """Return the items of a batch body, none of them decoded.

    Whatever it holds, a large body costs little more than itself: its items are views, made when they
    are asked for, and what holds more pieces than events can have is not looked through to its end.

    Raises:
        MalformedBody: the body is of another shape, or does not say where its items end.
    """
    if len(body) <= _FAST_BYTES:
        try:
            is_bare = _first_byte(body) == b"["
            return _raw_list_decoder.decode(body) if is_bare else _batch_decoder.decode(body).events
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            pass
    return _Views(body, _find_items(body))


class _Views(Sequence[Item]):
    """Pieces of a body by where they start and end, made one by one."""

    def __init__(self, body: bytes | bytearray, bounds: array[int]) -> None:
        self._body, self._bounds = memoryview(body), bounds

    def __len__(self) -> int:
        return len(self._bounds) // 2

    def __getitem__(self, index: Any) -> Any:
        return self._body[self._bounds[2 * index] : self._bounds[2 * index + 1]]


# Where escapes are blanked, a string is its quotes and what is between them. An unfinished one ends with
# the body: a pattern that could fail there would be tried again from every quote before it.
_STRING = rb'"[^"]*(?:"|\Z)'
_STRUCTURE = re.compile(_STRING + rb"|[\[\]{},]")
_BETWEEN_ITEMS = re.compile(rb'[^",\[\]{}]*(?:%s[^",\[\]{}]*){0,64}' % _STRING)
_INSIDE_ITEM = re.compile(rb'[^"\[\]{}]*(?:%s[^"\[\]{}]*){0,64}' % _STRING)
_FIRST_BYTE = re.compile(rb"\s*(\S?)")
_AFTER_ARRAY = re.compile(rb"\s*(,.*)?\}\s*", re.DOTALL)


def _find_items(body: bytes | bytearray) -> array[int]:
    """Return where the items of the body's array start and end, in turns.

    Linear in the body and not recursive, so that neither depth nor a bare NaN nor a broken item
    concerns its neighbours.

    Raises:
        MalformedBody: there is no such array, or it does not end.
    """
    if body.count(b"{") + body.count(b"[") > _MOST_OPENINGS:
        raise MalformedBody(f"more than {_MOST_OPENINGS} objects and arrays; send fewer events at once")
    if b"\\" in body:
        body = body.replace(rb"\\", b"__").replace(rb"\"", b"__")  # of the same length
    is_bare = _first_byte(body) == b"["
    place = start = body.index(b"[") + 1 if is_bare else _array_start(body)
    bounds = array("Q")
    depth = 0
    while (place := (_INSIDE_ITEM if depth else _BETWEEN_ITEMS).match(body, place).end()) < len(body):  # type: ignore[union-attr]
        token = body[place]
        if token in b"[{":
            depth += 1
        elif token in b"]}":
            depth -= 1
        if depth < 0 or (depth == 0 and token == ord(b",")):
            bounds.extend((start, place))
            start = place + 1
        if depth < 0:
            break
        if len(bounds) > 2 * _MOST_ITEMS:
            raise MalformedBody(f"more than {_MOST_ITEMS} items; send fewer at once")
        place += token != ord(b'"')  # many strings are taken in several steps
    if depth >= 0 or body[place] != ord(b"]"):
        raise _misshapen(body)
    _check_rest(bytes(body[place + 1 :]), is_bare=is_bare)
    return array("Q") if len(bounds) == 2 and not body[bounds[0] : bounds[1]].strip() else bounds


def _first_byte(body: bytes | bytearray) -> bytes:
    return _FIRST_BYTE.match(body)[1]  # type: ignore[index]


def _array_start(body: bytes | bytearray) -> int:
    """Return the place after the bracket that opens the array `events` of an object."""
    depth, key = 0, b""
    tokens = _STRUCTURE.finditer(body) if _first_byte(body) == b"{" else iter(())
    for match in islice(tokens, _MOST_TOKENS_BEFORE):
        token = match[0]
        if token == b"[" and depth == 1 and key == b'"events"':
            return match.end()
        if token in (b"[", b"{"):
            depth += 1
        elif token in (b"]", b"}"):
            depth -= 1
        elif token != b"," and depth == 1:
            key = token
    raise _misshapen(body)


def _misshapen(body: bytes | bytearray) -> MalformedBody:
    expected = 'expected {"events": [...]} or an array of events'
    if len(body) > _FAST_BYTES:
        return MalformedBody(f"{expected} that says where it ends")
    return MalformedBody(f"{expected}, got {_describe(_parse(bytes(body)))}")


def _check_rest(rest: bytes, *, is_bare: bool) -> None:
    if rest.strip() if is_bare else not _AFTER_ARRAY.fullmatch(rest):
        raise MalformedBody(f"not JSON: {_excerpt(rest[:80])} follows the events")


def _decode_or_error(item: Any) -> Event | InvalidEvent:
    try:
        return decode_event(item)
    except InvalidEvent as error:
        return error
    except MalformedBody as error:
        return InvalidEvent("", str(error))


def _parse(body: bytes) -> Any:
    """Read JSON as other clients write it, with bare NaN and Infinity tokens."""
    try:
        return json.loads(body)
    except RecursionError:
        raise MalformedBody("the JSON is nested too deeply") from None
    except ValueError as error:
        raise MalformedBody(f"not JSON: {error}") from None


def _convert(item: Any) -> Event:
    """Build an event from plain data: ids must be as they should, the rest is made to fit."""
    if not isinstance(item, Mapping):
        raise InvalidEvent("", f"expected an event object, got {_describe(item)}")
    item = {field: item[field] for field in Event.__struct_fields__ if field in item}
    job_id = item.get("job_id")
    if isinstance(job_id, int) and not isinstance(job_id, bool):
        item = {**item, "job_id": str(job_id)}
    if isinstance(item.get("data"), Mapping):
        item = {**item, "data": jsonable(item["data"])[0]}
    source = item.get("source")
    if isinstance(source, Mapping):
        item = {**item, "source": {**jsonable(source)[0], "project": source.get("project")}}
    for field, text in (*item.items(), ("source.project", _at(item, "source.project"))):
        if isinstance(text, str) and clean_text(text) != text:
            raise InvalidEvent(field, f"text that is not Unicode: {_excerpt(text)}", event_id=_id(item))
    try:
        return msgspec.convert(item, Event)
    except msgspec.ValidationError as error:
        raise _invalid(error, item) from None


def _check_data(event: Event) -> None:
    if event.event_type.startswith("job_") and not event.job_id:
        raise InvalidEvent(
            "job_id", f"required for {event.event_type}, got {event.job_id!r}", event_id=event.event_id
        )
    try:
        msgspec.convert(event.data, DATA_TYPES[event.event_type])
    except msgspec.ValidationError as error:
        raise _invalid(error, {"event_id": event.event_id}, event.data, prefix="data") from None


def _invalid(
    error: msgspec.ValidationError, item: Mapping[str, Any], root: Any = None, prefix: str = ""
) -> InvalidEvent:
    """Turn msgspec's "Expected `int`, got `str` - at `$.epoch`" into field, reason and value."""
    message, _, path = str(error).partition(" - at `$")
    field = path.rstrip("`").lstrip(".")
    field = f"{prefix}.{field}".strip(".") if prefix else field
    if not field and "missing required field" in message:
        field = message.rsplit("`", 2)[-2]
    elif "missing required field" in message:
        field = f"{field}.{message.rsplit('`', 2)[-2]}"
    value = _at(item if root is None else {prefix: root}, field)
    shown = "" if value is _ABSENT else f" (value: {_excerpt(value)})"
    return InvalidEvent(field, message + shown, event_id=_id(item))


_ABSENT = object()


def _at(item: Any, field: str) -> Any:
    for part in field.split("."):
        if not isinstance(item, Mapping) or part not in item:
            return _ABSENT
        item = item[part]
    return item


def _id(item: Mapping[str, Any]) -> str | None:
    event_id = item.get("event_id")
    return event_id if isinstance(event_id, str) else None


def _describe(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number" if isinstance(value, (int, float)) else type(value).__name__)


def _shorten(value: Any, length: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= length else text[: length - 1] + "…"


class _Excerpt(reprlib.Repr):
    """Writes the beginning of any value, however long or deep it is."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 200
        self.maxlevel = 4

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        return super().repr_dict(dict(islice(x.items(), self.maxdict + 1)), level)


def _excerpt(value: Any) -> str:
    text = _Excerpt().repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


# --- encoding ---------------------------------------------------------------------------------

_encoder = msgspec.json.Encoder()


def encode_event(event: Event) -> bytes:
    """Return the event as one line of JSON, without the newline.

    `event.data` must be `jsonable`; `Reporter` sees to that.
    """
    return _encoder.encode(event)


_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def number_or_none(value: Any) -> float | None:
    """Return the number that `value` spells on the wire, NaN and the infinities included.

    None for everything that is no number: booleans, other strings, lists, null.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    return _NON_FINITE.get(value) if isinstance(value, str) else None


_LABELS = frozenset({"model", "dataset", "seed", "name", "experiment_type"})


def repair_data(event_type: str, data: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return `data` as the schema takes it, and the names of the keys that had to go.

    A label that is no text becomes one; any other known key of a wrong type is left out, so that the
    rest of the event is sent.
    """
    dropped: list[str] = []
    while True:
        try:
            msgspec.convert(data, DATA_TYPES[event_type])
        except msgspec.ValidationError as error:
            key = str(error).partition(" - at `$.")[2].rstrip("`").partition(".")[0].partition("[")[0]
            if key not in data:
                return data, dropped
            value = data[key]
            if key in _LABELS and not isinstance(value, str):
                data = {**data, key: _shorten(value, 200)}
            else:
                data = {name: item for name, item in data.items() if name != key}
                dropped.append(f"{key} = {_shorten(value)}")
        else:
            return data, dropped


# --- ids --------------------------------------------------------------------------------------

_id_lock = threading.RLock()  # a signal handler may report in the middle of a report
_last_tick = 0


def _renew_id_lock() -> None:
    """Give a forked child a lock of its own: another thread of its parent may have held ours."""
    global _id_lock
    _id_lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_id_lock)


def new_event_id() -> str:
    """Return a UUIDv7 (RFC 9562 §5.7, method 3) that sorts after every earlier one of this process.

    48 bits of Unix milliseconds, then 12 bits of its fraction, then 62 random bits: ids of one
    process rise strictly, so equal timestamps still have an order. Any thread.
    """
    global _last_tick
    now_ns = time.time_ns()
    tick = (now_ns // 1_000_000) << 12 | (now_ns % 1_000_000) * 4096 // 1_000_000
    with _id_lock:
        if tick <= _last_tick:
            tick = _last_tick + 1
        _last_tick = tick
    head = f"{tick >> 12:012x}"
    random = os.urandom(8)
    tail = random.hex()
    variant = "89ab"[random[0] >> 6]  # of the first digit only the two random bits are kept
    return f"{head[:8]}-{head[8:]}-7{tick & 0xFFF:03x}-{variant}{tail[1:4]}-{tail[4:]}"


# --- schema -----------------------------------------------------------------------------------


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of one event, with the known keys of `data` per type."""
    (reference, *_), components = msgspec.json.schema_components(
        [Event, *DATA_TYPES.values()], ref_template="#/$defs/{name}"
    )
    cases = [
        {
            "if": {"properties": {"event_type": {"const": event_type}}},
            "then": {
                "properties": {
                    "data": {"$ref": f"#/$defs/{data_type.__name__}"},
                    **({"job_id": {"type": "string", "minLength": 1}} if _of_job(event_type) else {}),
                },
                "required": ["data", *(["job_id"] if _of_job(event_type) else [])],
            },
        }
        for event_type, data_type in DATA_TYPES.items()
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Argus event, schema v{SCHEMA_VERSION}",
        **reference,
        "allOf": cases,
        "$defs": components,
    }


def _of_job(event_type: str) -> bool:
    return event_type.startswith("job_")
