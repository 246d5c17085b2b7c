"""What stands around every page of a project: its name, its pulse, and where to hear of changes."""

from __future__ import annotations

from typing import Any

from argus_server.pages.asking import AnyRequest, queries_of, server_url
from argus_server.pages.filters import span
from argus_server.urls import path_to

__all__ = ["project_frame", "pulse_tag"]


def project_frame(request: AnyRequest, name: str, current: str) -> dict[str, Any]:
    """Return what base.html needs for a page of a project. Ask for it before what the page shows.

    So the version that the page names is never newer than what it shows, and no change is missed.

    Raises:
        UnknownProject: no event has named it.
    """
    pulse = queries_of(request).pulse(name)
    return {
        "project": name,
        "current": current,
        "pulse": pulse,
        "live_url": path_to("p", name, "live"),
        "server_url": server_url(request),
    }


def pulse_tag(frame: dict[str, Any]) -> tuple[object, ...]:
    """Return what is different whenever the frame looks different, for the ETag of a page."""
    pulse = frame["pulse"]
    return pulse.version, tuple(pulse.counts.items()), span(pulse.next_finish_s)
