"""Keep what SQLAlchemy has compiled for the stores of other tests.

A server has one store and compiles each of its statements once. Tests open hundreds of stores, and
would spend a tenth of their time on compiling the same statements for each. To import this is enough.
"""

from __future__ import annotations

from sqlalchemy import Engine
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import LRUCache


class _Alike:
    """A dialect that equals every other of its class, which makes their statements good for each of them."""

    def __init_subclass__(cls) -> None:
        cls._compiled = LRUCache(2_000)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    @classmethod
    def engine_created(cls, engine: Engine) -> None:
        engine.update_execution_options(compiled_cache=cls._compiled)


class Sqlite(_Alike, SQLiteDialect_pysqlite):
    supports_statement_cache = True


class Postgresql(_Alike, PGDialect_psycopg):
    supports_statement_cache = True


registry.register("sqlite", __name__, Sqlite.__name__)
registry.register("postgresql.psycopg", __name__, Postgresql.__name__)
