"""What jobs declare of their metrics, as it is stored: the last word on a name, with its clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from argus_core.conventions import Convention, Direction, Role
from argus_core.events import Event
from argus_server.storage.projections import clock_of

__all__ = ["declared_meanings", "later_meaning", "read_meaning"]


class _Meaning(msgspec.Struct, frozen=True):
    direction: Direction
    unit: Annotated[str, msgspec.Meta(max_length=16)] = ""
    role: Role = "quality"


def declared_meanings(event: Event) -> dict[str, str]:
    """Return metric name → stored text for what a `job_done` declares; what makes no sense says nothing."""
    declared = event.data.get("metric_conventions")
    if not isinstance(declared, Mapping):
        return {}
    texts = {}
    for key, value in declared.items():
        try:
            meaning = msgspec.convert(value, _Meaning)
        except msgspec.ValidationError:
            continue
        stored = (clock_of(event), meaning.unit, meaning.direction, meaning.role)
        texts[key] = msgspec.json.encode(stored).decode()
    return texts


def later_meaning(a: str | None, b: str | None) -> str | None:
    """Return what was declared later by the clocks: any order and any repetition gives the same."""
    if a is None or b is None:
        return a if b is None else b
    return max(a, b, key=msgspec.json.decode)


def read_meaning(text: str | None) -> Convention | None:
    """Return what is stored as a `Convention`."""
    if text is None:
        return None
    _, unit, direction, role = msgspec.json.decode(text)
    return Convention(unit, direction, role)
