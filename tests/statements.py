"""Keep what SQLAlchemy has compiled, and asked of a database, for the stores of other tests.

A server has one store: it asks the database once what it is like, and compiles each of its statements once.
Tests open hundreds of stores, and would spend a tenth of their time on the same for each. To import this is
enough.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import Connection, Engine
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import LRUCache


class _Alike:
    """A dialect that equals every other of its class, which makes their statements good for each of them."""

    _compiled: ClassVar[LRUCache]
    _learned: ClassVar[dict[str, Any]]

    def __init_subclass__(cls) -> None:
        cls._compiled, cls._learned = LRUCache(2_000), {}

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def initialize(self, connection: Connection) -> None:
        """Take what the first has learned of the database program; all have the same one."""
        if self._learned:
            vars(self).update(self._learned)
            return
        before = dict(vars(self))
        super().initialize(connection)  # type: ignore[misc]
        after = dict(vars(self))
        self._learned.update({name: after[name] for name in after if after[name] is not before.get(name)})

    @classmethod
    def engine_created(cls, engine: Engine) -> None:
        engine.update_execution_options(compiled_cache=cls._compiled)


class Sqlite(_Alike, SQLiteDialect_pysqlite):
    supports_statement_cache = True


class Postgresql(_Alike, PGDialect_psycopg):
    supports_statement_cache = True


registry.register("sqlite", __name__, Sqlite.__name__)
registry.register("postgresql.psycopg", __name__, Postgresql.__name__)
