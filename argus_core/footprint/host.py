"""What a job takes of the host: CPU time and memory of this process and its children."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from argus_core.footprint.columns import BYTES_PER_MB, Columns

__all__ = ["HostLoad"]


class HostLoad:
    """CPU time of the process tree between begin and end, and its largest memory among the samples.

    Attributes:
        has_measured: whether CPU time was measured, here or in the process it was restored from.
    """

    def __init__(self) -> None:
        self.has_measured = False
        self._wall_s = 0.0
        self._cpu_s = 0.0
        self._began_at: tuple[float, float] | None = None
        self._peak_bytes = 0
        self._restored: Columns | None = None

    def began(self) -> None:
        """Start counting CPU time; a second call starts again."""
        self._began_at = (time.perf_counter(), _cpu_seconds())

    def ended(self) -> None:
        """Add what was used since `began`; without one, do nothing."""
        if self._began_at is None:
            return
        wall_at, cpu_at = self._began_at
        self._began_at = None
        self._wall_s += time.perf_counter() - wall_at
        self._cpu_s += max(0.0, _cpu_seconds() - cpu_at)  # less when a child died that nobody waited for
        self.has_measured = True

    def sample_memory(self) -> None:
        """Note how much memory the process tree holds now, in some microseconds on Linux."""
        self._peak_bytes = max(self._peak_bytes, _resident_bytes())

    def restore(self, columns: Columns) -> None:
        """Answer with the columns of another process from now on."""
        self._restored = columns
        self.has_measured = True

    def columns(self) -> Columns:
        """Return the largest memory in MB, and the utilisation in percent of all cores."""
        if self._restored is not None:
            return self._restored
        cores = os.cpu_count() or 1
        return {
            "CPU_Memory": self._peak_bytes / BYTES_PER_MB,
            "CPU_Utilization": 100 * self._cpu_s / self._wall_s / cores if self._wall_s else None,
        }


def _cpu_seconds() -> float:
    """Return the CPU seconds of this process, of its ended children and of those that live."""
    times = os.times()
    total = time.process_time() + times.children_user + times.children_system
    return total + sum(map(_cpu_seconds_of, _descendants()))


def _cpu_seconds_of(pid: int) -> float:
    import psutil  # takes a tenth of a second in a process with a framework, and most have no children

    with contextlib.suppress(psutil.Error):
        used = psutil.Process(pid).cpu_times()
        return float(used.user + used.system)
    return 0.0


def _resident_bytes() -> int:
    return sum(map(_resident_bytes_of, (os.getpid(), *_descendants())))


def _resident_bytes_of(pid: int) -> int:
    """Return what a process holds, 0 if it has ended. Linux says so in a file, much sooner than psutil."""
    try:
        return int(_read(f"/proc/{pid}/statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        import psutil

        with contextlib.suppress(psutil.Error):
            return int(psutil.Process(pid).memory_info().rss)
        return 0


def _descendants() -> list[int]:
    """Return the live descendants: data loader workers, mostly none.

    Linux names the children of each thread in a file: no need to look at every process of the host.
    """
    if not _has_children():
        return []
    try:
        return _descendants_of(os.getpid())
    except OSError:  # not Linux
        import psutil

        with contextlib.suppress(psutil.Error):
            return [child.pid for child in psutil.Process().children(recursive=True)]
        return []


def _has_children() -> bool:
    """Ask for an ended child and leave it to whoever waits for it: the system refuses if there is none."""
    if not hasattr(os, "waitid"):  # Windows, and macOS before Python 3.13
        return True
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _descendants_of(pid: int) -> list[int]:
    """Return the children of all threads of a process, and theirs.

    Raises:
        OSError: there are no such files here.
    """
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            children = [int(child) for child in _read(f"{task}/children").split()]
        except OSError:
            if task.exists():
                raise  # a kernel without these files
            continue  # a thread that ended meanwhile
        for child in children:
            found.append(child)
            with contextlib.suppress(OSError):  # ended meanwhile
                found += _descendants_of(child)
    return found


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.read(fd, 65536)
    finally:
        os.close(fd)
