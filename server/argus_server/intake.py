"""The way in, without HTTP: a body becomes events, and an answer is given when they are committed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import anyio
import anyio.to_thread
import msgspec
from litestar.exceptions import ClientException, HTTPException

from argus_core.errors import MalformedBody
from argus_core.events import Event, split_events
from argus_server.bodies import Allowance, expand
from argus_server.errors import StoreError, WriterBusy
from argus_server.items import (
    PART_BYTES,
    Item,
    Rejected,
    excerpt,
    parts,
    read_event,
    read_items,
    read_list,
    weight,
)
from argus_server.operations import Metrics
from argus_server.ranking.rank import default_metric
from argus_server.ranking.values import flatten
from argus_server.ranking.why import unranked_reason
from argus_server.settings import Limits
from argus_server.storage.credentials import Grant
from argus_server.storage.queries import Queries
from argus_server.storage.store import SqlStore, Stored
from argus_server.storage.writer import GroupWriter

__all__ = ["Answer", "Intake"]

logger = logging.getLogger(__name__)

_INLINE_BYTES = 256 * 1024
"""So much is decoded in less time than a thread takes to get the interpreter from the others."""
_DOOR_THREADS = 20
"""Threads that ask who is there and read bodies: pages, in threads of their own, never hold these."""
_DECODE_THREADS = 2
"""Threads that expand and decode large bodies: one holds the memory of one piece of a body."""
_MOST_TOLD = 20

Result = TypeVar("Result")


class Answer(NamedTuple):
    """The status of an answer, and its JSON."""

    status_code: int
    content: bytes


class Intake:
    """Takes the bodies of reports, on one event loop.

    Attributes:
        door_threads: who asks the database at the door waits in one of these.
    """

    def __init__(self, store: SqlStore, writer: GroupWriter, metrics: Metrics, limits: Limits) -> None:
        self._store = store
        self._writer = writer
        self._metrics = metrics
        self.limits = limits
        self.door_threads = anyio.CapacityLimiter(_DOOR_THREADS)
        self._decode_threads = anyio.CapacityLimiter(_DECODE_THREADS)

    async def expanded(
        self, body: bytes | bytearray, encoding: str, allowance: Allowance
    ) -> bytes | bytearray:
        """Return a body without its Content-Encoding; where that is work, it is done in a thread."""
        encoding = encoding.strip().lower()
        if encoding in ("", "identity"):
            return body
        work = partial(expand, bytes(body), encoding, self.limits.expanded_bytes, allowance.take)
        return await anyio.to_thread.run_sync(work, limiter=self.door_threads)

    async def take_event(self, body: bytes | bytearray, grant: Grant) -> Answer:
        """Store one event.

        Raises:
            HTTPException: 400, 403 or 429; nothing was stored.
            StoreError: nothing was stored.
        """
        item = await self._work(len(body), partial(read_event, body, self.limits))
        if isinstance(item, Rejected):
            self._metrics.rejected(1)
            return Answer(item.status_code, msgspec.json.encode(_explain(item, 0)))
        _check_projects(grant, [item])
        (stored,) = await self._put([item], weight([body]))
        content = {"accepted": True, "event_id": stored.seq, "deduplicated": not stored.is_new}
        return Answer(200, msgspec.json.encode(content))

    async def take_events(self, body: bytes | bytearray, grant: Grant, allowance: Allowance) -> Answer:
        """Store the good events of a list, and say for each of the others what is wrong with it.

        A long list is stored part by part: who is told of trouble half-way sends it again, and loses nothing.

        Raises:
            HTTPException: 400, 403 or 429.
            StoreError: nothing was stored, or only some parts.
        """
        results = _Results(allowance)
        ended: list[Event] = []
        async for items, weight_bytes in self._read(body):
            events = [item for item in items if isinstance(item, Event)]
            self._metrics.rejected(len(items) - len(events))
            _check_projects(grant, events)
            results.add(items, await self._put(events, weight_bytes) if events else [])
            ended += [event for event in events if event.event_type == "job_done"][: _MOST_TOLD - len(ended)]
        return results.answer(await self._unranked(ended))

    async def _read(self, body: bytes | bytearray) -> Any:
        """Yield the items of a body, part by part, and about how much memory they take."""
        if len(body) <= PART_BYTES:
            items = await self._work(len(body), partial(read_list, body, self.limits))
            yield items, weight([body])
            return
        pieces = await self._work(len(body), partial(split_events, body))
        for part in parts(pieces):
            size_bytes = sum(map(len, part))
            yield await self._work(size_bytes, partial(read_items, part, self.limits)), weight(part)

    async def _work(self, size_bytes: int, work: Callable[[], Result]) -> Result:
        """Do a little work at once, more in a thread, and much of it in one of few threads."""
        try:
            if size_bytes <= _INLINE_BYTES:
                return work()
            limiter = self.door_threads if size_bytes <= PART_BYTES else self._decode_threads
            return await anyio.to_thread.run_sync(work, limiter=limiter)
        except MalformedBody as error:
            raise ClientException(detail=excerpt(str(error))) from None

    async def _put(self, events: list[Event], weight_bytes: int) -> list[Stored]:
        """Hand the events to the writer and wait for the commit."""
        try:
            return await self._writer.store(events, weight_bytes)
        except WriterBusy as busy:
            headers = {"Retry-After": str(busy.retry_after_s)}
            raise HTTPException(status_code=429, detail=str(busy), headers=headers) from None

    async def _unranked(self, ended: Sequence[Event]) -> list[dict[str, str]]:
        """Return the jobs among these that will have no rank, and why.

        Their sender says it to who waits there.

        The answer to the events carries it, so that a client learns it without another request, with a token
        that may only report, and never waits for it.
        """
        if not ended:
            return []
        try:
            return await anyio.to_thread.run_sync(_why_unranked, self._store.queries, ended)
        except StoreError as error:  # the events are stored all the same
            logger.warning("jobs are not told whether they rank: %s", error)
        except Exception:
            logger.exception("jobs are not told whether they rank")
        return []


class _Results:
    """What became of the items so far. Their results are kept as JSON, which is small."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._accepted = self._rejected = 0
        self._first: dict[str, Any] | None = None
        self._results: list[bytes] = []

    def add(self, items: Sequence[Item], stored: Iterable[Stored]) -> None:
        """Take in the items of one part, and what was stored of them."""
        answers = iter(stored)
        results: list[dict[str, Any]] = []
        n_rejected = 0
        for index, item in enumerate(items, self._accepted + self._rejected):
            if isinstance(item, Rejected):
                n_rejected += 1
                results.append(
                    {"event_id": item.event_id, "status": "rejected", "db_id": None, **_explain(item, index)}
                )
                self._first = self._first or results[-1]
                continue
            answer = next(answers)
            status = "accepted" if answer.is_new else "deduplicated"
            results.append({"event_id": item.event_id, "status": status, "db_id": answer.seq, "error": None})
        self._rejected += n_rejected
        self._accepted += len(items) - n_rejected
        text = msgspec.json.encode(results)[1:-1]
        self._allowance.take(len(text))
        self._results.append(text)

    def answer(self, unranked: Sequence[Mapping[str, str]]) -> Answer:
        """Return 200, or 422 with the first reason if there was no good event among them."""
        content: dict[str, Any] = {"accepted": self._accepted, "rejected": self._rejected}
        if unranked:
            content["unranked"] = unranked
        status_code = 200
        if self._first is not None and not self._accepted:
            status_code = 422
            refusal = {key: self._first[key] for key in ("error", "index", "field", "reason")}
            content = {"status_code": 422, **refusal, **content}
        content["results"] = msgspec.Raw(b"[" + b",".join(self._results) + b"]")
        return Answer(status_code, msgspec.json.encode(content))


def _explain(item: Rejected, index: int) -> dict[str, Any]:
    where = f"events[{index}]" + (f".{item.field}" if item.field else "")
    return {
        "status_code": item.status_code,
        "error": f"{where}: {item.reason}",
        "index": index,
        "field": item.field,
        "reason": item.reason,
    }


def _check_projects(grant: Grant, events: Sequence[Event]) -> None:
    if grant.project is None and grant.scope != "visitor":
        return
    for index, event in enumerate(events):
        if not grant.covers(event.source.project):
            name = event.source.project
            detail = f"events[{index}].source.project: this token is for another project than {name!r}"
            raise HTTPException(status_code=403, detail=detail)


def _why_unranked(queries: Queries, ended: Sequence[Event]) -> list[dict[str, str]]:
    latest = {(event.source.project, event.batch_id, event.job_id or ""): event for event in ended}
    told = []
    for project in {name for name, _, _ in latest}:
        settings, keys = queries.ranked_by(project)
        metric, _ = default_metric(keys, settings.primary)
        for (name, batch_id, job_id), event in latest.items():
            metrics = settings.settle(flatten(event.data.get("metrics") or {}), batch_id)
            fact, fix = unranked_reason(metrics, metric)
            if name == project and fact:
                told.append({"batch_id": batch_id, "job_id": job_id, "reason": f"{fact} {fix}"})
    return told
