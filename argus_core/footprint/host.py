"""What a job takes of the host: CPU time and memory of this process and its children."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from argus_core.footprint.columns import BYTES_PER_MB, Columns

if TYPE_CHECKING:
    import psutil

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
        """Note how much memory the process tree holds now; about 50 microseconds on Linux."""
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
    import psutil

    times = os.times()
    total = time.process_time() + times.children_user + times.children_system
    for child in _children():
        with contextlib.suppress(psutil.Error):
            used = child.cpu_times()
            total += used.user + used.system
    return total


def _resident_bytes() -> int:
    import psutil

    total = 0
    for process in (psutil.Process(), *_children()):
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
    return total


def _children() -> list[psutil.Process]:
    """Return the live descendants: data loader workers, mostly none.

    Linux names the children of each thread in a file: no need to look at every process of the host.
    """
    import psutil

    with contextlib.suppress(OSError):  # not Linux, or a thread that ended meanwhile
        if not any((task / "children").read_text().strip() for task in Path("/proc/self/task").iterdir()):
            return []
    try:
        return psutil.Process().children(recursive=True)
    except psutil.Error:
        return []
