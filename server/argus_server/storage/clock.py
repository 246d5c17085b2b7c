"""The time, as the store keeps it."""

from __future__ import annotations

import time

__all__ = ["now_us"]


def now_us() -> int:
    """Return the microseconds since 1970."""
    return time.time_ns() // 1000
