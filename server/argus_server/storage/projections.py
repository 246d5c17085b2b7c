"""The fold: from events to batches and jobs, in whatever order and however often they come.

Every fact that an event states about a batch or a job is a register of its own: a value with the
clock of the event that wrote it, and the latest clock wins. What depends on several facts (is the
job done? which epoch is it in?) is derived from the clocks and never stored as a decision. Taking
the maximum is commutative, associative and idempotent, so the fold is too.

This module is plain data: `store.py` brings the rows and takes them back.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, ClassVar

import msgspec

from argus_core.events import Event, Source, number_or_none
from argus_server.ranking.order import Standing, place_of, replica_number, seed_place_of, text_number

__all__ = [
    "BatchState",
    "Clock",
    "JobState",
    "Said",
    "clock_of",
    "label_text",
    "microseconds",
    "names_job",
    "untested_jobs",
    "visible_epochs",
]

Clock = tuple[int, int, int, str]
"""Timestamp in microseconds, rank of the kind, epoch, event id: a total order that ignores arrival.

Other clients send whole seconds. Within one, the kind and the epoch decide.
"""

Said = tuple[Clock, Event]
"""An event with its clock, which is worked out once: every projection asks for it."""

_KINDS = (
    "batch_start",
    "env_snapshot",
    "job_start",
    "job_epoch",
    "resource_snapshot",
    "log_line",
    "job_failed",
    "job_done",
    "batch_failed",
    "batch_done",
)
_OF_BATCHES = frozenset(kind for kind in _KINDS if kind.startswith("batch_"))
_OF_JOBS = frozenset(kind for kind in _KINDS if kind.startswith("job_"))
_ENDS = ("batch_done", "batch_failed")
_MOST_UNTESTED = 10_000
_JOB_ID = 256
_RANK = {kind: rank for rank, kind in enumerate(_KINDS)}
_EPOCH_0 = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    """Return whole microseconds since 1970, exactly."""
    return (moment - _EPOCH_0) // _MICROSECOND


def clock_of(event: Event) -> Clock:
    """Return the event's place in the order of its batch."""
    epoch = event.data["epoch"] if event.event_type == "job_epoch" else 0
    return microseconds(event.timestamp), _RANK[event.event_type], epoch, event.event_id


def names_job(event: Event) -> bool:
    """Whether the event speaks of a job, and so brings it into being.

    A heartbeat that knows no job carries the batch's id in its place: that names no job.
    """
    if not event.job_id or event.event_type in _OF_BATCHES:
        return False
    return event.event_type in _OF_JOBS or event.job_id != event.batch_id


def untested_jobs(event: Event) -> list[str]:
    """Return the jobs that the end of a batch names as left without a result; some thousand at most."""
    named = event.data.get("untested") if event.event_type in _ENDS else None
    if not isinstance(named, list):
        return []
    return [name for name in named[:_MOST_UNTESTED] if 0 < len(name) <= _JOB_ID and "\x00" not in name]


def label_text(value: Any) -> str | None:
    """Return a model, dataset or seed as the text that identifies it: 0, 0.0 and "0" are one seed."""
    if value is None or value == "":
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _text(value)


def _text(value: Any) -> str | None:
    """Return text that every database takes: PostgreSQL knows no NUL."""
    return None if value is None else str(value).replace("\x00", "\ufffd")


def _json(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _seconds(value: Any) -> float | None:
    number = number_or_none(value)
    return number if number is not None and math.isfinite(number) else None


# --- facts ------------------------------------------------------------------------------------


def _source_facts(source: Source) -> dict[str, Any]:
    return {
        "host": _text(source.host),
        "user": _text(source.user),
        "commit": _text(source.commit),
        "command": _text(source.command),
    }


def _job_facts(event: Event) -> dict[str, Any]:
    """Return what the event says about its job; None says nothing."""
    data = event.data
    if event.event_type in _ENDS:
        return {"untested": True}
    facts = _source_facts(event.source)
    if event.event_type == "job_start":
        facts |= {
            "start": True,
            "model": label_text(data.get("model")),
            "dataset": label_text(data.get("dataset")),
            "seed": label_text(data.get("seed")),
            "epochs_total": data.get("epochs_total"),
            "config": _json(data.get("config")),
            "tags": _json(data.get("tags")),
            "fast_dev_run": _is_fast_dev_run(data),
        }
    elif event.event_type == "job_done":
        facts |= {
            "done": True,
            "metrics": _json(data.get("metrics") or {}),
            "metrics_raw": _json(data.get("metrics_raw")),
            "resources": _json(data.get("resources")),
            "elapsed_s": _seconds(data.get("elapsed_s")),
            "train_epochs": data.get("train_epochs"),
        }
    elif event.event_type == "job_failed":
        facts |= {
            "failed": True,
            "reason": _text(data.get("reason")),
            "outcome": _text(data.get("status")) or "failed",
            "error": _json(data.get("error")),
            "elapsed_s": _seconds(data.get("elapsed_s")),
        }
    return facts


def _is_fast_dev_run(data: Mapping[str, Any]) -> bool:
    """Whether the run only checked that the code runs: its numbers mean nothing."""
    tags = data.get("tags")
    if isinstance(tags, Mapping):
        tagged = bool(tags.get("fast_dev_run"))
    else:
        tagged = tags == "fast_dev_run" or (isinstance(tags, list) and "fast_dev_run" in tags)
    return tagged or bool(data.get("fast_dev_run"))


def _batch_facts(event: Event) -> dict[str, Any]:
    """Return what the event says about its batch; None says nothing."""
    data = event.data
    facts = _source_facts(event.source)
    if event.event_type == "batch_start":
        facts |= {
            "start": True,
            "name": label_text(data.get("name")),
            "experiment_type": label_text(data.get("experiment_type")),
            "n_total_jobs": data.get("n_total_jobs"),
        }
        facts["command"] = _text(data.get("command")) or facts["command"]
    elif event.event_type == "batch_done":
        facts |= {
            "done": True,
            "outcome": _text(data.get("status")),
            "total_elapsed_s": _seconds(data.get("total_elapsed_s")),
        }
    elif event.event_type == "batch_failed":
        facts |= {
            "failed": True,
            "reason": _text(data.get("reason")),
            "total_elapsed_s": _seconds(data.get("total_elapsed_s")),
        }
    if event.event_type in _ENDS and not isinstance(data.get("untested"), list):
        facts["over"] = True
    return facts


# --- states -----------------------------------------------------------------------------------

_MARKS = frozenset({"start", "done", "failed", "epoch", "untested", "over"})
"""Facts whose value is their clock."""
_NEVER: Clock = (-1, 0, 0, "")


@dataclass
class _State:
    """Registers of one batch or job.

    Attributes:
        values: fact → value, for the facts that are columns.
        clocks: fact → clock of the event that wrote it.
    """

    values: dict[str, Any] = field(default_factory=dict)
    clocks: dict[str, Clock] = field(default_factory=dict)
    first_event_us: int | None = None
    last_event_us: int | None = None
    _numbered: tuple[str | None, ...] = ()
    _places: Mapping[str, Any] = field(default_factory=dict)

    _SPEAKING: ClassVar[frozenset[str]]
    """The kinds of events that say more than where they come from, and which epoch has ended."""
    _EPOCH: ClassVar[Mapping[str, Any]]
    """What an epoch says."""

    def _facts(self, event: Event) -> Mapping[str, Any]:
        raise NotImplementedError

    def fold(self, said: Iterable[Said]) -> bool:
        """Take in some events, in any order; return whether `progress` is all that has changed."""
        speaking = self._SPEAKING
        first_us, is_small = self.first_event_us, True
        sources: dict[Source, Clock] = {}  # few, and of each the latest event counts
        epoch = _NEVER
        for clock, event in said:
            self._live(clock[0])
            if event.event_type in speaking:
                self._write(self._facts(event), clock)
                is_small = False
                continue
            if event.event_type == "job_epoch" and clock > epoch:
                epoch = clock
            if clock > sources.get(event.source, _NEVER):
                sources[event.source] = clock
        for source, clock in sources.items():
            is_small &= not self._write(_source_facts(source), clock)
        if epoch is not _NEVER:
            self._write(self._EPOCH, epoch)
        return is_small and first_us == self.first_event_us

    def _live(self, moment_us: int) -> None:
        if self.first_event_us is None or moment_us < self.first_event_us:
            self.first_event_us = moment_us
        if self.last_event_us is None or moment_us > self.last_event_us:
            self.last_event_us = moment_us

    def _write(self, facts: Mapping[str, Any], clock: Clock) -> bool:
        """Write what is later than what is known; return whether any value is another one now."""
        clocks, values = self.clocks, self.values
        has_changed = False
        for name, value in facts.items():
            if value is not None and clock >= clocks.get(name, clock):
                clocks[name] = clock
                if name not in _MARKS and values.get(name) != value:
                    values[name] = value
                    has_changed = True
        return has_changed

    @property
    def status(self) -> str:
        """`running`, `done` or `failed`: the last word on the matter, whenever it arrived."""
        life = {name: self.clocks[name] for name in ("start", "done", "failed") if name in self.clocks}
        last = max(life, key=life.__getitem__, default="start")
        return "running" if last == "start" else last

    def progress(self) -> dict[str, Any]:
        """Return the columns of the row that every event changes."""
        return {"last_event_us": self.last_event_us, "clocks": _pack(self.clocks)}

    def _times(self) -> dict[str, Any]:
        start, end = self.clocks.get("start"), self.clocks.get(self.status)
        return {
            "status": self.status,
            "started_us": start[0] if start else None,
            "ended_us": end[0] if end else None,
            "first_event_us": self.first_event_us,
            "last_event_us": self.last_event_us,
            "clocks": _pack(self.clocks),
        }

    def _load(self, row: Mapping[Any, Any], columns: Iterable[str]) -> None:
        self.clocks = _unpack(row["clocks"])
        self.values = {name: row[name] for name in columns if row[name] is not None}
        self.first_event_us, self.last_event_us = row["first_event_us"], row["last_event_us"]


_SOURCE_COLUMNS = ("host", "user", "commit", "command")
_NUMBERED = ("model", "dataset", "seed", "host", "user")
"""The columns of a job that have a number, by which the leaderboard finds it."""


class JobState(_State):
    """One job, as far as its events are known, and the ends of its batch that name it as untested."""

    _SPEAKING = frozenset({"job_start", "job_done", "job_failed", *_ENDS})
    _EPOCH: ClassVar[Mapping[str, Any]] = {"epoch": True}
    COLUMNS = (
        *_SOURCE_COLUMNS,
        "model",
        "dataset",
        "seed",
        "epochs_total",
        "train_epochs",
        "elapsed_s",
        "reason",
        "outcome",
        "fast_dev_run",
        "config",
        "tags",
        "metrics",
        "metrics_raw",
        "resources",
        "error",
    )

    @classmethod
    def from_row(cls, row: Mapping[Any, Any]) -> JobState:
        """Return the state that `row` was written from."""
        state = cls()
        state._load(row, cls.COLUMNS)
        return state

    def _facts(self, event: Event) -> Mapping[str, Any]:
        return _job_facts(event)

    def progress(self) -> dict[str, Any]:
        """Return the columns of the row that every event changes."""
        return {**super().progress(), "epoch": self._epoch()}

    def _epoch(self) -> int | None:
        """Return the latest epoch of the latest attempt."""
        epoch, start = self.clocks.get("epoch"), self.clocks.get("start")
        current = epoch is not None and (start is None or epoch > start)
        return epoch[2] if epoch is not None and current else None

    def row(self) -> dict[str, Any]:
        """Return the columns of the job's row, without its keys."""
        untested = self.clocks.get("untested")
        return {
            **{name: self.values.get(name) for name in self.COLUMNS},
            **self._times(),
            **self._numbers(),
            "fast_dev_run": self.values.get("fast_dev_run", False),
            "epoch": self._epoch(),
            "untested_us": untested[0] if untested is not None else None,
        }

    def _numbers(self) -> dict[str, Any]:
        """Return how the leaderboard finds the job. Whether a later job supersedes it is not known here."""
        listed = self.status == "done" and not self.values.get("fast_dev_run")
        names = tuple(self.values.get(name) for name in _NUMBERED)
        if names != self._numbered:
            self._numbered = names
            self._places = {
                **{f"{column}_no": text_number(name) for column, name in zip(_NUMBERED, names, strict=True)},
                "place": place_of(*names[:3]),
                "seed_place": seed_place_of(names[2]),
                "replica_no": replica_number(*names[:3]),
            }
        return {"standing": int(Standing.COUNTS if listed else Standing.ABSENT), **self._places}


class BatchState(_State):
    """One batch, as far as its events, and those of its jobs, are known.

    Its counters are its jobs', counted when asked for.
    """

    _SPEAKING = _OF_BATCHES
    _EPOCH: ClassVar[Mapping[str, Any]] = {}
    COLUMNS = (
        *_SOURCE_COLUMNS,
        "name",
        "experiment_type",
        "n_total_jobs",
        "outcome",
        "reason",
        "total_elapsed_s",
    )

    @classmethod
    def from_row(cls, row: Mapping[Any, Any]) -> BatchState:
        """Return the state that `row` was written from."""
        state = cls()
        state._load(row, cls.COLUMNS)
        return state

    def _facts(self, event: Event) -> Mapping[str, Any]:
        return _batch_facts(event)

    def row(self) -> dict[str, Any]:
        """Return the columns of the batch's row, without its keys."""
        over, start = self.clocks.get("over"), self.clocks.get("start")
        is_over = over is not None and (start is None or over > start)
        return {
            **{name: self.values.get(name) for name in self.COLUMNS},
            **self._times(),
            "over_us": over[0] if over is not None and is_over else None,
        }


def _pack(clocks: Mapping[str, Clock]) -> str:
    """Write each clock once, with the facts that share it."""
    facts: dict[Clock, list[str]] = {}
    for name in sorted(clocks):
        facts.setdefault(clocks[name], []).append(name)
    return msgspec.json.encode([[*clock, names] for clock, names in sorted(facts.items())]).decode()


def _unpack(text: str) -> dict[str, Clock]:
    clocks: dict[str, Clock] = {}
    for moment, rank, epoch, event_id, names in msgspec.json.decode(text):
        for name in names:
            clocks[name] = (moment, rank, epoch, event_id)
    return clocks


# --- epochs of several attempts ---------------------------------------------------------------


def visible_epochs(
    epochs: Iterable[tuple[int, int, Any]], starts_us: Iterable[int]
) -> list[tuple[int, int, Any]]:
    """Return the epochs that belong to the job's history, in order.

    A later attempt keeps the epochs before its own first one and replaces those after it, even
    those that it never reached.

    Args:
        epochs: (epoch, timestamp in µs, anything), one for each epoch.
        starts_us: when the job's attempts began.
    """
    starts = sorted(set(starts_us))
    visible, newest = [], 0
    for item in sorted(epochs, key=lambda item: item[0]):
        started = bisect_right(starts, item[1])
        if started >= newest:
            newest = started
            visible.append(item)
    return visible
