"""How a page shows the flags of the fair-comparison guard: small marks at the rows, explained below."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from markupsafe import Markup, escape

from argus_server.ranking.fairness import EXPLAINED
from argus_server.ranking.table import Row

__all__ = ["explained", "flag_marks"]

_MARKS = {"single seed": "1×", "unequal seeds": "≠", "best of": "▲", "commits": "⎇", "epochs": "↻"}


def flag_marks(row: Row) -> Markup:
    """Return the marks of a row, each with its reason."""
    if not row.flags:
        return Markup("")
    marks = "".join(
        f'<sup class="flag" title="{escape(flag.text)}"><span aria-hidden="true">{_MARKS[flag.kind]}</span>'
        f'<span class="vh">{escape(flag.text)}</span></sup>'
        for flag in row.flags
    )
    return Markup(f" {marks}")  # noqa: S704 - escaped piece by piece


def explained(rows: Iterable[Row]) -> list[tuple[str, str, int]]:
    """Return mark, meaning and number of rows of each kind of flag that these rows have."""
    counts = Counter(flag.kind for row in rows for flag in row.flags)
    return [(_MARKS[kind], text, counts[kind]) for kind, text in EXPLAINED.items() if counts[kind]]
