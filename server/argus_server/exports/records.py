"""What several JSON exports say in the same words: what was asked for, and the columns."""

from __future__ import annotations

from typing import Any

from argus_server.ranking.registry import Settings
from argus_server.ranking.separation import Separation
from argus_server.ranking.table import Column
from argus_server.ranking.view import View

__all__ = [
    "SEPARATION",
    "column_record",
    "filter_record",
    "names_record",
    "separation_fields",
    "separation_record",
]

_FILTERS = ("model", "dataset", "batch", "seed", "host", "user")
_COLUMN = ("key", "id", "label", "unit", "raw_unit", "direction", "role", "kind")


def filter_record(view: View) -> dict[str, Any]:
    """Return the filters of a view by their names in the URL."""
    chosen = {name: getattr(view, name) for name in _FILTERS}
    return {**chosen, "where": [str(condition) for condition in view.where], "q": view.q}


SEPARATION = ("separable from the best", "separation", "separation (p)", "separation (why)")
"""The columns of `separation_fields`."""


def separation_fields(found: Separation | None) -> list[Any]:
    """Return for CSV what the data say of a row against the best."""
    if found is None:
        return ["", "", None, ""]
    told = {True: "yes", False: "no", None: ""}[found.is_told]
    return [told, found.result, found.p, found.why]


def separation_record(found: Separation | None) -> dict[str, Any] | None:
    """Return the same for JSON."""
    return None if found is None else {"result": found.result, "p": found.p, "why": found.why or None}


def names_record(settings: Settings) -> dict[str, dict[str, str]]:
    """Return field → name → the name that is shown instead; rows and filters have the names as sent."""
    return {"model": settings.models, "dataset": settings.datasets}


def column_record(column: Column) -> dict[str, Any]:
    """Return what there is to know of a column."""
    return {name: getattr(column, name) for name in _COLUMN}
