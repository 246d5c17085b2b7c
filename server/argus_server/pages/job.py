"""One job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar import Response, get

from argus_core.conventions import CONVENTIONS
from argus_server.pages.asking import READ, AnyRequest, name_in, queries_of
from argus_server.pages.charts import loss_chart
from argus_server.pages.frame import project_frame
from argus_server.pages.render import Page, render
from argus_server.pages.visitors import shown_job
from argus_server.pages.why import why_panel
from argus_server.threads import in_thread

__all__ = ["JOB_ROUTES"]


@get("/p/{project:str}/jobs/{batch_id:str}/{job_id:str}", guards=READ)
@in_thread
def job_page(request: AnyRequest) -> Response[str]:
    """Show one job."""
    name = name_in(request, "project")
    frame = project_frame(request, name, "jobs")
    job = queries_of(request).job(name, name_in(request, "batch_id"), name_in(request, "job_id"))
    job = shown_job(request.user, name, job)
    context = {
        **frame,
        "job": job,
        "chart": loss_chart(job.epochs),
        "metrics": _in_order(job.metrics),
        "conventions": CONVENTIONS,
        **why_panel(request, job),
    }
    return render(request, Page("job.html", context))


def _in_order(metrics: Mapping[str, Any]) -> list[tuple[str, Any]]:
    places = {key: place for place, key in enumerate(CONVENTIONS)}
    return sorted(metrics.items(), key=lambda item: (places.get(item[0], len(places)), item[0]))


JOB_ROUTES = [job_page]
