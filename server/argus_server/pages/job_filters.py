"""What a list of jobs can be filtered for, as links."""

from __future__ import annotations

from collections.abc import Sequence

from argus_server.pages.board_filters import Facet, FacetValue, toggling
from argus_server.ranking.order import natural_seed
from argus_server.ranking.view import View
from argus_server.storage.credentials import Grant
from argus_server.storage.job_lists import JobFacet

__all__ = ["MOST_VALUES", "fields_for", "link_facets"]

MOST_VALUES = 40
_FIELDS = ("model", "dataset", "batch", "seed", "host", "user")
_SOURCE = ("host", "user")


def fields_for(grant: Grant, project: str) -> list[str]:
    """Return the fields that this caller may filter by."""
    return [name for name in _FIELDS if name not in _SOURCE or grant.allows("read", project)]


def link_facets(view: View, project: str, facets: Sequence[JobFacet]) -> list[Facet]:
    """Return the facets with links that choose a value or unchoose it; what tells nothing is left out."""
    found = []
    for facet in facets:
        chosen = getattr(view, facet.name)
        counts = {value: count for value, count in facet.counts.items() if value}
        if len(counts) < 2 and not chosen:
            continue
        names = sorted({*counts, *chosen}, key=natural_seed if facet.name == "seed" else str)
        href = toggling(view, facet.name, "p", project, "jobs")
        values = [FacetValue(name, counts.get(name, 0), href(name), name in chosen) for name in names]
        found.append(Facet(facet.name, values, max(0, facet.total - len(facet.counts))))
    return found
