"""Clocks and counts of the two stages of a job: training and test."""

from __future__ import annotations

import time
from typing import Any

from argus_core.footprint.clocks import Clock
from argus_core.footprint.columns import Columns
from argus_core.footprint.quantiles import Quantiles

__all__ = ["BatchCount", "TestStage", "TrainingStage"]

_WARMUP_NEEDS_BATCHES = 10


class BatchCount:
    """The training batches since the epoch began: all that the hook of a framework touches at every step.

    In the middle of a training each object that a hook touches is a cache miss, which takes longer than
    the counting. So this one is small, stays the same object as long as its `Footprint`, and hooks write
    to it.

    Attributes:
        batches: how many have ended in this process.
        samples: how many samples they held, as far as the hook knows.
        last: what tells the latest batch from the one before it, for a hook that is called twice for one.
        size: the samples of each batch whose number is below `known_below`: these need not be asked.
        known_below: 0 as long as every batch is to be asked.
    """

    __slots__ = ("batches", "known_below", "last", "samples", "size")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Stand as at the begin of an epoch."""
        self.batches = 0
        self.samples: float = 0
        self.last: int | None = None
        self.size = 0
        self.known_below = 0


class TrainingStage:
    """Clocks and counts of training; `count` has the batches of the epoch that runs, the others the rest."""

    def __init__(self) -> None:
        self.count = BatchCount()
        self.total_s = 0.0
        self.epochs = 0
        self.epochs_s = 0.0
        self.batches = 0
        self.samples = 0.0
        self._began_at: float | None = None
        self._epoch_began_at: float | None = None
        self._validation_began_at: float | None = None
        self._validation_s = 0.0
        self._validation_total_s = 0.0

    def began(self) -> None:
        """Start the clock; what an earlier training measured stays, but for an epoch that was cut off."""
        self._began_at = time.perf_counter()
        self._epoch_began_at = self._validation_began_at = None
        self.count.clear()

    def ended(self) -> bool:
        """Stop all clocks and return whether they ran."""
        if self._began_at is None:
            return False
        self._close_epoch_batches()
        self.total_s += time.perf_counter() - self._began_at
        self._began_at = self._epoch_began_at = None
        return True

    def epoch_began(self) -> None:
        """Start the clock of an epoch; one that did not end leaves its batches and no time.

        Outside a training there is no epoch.
        """
        self._close_epoch_batches()
        self._epoch_began_at = time.perf_counter() if self._began_at is not None else None
        self._validation_s = 0.0
        self._validation_began_at = None

    def epoch_ended(self) -> float | None:
        """Return the mean seconds per batch of the epoch, None if it did not begin or had no batch."""
        if self._epoch_began_at is None:
            return None
        self.validation_ended()
        epoch_s = max(0.0, time.perf_counter() - self._epoch_began_at - self._validation_s)
        self._epoch_began_at = None
        self.epochs += 1
        self.epochs_s += epoch_s
        batches = self._close_epoch_batches()
        return epoch_s / batches if batches else None

    def _close_epoch_batches(self) -> int:
        batches = self.count.batches
        if self._began_at is not None:  # else the clock did not run for them
            self.batches += batches
            self.samples += self.count.samples
        self.count.clear()
        return batches

    def validation_began(self) -> None:
        """Stop the clock of the epoch."""
        self._validation_began_at = time.perf_counter()

    def validation_ended(self) -> None:
        """Let it run again, if it was stopped."""
        if self._validation_began_at is not None:
            self.validation_took(time.perf_counter() - self._validation_began_at)
            self._validation_began_at = None

    def validation_took(self, seconds: float) -> None:
        """Take `seconds` of validation off the training and off the epoch that runs."""
        self._validation_total_s += seconds
        if self._epoch_began_at is not None:
            self._validation_s += seconds

    def columns(self, world_size: int) -> Columns:
        """Return the training columns; a loop that never named its epochs has no `Avg_Epoch_Time`."""
        if not self.total_s:
            return {}
        busy_s = self.epochs_s if self.epochs else max(0.0, self.total_s - self._validation_total_s)
        return {
            "Total_Train_Time": self.total_s,
            "Avg_Epoch_Time": self.epochs_s / self.epochs if self.epochs else None,
            "Avg_Batch_Time": busy_s / self.batches if self.batches else None,
            "Total_Batches": self.batches,
            "Samples_Per_Second": self.samples * world_size / busy_s if busy_s else None,
        }

    def state(self) -> dict[str, Any]:
        """Return the measurements as plain data."""
        plain = {name: value for name, value in vars(self).items() if name != "count"}
        plain["batches"] += self.count.batches
        plain["samples"] += self.count.samples
        return plain

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned in another process."""
        vars(self).update(state)


class TestStage:
    """Latencies of one test stage. The first batches wait aside until it is known how many there are.

    Attributes:
        ends: how often the end of a batch was noted; a clock may tell its latency much later.
        first_mark_at: when the first batch ended, in a loop that does not say where batches begin.
    """

    def __init__(self, warmup: int, clock: Clock) -> None:
        self.clock = clock
        self.ends = 0
        self.batches = 0
        self.samples = 0.0
        self.first_mark_at: float | None = None
        self._leaves_out_any = warmup > 0
        self._warmup = warmup
        self._first: list[float] = []
        self._latencies = Quantiles()

    def add(self, latencies_s: list[float], batches: int = 1) -> None:
        """Take over what the clock knows by now; each latency is that of `batches` batches together."""
        for latency_s in latencies_s:
            for _ in range(batches):
                self._add_one(latency_s / batches)

    def _add_one(self, latency_s: float) -> None:
        self.batches += 1
        if len(self._first) < self._warmup:
            self._first.append(latency_s)
        else:
            self._latencies.add(latency_s)

    def mark(self) -> None:
        """End a batch and begin the next."""
        if self.first_mark_at is None:
            # Its begin is known only at the end, from the duration; till then it waits with the warm-up.
            self.first_mark_at = time.perf_counter()
            self._warmup = max(0, self._warmup - 1)
        else:
            self.add(self.clock.end())
        self.clock.begin()

    def finish(self, total_s: float | None) -> None:
        """Take over what the clock still owes, and decide what the percentiles leave out.

        Args:
            total_s: how long the stage took until now, if known.
        """
        self.add(self.clock.drain())
        if self.first_mark_at is not None and total_s is not None:
            began_at = time.perf_counter() - total_s
            self._first.insert(0, max(0.0, self.first_mark_at - began_at))
            self.batches += 1
        if self.batches < _WARMUP_NEEDS_BATCHES or not self._leaves_out_any:
            for latency_s in self._first:
                self._latencies.add(latency_s)
            self._first.clear()

    @property
    def left_out(self) -> int:
        """How many first batches the percentiles leave out, once the stage is finished."""
        return len(self._first)

    @property
    def total_s(self) -> float:
        """The sum of all batches, those left out included."""
        return self._latencies.total + sum(self._first)

    def percentiles(self) -> Columns:
        """Return the latency columns, in seconds, once the stage is finished."""
        return {f"Latency_P{percent}": self._latencies.quantile(percent / 100) for percent in (50, 95, 99)}
