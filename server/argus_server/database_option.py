"""The option `--database` of every command that works on one, and how they open it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from argus_server.storage.store import SqlStore

__all__ = ["database_option", "is_absent", "open_database"]


def database_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option `--database`; it is passed as `database`, None if it is not given."""
    return click.option(
        "--database",
        metavar="PATH|URL",
        envvar="ARGUS_DATABASE",
        help="An SQLite file or a database URL.  [default: a file in your user folder]",
    )(command)


def is_absent(database: str | None) -> bool:
    """Whether this database is a file that is not there yet."""
    from argus_server.settings import default_database

    place = str(database or default_database())
    return "://" not in place and not Path(place).exists()


def open_database(database: str | None, *, must_exist: bool = False) -> SqlStore:
    """Return the store in this database, the user's own if none is named.

    Raises:
        ClickException: it cannot be opened, or is not there although it must be.
    """
    from argus_server.errors import StoreError
    from argus_server.settings import default_database
    from argus_server.storage.store import open_store

    place = str(database or default_database())
    if must_exist and is_absent(database):
        raise click.ClickException(f"there is no database {place}; --database names another")
    try:
        return open_store(place)
    except StoreError as error:
        raise click.ClickException(str(error)) from None
