"""Bring a database to the tables of this version."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from argus_server.storage.dialect import lock_tables

__all__ = ["migrate", "revision"]


def migrate(engine: Engine, *, to: str = "head") -> None:
    """Run the migrations that the database has not seen, up to one of them, in one transaction.

    Two processes may start at once: the second waits for the first and finds nothing to do.
    """
    config = _config()
    with engine.begin() as connection:
        lock_tables(connection)
        if to == "head" and revision(connection) == _newest_revision():
            return
        config.attributes["connection"] = connection
        command.upgrade(config, to)


def revision(connection: Connection) -> str | None:
    """Return the migration at which the tables are, None if there are none."""
    return MigrationContext.configure(connection).get_current_revision()


@cache
def _newest_revision() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config
