"""Open pages learn that their project has changed, whichever process took the events.

A page holds one request open, as server-sent events. What travels is a number, the project's version: the
page asks for the rest itself, with its own rights. So a message that is lost, late or repeated does no
harm, each listener keeps one number however slow it is, and Last-Event-ID says all that it missed.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import anyio
import anyio.to_thread
from litestar import Request, get
from litestar.channels import ChannelsPlugin
from litestar.channels.backends.memory import MemoryChannelsBackend
from litestar.exceptions import ServiceUnavailableException
from litestar.response import ServerSentEventMessage, Stream

from argus_server.auth import require
from argus_server.errors import StoreError, UnknownProject
from argus_server.storage.watch import Watch
from argus_server.storage.writer import Commit
from argus_server.urls import read_segment

__all__ = ["LIVE_ROUTES", "LiveFeed"]

logger = logging.getLogger(__name__)

_APART_S = 0.2
_HEARTBEAT_S = 15.0
_LIFETIME_S = 300.0
"""After so long, up to a half more, the browser has to come again, and is asked again who it is."""
_RETRY_MS = 2000
_GATHER_S = 0.1


def _channel(project: str) -> str:
    """Return a name of one length and one alphabet for any project."""
    return hashlib.sha256(project.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class _Backend(MemoryChannelsBackend):
    """Litestar's channels in memory; what is published here is told to the other processes too.

    Litestar's backend for psycopg ends for good with its first lost connection, opens one for every
    message, and takes names of channels for identifiers, of which PostgreSQL keeps 63 bytes.
    """

    def __init__(self, watch: Watch, missed: asyncio.Event) -> None:
        super().__init__()
        self._announcements = watch.announcements
        self._missed = missed
        self._unsent: dict[str, bytes] = {}
        self._has_unsent = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def on_startup(self) -> None:
        await super().on_startup()
        if self._announcements is not None:
            self._tasks = [asyncio.create_task(self._send()), asyncio.create_task(self._listen())]

    async def on_shutdown(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._announcements is not None:
            await self._announcements.close()
        await super().on_shutdown()

    async def publish(self, data: bytes, channels: Iterable[str]) -> None:
        """Deliver here at once, elsewhere soon."""
        names = list(channels)
        await self.deliver(data, names)
        if self._announcements is not None:
            self._unsent.update(dict.fromkeys(names, data))
            self._has_unsent.set()

    async def deliver(self, data: bytes, channels: Iterable[str]) -> None:
        """Deliver to the listeners of this process only."""
        await super().publish(data, channels)

    async def _send(self) -> None:
        assert self._announcements is not None
        while True:
            await self._has_unsent.wait()
            self._has_unsent.clear()
            unsent, self._unsent = self._unsent, {}
            try:
                await self._announcements.send([f"{name} {data.decode()}" for name, data in unsent.items()])
            except StoreError as error:
                logger.warning("other servers hear of it late: %s", error)
            await asyncio.sleep(_GATHER_S)

    async def _listen(self) -> None:
        assert self._announcements is not None
        async for message in self._announcements.listen():
            if message is None:
                self._missed.set()
                continue
            name, _, data = message.partition(" ")
            await self.deliver(data.encode(), [name])


class _Mailbox:
    """The newest version that a listener has heard of."""

    def __init__(self) -> None:
        self.version = 0
        self.changed = asyncio.Event()

    async def put(self, data: bytes) -> None:
        with suppress(ValueError):  # anybody who may use the database can NOTIFY
            self.version = max(self.version, int(data[:20]))
        self.changed.set()

    async def wait(self, seconds: float) -> None:
        """Return at the next message, or when the time is over."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.changed.wait(), seconds)
        self.changed.clear()


class LiveFeed:
    """Tells the listeners of this process about every commit. `running` is its life, on one event loop."""

    def __init__(self, database: str, *, max_listeners: int) -> None:
        self._watch = Watch(database)
        self._max_listeners = max_listeners
        self._missed = asyncio.Event()
        self._stopping = False
        self._watched: Counter[str] = Counter()
        self._known: dict[str, int] = {}
        self._thread = anyio.CapacityLimiter(1)
        self._backend = _Backend(self._watch, self._missed)
        self._channels = ChannelsPlugin(
            self._backend,
            arbitrary_channels_allowed=True,
            subscriber_max_backlog=1,
            subscriber_backlog_strategy="dropleft",
        )
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def listeners(self) -> int:
        """How many pages listen."""
        return self._watched.total()

    @property
    def is_full(self) -> bool:
        """Whether nobody else may listen, now."""
        return self._stopping or self.listeners >= self._max_listeners

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen to the database until the end of the block."""
        self._loop = asyncio.get_running_loop()
        async with self._channels:
            looking = asyncio.create_task(self._look_now_and_then())
            try:
                yield
            finally:
                await self.stop()
                self._loop = None
                looking.cancel()
                await asyncio.gather(looking, return_exceptions=True)
        await anyio.to_thread.run_sync(self._watch.close)

    async def stop(self) -> None:
        """End every stream soon, and begin none."""
        self._stopping = True
        await self._backend.deliver(b"", [_channel(project) for project in self._watched])

    def committed(self, commit: Commit) -> None:
        """Tell of a commit. Any thread; returns at once."""
        versions: dict[str, int] = {}
        for event, stored in zip(commit.events, commit.stored, strict=True):
            if stored.is_new:
                versions[event.source.project] = max(versions.get(event.source.project, 0), stored.seq)
        loop = self._loop
        if versions and loop is not None:
            with suppress(RuntimeError):  # the loop has just been closed
                loop.call_soon_threadsafe(self._publish, versions)

    def _publish(self, versions: dict[str, int]) -> None:
        if self._loop is None:
            return
        for project, version in versions.items():
            self._channels.publish(str(version), _channel(project))

    # --- what nobody told ---------------------------------------------------------------------

    async def _look_now_and_then(self) -> None:
        while True:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._missed.wait(), self._watch.every_s)
            must_look = self._missed.is_set()
            self._missed.clear()
            if not self._watched:
                continue
            try:
                await self._look(must=must_look)
            except StoreError as error:
                logger.debug("live pages wait: %s", error)

    async def _look(self, *, must: bool) -> None:
        projects = set(self._watched)

        def ask() -> dict[str, int]:
            return self._watch.versions(projects) if self._watch.has_changed() or must else {}

        for project, version in (await self._in_thread(ask)).items():
            if self._known.get(project) != version and project in self._watched:
                self._known[project] = version
                await self._backend.deliver(str(version).encode(), [_channel(project)])

    async def _in_thread(self, function: Any) -> Any:
        return await anyio.to_thread.run_sync(function, limiter=self._thread)

    async def version(self, project: str) -> int:
        """Return the number of a project's latest event.

        Raises:
            UnknownProject: there is none.
            StoreError: the database does not answer.
        """
        versions = await self._in_thread(lambda: self._watch.versions([project]))
        if project not in versions:
            raise UnknownProject(project)
        return int(versions[project])

    # --- one listener -------------------------------------------------------------------------

    async def stream(self, project: str, seen: int | None) -> AsyncIterator[bytes]:
        """Yield what is sent to one page, whose version is `seen` if it knows one."""
        mailbox = _Mailbox()
        with self._counted(project):
            async with (
                self._channels.start_subscription([_channel(project)]) as subscriber,
                subscriber.run_in_background(mailbox.put, join=False),
            ):
                try:
                    mailbox.version = await self.version(project)  # asked now, so nothing falls between
                except (StoreError, UnknownProject):  # the headers are gone; the browser comes again
                    return
                sent = mailbox.version if seen is None else seen
                yield _message(None, sent, retry=_RETRY_MS)
                if sent > mailbox.version:  # the page remembers another database
                    sent = -1
                async for version in self._versions(mailbox, sent):
                    yield b": \n\n" if version is None else _message("change", version)

    async def _versions(self, mailbox: _Mailbox, sent: int) -> AsyncIterator[int | None]:
        """Yield new versions, not too close to each other, and None when there was none for long."""
        clock = asyncio.get_running_loop().time
        ends = clock() + _LIFETIME_S * random.uniform(1, 1.5)  # noqa: S311 - so that not all come again at once
        while not self._stopping and clock() < ends:
            if mailbox.version > sent:
                sent = mailbox.version
                yield sent
                await self._pause(mailbox)
                continue
            heard = clock()
            await mailbox.wait(_HEARTBEAT_S)
            if clock() - heard >= _HEARTBEAT_S:
                yield None

    async def _pause(self, mailbox: _Mailbox) -> None:
        """Let `_APART_S` pass, whatever arrives; less if the server stops."""
        ends = asyncio.get_running_loop().time() + _APART_S
        while not self._stopping and (left := ends - asyncio.get_running_loop().time()) > 0:
            await mailbox.wait(left)

    @contextmanager
    def _counted(self, project: str) -> Iterator[None]:
        self._watched[project] += 1
        try:
            yield
        finally:
            self._watched[project] -= 1
            if not self._watched[project]:
                del self._watched[project]
                self._known.pop(project, None)


def _message(event: str | None, version: int, retry: int | None = None) -> bytes:
    data = None if event is None else f'{{"seq": {version}}}'
    return ServerSentEventMessage(data=data, event=event, id=version, retry=retry, sep="\n").encode()


@get(
    "/p/{project:str}/live",
    guards=[require("read", visitors=True)],
    opt={"uncompressed": True},
    media_type="text/event-stream",
)
async def live(request: Request[Any, Any, Any]) -> Stream:
    """Tell of every change of a project, as server-sent events.

    `event: change` with `data: {"seq": N}`; N is the project's new version. A page that knows the version
    that it shows says so as `?seq=N`, and hears at once if there is a newer one; a browser that connects
    again says so by itself, in Last-Event-ID.
    """
    feed: LiveFeed = request.app.state.live
    project = read_segment(request.path_params["project"])
    if feed.is_full:
        raise ServiceUnavailableException(
            detail="as many pages listen as this server allows", headers={"Retry-After": "10"}
        )
    await feed.version(project)
    seen = _number(request.headers.get("last-event-id") or request.query_params.get("seq"))
    is_head = request.scope.get("argus_head", False)
    headers = {"X-Accel-Buffering": "no"}
    return Stream(iter(()) if is_head else feed.stream(project, seen), headers=headers)


def _number(text: str | None) -> int | None:
    """Return the version that a client names; what is no number is none."""
    return int(text) if text and len(text) < 20 and text.isascii() and text.isdigit() else None


LIVE_ROUTES = [live]
