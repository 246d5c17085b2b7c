"""What differs between the databases, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, func, make_url, select
from sqlalchemy.dialects import postgresql, sqlite

__all__ = ["database_url", "describe", "lock_tables", "make_engine", "upsert"]

_WRITES = "argus_writes"
_LOCK = 0x6172677573  # "argus"


def database_url(database: str) -> str:
    """Return the URL of a database that is given as a URL or as the path of an SQLite file."""
    if "://" in database:
        return database
    return f"sqlite:///{Path(database).expanduser().resolve()}"


def describe(database: str) -> str:
    """Return the database as people may see it: without its password."""
    return database if "://" not in database else make_url(database).render_as_string()


def make_engine(database: str) -> tuple[Engine, Engine]:
    """Return an engine that reads and one that writes; they share their connections' settings.

    For SQLite the file's folder is made, the journal is a write-ahead log, every commit reaches the
    disk, and a writer takes the write lock when its transaction begins, so that two processes
    wait for each other instead of failing half-way.
    """
    url = make_url(database_url(database))
    if url.get_backend_name() != "sqlite":
        engine = create_engine(url, pool_pre_ping=True)
        return engine.execution_options(isolation_level="REPEATABLE READ"), engine
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": 30, "check_same_thread": False})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine, engine.execution_options(**{_WRITES: True})


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


def upsert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT that can say ON CONFLICT; both databases spell it alike."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)
