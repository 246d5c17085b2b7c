"""The batches of a project."""

from __future__ import annotations

from typing import Any

from litestar import get

from argus_server.pages.asking import READ, AnyRequest, name_in, queries_of
from argus_server.threads import in_thread

__all__ = ["BATCH_ROUTES"]


@get("/api/projects/{project:str}/batches/{batch_id:str}", guards=READ)
@in_thread
def batch_json(request: AnyRequest) -> dict[str, Any]:
    """Say where a batch stands, and how long it will still take."""
    name, batch_id = name_in(request, "project"), name_in(request, "batch_id")
    progress = queries_of(request).batch(name, batch_id)
    return {
        "project": name,
        "batch_id": batch_id,
        "job_counts": progress.counts,
        "total": progress.total,
        "queued": progress.queued,
        "eta_s": progress.eta_s,
    }


BATCH_ROUTES = [batch_json]
