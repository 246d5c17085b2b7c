"""Names and sentences as LaTeX shows them and never obeys them, whatever engine and encoding reads them."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["PREAMBLE", "latex_number", "latex_sentence", "latex_text"]

PREAMBLE = r"\providecommand{\argusunicode}[2]{\texttt{U+#1}}"
r"""What stands before a text of `latex_text`: letters that pdfLaTeX has no glyph for are shown by their
numbers. Who typesets with XeLaTeX or LuaLaTeX says `\newcommand{\argusunicode}[2]{#2}` first."""

_LONGEST = 80
"""Longer names end here: TeX cannot make a box of several thousand letters."""
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    '"': r'\string"',
    "-": "-{}",  # two of them would be a dash
    "'": "'{}",
    ",": ",{}",
    "–": "--",
    "—": "---",
    "‘": "`{}",
    "’": "'{}",
    "“": "``{}",
    "”": "''{}",
    "…": r"\ldots{}",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "ı": r"\i{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "−": "$-$",
    "°": r"$^{\circ}$",
    "µ": r"$\mu$",
    "∞": r"$\infty$",
    "∅": r"$\emptyset$",
    "†": r"$^{\dagger}$",
    "‡": r"$^{\ddagger}$",
    "§": r"$^{\S}$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "²": "$^{2}$",
    "α": r"$\alpha$",
    "✕": r"$\times$",
    "◔": r"$\circ$",
    "○": r"$\circ$",
    "‖": r"$\Vert$",
    "⊘": r"$\oslash$",
    "χ": r"$\chi$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
}
_ACCENTS = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r",
    "\u030b": "H",
    "\u030c": "v",
    "\u0327": "c",
}
"""Accents that every font encoding of LaTeX has."""
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")


def latex_text(text: str) -> str:
    """Return text as LaTeX typesets it: one line, no command, at most 80 letters of it."""
    line = _BREAKS.sub(" ", text)
    cut = line[:_LONGEST] + "…" if len(line) > _LONGEST else line
    return "".join(map(_letter, cut))


def latex_sentence(text: str) -> str:
    """Return a sentence of ours, names and all, likewise, however long it is."""
    return "".join(map(_letter, _BREAKS.sub(" ", text)))


def latex_number(display: str) -> str:
    """Return a number of the table for siunitx to typeset, other text as text."""
    plain = display.replace("−", "-")
    if not _NUMBER.fullmatch(plain):
        return latex_text(display)
    return rf"\num{{{plain.replace(',', '')}}}"


def _letter(letter: str) -> str:
    if letter in _SPECIAL:
        return _SPECIAL[letter]
    if " " <= letter <= "~":
        return letter
    parts = unicodedata.normalize("NFD", letter)
    if len(parts) == 2 and parts[0].isascii() and parts[0].isalpha() and parts[1] in _ACCENTS:
        base = {"i": r"\i", "j": r"\j"}.get(parts[0], parts[0])
        return rf"\{_ACCENTS[parts[1]]}{{{base}}}"
    shown = letter if unicodedata.category(letter)[0] in "LNPS" else ""
    return rf"\argusunicode{{{ord(letter):04X}}}{{{shown}}}"
