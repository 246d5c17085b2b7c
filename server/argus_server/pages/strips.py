"""Progress as a strip of blocks: inline SVG, whose colours are classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from markupsafe import Markup, escape

from argus_server.pages.filters import plural

__all__ = ["MOST_BLOCKS", "block_strip", "share_strip"]

MOST_BLOCKS = 600
"""So many jobs have a block each; more are shown by their share."""
_ORDER = ("done", "failed", "untested", "stalled", "running", "queued")
_WORDS = {"untested": "never tested", "queued": "not begun"}
_WIDTH, _HEIGHT = 240, 10


def share_strip(counts: Mapping[str, int], queued: int = 0) -> Markup:
    """Return a bar with a part for each status, as long as its share of the jobs."""
    numbers = {**counts, "queued": queued}
    present = [(name, numbers[name]) for name in _ORDER if numbers.get(name)]
    total = sum(count for _, count in present)
    if not total:
        return Markup("")
    pieces, x = [], 0.0
    for name, count in present:
        width = _WIDTH * count / total
        pieces.append(f'<rect class="{name}" x="{x:.1f}" width="{max(1.0, width):.1f}" height="{_HEIGHT}"/>')
        x += width
    label = f"{plural(total, 'job')}: " + ", ".join(
        f"{count:,} {_WORDS.get(name, name)}" for name, count in present
    )
    return Markup(  # noqa: S704 - numbers, and words of our own
        f'<svg class="strip" viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" role="img"'
        f' aria-label="{label}">{"".join(pieces)}</svg>'
    )


def block_strip(jobs: Iterable[tuple[str, str, str]], queued: int = 0) -> Markup:
    """Return a block for each job, and hollow ones for those that have not begun.

    Args:
        jobs: (status, name, address) of each, in order.
        queued: how many are to come.
    """
    blocks = []
    for status, name, address in jobs:
        title = escape(f"{name}: {_WORDS.get(status, status)}")
        blocks.append(
            f'<a href="{escape(address)}" title="{title}" aria-label="{title}">{_block(status)}</a>'
        )
    blocks += [_block("queued")] * max(0, min(queued, MOST_BLOCKS - len(blocks)))
    return Markup(  # noqa: S704 - escaped piece by piece
        f'<div class="blocks" role="group" aria-label="A block for each job">{"".join(blocks)}</div>'
    )


_MARKS = {
    "failed": "M4 4L10 10M10 4L4 10",
    "done": "M4 7.5L6 10L10 4",
    "running": "M7 3.5V7.5H10",
    "stalled": "M5.5 4V10M8.5 4V10",
}


def _block(status: str) -> str:
    mark = f'<path d="{_MARKS[status]}"/>' if status in _MARKS else ""
    return (
        f'<svg class="{status}" viewBox="0 0 14 14" aria-hidden="true">'
        f'<rect x="1" y="1" width="12" height="12" rx="2"/>{mark}</svg>'
    )
