"""Clocks for test batches: on the host, and on CUDA, which computes while the host goes on."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Literal, Protocol

from argus_core.footprint.gpu import started_cuda

__all__ = ["Clock", "SyncCuda", "clock_for"]

SyncCuda = Literal["events", "sync", "off"]
"""How a test batch is timed on CUDA: by event pairs, by waiting for the device, or not at all."""


class Clock(Protocol):
    """Times one batch after the other. All latencies are in seconds, in the order of the batches."""

    def begin(self) -> None:
        """Note that a batch begins."""

    def end(self) -> list[float]:
        """Note that it ended, if it began, and return the latencies that became known since the last call."""

    def drain(self) -> list[float]:
        """Return the latencies still owed."""


def clock_for(model: Any, sync_cuda: SyncCuda) -> Clock:
    """Return the clock for a model's test batches; only a process that has started CUDA is timed on it."""
    cuda = started_cuda()
    if cuda is None or sync_cuda == "off" or not _is_on_cuda(model):
        return _HostClock()
    return _EventClock(cuda) if sync_cuda == "events" else _SyncClock(cuda)


def _is_on_cuda(model: Any) -> bool:
    """Whether a PyTorch module computes on CUDA; assumed of a model that does not say."""
    parameters = getattr(model, "parameters", None)
    if not callable(parameters):
        return True
    first = next(iter(parameters()), None)
    return first is None or getattr(getattr(first, "device", None), "type", "cuda") == "cuda"


class _HostClock:
    """Times batches on the host: exact where execution is synchronous."""

    def __init__(self) -> None:
        self._began_at: float | None = None

    def begin(self) -> None:
        self._began_at = time.perf_counter()

    def end(self) -> list[float]:
        if self._began_at is None:
            return []
        latency_s = time.perf_counter() - self._began_at
        self._began_at = None
        return [latency_s]

    def drain(self) -> list[float]:
        return []


class _SyncClock(_HostClock):
    """Waits for the device before and after each batch: latency of a single stream of requests."""

    def __init__(self, cuda: Any) -> None:
        super().__init__()
        self._cuda = cuda

    def begin(self) -> None:
        self._cuda.synchronize()
        super().begin()

    def end(self) -> list[float]:
        self._cuda.synchronize()
        return super().end()


class _EventClock:
    """Lets the GPU note the time before and after each batch, and reads it when it is there.

    Nothing waits for the device until `drain`, unless more than `_OPEN` pairs are in flight: then `end`
    waits for the oldest. Events are used again, so memory is constant.
    """

    _OPEN = 256

    def __init__(self, cuda: Any) -> None:
        self._cuda = cuda
        self._free: list[Any] = []
        self._open: deque[tuple[Any, Any]] = deque()
        self._start: Any = None

    def begin(self) -> None:
        self._start = self._record()

    def end(self) -> list[float]:
        if self._start is None:
            return []
        self._open.append((self._start, self._record()))
        self._start = None
        if len(self._open) <= self._OPEN:
            return []
        self._open[0][1].synchronize()
        return self._read()

    def drain(self) -> list[float]:
        if self._open:
            self._cuda.synchronize()
        return self._read()

    def _record(self) -> Any:
        event = self._free.pop() if self._free else self._cuda.Event(enable_timing=True)
        event.record()
        return event

    def _read(self) -> list[float]:
        """Return the latencies of the pairs that the device is done with, and free their events."""
        latencies_s: list[float] = []
        while self._open and self._open[0][1].query():
            start, stop = self._open.popleft()
            latencies_s.append(start.elapsed_time(stop) / 1e3)
            self._free += (start, stop)
        return latencies_s
