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
    "Remarks",
    "flag_letters",
    "flag_records",
    "flags_text",
    "marked_name",
]

_SUPERSEDED = "Superseded: a later job has the same model, dataset and seed, and counts instead."
_LETTERS: dict[FlagKind, str] = dict(zip(EXPLAINED, "abcdefgh", strict=False))


def flags_text(row: Row) -> str:
    """Return what the flags of a row say, as one field."""
    return "; ".join(flag.text for flag in row.flags)


def flag_records(row: Row) -> list[dict[str, Any]]:
    """Return the flags of a row for JSON."""
    return [{"kind": flag.kind, "text": flag.text} for flag in row.flags]


def _kinds_of(row: Row) -> list[FlagKind]:
    """Return the kinds of a row's flags, each once."""
    return list(dict.fromkeys(flag.kind for flag in row.flags))


def marked_name(row: Row, settings: Settings = NO_SETTINGS) -> str:
    """Return the shown name of a row's model for Markdown, with the letters of its flags raised behind it."""
    letters = "".join(_LETTERS[kind] for kind in _kinds_of(row))
    return markdown_text(settings.shown("model", row.model)) + (f" <sup>{letters}</sup>" if letters else "")


def flag_letters(row: Row) -> str:
    """Return the letters of a row's flags for LaTeX, raised."""
    letters = "".join(_LETTERS[kind] for kind in _kinds_of(row))
    return rf"$^{{\mathrm{{{letters}}}}}$" if letters else ""


class Remarks:
    """What is to be said below a table of its rows, collected as they pass."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._kinds: set[FlagKind] = set()
        self._replaced = False
        for row in rows:
            self.see(row)

    def see(self, row: Row) -> None:
        """Take note of a row."""
        self._kinds.update(_kinds_of(row))
        self._replaced = self._replaced or row.superseded_by is not None

    @property
    def lines(self) -> list[str]:
        """What the letters mean that stand in the rows, and what is superseded."""
        said = [f"{_LETTERS[kind]} {text}." for kind, text in EXPLAINED.items() if kind in self._kinds]
        return [*said, _SUPERSEDED] if self._replaced else said

    @property
    def latex(self) -> str:
        """The same as a note below a table in LaTeX."""
        said = latex_sentence(" ".join(self.lines))
        return rf"\par\smallskip{{\footnotesize {said}}}" + "\n" if said else ""
