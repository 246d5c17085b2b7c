"""Names are hostile input: how each text format keeps them from doing anything."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any

from argus_server.ranking.values import raw_text

__all__ = ["csv_text", "iso_time", "markdown_text"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#|~!&])")
_BREAKS = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029]+")


def csv_text(value: Any) -> str:
    """Return a value as a CSV field that no spreadsheet runs.

    Text that looks like a formula gets an apostrophe; numbers stay numbers, -0.5 too.
    """
    text = raw_text(value)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return "'" + text if not is_number and text.lstrip(" ").startswith(_FORMULA) else text


def markdown_text(text: str) -> str:
    """Return text that stands in a Markdown table as it is: one line, no markup, no HTML."""
    return _MARKDOWN.sub(r"\\\1", _BREAKS.sub(" ", text))


def iso_time(moment_us: int | None) -> str:
    """Return a moment as RFC 3339, UTC, with its microseconds; empty for none."""
    if moment_us is None:
        return ""
    whole = datetime.fromtimestamp(moment_us // 1_000_000, timezone.utc)
    return whole.replace(microsecond=moment_us % 1_000_000).isoformat().replace("+00:00", "Z")
