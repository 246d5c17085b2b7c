"""What differs between the databases, and nothing else."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, func, make_url, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DataError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from argus_server.errors import BadText, StoreBusy, StoreError

__all__ = [
    "Engines",
    "database_url",
    "describe",
    "lock_tables",
    "make_engines",
    "patience",
    "transaction",
    "upsert",
]

_WRITES = "argus_writes"
_POOLS: tuple[dict[str, int], ...] = (
    {"pool_size": 5, "max_overflow": 10, "pool_timeout": 2},
    {"pool_size": 1, "max_overflow": 4, "pool_timeout": 30},
    {"pool_size": 5, "max_overflow": 10, "pool_timeout": 2},
)
"""Connections for pages, events and credentials. Who asks for a page is told soon that it is too busy."""
_PATIENCE = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
_LOCK = 0x6172677573  # "argus"


def database_url(database: str) -> str:
    """Return the URL of a database that is given as a URL or as the path of an SQLite file.

    PostgreSQL without a driver means the one that Argus is installed with, psycopg.
    """
    if "://" in database:
        backend, _, rest = database.partition("://")
        return f"postgresql+psycopg://{rest}" if backend in ("postgresql", "postgres") else database
    return f"sqlite:///{Path(database).expanduser().resolve()}"


def describe(database: str) -> str:
    """Return the database as people may see it: without its password."""
    if "://" not in database:
        return database
    try:
        return make_url(database).render_as_string()
    except (ArgumentError, ValueError):  # a port that is no number is a ValueError
        return f"{database.partition('://')[0]}://…"


@dataclass(frozen=True, slots=True)
class Engines:
    """The database, by who asks: each has connections of its own, so that none waits for another's.

    Attributes:
        reader: for pages, which may be many and slow.
        writer: for events.
        key_reader, key_writer: for credentials; they share their connections.
    """

    reader: Engine
    writer: Engine
    key_reader: Engine
    key_writer: Engine

    def dispose(self) -> None:
        """Close every connection that is not in use."""
        for engine in (self.reader, self.writer, self.key_reader):
            engine.dispose()


def make_engines(database: str) -> Engines:
    """Return the engines of a database. None of them connects yet.

    For SQLite the file and its folder are made, the file for this user alone; the journal is a
    write-ahead log, every commit reaches the disk, and a writer takes the write lock when its
    transaction begins, so that two processes wait for each other instead of failing half-way.

    Raises:
        StoreError: this database cannot be used.
    """
    try:
        url = make_url(database_url(database))
    except (ArgumentError, ValueError) as error:
        raise StoreError(f"{describe(database)} is no database URL") from error
    if url.get_backend_name() != "sqlite":
        reader, writer, keys = (_server_engine(url, sizes) for sizes in _POOLS)
        return Engines(reader.execution_options(isolation_level="REPEATABLE READ"), writer, keys, keys)
    if url.database in (None, "", ":memory:"):
        raise StoreError(f"{database} names no file: each connection would have a database of its own")
    path = Path(url.database or "")
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):  # what is there stays as it is; what cannot be made is told below
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
    reader, writer, keys = (_sqlite_engine(url, sizes) for sizes in _POOLS)
    writes = {_WRITES: True}
    return Engines(reader, writer.execution_options(**writes), keys, keys.execution_options(**writes))


def patience(url: URL) -> dict[str, int]:
    """Return how long a connection waits for a database that has silently gone, unless the URL says it.

    Without it, that is hours: a server that is asked to stop could not.
    """
    return {name: value for name, value in _PATIENCE.items() if name not in url.query}


def _server_engine(url: URL, sizes: dict[str, int]) -> Engine:
    patient = patience(url) if url.get_driver_name() == "psycopg" else {}
    try:
        return create_engine(url, pool_pre_ping=True, connect_args=patient, **sizes)
    except ImportError as error:
        reason = f"cannot open the database {url}: there is no package {error.name}"
        if url.get_backend_name() == "postgresql":
            reason += "; install argus-leaderboard[postgres]"
        raise StoreError(reason) from error


def _sqlite_engine(url: URL, sizes: dict[str, int]) -> Engine:
    engine = create_engine(url, connect_args={"timeout": 30, "check_same_thread": False}, **sizes)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Begin a transaction that is committed, or rolled back, at the end.

    Raises:
        StoreBusy: every connection of this engine is in use, and none came free in time.
        BadText: a text cannot be in this database.
        StoreError: the database is away, or went away meanwhile.
    """
    try:
        with engine.begin() as connection:
            yield connection
    except DataError as error:
        raise BadText(f"the database knows no such text: {error.orig}") from error
    except PoolTimeoutError as error:
        raise StoreBusy(f"every connection is in use: {error}") from error
    except (OperationalError, InterfaceError) as error:
        raise StoreError("the database does not answer") from error


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver leaves BEGIN to _begin_sqlite
    try:
        for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}").close()
    except Exception:
        connection.close()  # the pool has not taken it yet, so nobody else would
        raise


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def lock_tables(connection: Connection) -> None:
    """Wait until no other process changes the tables, and keep them until the transaction ends.

    In SQLite a writing transaction has the whole database already.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def upsert(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT that can say ON CONFLICT; both databases spell it alike."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
