"""What a job sent of any shape as a table: nested objects flat, each value as text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["settings_table"]

_ALL = "config"


def settings_table(config: Any) -> dict[str, str]:
    """Return setting → value as text, nested ones by dotted names: `optimizer.lr` → `0.001`.

    A list of plain values is one setting; one of objects is spelt out by position. What is no object is
    one setting by the name `config`; nothing is none.
    """
    if config is None:
        return {}
    table: dict[str, str] = {}
    stack: list[tuple[str, Any]] = [("", config)]
    while stack:
        name, value = stack.pop()
        inner = _inner(value)
        if inner:
            stack += [(f"{name}.{key}" if name else key, item) for key, item in reversed(inner)]
        elif name or value not in ({}, []):
            table.setdefault(_text(name) or _ALL, _text(value))
    return table


def _inner(value: Any) -> list[tuple[str, Any]]:
    """Return what a value consists of, if each part is a setting of its own."""
    if isinstance(value, Mapping):
        return [(str(key), item) for key, item in value.items()]
    if isinstance(value, list) and any(isinstance(item, (Mapping, list)) for item in value):
        return [(str(place), item) for place, item in enumerate(value)]
    return []


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    return json.dumps(value, ensure_ascii=False, default=str)
