"""What pages can be taken along as, and where those files are."""

from __future__ import annotations

from collections.abc import Sequence

from argus_server.urls import path_to

__all__ = ["FILES", "PAPER_FILES", "file_links"]

FILES = (("CSV", "csv"), ("JSON", "json"), ("Markdown", "md"))
"""What is said of each, and how its address ends."""
PAPER_FILES = (*FILES, ("LaTeX", "tex"))
"""Those of a page that is a table for a paper too."""


def file_links(
    *page: str, query: Sequence[tuple[str, str]] = (), files: Sequence[tuple[str, str]] = FILES
) -> list[tuple[str, str]]:
    """Return label and address of each file of a page, whose own address goes through these names."""
    *above, last = page
    return [(label, path_to(*above, f"{last}.{ending}", query=query)) for label, ending in files]
