"""How long jobs and batches will still take: plain data in, a range in seconds out.

A range, because one number would be wrong: its ends come from the quicker and the slower of the epochs, or
jobs, that have been seen. Nothing is said before two epochs have passed.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles

__all__ = ["RECENT_EPOCHS", "BatchProgress", "Range", "batch_progress", "epoch_durations_s", "job_eta_s"]

Range = tuple[float, float]
RECENT_EPOCHS = 50
"""So many of its latest epochs say how quick a job is."""


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """Where a batch stands.

    Attributes:
        counts: jobs by status.
        total: how many jobs there will be; those that are known, if nobody has said.
        queued: how many of them no event has named yet.
        eta_s: the range of seconds until the last of them ends; None while it cannot be told.
    """

    counts: dict[str, int]
    total: int
    queued: int
    eta_s: Range | None


def epoch_durations_s(started_us: int | None, epochs: Sequence[tuple[int, int]]) -> list[float]:
    """Return how long the recent epochs of an attempt took.

    Args:
        started_us: when the attempt began, if known.
        epochs: (epoch, moment of its end in µs), ascending.
    """
    ends = _of_attempt(started_us, epochs)
    if started_us is not None and ends:
        ends.insert(0, (ends[0][0] - 1, started_us))
    return [
        (later - earlier) / 1e6 / (after - before)
        for (before, earlier), (after, later) in itertools.pairwise(ends[-RECENT_EPOCHS:])
        if after > before and later >= earlier
    ]


def _of_attempt(started_us: int | None, epochs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the epochs that an attempt has behind it: those of an earlier one may have higher numbers."""
    return [(number, at) for number, at in epochs if started_us is None or at >= started_us]


def job_eta_s(
    started_us: int | None, epochs: Sequence[tuple[int, int]], epochs_total: int | None, now_us: int
) -> Range | None:
    """Return the range of seconds that a running job still takes.

    None before two epochs have passed, and where nobody has said how many there will be.
    """
    epochs = _of_attempt(started_us, epochs)
    durations = epoch_durations_s(started_us, epochs)
    if len(durations) < 2 or epochs_total is None:
        return None
    number, ended_us = epochs[-1]
    left = max(0, epochs_total - number - 1)
    passed_s = max(0.0, (now_us - ended_us) / 1e6)
    low, high = _middle(durations)
    return max(0.0, low * left - passed_s), max(0.0, high * left - passed_s)


def batch_progress(
    counts: dict[str, int], announced: int | None, ended_s: Sequence[float], running_s: Sequence[Range | None]
) -> BatchProgress:
    """Return where a batch stands.

    Those that run end as their own epochs say; those that are queued take as long as those that have ended,
    and follow one another in as many places as there are jobs running now.

    Args:
        counts: jobs by status.
        announced: how many jobs there will be, if anybody has said.
        ended_s: how long jobs took that are done.
        running_s: what is known of each that runs.
    """
    known = sum(counts.values())
    total = max(known, announced or 0)
    queued = total - known
    eta = _batch_eta(queued, ended_s, running_s)
    return BatchProgress(counts, total, queued, eta)


def _batch_eta(queued: int, ended_s: Sequence[float], running_s: Sequence[Range | None]) -> Range | None:
    if not queued and not running_s:
        return None
    told = [eta for eta in running_s if eta is not None]
    if len(told) < len(running_s) or (queued and not ended_s):
        return None
    rounds = -(-queued // max(1, len(running_s)))
    low, high = _middle(ended_s) if queued else (0.0, 0.0)
    ends = max((end for _, end in told), default=0.0)
    begins = max((begin for begin, _ in told), default=0.0)
    return begins + rounds * low, ends + rounds * high


def _middle(durations: Sequence[float]) -> Range:
    """Return between which two lengths the middle half of the durations lies."""
    if len(durations) < 2:
        return durations[0], durations[0]
    low, _, high = quantiles(durations, n=4, method="inclusive")
    return low, high
