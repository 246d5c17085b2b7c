"""The flags of the fair-comparison guard in files: where they stand on a page they stand here too."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from argus_server.exports.latex_text import latex_sentence
from argus_server.exports.text import markdown_text
from argus_server.ranking.fairness import EXPLAINED
from argus_server.ranking.registry import NO_SETTINGS, Settings
from argus_server.ranking.table import FlagKind, Row

__all__ = [
    "flag_legend",
    "flag_letters",
    "flag_note",
    "flag_records",
    "flags_text",
    "kinds_of",
    "legend_of",
    "marked_name",
    "note_of",
]

_LETTERS: dict[FlagKind, str] = dict(zip(EXPLAINED, "abcdefgh", strict=False))


def flags_text(row: Row) -> str:
    """Return what the flags of a row say, as one field."""
    return "; ".join(flag.text for flag in row.flags)


def flag_records(row: Row) -> list[dict[str, Any]]:
    """Return the flags of a row for JSON."""
    return [{"kind": flag.kind, "text": flag.text} for flag in row.flags]


def kinds_of(row: Row) -> list[FlagKind]:
    """Return the kinds of a row's flags, each once."""
    return list(dict.fromkeys(flag.kind for flag in row.flags))


def marked_name(row: Row, settings: Settings = NO_SETTINGS) -> str:
    """Return the shown name of a row's model for Markdown, with the letters of its flags raised behind it."""
    letters = "".join(_LETTERS[kind] for kind in kinds_of(row))
    return markdown_text(settings.shown("model", row.model)) + (f" <sup>{letters}</sup>" if letters else "")


def flag_letters(row: Row) -> str:
    """Return the letters of a row's flags for LaTeX, raised."""
    letters = "".join(_LETTERS[kind] for kind in kinds_of(row))
    return rf"$^{{\mathrm{{{letters}}}}}$" if letters else ""


def flag_legend(rows: Iterable[Row]) -> list[str]:
    """Say what the letters mean that stand in these rows."""
    return legend_of({kind for row in rows for kind in kinds_of(row)})


def legend_of(kinds: Iterable[FlagKind]) -> list[str]:
    """Say what the letters of these kinds mean."""
    some = set(kinds)
    return [f"{_LETTERS[kind]} {text}." for kind, text in EXPLAINED.items() if kind in some]


def flag_note(rows: Iterable[Row]) -> str:
    """Return the same as a note below a table in LaTeX."""
    return note_of({kind for row in rows for kind in kinds_of(row)})


def note_of(kinds: Iterable[FlagKind]) -> str:
    """Return what the letters of these kinds mean as a note below a table in LaTeX."""
    said = legend_of(kinds)
    return rf"\par\smallskip{{\footnotesize {latex_sentence(' '.join(said))}}}" + "\n" if said else ""
