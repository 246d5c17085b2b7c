"""Lengths of time as people type them: `30d`, `12h`, `90min`. A bare `m` may be months: it is refused."""

from __future__ import annotations

import re

__all__ = ["read_lifetime"]

_UNITS_S = {"min": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600, "y": 365 * 24 * 3600}
_LONGEST_S = 100 * _UNITS_S["y"]


def read_lifetime(text: str) -> int:
    """Return the seconds that `text` means.

    Raises:
        ValueError: it means none; the message says what would.
    """
    match = re.fullmatch(r"([0-9]{1,9}) ?(min|[hdwy])", text.strip().lower())
    seconds = int(match[1]) * _UNITS_S[match[2]] if match else 0
    if not 0 < seconds <= _LONGEST_S:
        raise ValueError(f"{text!r} is no length of time; 90min, 12h, 30d, 8w and 1y are")
    return seconds
