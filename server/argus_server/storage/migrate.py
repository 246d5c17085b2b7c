"""Bring a database to the tables of this version."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine

from argus_server.storage.dialect import lock_tables

__all__ = ["migrate"]


def migrate(engine: Engine, *, to: str = "head") -> None:
    """Run the migrations that the database has not seen, up to one of them, in one transaction.

    Two processes may start at once: the second waits for the first and finds nothing to do.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with engine.begin() as connection:
        lock_tables(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, to)
