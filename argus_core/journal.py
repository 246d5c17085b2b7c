"""Events on disk until the server has them.

A journal is one append-only file of one process, `<host>-<pid>-<start>.jsonl`: a header line that
remembers the server and the project (never the token), then one event a line. How far the server
has acknowledged it stands beside it in `….ack`, as a byte offset. No locks are taken on files, so
it may lie on NFS; a replay of what was sent already does no harm.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from argus_core.identity import process_is_alive

__all__ = ["Chunk", "Found", "Journal", "JournalFile", "dead_journals", "find_journals", "same_url"]

logger = logging.getLogger(__name__)

_READ_SIZE_BYTES = 4 << 20
_COMPACT_SIZE_BYTES = 8 << 20
_MEMORY_LINES = 10_000
_STALE_S = 3600.0
_FRESH = "written less than an hour ago, in another container or before this machine started"
MAX_SIZE_BYTES = 256_000_000
"""A longer journal takes only what makes a row; at twice this size it takes nothing."""
_NAME = re.compile(r"^(?P<host>.+)-(?P<pid>\d+)-(?P<start_ns>\d+)\.jsonl$")

_open_here: set[Path] = set()


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some lines of a journal, in order, and where the next ones begin.

    Attributes:
        lines: the events.
        end: byte offset in `file`; for lines from memory, the number of the next one.
        file: where the lines stand; None for lines from memory.
    """

    lines: list[bytes]
    end: int
    file: JournalFile | None


class JournalFile:
    """A journal on disk as its reader sees it: what is not acknowledged yet.

    Used by one thread at a time. A torn last line, left by a process that died in a write, is
    skipped and counted in `torn_lines`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn_lines = 0
        self._ack_path = path.with_suffix(".ack")
        self.offset = self._read_ack()

    def _read_ack(self) -> int:
        try:
            offset = int(self._ack_path.read_text())
            return offset if 0 <= offset <= self.path.stat().st_size else 0
        except (OSError, ValueError):
            return 0

    @property
    def header(self) -> dict[str, Any]:
        """What the writer said of itself: `url`, `project`, `boot`, `pid_namespace`; empty if unreadable."""
        try:
            with self.path.open("rb") as file:
                header = json.loads(file.readline())
        except (OSError, ValueError):
            return {}
        return header if isinstance(header, dict) else {}

    @property
    def url(self) -> str | None:
        """The server these events were meant for, or None when none was known."""
        url = self.header.get("url")
        return same_url(url) if isinstance(url, str) else None

    def read(self, limit: int) -> Chunk | None:
        """Return up to `limit` complete lines that are not acknowledged, None if there are none.

        Raises:
            OSError: the file cannot be read.
        """
        with self.path.open("rb") as file:
            while True:
                file.seek(self.offset)
                lines, position = self._events(_whole_lines(file), limit)
                if lines:
                    return Chunk(lines, self.offset + position, self)
                if not position:
                    return None
                self.offset += position  # nothing but a header or torn lines: the events come behind them

    def _events(self, block: bytes, limit: int) -> tuple[list[bytes], int]:
        """Return up to `limit` events of a block, and where what was not looked at begins."""
        lines: list[bytes] = []
        position = 0
        while len(lines) < limit and (newline := block.find(b"\n", position)) >= 0:
            line = block[position:newline]
            position = newline + 1
            if _is_event(line):
                lines.append(line)
            elif line and not _is_header(line):
                self.torn_lines += 1
        return lines, position

    def acknowledge(self, chunk: Chunk) -> None:
        """Remember, on disk too, that the server has the lines of `chunk`."""
        self.offset = chunk.end
        with contextlib.suppress(OSError):  # a lost acknowledgement costs a replay, not an event
            self._ack_path.write_text(str(chunk.end))

    def delete(self) -> None:
        """Remove the file and its acknowledgement."""
        for path in (self.path, self._ack_path):
            with contextlib.suppress(OSError):
                path.unlink()

    def count_pending(self) -> int:
        """Return how many events are not acknowledged, by reading the file."""
        return sum(1 for _ in self.pending())

    def last_pending(self, count: int) -> list[bytes]:
        """Return the last `count` lines that are not acknowledged."""
        return list(deque(self.pending(), maxlen=count))

    def pending(self) -> Iterator[bytes]:
        """Yield the lines that are not acknowledged, and leave `offset` where it was."""
        offset = self.offset
        try:
            while chunk := self.read(10_000):
                yield from chunk.lines
                self.offset = chunk.end
        except OSError:
            logger.debug("cannot read %s", self.path, exc_info=True)
        finally:
            self.offset = offset


class Journal:
    """The journal that this process writes.

    `append` may be called from any thread; `read` and `acknowledge` belong to one, the delivery's.
    When the disk is full or read-only, lines are kept in memory, with one warning and the count of
    what is at risk.

    Attributes:
        lost: events that fell out of memory while the disk could not be written.
        left_out: events that a journal of `max_size_bytes` did not take.
    """

    def __init__(
        self, directory: Path, *, url: str | None, project: str, max_size_bytes: int = MAX_SIZE_BYTES
    ) -> None:
        """Remember where to write. Nothing is created before the first `append`."""
        self._directory = directory
        about = {"argus_journal": 1, "url": url and same_url(url), "project": project}
        self._header = json.dumps({**about, **_whereabouts()}).encode()
        self._lock = threading.RLock()
        self._appending: int | None = None
        self._incoming: deque[tuple[bytes, bool]] = deque()
        self._fd: int | None = None
        self._file: JournalFile | None = None
        self._is_torn = False
        self._memory: deque[bytes] = deque()
        self._memory_start = 0
        self._warned = False
        self._unsent = 0
        self._size_bytes = 0
        self._max_size_bytes = max_size_bytes
        self.lost = 0
        self.left_out = 0

    @property
    def path(self) -> Path | None:
        """The file, once there is one."""
        return self._file.path if self._file else None

    @property
    def pending(self) -> int:
        """How many events have been appended and not acknowledged."""
        return self._unsent

    @property
    def at_risk(self) -> int:
        """How many events are only in memory."""
        return len(self._memory)

    def append(self, line: bytes, *, makes_row: bool = True) -> None:
        """Keep one event; when this returns it is on disk, or counted in `at_risk`. Any thread.

        Args:
            line: the event, without a newline.
            makes_row: whether a row of the leaderboard depends on it; a journal that has grown to its
                bound leaves the others out, with one warning and a count.
        """
        self._incoming.append((line, makes_row))
        if self._appending == threading.get_ident():
            return  # a signal handler, in the middle of an append of this thread, which will take it along
        with self._lock:
            while self._incoming:  # asked again once a handler would no longer leave its line to us
                self._appending = threading.get_ident()
                try:
                    while self._incoming:
                        self._append(*self._incoming.popleft())
                finally:
                    self._appending = None

    def _append(self, line: bytes, makes_row: bool) -> None:
        """Keep one event. The lock is held, and no signal handler comes in between."""
        if self._size_bytes >= self._max_size_bytes * (2 if makes_row else 1):
            self._leave_out()
            return
        self._unsent += 1
        try:
            self._write(line)
        except OSError as error:
            self._remember(line, error)

    def _write(self, line: bytes) -> None:
        if self._fd is not None and os.fstat(self._fd).st_nlink == 0:
            self._abandon()
        if self._fd is None:
            self._open()
        assert self._fd is not None
        data = b"\n" + line + b"\n" if self._is_torn else line + b"\n"
        written = os.write(self._fd, data)
        if written != len(data):
            self._is_torn = True
            raise OSError(28, "the disk is full")
        self._is_torn = False
        self._size_bytes += written

    def _abandon(self) -> None:
        """Let go of a file that somebody has deleted: who replays a journal deletes it when it is sent."""
        assert self._fd is not None
        os.close(self._fd)
        self._fd, self._file, self._size_bytes = None, None, 0
        self._unsent = len(self._memory) + 1

    def _leave_out(self) -> None:
        self.left_out += 1
        if self.left_out == 1:
            logger.warning(
                "argus: the journal %s has grown to %d MB without reaching the server; from now on epochs, "
                "log lines and snapshots are left out, results are kept",
                self.path,
                self._size_bytes // 1_000_000,
            )

    def _open(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._directory / f"{_host()}-{os.getpid()}-{time.time_ns()}.jsonl"
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        header = self._header + b"\n"
        try:
            if os.write(fd, header) != len(header):
                raise OSError(28, "the disk is full")
        except OSError:
            os.close(fd)
            path.unlink()
            raise
        _open_here.add(path)
        self._fd, self._file = fd, JournalFile(path)

    def _remember(self, line: bytes, error: OSError) -> None:
        if len(self._memory) == _MEMORY_LINES:
            self._memory.popleft()
            self._memory_start += 1
            self.lost += 1
            self._unsent -= 1
        self._memory.append(line)
        if not self._warned:
            self._warned = True
            logger.warning(
                "argus: cannot write the journal in %s (%s); events are kept in memory and are lost if "
                "this process dies before the server has them (%d so far)",
                self._directory,
                error,
                len(self._memory),
            )

    def read(self, limit: int) -> Chunk | None:
        """Return the next lines that the server does not have, None if there are none."""
        if self._file is not None:
            try:
                chunk = self._file.read(limit)
            except OSError as error:
                logger.warning("argus: cannot read %s: %s", self._file.path, error)
                chunk = None
            if chunk is not None:
                return chunk
        with self._lock:
            lines = [self._memory[i] for i in range(min(limit, len(self._memory)))]
            return Chunk(lines, self._memory_start + len(lines), None) if lines else None

    def acknowledge(self, chunk: Chunk) -> None:
        """Let go of the lines of `chunk`: the server has them, or has said that it never will."""
        if chunk.file is not None:
            chunk.file.acknowledge(chunk)  # outside the lock: the training thread may want to append
        with self._lock:
            if chunk.file is None:
                while self._memory and self._memory_start < chunk.end:
                    self._memory.popleft()
                    self._memory_start += 1
                    self._unsent -= 1
            elif chunk.file is self._file:
                self._unsent -= len(chunk.lines)
                self._compact(chunk.file)

    def _compact(self, file: JournalFile) -> None:
        """Empty a long file whose every line is acknowledged. The lock is held."""
        if self._fd is None or file.offset < _COMPACT_SIZE_BYTES:
            return
        with contextlib.suppress(OSError):
            if os.fstat(self._fd).st_size == file.offset:
                os.ftruncate(self._fd, 0)
                self._size_bytes = os.write(self._fd, self._header + b"\n")
                file.acknowledge(Chunk([], 0, file))

    def close(self) -> None:
        """Close the file, and delete it if the server has everything in it."""
        with self._lock:
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None
            if self._file is not None:
                _open_here.discard(self._file.path)
                if self._unsent <= len(self._memory):
                    self._file.delete()


@dataclass(frozen=True, slots=True)
class Found:
    """A journal in the directory, and why it is to be left alone; empty when its writer is gone."""

    file: JournalFile
    reason: str


def find_journals(directory: Path) -> list[Found]:
    """Return every journal in the directory, oldest first."""
    try:
        names = [(match, path) for path in directory.glob("*.jsonl") if (match := _NAME.match(path.name))]
    except OSError:
        return []
    names.sort(key=lambda item: int(item[0]["start_ns"]))
    found = []
    for match, path in names:
        with contextlib.suppress(OSError):  # another process may have sent and deleted it
            file = JournalFile(path)
            found.append(Found(file, _why_alive(file, match)))
    return found


def dead_journals(directory: Path) -> Iterator[JournalFile]:
    """Yield, oldest first, the journals of this host that no living process writes any more."""
    return (found.file for found in find_journals(directory) if not found.reason)


def _why_alive(file: JournalFile, name: re.Match[str]) -> str:
    """Return why somebody may still write this journal; empty when nobody can."""
    if file.path in _open_here:
        return "this process writes it"
    if name["host"] != _host():
        return f"written on the host {name['host']}"
    header, here = file.header, _whereabouts()
    if any(header.get(key) != here[key] for key in here):
        # Another container of this host name, or this machine before it started anew.
        age_s = time.time() - file.path.stat().st_mtime
        return "" if age_s > _STALE_S else _FRESH
    pid = int(name["pid"])
    if pid != os.getpid() and process_is_alive(pid, int(name["start_ns"]) / 1e9 + 1):
        return f"process {pid} still runs"
    return ""


@functools.cache
def _host() -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "_", socket.gethostname()) or "host"


@functools.cache
def _whereabouts() -> dict[str, Any]:
    """Return what makes a process id unique on this host: the boot, and the namespace of the ids."""
    boot, namespace = None, None
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with contextlib.suppress(OSError):
        namespace = Path("/proc/self/ns/pid").stat().st_ino
    return {"boot": boot, "pid_namespace": namespace}


def same_url(url: str) -> str:
    """Return a server's URL in the one spelling that journals are compared by."""
    return url.rstrip("/")


def _whole_lines(file: BinaryIO) -> bytes:
    """Return the next block of a file, large enough for one whole line if there is one."""
    block = file.read(_READ_SIZE_BYTES)
    while block and b"\n" not in block and (more := file.read(_READ_SIZE_BYTES)):
        block += more
    return block


def _is_event(line: bytes) -> bool:
    """Whether a line is whole: one that was torn in a write would spoil the request it travels in."""
    if not line.startswith(b'{"event_id"'):
        return False
    try:
        msgspec.json.decode(line, type=_Whole)
    except msgspec.DecodeError:
        return False
    return True


class _Whole(msgspec.Struct):
    event_id: str


def _is_header(line: bytes) -> bool:
    return line.startswith(b'{"argus_journal"')
