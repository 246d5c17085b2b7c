"""A project's row while somebody writes to the project: nobody else does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, select

from argus_server.errors import StoreError
from argus_server.ranking.registry import Settings
from argus_server.storage import schema
from argus_server.storage.clock import now_us
from argus_server.storage.dialect import upsert
from argus_server.storage.folding import FOLD_VERSION
from argus_server.storage.remembered import Memories, Remembered
from argus_server.storage.statements import execute, update_by

__all__ = ["LockedProject"]

_LOCK = select(schema.project).where(schema.project.c.name == bindparam("name")).with_for_update()
_SAVE = update_by(schema.project, ("id",), ("last_seq", "last_key_id"))


class LockedProject:
    """The project's row while its events are added: it deals out the numbers.

    Args:
        connection: in the transaction that writes to the project.
        name: the project's; it is made if there is none.
        memories: what is remembered of projects; nothing, if there are none.
    """

    def __init__(self, connection: Connection, name: str, memories: Memories | None = None) -> None:
        self._connection = connection
        row = self._lock(name) or self._create(name)
        self.name = name
        self.id: int = row["id"]
        self.settings = Settings.decode(row["settings"])
        self._counters = {name: row[name] for name in ("last_seq", "last_key_id")}
        self.remembered = Remembered() if memories is None else memories.take(name, self.version)

    def _lock(self, name: str) -> Mapping[Any, Any] | None:
        return next(iter(execute(self._connection, _LOCK, {"name": name})), None)

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
        counters = {f"set_{name}": number for name, number in self._counters.items()}
        execute(self._connection, _SAVE, {"key_id": self.id, **counters})

    @property
    def version(self) -> tuple[Any, ...]:
        """Return what is another one as soon as anybody else has written, or the database is another."""
        return self._counters["last_seq"], self._connection.connection.dbapi_connection
