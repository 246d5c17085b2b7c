"""The batches of a project as CSV, JSON and Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from argus_server.exports.text import csv_lines, iso_time, markdown_lines, markdown_text
from argus_server.storage.batches import BatchSummary

__all__ = ["batch_record", "batches_csv", "batches_markdown"]


def batch_record(batch: BatchSummary) -> dict[str, Any]:
    """Return a batch as JSON has it; lengths of time in seconds."""
    progress = batch.progress
    return {
        "batch_id": batch.batch_id,
        "name": batch.name,
        "status": batch.status,
        "job_counts": progress.counts,
        "total": progress.total,
        "queued": progress.queued,
        "eta_s": progress.eta_s,
        "elapsed_s": batch.elapsed_s,
        "started_at": iso_time(batch.started_us) or None,
        "ended_at": iso_time(batch.ended_us) or None,
        "last_event_at": iso_time(batch.last_event_us),
        "host": batch.host,
        "user": batch.user,
        "commit": batch.commit,
        "reason": batch.reason,
    }


def _row(batch: BatchSummary) -> dict[str, Any]:
    plain = batch_record(batch)
    low, high = batch.progress.eta_s or (None, None)
    counts = plain.pop("job_counts")
    plain.pop("eta_s")
    return {**plain, **counts, "eta_low_s": low, "eta_high_s": high}


def batches_csv(batches: Sequence[BatchSummary]) -> str:
    """Return RFC 4180 text."""
    rows = [_row(batch) for batch in batches]
    return csv_lines([rows[0] if rows else ["batch_id"], *(row.values() for row in rows)])


def batches_markdown(batches: Sequence[BatchSummary]) -> str:
    """Return a Markdown table."""
    lines = [["Batch", "Name", "Status", "Done", "Failed", "Jobs", "Started", "Took (s)"]]
    lines.append([":--", ":--", ":--", "--:", "--:", "--:", ":--", "--:"])
    for batch in batches:
        counts = batch.progress.counts
        took = "" if batch.elapsed_s is None else f"{batch.elapsed_s:.0f}"
        texts = (batch.batch_id, batch.name or "", batch.status)
        numbers = (str(counts["done"]), str(counts["failed"]), str(batch.progress.total))
        lines.append([*(markdown_text(text) for text in texts), *numbers, iso_time(batch.started_us), took])
    return markdown_lines(lines)
