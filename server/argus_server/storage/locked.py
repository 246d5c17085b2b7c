"""A project's row while somebody writes to the project: nobody else does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select, update

from argus_server.errors import StoreError
from argus_server.ranking.registry import Settings
from argus_server.storage import schema
from argus_server.storage.clock import now_us
from argus_server.storage.dialect import upsert
from argus_server.storage.folding import FOLD_VERSION

__all__ = ["LockedProject"]


class LockedProject:
    """The project's row while its events are added: it deals out the numbers."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        row = self._lock(name) or self._create(name)
        self.id: int = row["id"]
        self.settings = Settings.decode(row["settings"])
        self._counters = {name: row[name] for name in ("last_seq", "last_key_id")}

    def _lock(self, name: str) -> Mapping[Any, Any] | None:
        query = select(schema.project).where(schema.project.c.name == name).with_for_update()
        return self._connection.execute(query).mappings().first()

    def _create(self, name: str) -> Mapping[Any, Any]:
        insert = upsert(self._connection.dialect.name, schema.project).values(
            name=name, created_us=now_us(), projected_by=FOLD_VERSION
        )
        self._connection.execute(insert.on_conflict_do_nothing())
        row = self._lock(name)
        if row is None:  # cannot be: we have just made it
            raise StoreError(f"the project {name!r} vanished")
        return row

    def next(self, counter: str) -> int:
        """Return the next number of a counter."""
        self._counters[counter] += 1
        return int(self._counters[counter])

    def save(self) -> None:
        """Write the counters back."""
        self._connection.execute(
            update(schema.project).where(schema.project.c.id == self.id).values(**self._counters)
        )
