"""What several JSON exports say in the same words: what was asked for, and the columns."""

from __future__ import annotations

from typing import Any

from argus_server.ranking.table import Column
from argus_server.ranking.view import View

__all__ = ["column_record", "filter_record"]

_FILTERS = ("model", "dataset", "batch", "seed", "host", "user")
_COLUMN = ("key", "id", "label", "unit", "raw_unit", "direction", "role", "kind")


def filter_record(view: View) -> dict[str, Any]:
    """Return the filters of a view by their names in the URL."""
    chosen = {name: getattr(view, name) for name in _FILTERS}
    return {**chosen, "where": [str(condition) for condition in view.where], "q": view.q}


def column_record(column: Column) -> dict[str, Any]:
    """Return what there is to know of a column."""
    return {name: getattr(column, name) for name in _COLUMN}
