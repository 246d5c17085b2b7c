"""How templates write times, lengths and names."""

from __future__ import annotations

import re
import time

from markupsafe import Markup, escape

from argus_core.words import plural
from argus_server.exports.text import iso_time
from argus_server.ranking.values import raw_text
from argus_server.remembering import remember_short

__all__ = [
    "ago",
    "breakable",
    "clock",
    "duration",
    "iso_time",
    "percent",
    "plural",
    "raw_text",
    "short",
    "span",
    "when",
]

_CLOCKS_DIFFER_S = 60
_MANY_DAYS = 1e7
_SPECIAL = re.compile("[&<>'\"]")
_AFTER = re.compile(r"(?<=[_/.:@-])(?=\w)")


def ago(moment_us: int | None) -> str:
    """Return how long ago a moment was: "12 s ago", or how far ahead of this server's clock: "in 3 h"."""
    if moment_us is None:
        return "never"
    seconds = time.time() - moment_us / 1e6
    if seconds <= -_CLOCKS_DIFFER_S:
        return f"in {duration(-seconds)}"
    return f"{duration(seconds)} ago" if seconds >= 1 else "just now"


def duration(seconds: float | None) -> str:
    """Return a length of time in its largest sensible unit."""
    if seconds is None:
        return ""
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    for limit, size, unit in ((7200, 60, "min"), (48 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    days = seconds / 86400
    return f"{days:,.0f} days" if days < _MANY_DAYS else f"{days:.2e} days"


def span(seconds: tuple[float, float] | None) -> str:
    """Return a range of time: "15 to 18 min"; "now" where it is over, nothing for none."""
    if seconds is None:
        return ""
    if seconds[1] < 1:
        return "now"
    low, high = duration(seconds[0]), duration(seconds[1])
    if low == high:
        return high
    number, _, unit = low.rpartition(" ")
    return f"{number} to {high}" if high.endswith(f" {unit}") else f"{low} to {high}"


def when(moment_us: int | None) -> str:
    """Return a moment for people, in UTC."""
    return iso_time(moment_us)[:16].replace("T", " ") + " UTC" if moment_us is not None else "—"


def clock(moment_us: int) -> str:
    """Return the time of day of a moment, to the second, in UTC."""
    return iso_time(moment_us)[11:19]


def short(number: float) -> str:
    """Return a number with about four digits, for tables where no more is known."""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"


def percent(share: float) -> str:
    """Return a signed share as percents: "+3.2 %", "−50 %"."""
    size = abs(100 * share)
    digits = f"{size:.1f}" if size < 100 else f"{size:.0f}" if size < 1e6 else f"{size:.1e}"
    return f"{'−' if share < 0 else '+'}{digits} %"


@remember_short(2000)
def breakable(text: str) -> Markup:
    """Return a long name that may break after its punctuation."""
    if _SPECIAL.search(text) is None:  # as nearly all are
        return Markup(_AFTER.sub("<wbr>", text))  # noqa: S704 - it has nothing to escape
    return Markup("<wbr>").join(escape(part) for part in _AFTER.split(text))
