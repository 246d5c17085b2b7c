"""A comparison of jobs as CSV, JSON and Markdown: every row, those that are alike too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from argus_server.exports.text import csv_lines, markdown_lines, markdown_text
from argus_server.ranking.compare import Comparison, SideCell, SideRow

__all__ = ["compare_csv", "compare_json", "compare_markdown"]

_ARROWS = {"lower": " ↓", "higher": " ↑", "unknown": ""}


def compare_csv(comparison: Comparison) -> str:
    """Return RFC 4180 text with a column for each job: raw values at round-trip precision."""
    names = [f"{side.batch_id}/{side.job_id}" for side in comparison.sides]
    lines: list[Sequence[Any]] = [("section", "name", "direction", "differs", *names)]
    for section in comparison.sections:
        for row in section.rows:
            head = (section.name, row.key, row.direction if section.name == "Metrics" else "", row.differs)
            lines.append((*head, *(cell.raw for cell in row.cells)))
    return csv_lines(lines)


def compare_json(project: str, comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as plain data: raw values and what the page shows."""
    return {
        "project": project,
        "jobs": [
            {
                "batch_id": side.batch_id,
                "job_id": side.job_id,
                "label": label,
                "model": side.model,
                "dataset": side.dataset,
                "seed": side.seed,
            }
            for side, label in zip(comparison.sides, comparison.labels, strict=True)
        ],
        "sections": [
            {"name": section.name, "rows": [_plain(row) for row in section.rows]}
            for section in comparison.sections
        ],
    }


def _plain(row: SideRow) -> dict[str, Any]:
    return {
        "key": row.key,
        "label": row.label,
        "unit": row.unit,
        "direction": row.direction,
        "differs": row.differs,
        "values": [cell.raw for cell in row.cells],
        "display": [cell.text for cell in row.cells],
        "change": [cell.change for cell in row.cells],
        "best": [place for place, cell in enumerate(row.cells) if cell.mark == "best"],
    }


def compare_markdown(comparison: Comparison) -> str:
    """Return a Markdown table for each section as the page shows it, best values bold."""
    parts = []
    for section in comparison.sections:
        heads = [section.name, *comparison.labels]
        lines = [[markdown_text(head) for head in heads], [":--", *("--:" for _ in comparison.labels)]]
        for row in section.rows:
            unit = f" ({markdown_text(row.unit)})" if row.unit else ""
            name = markdown_text(row.label) + unit + _ARROWS[row.direction]
            lines.append([name, *(_markdown_cell(cell) for cell in row.cells)])
        parts.append(markdown_lines(lines))
    return "\n".join(parts)


def _markdown_cell(cell: SideCell) -> str:
    if cell.raw is None or cell.text == "":
        return "–"
    text = markdown_text(cell.text)
    return f"**{text}**" if cell.mark == "best" else text
