"""Words for people: what programs and pages say in sentences."""

from __future__ import annotations

__all__ = ["plural"]


def plural(count: int, word: str) -> str:
    """Return "1 job", "2 jobs", "1,000 batches"."""
    if count == 1:
        return f"1 {word}"
    stem, end = (
        (word[:-1], "ies") if word.endswith("y") else (word, "es" if word.endswith(("ch", "s")) else "s")
    )
    return f"{count:,} {stem}{end}"
